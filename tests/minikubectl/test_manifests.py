"""Manifests: everything that is wrong is reported at once, with file, document and field."""

import io
from pathlib import Path

import pytest

from minikubectl.checking import check
from minikubectl.manifests import read

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    manifests, found = read([str(file)])
    found += [problem for manifest in manifests for problem in check(manifest)]
    return [str(problem).removeprefix(f"{file}, ") for problem in found]


def test_files_directories_lists_and_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(f"---\n{GOOD}---\n# nothing\n---\n{GOOD}")
    (tmp_path / "b.json").write_text(
        '{"apiVersion":"v1","kind":"List","items":[' + '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}]}'
    )
    (tmp_path / "notes.txt").write_text("not a manifest")
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))
    manifests, found = read([str(tmp_path), "-"])
    assert not found
    assert [(each.document, each.object["kind"]) for each in manifests] == [
        (1, "ConfigMap"), (3, "ConfigMap"), (1, "Pod"), (1, "ConfigMap"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, []),
        (f"{GOOD}---\na: [\n", ["document 2: not valid YAML: line 6, column 1: "]),
        ("just text", ["document 1: an object is needed, this is a text"]),
        ("kind: Pod", ["document 1: apiVersion: not set"]),
        ("apiVersion: v1\nkind: Pod", ["document 1: metadata.name: Required value: every Pod needs a name"]),
        (f"{GOOD}kind: Pod", ['document 1: not valid YAML: line 4, column 1: key "kind" already set in map']),
        (GOOD + "data: {a: 1}", ["document 1: data.a: text expected, got a number (1): put it in quotes"]),
        (GOOD + "immutable: x", ["document 1: immutable: true or false expected, got text ('x')"]),
        (GOOD + "dta: {}", ['document 1: dta: unknown field (did you mean "data"?)']),
        ("# " + "x" * (4 << 20), ["document 1: 4.0 MiB: the API server takes no more than 3 MiB an object"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found


def test_all_faults_of_an_object_are_found_at_once(tmp_path: Path) -> None:
    text = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replica: 3
  replicas: three
  template:
    spec:
      containers:
      - image: x
        resources: {limits: {cpu: lots}}
        ports: [{containerPort: "80"}]
"""
    assert problems(tmp_path, text) == [
        'document 1: spec.replica: unknown field (did you mean "replicas"?)',
        "document 1: spec.replicas: a whole number expected, got text ('three')",
        "document 1: spec.template.spec.containers[0].resources.limits.cpu: "
        "a quantity such as 500m or 1Gi expected, got 'lots'",
        "document 1: spec.template.spec.containers[0].ports[0].containerPort: a whole number expected, got text ('80')",
        "document 1: spec.template.spec.containers[0].name: Required value",
        "document 1: spec.selector: Required value",
    ]


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    _, found = read([str(tmp_path / "none.yaml"), str(tmp_path)])
    assert "does not exist" in str(found[0])
    assert "no .json, .yaml, .yml file" in str(found[1])


def test_times_stay_text(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD + "data: {a: 2026-01-01}") == []


def test_only_what_is_created_may_leave_its_name_to_the_server(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: once-}\n")
    assert [str(each) for each in read([str(file)])[1]] == [
        f"{file}, document 1: metadata.name: Required value: every Job needs a name"
    ]
    ((manifest,), problems) = read([str(file)], generated=True)
    assert (manifest.object["metadata"], problems) == ({"generateName": "once-"}, [])
