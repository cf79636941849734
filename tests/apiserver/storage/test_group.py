"""The transaction of a group, and what its answer, or its loss, means for each write (rules 1, 4, 5, 6, 10)."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aetcd import rpc

from apimachinery.resourceversion import encode
from apiserver.storage.errors import StorageConflict, StorageExists
from apiserver.storage.group import MAX_BYTES, ExtraOp, Room, Verdict, Write, build, judge, outcomes
from apiserver.storage.value import draft

OBJECT = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"}}


def a_write(key: str = "a", *, version: int = 0, delete: bool = False, extra: Any = (), size: int = 0) -> Write:
    source = None if delete else draft({**OBJECT, "data": "x" * size})
    future: asyncio.Future[int] = asyncio.Future(loop=asyncio.new_event_loop())
    return Write(f"/registry/services/{key}", version, source, {}, {}, extra, future, 0.0)


def answer(revision: int, *results: list[Any]) -> Any:
    """Per write, a list of what its nested operations gave; None for a failed compare."""
    response = rpc.TxnResponse(succeeded=True)
    response.header.revision = revision
    for result in results:
        nested = response.responses.add().response_txn
        nested.succeeded = "failed" not in result
        for each in result:
            if each == "failed":
                continue
            operation = nested.responses.add()
            if each == "put":
                operation.response_put.SetInParent()
            elif isinstance(each, int):
                operation.response_delete_range.deleted = each
            else:
                operation.response_range.SetInParent()
                if each:
                    operation.response_range.kvs.add(mod_revision=each["mod"])
    return response


def test_rule_04_a_group_has_room_for_64_writes_127_operations_and_a_mebibyte() -> None:
    room = Room()
    assert [room.take(a_write(str(index))) for index in range(65)] == [True] * 64 + [False]
    extra = [ExtraOp(f"/allocations/{index}", b"x") for index in range(3)]
    room = Room()
    taken = sum(room.take(a_write(str(index), extra=extra)) for index in range(64))
    assert taken == 127 // 4
    wide = [ExtraOp(f"/allocations/{index}", b"x") for index in range(100)]
    room = Room()
    assert room.take(a_write("wide", extra=wide))
    assert sum(room.take(a_write(str(index))) for index in range(64)) == 127 - 101
    room = Room()
    assert [room.take(a_write(str(index), size=300_000)) for index in range(4)] == [True, True, True, False]
    assert Room().take(a_write(size=2 * MAX_BYTES)), "too large for a group, it goes alone"


def test_rule_05_failure_branches_return_no_value() -> None:
    request = build([a_write(), a_write("b", version=encode(7, 3)), a_write("c", version=encode(8, 0), delete=True)])
    for operation in request.success:
        for failure in operation.request_txn.failure:
            assert failure.request_range.keys_only
    assert [each.request_txn.compare[0].mod_revision for each in request.success] == [0, 7, 8]


def test_rule_08_a_delete_is_of_one_key() -> None:
    [operation] = build([a_write(version=encode(8, 0), delete=True)]).success
    delete = operation.request_txn.success[0].request_delete_range
    assert delete.key == b"/registry/services/a"
    assert not delete.range_end


def test_rule_10_an_extra_key_shares_the_fate_of_its_object() -> None:
    extra = [
        ExtraOp.of("/registry/networking.k8s.io/ipaddresses/10.96.0.9", OBJECT, must_be_absent=True),
        ExtraOp("/allocations/nodeports/30000", b"s", must_be_absent=True),
    ]
    write = a_write(extra=extra)
    [operation] = build([write]).success
    nested = operation.request_txn
    assert [compare.key for compare in nested.compare] == [key.encode() for key in write.keys]
    assert b'"resourceVersion":"001"' in nested.success[1].request_put.value
    assert outcomes([write], answer(9, ["put", "put", "put"])) == [encode(9, 0)]
    [error] = outcomes([write], answer(9, ["failed", {}, {}, {"mod": 3}]))
    assert isinstance(error, StorageExists)
    assert error.key == "/allocations/nodeports/30000"


def test_rule_01_the_writer_counts_places_as_the_watch_does() -> None:
    group = [
        a_write("a", version=encode(3, 0), delete=True),
        a_write("b", version=encode(3, 1)),
        a_write("c", extra=[ExtraOp("/allocations/nodeports/1", b"x"), ExtraOp("/registry/x.io/y/z", None)]),
        a_write("d", version=encode(3, 2), delete=True, extra=[ExtraOp("/allocations/nodeports/2")]),
        a_write("e", version=encode(3, 4), delete=True),
    ]
    build(group)
    response = answer(9, [1], ["failed", {"mod": 4}], ["put", "put", 1], [1, 0], [1])
    found = outcomes(group, response)
    assert isinstance(found[1], StorageConflict)
    # delete a: first, 0; c is put at its own place, 2; the object deleted with it 3; then d and e
    assert [found[0], *found[2:]] == [encode(9, 0), encode(9, 2), encode(9, 4), encode(9, 5)]


@pytest.mark.parametrize(
    ("version", "delete", "current", "settled", "verdict"),
    [
        (0, False, None, False, Verdict.UNKNOWN),  # may still be applied
        (0, False, (9, 9, True), False, Verdict.DONE),
        (0, False, (9, 9, False), False, Verdict.UNKNOWN),  # another's, or ours and updated since
        (5, False, (5, 3, False), False, Verdict.UNKNOWN),
        (5, False, (5, 3, True), False, Verdict.UNKNOWN),  # the same bytes at the old revision are the old ones
        (5, False, (9, 3, True), False, Verdict.DONE),
        (5, False, (9, 3, False), False, Verdict.UNKNOWN),
        (5, True, None, False, Verdict.UNKNOWN),  # whoever deleted it
        (5, True, (9, 9, False), False, Verdict.UNKNOWN),  # recreated
        (5, True, (5, 3, False), False, Verdict.UNKNOWN),
        (5, True, (9, 3, False), False, Verdict.OVERTAKEN),  # it has lived on, at a version the compare refuses
        (5, False, (5, 3, False), True, Verdict.NOT_DONE),
        (0, False, None, True, Verdict.NOT_DONE),
    ],
)
def test_rule_06_what_a_read_proves(version: int, delete: bool, current: Any, settled: bool, verdict: Verdict) -> None:
    write = a_write(version=encode(version, 0) if version else 0, delete=delete)
    build([write])
    kv = current and SimpleNamespace(
        mod_revision=current[0], create_revision=current[1], value=write.sent if current[2] else b"another"
    )
    assert judge(write, kv, settled=settled) is verdict
