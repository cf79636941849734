"""Node containers: names, capabilities, the command that starts one."""

from minikubeadm.cluster import nodes

ALL = (1 << 41) - 1
NODE = nodes.Node(
    "c-control-plane", "c", "control-plane", "mini-c", "172.30.0.2", "image", "10.244.0.0/16", "10.96.0.0/16"
)


def test_nodes_are_named_after_their_cluster_and_role() -> None:
    assert nodes.names("c", control_planes=1, workers=3) == [
        ("c-control-plane", "control-plane"),
        ("c-worker", "worker"),
        ("c-worker2", "worker"),
        ("c-worker3", "worker"),
    ]


def test_several_control_planes_have_a_balancer_named_as_kind_names_it() -> None:
    assert nodes.names("c", control_planes=2, workers=0) == [
        ("c-control-plane", "control-plane"),
        ("c-control-plane2", "control-plane"),
        ("c-external-load-balancer", "external-load-balancer"),
    ]


def test_what_reaches_past_the_container_is_never_asked_for() -> None:
    assert not {"SYS_TIME", "SYS_MODULE", "SYS_RAWIO"} & set(nodes.capabilities(ALL, "28.2.2"))


def test_what_an_old_docker_does_not_know_is_left_out() -> None:
    assert "BPF" in nodes.capabilities(ALL, "28.2.2")
    assert "BPF" not in nodes.capabilities(ALL, "20.10.24+dfsg1")


def test_what_this_process_lacks_is_left_out() -> None:
    bounding_set = nodes.bounding_set("Name:\tx\nCapBnd:\t000001fffeffffff\n")
    assert "SYS_RESOURCE" not in nodes.capabilities(bounding_set, "20.10.24")
    assert "SYS_ADMIN" in nodes.capabilities(bounding_set, "20.10.24")


def test_only_the_api_port_is_published_and_only_on_loopback() -> None:
    argv = nodes.command(NODE, ["NET_ADMIN"])
    assert "--publish" not in argv
    assert "--privileged" not in argv
    published = nodes.command(nodes.Node(**{**{f: getattr(NODE, f) for f in NODE.__slots__}, "api_port": 4711}), [])
    assert published[published.index("--publish") + 1] == "127.0.0.1:4711:6443"
