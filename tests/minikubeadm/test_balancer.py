"""The balancer: every API server with a check of its own, in a container that survives a restart."""

from minikubeadm.cluster import balancer, create, networks, nodes

PLAN = create.Plan(name="c", control_planes=3, workers=1, image="i", api_port=4711)


def made() -> list[nodes.Node]:
    return create._nodes(PLAN, networks.Network("172.30.4.0/24"))


def test_every_api_server_is_asked_whether_it_is_ready() -> None:
    servers = [node for node in made() if node.role == nodes.CONTROL_PLANE]
    text = balancer.configuration(servers)
    assert "option httpchk GET /readyz" in text
    assert [line.split()[1:] for line in text.splitlines() if line.startswith("    server ")] == [
        ["c-control-plane", "172.30.4.2:6443"],
        ["c-control-plane2", "172.30.4.3:6443"],
        ["c-control-plane3", "172.30.4.4:6443"],
    ]


def test_only_the_balancer_is_published() -> None:
    assert [(node.name, node.api_port) for node in made() if node.api_port] == [("c-external-load-balancer", 4711)]


def test_it_starts_again_with_the_docker_daemon() -> None:
    node = made()[-1]
    argv = balancer.command(node, made()[:3])
    assert argv[argv.index("--restart") + 1] == "unless-stopped"
    assert argv[argv.index("--publish") + 1] == "127.0.0.1:4711:6443"
    assert "mini-kubernetes.role=external-load-balancer" in argv
