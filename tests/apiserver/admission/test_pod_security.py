"""PodSecurity: labels of a namespace, what they refuse and warn of."""

from __future__ import annotations

from typing import Any

import pytest

from apimachinery import errors, kinds
from apimachinery.meta import JSON
from apiserver.admission import Attributes
from apiserver.admission.pod_security import PodSecurity
from apiserver.admission.pod_security_checks import violations
from apiserver.request import User
from tests.apiserver.fake_storage import FakeStorage, obj

GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(context: JSON | None = None, **fields: Any) -> JSON:
    return {"containers": [{"name": "c", "securityContext": context or {}}], **fields}


@pytest.mark.parametrize(
    ("level", "pod", "told"),
    [
        ("privileged", spec({"privileged": True}), []),
        ("baseline", spec(), []),
        ("restricted", spec(GOOD), []),
        (
            "baseline",
            spec({"privileged": True}),
            ['privileged (container "c" must not set securityContext.privileged=true)'],
        ),
        ("baseline", spec(hostNetwork=True, hostPID=True), ["host namespaces (hostNetwork=true, hostPID=true)"]),
        (
            "baseline",
            spec({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}),
            [
                'non-default capabilities (container "c" must not include "NET_ADMIN" in '
                "securityContext.capabilities.add)"
            ],
        ),
        (
            "baseline",
            spec(volumes=[{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {}}]),
            ['hostPath volumes (volumes "a", "b")'],
        ),
        (
            "baseline",
            spec(containers=[{"name": "c", "ports": [{"hostPort": 80}]}]),
            ['hostPort (container "c" uses hostPort 80)'],
        ),
        (
            "baseline",
            spec({"procMount": "Unmasked"}),
            ['procMount (container "c" must not set securityContext.procMount to "Unmasked")'],
        ),
        (
            "baseline",
            spec(securityContext={"seccompProfile": {"type": "Unconfined"}}),
            ['seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'],
        ),
        (
            "baseline",
            spec(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}),
            ["forbidden sysctls (kernel.msgmax)"],
        ),
        (
            "baseline",
            spec({"seLinuxOptions": {"type": "spc_t"}}),
            ['seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions)'],
        ),
        (
            "restricted",
            spec(GOOD, volumes=[{"name": "n", "nfs": {}}]),
            ['restricted volume types (volume "n" uses restricted volume type "nfs")'],
        ),
        ("restricted", spec({**GOOD, "runAsUser": 0}), ['runAsUser=0 (container "c" must not set runAsUser=0)']),
        (
            "restricted",
            spec(),
            [
                'allowPrivilegeEscalation != false (container "c" must set '
                "securityContext.allowPrivilegeEscalation=false)",
                'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])',
                'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
                'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
                '"RuntimeDefault" or "Localhost")',
            ],
        ),
        (
            "restricted",
            spec(
                {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}},
            ),
            [],
        ),
    ],
)
def test_what_the_levels_forbid(level: str, pod: JSON, told: list[str]) -> None:
    assert [f"{what} ({where})" for what, where in violations(level, pod)] == told


def namespace(**labels: str) -> JSON:
    prefixed = {f"pod-security.kubernetes.io/{mode.replace('_', '-')}": level for mode, level in labels.items()}
    return obj("v1", "Namespace", "team", metadata={"labels": prefixed})


def write(pod: JSON, *, old: JSON | None = None) -> Attributes:
    return Attributes(User("jane"), "UPDATE" if old else "CREATE", kinds.POD, "", "team", "web", pod, old)


async def test_enforce_refuses_and_warn_warns() -> None:
    storage: Any = FakeStorage(namespace(enforce="baseline", warn="restricted"))
    plugin = PodSecurity(storage)
    a = write({"metadata": {}, "spec": spec(hostIPC=True)})
    with pytest.raises(errors.Forbidden) as caught:
        await plugin.validate(a)
    assert caught.value.message == (
        'pods "web" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostIPC=true)'
    )
    a = write({"metadata": {}, "spec": spec({**GOOD, "runAsUser": 0})})
    await plugin.validate(a)
    assert a.warnings == [
        'would violate PodSecurity "restricted:latest": runAsUser=0 (container "c" must not set runAsUser=0)'
    ]


async def test_what_makes_pods_is_warned_of_and_never_refused() -> None:
    storage: Any = FakeStorage(namespace(enforce="restricted", warn="baseline", warn_version="v1.30"))
    deployment = {"spec": {"template": {"spec": spec({"privileged": True})}}}
    a = Attributes(User("jane"), "CREATE", kinds.DEPLOYMENT, "", "team", "web", deployment)
    await PodSecurity(storage).validate(a)
    assert a.warnings == [
        'would violate PodSecurity "baseline:v1.30": privileged (container "c" must not set '
        "securityContext.privileged=true)"
    ]


async def test_labels_of_a_running_pod_stay_writable() -> None:
    storage: Any = FakeStorage(namespace(enforce="restricted"))
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": spec()}
    await PodSecurity(storage).validate(write(pod, old={"metadata": {}, "spec": spec()}))


async def test_without_labels_everything_is_allowed() -> None:
    storage: Any = FakeStorage(namespace())
    plugin = PodSecurity(storage)
    await plugin.validate(write({"metadata": {}, "spec": spec({"privileged": True})}))
    storage.put(namespace(enforce="no-such-level"))
    with pytest.raises(errors.Forbidden):
        await plugin.validate(write({"metadata": {}, "spec": spec()}))
