"""An etcd that answers when the test says so."""

import asyncio
from typing import Any

from aetcd import rpc

from apiserver.storage.cache import Limits
from apiserver.storage.commit import Committer
from apiserver.storage.value import draft


class FakeEtcd:
    """Keeps what is sent; `answers[i]` settles the i-th transaction, `found` is what reads see."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.found: dict[bytes, Any] = {}
        self.revisions: list[asyncio.Future[int]] = []

    async def txn(self, request: Any) -> Any:
        self.sent.append(request)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def accept(self, index: int, revision: int) -> None:
        """Every write of a transaction is made."""
        response = rpc.TxnResponse(succeeded=True)
        response.header.revision = revision
        for each in self.sent[index].success:
            nested = response.responses.add().response_txn
            nested.succeeded = True
            for operation in each.request_txn.success:
                answer = nested.responses.add()
                if operation.HasField("request_put"):
                    answer.response_put.SetInParent()
                else:
                    answer.response_delete_range.deleted = 1
        self.answers[index].set_result(response)

    def keys(self, index: int) -> list[str]:
        return [each.request_txn.compare[0].key.decode() for each in self.sent[index].success]

    async def read(self, call: Any, request: Any, *, timeout: float) -> Any:
        response = rpc.TxnResponse()
        for operation in request.success:
            answer = response.responses.add().response_range
            if (kv := self.found.get(operation.request_range.key)) is not None:
                answer.kvs.append(kv)
        return response

    async def revision(self) -> int:
        self.revisions.append(asyncio.get_running_loop().create_future())
        return await self.revisions[-1]


def committer(etcd: FakeEtcd, **limits: int) -> Committer:
    return Committer(
        etcd,  # type: ignore[arg-type]
        limits=Limits(**limits),
        on_no_space=lambda: None,
        on_commit=lambda _: None,
        full=lambda: False,
    )


def write(commits: Committer, key: str, *, version: int = 0, size: int = 0) -> "asyncio.Task[Any]":
    """Start writing; the task gives the Write."""
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": key}, "data": {"x": "x" * size}}
    return asyncio.ensure_future(commits.commit(key, version=version, source=draft(obj), labels={}, fields={}))


async def turns(count: int = 8) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
