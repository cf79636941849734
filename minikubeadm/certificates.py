"""The certificates of a control plane as one list: when they end, and the same again with a new end.

A renewed certificate has the subject, names and usages of the one before it, as in kubeadm: nobody has to say again by
which names the machine is known. Authorities aren't renewed: everything would have to be signed anew.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from componentbase import pki, pkilayout
from componentbase.files import write_file
from minikubeadm.process import StepFailed

JSON = dict[str, Any]
# kubeconfig -> the service that reads it, "" if nobody does all the time
KUBECONFIGS = {
    "admin.conf": "",
    "controller-manager.conf": "mini-controller-manager",
    "kubelet.conf": "mini-kubelet",
    "proxy.conf": "mini-proxy",
    "scheduler.conf": "mini-scheduler",
    "super-admin.conf": "",
}
# etcd reads its files at every handshake.
_SERVICES = {leaf.file: "" if leaf.file.startswith("etcd/") else "mini-apiserver" for leaf in pkilayout.LEAVES}


@dataclass(frozen=True, slots=True)
class Held:
    """One certificate that is there: kubeadm's name for it, who signed it, who has to start anew to use another."""

    name: str
    authority: str
    certificate: x509.Certificate
    service: str
    write: Callable[[pki.Pair], None]

    @property
    def ends(self) -> datetime:
        """The last moment at which it is valid."""
        return self.certificate.not_valid_after_utc


def kubeadms_name(file: str) -> str:
    """`etcd/server` is etcd-server."""
    return file.replace("/", "-")


def held(directory: Path) -> list[Held]:
    """Every renewable certificate below /etc/kubernetes, by name."""
    found = []
    for leaf in pkilayout.LEAVES:
        files = directory / f"pki/{leaf.file}.crt", directory / f"pki/{leaf.file}.key"
        if files[0].exists():
            certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
            name, service = kubeadms_name(leaf.file), _SERVICES[leaf.file]

            def write(pair: pki.Pair, files: tuple[Path, Path] = files) -> None:
                pki.write_pair(pair, *files)

            found.append(Held(name, leaf.authority, certificate, service, write))
    for file, service in KUBECONFIGS.items():
        if (one := _in_kubeconfig(directory / file, service)) is not None:
            found.append(one)
    return sorted(found, key=lambda one: one.name)


def authorities(directory: Path) -> list[tuple[str, datetime]]:
    """(name, end) of the authorities that are there."""
    files = [(name, directory / f"pki/{name}.crt") for name in sorted(pkilayout.AUTHORITIES)]
    return [
        (kubeadms_name(name), x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc)
        for name, file in files
        if file.exists()
    ]


def renewed(one: Held, directory: Path) -> pki.Pair:
    """The same certificate with a new key and a full life; StepFailed if the authority's key isn't here."""
    files = [directory / f"pki/{one.authority}.{end}" for end in ("crt", "key")]
    try:
        ca = pki.load_pair(*files)
    except OSError as error:
        hint = "a worker has no authority's key: its kubelet renews its own certificate"
        raise StepFailed(f"renewing {one.name}", output=f"{error.filename}: {error.strerror}", hint=hint) from error
    key = pki.new_key()
    return pki.Pair(pki.sign_like(ca, one.certificate, key.public_key()), key)


def kubeconfig_of(directory: Path, user: str, groups: Sequence[str], *, days: float) -> str:
    """A kubeconfig for a new user, who is what RBAC makes of the name and the groups; StepFailed if it can't be."""
    doing = f"making a certificate for {user!r}"
    if "" in groups:
        raise StepFailed(doing, output="a group has no name", hint="leave --org out for a user without groups")
    try:
        document: JSON = yaml.safe_load((directory / "admin.conf").read_text())
        ca = pki.load_pair(directory / "pki/ca.crt", directory / "pki/ca.key")
        pair = pki.issue(ca, user, organizations=groups, client=True, days=days)
    except OSError as error:
        hint = "run it on a control plane: only there is the authority's key"
        raise StepFailed(doing, output=f"{error.filename}: {error.strerror}", hint=hint) from error
    except ValueError as error:  # X.509's bounds
        hint = "the name of a user in a certificate has 1 to 64 characters"
        raise StepFailed(doing, output=str(error), hint=hint) from error
    cluster = document["clusters"][0]["name"]
    document["users"] = [{"name": user, "user": _embedded(pair)}]
    document["contexts"] = [{"name": f"{user}@{cluster}", "context": {"cluster": cluster, "user": user}}]
    document["current-context"] = f"{user}@{cluster}"
    return yaml.safe_dump(document, sort_keys=False)


def _embedded(pair: pki.Pair) -> JSON:
    fields = {"client-certificate-data": pair.certificate_pem, "client-key-data": pair.key_pem}
    return {name: base64.b64encode(value).decode() for name, value in fields.items()}


def _in_kubeconfig(file: Path, service: str) -> Held | None:
    """The certificate inside a kubeconfig; None for one that names files, which the kubelet renews itself."""
    if not file.exists():
        return None
    document: JSON = yaml.safe_load(file.read_text())
    user = document["users"][0]["user"]
    if "client-certificate-data" not in user:
        return None

    def write(pair: pki.Pair) -> None:
        user.update(_embedded(pair))
        write_file(file, yaml.safe_dump(document, sort_keys=False).encode(), mode=0o600)

    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    return Held(file.name, "ca", certificate, service, write)
