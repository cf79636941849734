"""Rules as a value: what a Service's ports become, and what a change costs."""

import pytest

from proxy import iptables, model


def service(*, name="web", node_port=None, **spec):
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    if node_port:
        port["nodePort"] = node_port
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.1.1", "ports": [port], **spec},
    }


def endpoint_slice(*addresses, ready=True, node="n1", serving=None, terminating=None):
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    return {
        "metadata": {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [a], "conditions": conditions, "nodeName": node} for a in addresses],
    }


def rules(made, slices, cidr="10.244.0.0/16"):
    return iptables.joined(iptables.port_rules(port, cidr) for port in model.ports(made, slices, node="n1"))


def chains(made, *, table="nat", prefix=""):
    return {chain: lines for chain, lines in made[table].items() if chain.startswith(prefix)}


def test_a_cluster_address_leads_to_its_endpoints_with_equal_chances():
    made = rules(service(), [endpoint_slice("10.244.1.2", "10.244.2.3")])
    (first, last) = made["nat"]["KUBE-SERVICES"]
    assert first.startswith(
        '-d 10.96.1.1/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80'
    )
    assert last.endswith("-j KUBE-NODEPORTS")
    ((_, balanced),) = chains(made, prefix="KUBE-SVC-").items()
    assert balanced[0].startswith("! -s 10.244.0.0/16 -d 10.96.1.1/32") and balanced[0].endswith("-j KUBE-MARK-MASQ")
    assert "--probability 0.5000000000 -j KUBE-SEP-" in balanced[1] and "probability" not in balanced[2]
    targets = {rule[1].rpartition(" ")[2] for rule in chains(made, prefix="KUBE-SEP-").values()}
    assert targets == {"10.244.1.2:8080", "10.244.2.3:8080"}


def test_chain_names_are_upstreams():
    port = model.ports(service(name="kubernetes"), [], node="n1")[0]
    named = model.Port(**{f: getattr(port, f) for f in port.__slots__} | {"name": "https"})
    assert iptables.chain_name("KUBE-SVC", named) == "KUBE-SVC-NPX46M4PTMTKRN6Y"


def test_without_endpoints_clients_are_refused_at_once():
    made = rules(service(), [])
    assert made["filter"]["KUBE-SERVICES"][0].endswith("REJECT --reject-with icmp-port-unreachable")
    assert not chains(made, prefix="KUBE-SVC-")


def test_a_node_port_is_reached_through_the_external_chain():
    made = rules(service(type="NodePort", node_port=30080), [endpoint_slice("10.244.1.2")])
    ((external, lines),) = chains(made, prefix="KUBE-EXT-").items()
    assert made["nat"]["KUBE-NODEPORTS"][0].endswith(f"--dport 30080 -j {external}")
    assert lines[0].endswith("-j KUBE-MARK-MASQ") and "-j KUBE-SVC-" in lines[1]


def test_local_traffic_policy_keeps_the_clients_address():
    wanted = service(type="NodePort", node_port=30080, externalTrafficPolicy="Local")
    made = rules(wanted, [endpoint_slice("10.244.1.2", node="n1"), endpoint_slice("10.244.2.2", node="n2")])
    ((_, lines),) = chains(made, prefix="KUBE-EXT-").items()
    assert lines[-1].startswith("-j KUBE-SVL-")
    ((_, local),) = chains(made, prefix="KUBE-SVL-").items()
    assert len(local) == 1


def test_session_affinity_asks_first_for_the_endpoint_of_before():
    made = rules(service(sessionAffinity="ClientIP"), [endpoint_slice("10.244.1.2", "10.244.1.3")])
    ((_, lines),) = chains(made, prefix="KUBE-SVC-").items()
    assert [("--rcheck --seconds 10800" in line) for line in lines] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([endpoint_slice("10.244.1.2"), endpoint_slice("10.244.1.9", ready=False)], ["10.244.1.2"]),
        ([endpoint_slice("10.244.1.2", ready=False, serving=True, terminating=True)], ["10.244.1.2"]),
        ([endpoint_slice("10.244.1.2", ready=False, serving=False, terminating=True)], []),
    ],
)
def test_ready_endpoints_serve_else_those_that_end_but_serve_on(slices, expected):
    (port,) = model.ports(service(), slices, node="n1")
    assert [endpoint.address for endpoint in port.endpoints] == expected


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "clusterIP": ""}])
def test_what_has_no_address_has_no_rules(spec):
    assert model.ports(service(**spec), [endpoint_slice("10.244.1.2")], node="n1") == []


def test_a_change_names_only_the_chains_that_differ():
    before = rules(service(), [endpoint_slice("10.244.1.2", "10.244.1.3")])
    after = rules(service(), [endpoint_slice("10.244.1.2")])
    text = iptables.render(before, after)
    declared = [line for line in text.splitlines() if line.startswith(":")]
    assert len(declared) == 2  # the balancing chain, and the endpoint's that is gone
    assert text.count("-X KUBE-SEP-") == 1
    assert iptables.render(after, after) == ""


def test_a_part_that_is_gone_is_removed_last():
    text = iptables.render(rules(service(), [endpoint_slice("10.244.1.2")]), iptables.static_rules())
    lines = text.splitlines()
    assert lines.index("COMMIT") - lines.index(next(line for line in lines if line.startswith("-X"))) == 2


def balanced(**spec):
    made = service(type="LoadBalancer", node_port=30080, **spec)
    return {**made, "status": {"loadBalancer": {"ingress": [{"ip": "172.30.0.200", "ipMode": "VIP"}]}}}


def test_a_load_balancers_address_leads_to_the_external_chain():
    made = rules(balanced(), [endpoint_slice("10.244.1.2")])
    (line,) = [one for one in made["nat"]["KUBE-SERVICES"] if one.startswith("-d 172.30.0.200/32")]
    assert "loadbalancer IP" in line and "-j KUBE-EXT-" in line
    assert made["filter"]["KUBE-PROXY-FIREWALL"] == ()


def test_source_ranges_let_in_whom_they_name_and_drop_the_rest():
    made = rules(balanced(loadBalancerSourceRanges=["192.0.2.0/24"]), [endpoint_slice("10.244.1.2")])
    ((firewall, lines),) = chains(made, prefix="KUBE-FW-").items()
    assert [line.split()[1] for line in lines] == ["192.0.2.0/24", "172.30.0.200"]
    (line,) = [one for one in made["nat"]["KUBE-SERVICES"] if one.startswith("-d 172.30.0.200/32")]
    assert line.endswith(f"-j {firewall}")
    (dropped,) = made["filter"]["KUBE-PROXY-FIREWALL"]
    assert dropped.startswith("-d 172.30.0.200/32") and dropped.endswith("-j DROP")


def test_an_address_behind_a_proxy_of_its_own_gets_no_rules():
    given = balanced()
    given["status"]["loadBalancer"]["ingress"][0]["ipMode"] = "Proxy"
    assert "172.30.0.200" not in str(rules(given, [endpoint_slice("10.244.1.2")]))
