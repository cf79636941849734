"""`minikubeadm dev`: start, say what to do next, wait for the end, end everything."""

import contextlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from minikubeadm.dev.controlplane import OPTIONAL, Access, ControlPlane
from minikubeadm.process import StepFailed

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.5
_NEXT = """\
Kubernetes API at {server}, ready in {seconds:.1f} s. In another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl get namespaces
  kubectl create deployment web --image=web --replicas=2 && kubectl get pods

Pods stay Pending, for there are no nodes (`minikubeadm cluster create` makes some).
Logs are in {directory}. {kept} Ctrl-C ends it."""


def _services(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name for name in value.split(",") if name)
    if unknown := set(names) - set(OPTIONAL):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(OPTIONAL)}")
    return names


@click.command()
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Keep everything here [a temporary directory, removed]"
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the API server [a free one]")
@click.option(
    "--with",
    "services",
    default=",".join(OPTIONAL),
    show_default=True,
    metavar="NAMES",
    callback=_services,
    help='What runs besides etcd and the API server, by comma; "" for nothing',
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to say that it is ready")
@click.option("--until-eof", is_flag=True, help="End when standard input is closed, as programs do that start this one")
def dev(data_dir: Path | None, port: int, services: tuple[str, ...], output: str, until_eof: bool) -> None:
    """A control plane without nodes, on this machine: etcd, API server, scheduler and controllers.

    It listens on loopback, with TLS and RBAC, and lives as long as this command.
    """
    begun = time.monotonic()
    with _signals(), contextlib.ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minikubeadm-dev-")))
        control_plane = ControlPlane(directory, port=port, services=services, durable=data_dir is not None)
        stack.callback(control_plane.stop)
        try:
            access = control_plane.start()
            if output == "json":
                click.echo(json.dumps(asdict(access)))
            else:
                click.echo(_next(access, control_plane.directory, data_dir is not None, time.monotonic() - begun))
            _wait(control_plane, until_eof=until_eof)
        except StepFailed as failure:
            click.echo(failure.report(), err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("ended", err=True)


def _next(access: Access, directory: Path, kept: bool, seconds: float) -> str:
    said = "Data stays there for the next time." if kept else "All of it is removed in the end."
    return _NEXT.format(
        server=access.server, kubeconfig=access.kubeconfig, directory=directory, kept=said, seconds=seconds
    )


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Every signal that asks for an end raises KeyboardInterrupt, once: cleaning up is not broken off."""

    def on_signal(number: int, frame: object) -> None:
        for each in _ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    heeded = [each for each in _ENDING if signal.getsignal(each) != signal.SIG_IGN]  # nohup, or a shell's `&`
    old = {each: signal.signal(each, on_signal) for each in heeded}
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _wait(control_plane: ControlPlane, *, until_eof: bool) -> None:
    """Until a signal (KeyboardInterrupt), the end of standard input if that counts, or the end of a process."""
    while not (ended := control_plane.ended()):
        if not until_eof:
            time.sleep(_LOOK_SECONDS)
        elif select.select([sys.stdin], [], [], _LOOK_SECONDS)[0] and not os.read(sys.stdin.fileno(), 4096):
            return
    failure = ended.failure(f"ended with exit code {ended.process.returncode}")
    raise StepFailed(f"keeping {failure.name} running: it {failure.problem}", output=failure.log)
