"""The writers' queue, with an etcd that answers on demand (rules 4, 6, 7)."""

import asyncio

import pytest
from aetcd import rpc

from apimachinery.errors import RequestEntityTooLarge, Timeout, TooManyRequests
from apimachinery.resourceversion import encode
from apiserver.storage import commit
from apiserver.storage.etcd import NoSpace, Refused, TooLarge, Unknown
from tests.apiserver.storage.fakes import FakeEtcd, committer, turns, write

LEASE = "/registry/coordination.k8s.io/leases/kube-node-lease/n1"


async def test_rule_07_alone_at_once_then_two_groups_with_leases_first() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd)
    first = write(commits, "/registry/configmaps/a/1")
    await turns()
    assert len(etcd.sent) == 1, "alone, a write leaves at once"
    second = [write(commits, f"/registry/configmaps/a/b{index}") for index in range(3)]
    await turns()
    waiting = [write(commits, f"/registry/configmaps/a/c{index}") for index in range(3)]
    lease = write(commits, LEASE)
    await turns()
    assert [len(each.success) for each in etcd.sent] == [1, 3], "two groups at most"
    etcd.accept(0, 10)
    await turns()
    assert etcd.keys(2)[0] == LEASE
    assert len(etcd.keys(2)) == 4
    etcd.accept(1, 11)
    etcd.accept(2, 12)
    written = await asyncio.gather(first, *second, *waiting, lease)
    assert [each.entry.version for each in written] == [
        encode(10, 0), *[encode(11, place) for place in range(3)], *[encode(12, place) for place in (1, 2, 3, 0)]
    ]  # fmt: skip


async def test_rule_07_a_full_queue_refuses() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd, queued_writes=2)
    tasks = [write(commits, "/registry/configmaps/a/1")]
    await turns()
    tasks.append(write(commits, "/registry/configmaps/a/2"))
    await turns()
    tasks += [write(commits, f"/registry/configmaps/a/{index}") for index in (3, 4)]
    await turns()
    with pytest.raises(TooManyRequests):
        await write(commits, "/registry/configmaps/a/5")
    for index in range(3):
        etcd.accept(index, 10 + index)
        await turns()
    await asyncio.gather(*tasks)


async def test_rule_04_a_key_is_in_one_unanswered_group() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd)
    first = write(commits, "/registry/configmaps/a/same")
    again = write(commits, "/registry/configmaps/a/same", version=encode(10, 0))
    other = write(commits, "/registry/configmaps/a/other")
    await turns()
    assert [etcd.keys(index) for index in range(len(etcd.sent))] == [
        ["/registry/configmaps/a/same", "/registry/configmaps/a/other"]
    ]
    etcd.accept(0, 10)
    await turns()
    assert etcd.keys(1) == ["/registry/configmaps/a/same"]
    etcd.accept(1, 11)
    assert [each.entry.version for each in await asyncio.gather(first, again, other)] == [
        encode(10, 0), encode(11, 0), encode(10, 1)
    ]  # fmt: skip


async def test_rule_04_of_a_refused_group_only_the_culprit_fails() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd)
    tasks = [write(commits, f"/registry/configmaps/a/{index}") for index in range(3)]
    await turns()
    etcd.answers[0].set_exception(Refused("too many operations"))
    for index, outcome in ((1, 10), (2, None), (3, 11)):
        await turns()
        assert len(etcd.sent[index].success) == 1
        if outcome:
            etcd.accept(index, outcome)
        else:
            etcd.answers[index].set_exception(TooLarge("etcdserver: request is too large"))
    assert (await tasks[0]).entry.version == encode(10, 0)
    with pytest.raises(RequestEntityTooLarge):
        await tasks[1]
    assert (await tasks[2]).entry.version == encode(11, 0)


async def test_rule_06_unknown_is_looked_up_and_never_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 0.3)
    etcd = FakeEtcd()
    commits = committer(etcd)
    made, lost = (write(commits, f"/registry/configmaps/a/{name}") for name in ("made", "lost"))
    await turns()
    value = etcd.sent[0].success[0].request_txn.success[0].request_put.value
    etcd.answers[0].set_exception(Unknown("leader changed"))
    blocked = write(commits, "/registry/configmaps/a/lost")
    etcd.found[b"/registry/configmaps/a/made"] = rpc.KeyValue(mod_revision=12, create_revision=12, value=value)
    assert (await made).entry.version == encode(12, 0)
    assert len(etcd.sent) == 1, "a write of a key whose fate is unknown waits"
    with pytest.raises(Timeout):
        await lost
    await turns()
    if len(etcd.sent) == 2:  # its own time was not up yet
        etcd.accept(1, 13)
    await asyncio.gather(blocked, return_exceptions=True)


async def test_rule_06_no_space_is_judged_by_what_is_there() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd)
    made, refused = (write(commits, f"/registry/configmaps/a/{name}") for name in ("made", "refused"))
    await turns()
    value = etcd.sent[0].success[0].request_txn.success[0].request_put.value
    etcd.found[b"/registry/configmaps/a/made"] = rpc.KeyValue(mod_revision=12, create_revision=12, value=value)
    etcd.answers[0].set_exception(NoSpace("etcdserver: mvcc: database space exceeded"))
    assert (await made).entry.version == encode(12, 0)
    with pytest.raises(Exception, match="space exceeded"):
        await refused


async def test_a_write_that_was_never_sent_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(commit, "_SWEEP_SECONDS", 0.02)
    etcd = FakeEtcd()
    commits = committer(etcd)
    tasks = []
    for name in "abc":
        tasks.append(write(commits, f"/registry/configmaps/a/{name}"))
        await turns()
    with pytest.raises(Timeout):
        await tasks[2]
    assert len(etcd.sent) == 2
    for index in range(2):
        etcd.accept(index, 10 + index)
    await asyncio.gather(*tasks[:2])
    assert commits.queued == 0


async def test_a_cancelled_write_leaves_the_queue() -> None:
    etcd = FakeEtcd()
    commits = committer(etcd)
    tasks = []
    for name in "abcd":
        tasks.append(write(commits, f"/registry/configmaps/a/{name}"))
        await turns()
    tasks[2].cancel()
    await turns()
    etcd.accept(0, 10)
    await turns()
    assert etcd.keys(2) == ["/registry/configmaps/a/d"]
    for index in (1, 2):
        etcd.accept(index, 10 + index)
    await asyncio.gather(tasks[0], tasks[1], tasks[3])
    assert commits.queued == 0


async def test_the_same_bytes_twice_are_two_versions() -> None:
    """The watch brings the first write's event when the second, of the same bytes, is under way already."""
    etcd = FakeEtcd()
    commits = committer(etcd)
    key = "/registry/configmaps/a/same"
    first = write(commits, key)
    await turns()
    etcd.accept(0, 10)
    await first
    second = write(commits, key, version=encode(10, 0))
    await turns()
    value = etcd.sent[1].success[0].request_txn.success[0].request_put.value
    assert commits.handover.take(key, 10, value) is None
    etcd.accept(1, 11)
    assert (await second).entry.version == encode(11, 0)
