"""cgroup numbers and quality of service."""

from typing import Any

import pytest

from kubelet import resources


@pytest.mark.parametrize(("milli", "shares"), [(0, 2), (1, 2), (100, 102), (1000, 1024), (10**9, 262_144)])
def test_cpu_shares(milli: int, shares: int) -> None:
    assert resources.cpu_shares(milli) == shares


@pytest.mark.parametrize(("milli", "quota"), [(0, 0), (1, 1000), (500, 50_000), (2000, 200_000)])
def test_cpu_quota(milli: int, quota: int) -> None:
    assert resources.cpu_quota(milli) == quota


def test_limits_without_requests_are_requests() -> None:
    numbers = resources.cgroup({"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}})
    assert numbers == {
        "CpuShares": 512, "CpuQuota": 50_000, "CpuPeriod": 100_000, "Memory": 64 << 20, "MemorySwap": 64 << 20,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("containers", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}], "Burstable"),
    ],
)
def test_quality_of_service(containers: list[dict[str, Any]], qos: str) -> None:
    spec = {"containers": [{"name": str(i), "resources": r} for i, r in enumerate(containers)]}
    assert resources.qos_class(spec) == qos


def test_what_a_pod_takes_counts_init_containers_by_their_peak_and_sidecars_in_full() -> None:
    def of(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [of("100m", restartPolicy="Always"), of("900m")],
        "containers": [of("200m"), of("300m")],
        "overhead": {"cpu": "10m"},
    }
    assert resources.pod_requests(spec) == {"cpu": 1010}
