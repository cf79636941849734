"""Objects are put there whatever is there already, and whatever becomes of an answer."""

from typing import Any

import pytest

from apimachinery import errors
from minikubeadm import api

BODY = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "kube-system"}}


class FakeClient:
    """Answers each request with the next of `answers`, raising those that are errors."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.asked = list(answers), []

    async def create(self, kind: Any, body: Any) -> None:
        self._answer("create")

    async def patch(self, kind: Any, name: str, body: Any, *, namespace: str | None) -> None:
        self._answer("patch")

    def _answer(self, verb: str) -> None:
        self.asked.append(verb)
        if answer := self.answers.pop(0):
            raise answer


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([None], ["create"]),
        ([errors.AlreadyExists("there"), None], ["create", "patch"]),
        ([errors.Timeout("lost"), None], ["create", "create"]),
        ([errors.Timeout("lost, but made"), errors.AlreadyExists("there"), None], ["create", "create", "patch"]),
    ],
)
async def test_an_object_is_made_or_changed(answers: list[Exception | None], asked: list[str]) -> None:
    client: Any = FakeClient(*answers)
    await api.ensure(client, BODY)
    assert client.asked == asked


async def test_an_etcd_that_never_says_is_told() -> None:
    client: Any = FakeClient(*[errors.Timeout("lost")] * 3)
    with pytest.raises(errors.Timeout):
        await api.ensure(client, BODY)
