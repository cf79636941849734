"""What names mean, over a small cluster."""

import pytest

from clusterdns.records import Record, lookup

SERVICES = {
    ("default", "web"): {"clusterIP": "10.96.1.1", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    ("default", "db"): {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]},
    ("default", "away"): {"type": "ExternalName", "externalName": "example.org"},
}
SLICE = {
    "metadata": {"namespace": "default", "name": "db-1", "labels": {"kubernetes.io/service-name": "db"}},
    "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
    "endpoints": [
        {"addresses": ["10.244.1.2"], "hostname": "db-0", "conditions": {"ready": True}},
        {"addresses": ["10.244.1.3"], "conditions": {"ready": True}},
        {"addresses": ["10.244.1.4"], "conditions": {"ready": False}},
    ],
}


class Known:
    def service(self, namespace, name):
        spec = SERVICES.get((namespace, name))
        return {"metadata": {"namespace": namespace, "name": name}, "spec": spec} if spec else None

    def slices(self, namespace, name):
        return [SLICE] if name == "db" else []

    def has_namespace(self, namespace):
        return namespace == "default"

    def by_address(self, address):
        return self.service("default", "web") if address == "10.96.1.1" else None

    def slices_with(self, address):
        return [SLICE] if address.startswith("10.244.1.") else []


def data(name, kind="A"):
    answer = lookup(Known(), "cluster.local", name, kind)
    return None if answer is None else (answer.exists, [record.data for record in answer.records])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.default.svc.cluster.local", "A", (True, ["10.96.1.1"])),
        ("web.default.svc.cluster.local", "AAAA", (True, [])),
        ("nope.default.svc.cluster.local", "A", (False, [])),
        ("db.default.svc.cluster.local", "A", (True, ["10.244.1.2", "10.244.1.3"])),
        ("db-0.db.default.svc.cluster.local", "A", (True, ["10.244.1.2"])),
        ("10-244-1-3.db.default.svc.cluster.local", "A", (True, ["10.244.1.3"])),
        ("db-9.db.default.svc.cluster.local", "A", (False, [])),
        ("away.default.svc.cluster.local", "A", (True, ["example.org"])),
        ("1-2-3-4.default.pod.cluster.local", "A", (True, ["1.2.3.4"])),
        ("1-2-3-4.gone.pod.cluster.local", "A", (False, [])),
        ("x-y.default.pod.cluster.local", "A", (False, [])),
        ("default.svc.cluster.local", "A", (True, [])),
        ("gone.svc.cluster.local", "A", (False, [])),
        ("cluster.local", "A", (True, [])),
        ("what.cluster.local", "A", (False, [])),
        ("_http._tcp.web.default.svc.cluster.local", "SRV", (True, [(0, 100, 80, "web.default.svc.cluster.local")])),
        ("_nope._tcp.web.default.svc.cluster.local", "SRV", (False, [])),
        ("1.1.96.10.in-addr.arpa", "PTR", (True, ["web.default.svc.cluster.local"])),
        ("2.1.244.10.in-addr.arpa", "PTR", (True, ["db-0.db.default.svc.cluster.local"])),
        ("8.8.8.8.in-addr.arpa", "PTR", None),
        ("example.org", "A", None),
    ],
)
def test_a_name_means(name, kind, expected):
    assert data(name, kind) == expected


def test_a_service_record_brings_the_addresses_along():
    answer = lookup(Known(), "cluster.local", "_sql._tcp.db.default.svc.cluster.local", "SRV")
    assert Record("db-0.db.default.svc.cluster.local", "A", "10.244.1.2") in answer.additional
