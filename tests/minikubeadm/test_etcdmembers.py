"""Members as etcdctl prints them, and what is asked of it when a control plane joins."""

import json

import pytest

from minikubeadm import etcdmembers
from minikubeadm.etcdmembers import Member
from minikubeadm.process import StepFailed

STALE = {"ID": 2, "peerURLs": ["https://192.0.2.3:2380"], "isLearner": True}
FIRST = {"ID": 1, "name": "one", "peerURLs": ["https://192.0.2.2:2380"]}


def test_members_are_read_with_their_state() -> None:
    members = etcdmembers.parsed(json.dumps({"members": [FIRST, STALE]}))
    assert members == [Member(1, "one", "https://192.0.2.2:2380"), Member(2, "", "https://192.0.2.3:2380", True)]


class Etcdctl:
    """Answers in the place of `etcdctl`; refuses a change once with words of etcd's."""

    def __init__(self, refusal: str) -> None:
        self.members = [FIRST, STALE]
        self.refusal = refusal
        self.changes: list[str] = []

    async def __call__(self, endpoints: object, *arguments: str, **options: str) -> str:
        verb, rest = arguments[1], arguments[2:]
        if verb == "list":
            return json.dumps({"members": self.members})
        if self.refusal:
            refusal, self.refusal = self.refusal, ""
            raise StepFailed("x", output=refusal)
        self.changes.append(" ".join((verb, *rest)))
        if verb == "remove":
            self.members = [one for one in self.members if f"{one['ID']:x}" != rest[0]]
        return ""


async def test_a_joining_member_replaces_one_at_its_address_and_is_a_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    etcdctl = Etcdctl("Error: etcdserver: too many learner members in cluster")
    monkeypatch.setattr(etcdmembers, "etcdctl", etcdctl)
    joining = await etcdmembers.add(["https://192.0.2.2:2379"], "two", "192.0.2.3")
    assert joining == "one=https://192.0.2.2:2380,two=https://192.0.2.3:2380"
    assert etcdctl.changes == ["remove 2", "add two --peer-urls=https://192.0.2.3:2380 --learner"]


async def test_what_will_not_pass_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcdmembers, "etcdctl", Etcdctl("Error: remote error: tls: bad certificate"))
    with pytest.raises(StepFailed) as failure:
        await etcdmembers.add(["https://192.0.2.2:2379"], "two", "192.0.2.3")
    assert "bad certificate" in failure.value.output
