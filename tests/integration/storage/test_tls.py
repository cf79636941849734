"""etcd behind TLS with client certificates, as clusters have it."""

from pathlib import Path

import pytest

from apimachinery import kinds
from componentbase import pki
from componentbase.files import write_file
from minikubeadm.dev.processes import free_ports
from tests.fixtures.etcd import Member
from tests.integration.storage.harness import config_map, key_of, storage_over


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    authority = pki.new_ca("etcd-ca")
    write_file(tmp_path / "ca.crt", authority.certificate_pem)
    for name in ("server", "client"):
        pair = pki.issue(authority, name, dns=["localhost"], ips=["127.0.0.1"], client=True, server=True)
        pki.write_pair(pair, tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    return tmp_path


async def test_storage_over_tls(certificates: Path, tmp_path: Path) -> None:
    plain, secure, peer = (f"127.0.0.1:{port}" for port in free_ports(3))
    options = [
        f"--listen-client-urls=http://{plain},https://{secure}",
        f"--cert-file={certificates / 'server.crt'}",
        f"--key-file={certificates / 'server.key'}",
        f"--trusted-ca-file={certificates / 'ca.crt'}",
        "--client-cert-auth",
    ]
    member = Member("m0", tmp_path, f"http://{plain}", f"http://{peer}", f"m0=http://{peer}", options)
    member.start()
    try:
        member.wait_healthy()
        files = {f"{what}_file": str(certificates / name) for what, name in
                 (("ca", "ca.crt"), ("cert", "client.crt"), ("key", "client.key"))}  # fmt: skip
        async with storage_over([f"https://{secure}"], **files) as storage:
            entry = await storage.create(key_of("a"), config_map("a"))
            assert (await storage.get(entry.key)) is not None
            assert len((await storage.list(kinds.CONFIG_MAP)).entries) == 1
    finally:
        member.kill()
