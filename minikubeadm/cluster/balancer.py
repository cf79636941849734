"""The balancer of a cluster with several control planes: one container with haproxy, from the node image.

It gives the API servers one address: nodes reach it on the cluster's network, this machine on 127.0.0.1. It asks each
server for `/readyz` every second and cuts the connections to one that no longer answers, so that clients go elsewhere
at once instead of waiting for a machine that is gone. One that can't be connected to is found out within seconds; one
that is only slow is given longer. TLS stays between clients and API servers.
"""

from collections.abc import Iterable

from componentbase import defaults
from minikubeadm import process
from minikubeadm.cluster import nodes

_CONFIGURATION = """\
global
    log stdout format raw local0 notice
    maxconn 4000
defaults
    mode tcp
    log global
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout check 5s
    retries 3
    option redispatch 1
    option clitcpka
    option srvtcpka
frontend api
    bind :{port}
    default_backend servers
backend servers
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check check-ssl verify none inter 1s fall 3 rise 1 on-marked-down shutdown-sessions
"""


def configuration(servers: Iterable[nodes.Node]) -> str:
    """haproxy's configuration file."""
    lines = (f"    server {node.name} {node.ip}:{defaults.API_PORT}\n" for node in servers)
    return _CONFIGURATION.format(port=defaults.API_PORT) + "".join(lines)


def command(node: nodes.Node, servers: Iterable[nodes.Node]) -> list[str]:
    """The `docker run` that starts the balancer: its configuration is in its environment, and so outlives restarts."""
    argv = ["docker", "run", "--detach", "--name", node.name, "--hostname", node.name, *nodes.placement(node)]
    argv += ["--stop-signal", "SIGTERM", "--env", f"CONFIGURATION={configuration(servers)}"]
    script = 'printf "%s" "$CONFIGURATION" >/tmp/haproxy.cfg && exec haproxy -W -db -f /tmp/haproxy.cfg'
    return [*argv, "--entrypoint", "sh", node.image, "-c", script]


async def start(node: nodes.Node, servers: Iterable[nodes.Node]) -> None:
    """Start the balancer."""
    await process.run(*command(node, servers), what=f"starting the balancer {node.name}")
