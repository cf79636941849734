"""How far versions are moved on at a restore, and what is checked before."""

import json
from pathlib import Path

import pytest

from minikubeadm import etcdsnapshot, units
from minikubeadm.configuration import NodeConfiguration
from minikubeadm.etcdmembers import Member
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

NOW = 1_800_000_000.0
FASTEST = 3_800  # revisions a second, measured


def test_a_restore_is_beyond_all_that_etcd_can_have_counted_since_the_last() -> None:
    first = etcdsnapshot.shift_after(0, NOW)
    assert first > (NOW - 1_795_000_000) * FASTEST
    day = 86_400
    for existing in (0, first):  # of a snapshot from before or after the first restore
        assert etcdsnapshot.shift_after(existing, NOW + day) > first + day * FASTEST


def test_a_clock_that_went_back_does_not_take_versions_along() -> None:
    first = etcdsnapshot.shift_after(0, NOW)
    assert etcdsnapshot.shift_after(first, NOW - 86_400) > first


def test_versions_stay_whole_numbers_in_javascript_for_a_century() -> None:
    century = NOW + 100 * 365 * 86_400
    assert etcdsnapshot.shift_after(0, century) * 128 < 2**53


def test_the_members_name_and_address_come_from_its_unit() -> None:
    node = NodeConfiguration("n", "192.0.2.2", control_plane=True)
    flags = etcdsnapshot._flags(units.etcd(node).render())
    assert flags["name"] == "n"
    assert flags["initial-advertise-peer-urls"] == "https://192.0.2.2:2380"


async def test_other_members_must_be_gone_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def own(endpoints: object) -> tuple[Member, list[Member]]:
        members = [Member(1, "one", "https://192.0.2.2:2380"), Member(2, "two", "https://192.0.2.3:2380")]
        return members[0], members

    async def status(file: Path) -> str:
        return json.dumps({})

    monkeypatch.setattr(etcdsnapshot.etcdmembers, "own", own)
    monkeypatch.setattr(etcdsnapshot, "status", status)
    with pytest.raises(StepFailed, match="other members: two") as failure:
        await etcdsnapshot.restore(tmp_path / "s", force=False, progress=Progress())
    assert "minikubeadm reset" in failure.value.hint
