"""Usage from the files of both versions of control groups."""

from pathlib import Path

from kubelet.cgroupusage import GroupUsage, of_node, of_process


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def test_version_1_counts_in_a_hierarchy_per_controller(tmp_path: Path) -> None:
    lines = "9:name=systemd:/docker/x\n4:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n0::/docker/x\n"
    write(tmp_path, {
        "proc/7/cgroup": lines,
        "fs/cpu,cpuacct/docker/x/cpuacct.usage": "12345\n",
        "fs/memory/docker/x/memory.usage_in_bytes": "1000\n",
        "fs/memory/docker/x/memory.stat": "cache 500\ninactive_file 1\ntotal_inactive_file 300\n",
    })  # fmt: skip
    assert of_process(7, proc=tmp_path / "proc", root=tmp_path / "fs") == GroupUsage(12345, 1000, 700)


def test_version_2_counts_in_one(tmp_path: Path) -> None:
    write(tmp_path, {
        "proc/7/cgroup": "0::/docker/x\n",
        "fs/docker/x/cpu.stat": "usage_usec 12\nuser_usec 10\n",
        "fs/docker/x/memory.current": "1000\n",
        "fs/docker/x/memory.stat": "inactive_file 400\n",
    })  # fmt: skip
    assert of_process(7, proc=tmp_path / "proc", root=tmp_path / "fs") == GroupUsage(12000, 1000, 600)


def test_the_node_is_the_root_group(tmp_path: Path) -> None:
    write(tmp_path, {
        "cpuacct/cpuacct.usage": "5\n",
        "memory/memory.usage_in_bytes": "10\n",
        "memory/memory.stat": "total_inactive_file 4\n",
    })  # fmt: skip
    assert of_node(root=tmp_path) == GroupUsage(5, 10, 6)


def test_a_process_that_is_gone_and_a_root_that_does_not_count_have_no_usage(tmp_path: Path) -> None:
    write(tmp_path, {"cgroup.controllers": "cpu memory\n", "cpu.stat": "usage_usec 1\n"})
    assert of_process(7, proc=tmp_path, root=tmp_path) is None
    assert of_node(root=tmp_path) is None
