"""kubeadm's layout of `/etc/kubernetes/pki`: which authority signs which certificate for whom, as one table.

`create` makes what is missing and leaves what is there, so that it can run again and so that a user's own authority,
put in place beforehand, is used. `minikubeadm` and the tests' clusters both call it.
"""

from dataclasses import dataclass
from pathlib import Path

from componentbase import defaults, pki
from componentbase.files import write_file

AUTHORITIES = {"ca": "kubernetes", "front-proxy-ca": "kubernetes-front-proxy-ca", "etcd/ca": "etcd-ca"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate of the layout; `names` says which of the node's names it bears."""

    file: str
    authority: str
    common_name: str
    organizations: tuple[str, ...] = ()
    client: bool = False
    server: bool = False
    names: str = ""


LEAVES = (
    Leaf("apiserver", "ca", "kube-apiserver", server=True, names="api"),
    Leaf("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", (defaults.ADMINS_GROUP,), client=True),
    Leaf("front-proxy-client", "front-proxy-ca", "front-proxy-client", client=True),
    Leaf("etcd/server", "etcd/ca", "{node}", client=True, server=True, names="node"),
    Leaf("etcd/peer", "etcd/ca", "{node}", client=True, server=True, names="node"),
    Leaf("etcd/healthcheck-client", "etcd/ca", "kube-etcd-healthcheck-client", client=True),
    Leaf("apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client", client=True),
)


@dataclass(frozen=True, slots=True)
class Names:
    """By which names and addresses a control-plane node is reached; `extra` are both, mixed."""

    node: str
    ips: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    cluster_domain: str = defaults.CLUSTER_DOMAIN
    api_service_ip: str = defaults.API_SERVICE_IP

    def of(self, which: str) -> tuple[list[str], list[str]]:
        """(DNS names, addresses) of a certificate with those `names`."""
        if not which:
            return [], []
        dns, ips = [self.node, "localhost"], ["127.0.0.1", "::1", *self.ips]
        if which == "api":
            service = "kubernetes.default"
            dns += ["kubernetes", service, f"{service}.svc", f"{service}.svc.{self.cluster_domain}"]
            ips.append(self.api_service_ip)
        for name in self.extra:
            (ips if _is_address(name) else dns).append(name)
        return list(dict.fromkeys(dns)), list(dict.fromkeys(ips))


def create(directory: str | Path, names: Names) -> list[str]:
    """Make every missing file of the layout; say which were made (`ca`, `apiserver`, ..., `sa`)."""
    root = Path(directory)
    made = []
    authorities = {}
    for file, common_name in AUTHORITIES.items():
        if not Path(root, f"{file}.crt").exists():
            pki.write_pair(pki.new_ca(common_name), root / f"{file}.crt", root / f"{file}.key")
            made.append(file)
        authorities[file] = pki.load_pair(root / f"{file}.crt", root / f"{file}.key")
    for leaf in LEAVES:
        if not Path(root, f"{leaf.file}.crt").exists():
            renew(root, leaf, names, authority=authorities[leaf.authority])
            made.append(leaf.file)
    if not Path(root, "sa.key").exists():
        key = pki.new_key()
        write_file(root / "sa.key", pki.key_pem(key), mode=0o600)
        write_file(root / "sa.pub", pki.public_pem(key))
        made.append("sa")
    return made


def renew(directory: str | Path, leaf: Leaf, names: Names, *, authority: pki.Pair | None = None) -> pki.Pair:
    """Issue one certificate of the layout anew, over what is there."""
    root = Path(directory)
    signer = authority or pki.load_pair(root / f"{leaf.authority}.crt", root / f"{leaf.authority}.key")
    dns, ips = names.of(leaf.names)
    pair = pki.issue(
        signer,
        leaf.common_name.format(node=names.node),
        organizations=leaf.organizations,
        dns=dns,
        ips=ips,
        client=leaf.client,
        server=leaf.server,
    )
    pki.write_pair(pair, root / f"{leaf.file}.crt", root / f"{leaf.file}.key")
    return pair


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()
