"""Flags as Go's flag packages read them, and files of them."""

import pytest

from componentbase import flags


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("40s", 40), ("1m30s", 90), ("300ms", 0.3), ("1.5h", 5400), ("2h1m", 7260)]
)
def test_durations(text, seconds):
    assert flags.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "1m-3s", "5d"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="invalid duration"):
        flags.duration(text)


def test_lists_and_maps():
    assert flags.comma_list(" a,b ,,c") == ["a", "b", "c"]
    assert flags.mapping("a=1,b=x=y") == {"a": "1", "b": "x=y"}
    with pytest.raises(ValueError, match="malformed pair 'b'"):
        flags.mapping("a=1,b")


@pytest.fixture
def parser():
    made = flags.parser("tester", "a test")
    flags.add_boolean(made, "--leader-elect", default=True, help="")
    made.add_argument("--node-monitor-period", type=flags.duration, default=5.0)
    made.add_argument("--controllers", type=flags.comma_list, default=["*"])
    return made


@pytest.mark.parametrize(
    ("arguments", "value"),
    [([], True), (["--leader-elect=false"], False), (["--leader-elect"], True), (["--leader-elect=T"], True)],
)
def test_booleans(parser, arguments, value):
    assert flags.parse(parser, arguments).leader_elect is value


def test_a_file_gives_defaults_that_the_command_line_overrides(parser, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("kind: X\nnodeMonitorPeriod: 7s\nleader-elect: false\ncontrollers: [a, b]\n")
    parsed = flags.parse(parser, [f"--config={file}", "--node-monitor-period=9s"])
    assert (parsed.node_monitor_period, parsed.leader_elect, parsed.controllers) == (9, False, ["a", "b"])


@pytest.mark.parametrize("content", ["nonsense: 1", "- a", "a: [", "nodeMonitorPeriod: never"])
def test_a_wrong_file_ends_the_program_and_says_so(parser, tmp_path, capsys, content):
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        flags.parse(parser, [f"--config={file}"])
    assert ended.value.code == 2
    assert "tester: error:" in capsys.readouterr().err
