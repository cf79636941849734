"""The processes of a control plane without nodes: what each is told, and the order in which they are waited for.

All start at once and find one another by retrying, as a node's units do: most of the time goes into loading Python
modules, and that way every core does some of it.
"""

import os
import secrets
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from componentbase import defaults
from componentbase.files import write_file
from minikubeadm import credentials, units
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.dev.processes import Child, NotStarted, free_ports, stop
from minikubeadm.process import StepFailed

START_SECONDS = 60.0
ATTEMPTS = 3  # with other ports, where somebody else took one of ours meanwhile
OPTIONAL = ("controllers", "scheduler")
LOOPBACK = "127.0.0.1"
_INSTALL = "install it: `apt-get install etcd-server` on Debian, `etcd` elsewhere"
_DIRECTORY = "choose another one with --data-dir, or none"
_TAKEN = "address already in use"
_PORTS = ("etcd", "peer", "apiserver", *OPTIONAL)
_READY = {  # that of scheduler and controllers is a check that is there once they have seen all that is stored
    "apiserver": "readyz",
    "controllers": "healthz/garbage-collector-controller",
    "scheduler": "healthz/informer-sync",
}
_SOURCES = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server as its administrator (group system:masters)."""

    server: str
    kubeconfig: str
    ca_file: str
    token: str


class ControlPlane:
    """One control plane in one directory. `start` returns when it is ready, `stop` ends all of it.

    `port` is the API server's, 0 for a free one; `services` are those of OPTIONAL that run; without `durable` etcd
    does not wait for the disk.
    """

    def __init__(
        self, directory: Path, *, port: int = 0, services: Collection[str] = OPTIONAL, durable: bool = True
    ) -> None:
        self.directory = directory.resolve()
        self.children: dict[str, Child] = {}
        self._port = port
        self._services = services
        self._durable = durable

    def start(self) -> Access:
        """Start everything and wait until it is ready; StepFailed, with everything ended again, if that fails."""
        if not shutil.which("etcd"):
            raise StepFailed("starting etcd", output="there is no etcd on the PATH", hint=_INSTALL)
        for left in reversed(range(ATTEMPTS)):
            ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
            if self._port:
                ports["apiserver"] = self._port
            try:
                return self._start(ports)
            except NotStarted as failure:
                self.stop()
                if not left or self._port or _TAKEN not in failure.log:
                    what = f"starting {failure.name}: it {failure.problem}"
                    raise StepFailed(what, output=failure.log, hint=f"the flags are in {__name__}") from failure
            except BaseException:
                self.stop()
                raise
        raise AssertionError("the last attempt returns or raises")

    def stop(self) -> None:
        """End every process: etcd last, so that the others can finish what they write."""
        stop(child for name, child in self.children.items() if name != "etcd")
        stop(self.children.values())

    def ended(self) -> Child | None:
        """A process that ended by itself."""
        return next((child for child in self.children.values() if child.ended), None)

    def _start(self, ports: Mapping[str, int]) -> Access:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StepFailed(f"making the directory {self.directory}", output=str(error), hint=_DIRECTORY) from error
        for old in (*self.directory.glob("*.conf"), *self.directory.glob("*.log")):
            old.unlink()  # kubeconfigs name a port, which is another one now
        cluster = ClusterConfiguration(endpoint=f"{LOOPBACK}:{ports['apiserver']}")
        node = NodeConfiguration("dev", LOOPBACK, control_plane=True)
        credentials.create_certificates(cluster, node, self.directory)
        credentials.create_kubeconfigs(cluster, node, self.directory, local_port=ports["apiserver"])
        token = _token(self.directory / "tokens.csv")
        path = os.pathsep.join(filter(None, (_SOURCES, os.environ.get("PYTHONPATH"))))  # our `scheduler`, no other
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        told = commands(cluster, node, self.directory, ports=ports, services=self._services, durable=self._durable)
        for name, command in told.items():
            log = self.directory / f"{name}.log"
            self.children[name] = Child(name, command, log, environment=environment)
        for name, check in _READY.items():
            if name in self.children:
                self._wait(name, f"https://{LOOPBACK}:{ports[name]}/{check}")
        kubeconfig = shutil.copy(self.directory / "super-admin.conf", self.directory / "kubeconfig")
        return Access(f"https://{cluster.endpoint}", str(kubeconfig), f"{self.directory}/pki/ca.crt", token)

    def _wait(self, name: str, url: str) -> None:
        """Wait until a service answers 200. Scheduler and controllers serve with certificates of their own making:
        nothing is verified here, and nothing is sent either."""
        tls = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)

        def answers() -> bool:
            try:
                with opener.open(url, timeout=5) as answer:
                    return bool(answer.status == 200)
            except urllib.error.HTTPError:
                return False

        needed = tuple(self.children.values())
        self.children[name].wait_for(answers, timeout_seconds=START_SECONDS, needed=needed)


def commands(
    cluster: ClusterConfiguration,
    node: NodeConfiguration,
    directory: Path,
    *,
    ports: Mapping[str, int],
    services: Collection[str],
    durable: bool,
) -> dict[str, list[str]]:
    """What runs, by name: the programs of a node's units with their flags, moved into the directory and to loopback."""
    etcd, peer = f"https://{LOOPBACK}:{ports['etcd']}", f"https://{LOOPBACK}:{ports['peer']}"
    listening = {"bind-address": LOOPBACK, "leader-elect": "false"}
    other: dict[str, tuple[units.Unit, dict[str, str]]] = {
        "etcd": (
            units.etcd(node),
            {
                "data-dir": f"{directory}/etcd",
                **dict.fromkeys(("listen-client-urls", "advertise-client-urls"), etcd),
                **dict.fromkeys(("listen-peer-urls", "initial-advertise-peer-urls"), peer),
                "listen-metrics-urls": "",
                "initial-cluster": f"{node.name}={peer}",
                "heartbeat-interval": "10",  # alone, it is elected as soon as it stands
                "election-timeout": "100",
                **({} if durable else {"unsafe-no-fsync": "true"}),
            },
        ),
        "apiserver": (
            units.apiserver(cluster, node),
            {
                "etcd-servers": etcd,
                "bind-address": LOOPBACK,
                "secure-port": str(ports["apiserver"]),
                "token-auth-file": f"{directory}/tokens.csv",
                # without controllers nobody makes the service accounts that this plugin asks for
                **({} if "controllers" in services else {"disable-admission-plugins": "ServiceAccount"}),
            },
        ),
        "controllers": (units.controller_manager(cluster), {"secure-port": str(ports["controllers"]), **listening}),
        "scheduler": (units.scheduler(), {"secure-port": str(ports["scheduler"]), **listening}),
    }
    told = {}
    for name, (unit, changes) in other.items():
        if name not in OPTIONAL or name in services:
            program = (shutil.which("etcd") or "etcd",) if name == "etcd" else unit.program
            flags = {**unit.flags, **changes}.items()
            moved = ((flag, value.replace(defaults.KUBERNETES_DIRECTORY, str(directory))) for flag, value in flags)
            told[name] = [*program, *(f"--{flag}={value}" for flag, value in moved if value)]
    return told


def _token(file: Path) -> str:
    """The administrator's token, made once; the file is what `--token-auth-file` reads."""
    if not file.exists():
        line = f'{secrets.token_urlsafe(24)},kubernetes-admin,dev,"{defaults.MASTERS_GROUP}"\n'
        write_file(file, line.encode(), mode=0o600)
    return file.read_text().partition(",")[0]
