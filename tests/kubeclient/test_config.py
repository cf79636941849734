"""Kubeconfigs: read, written, refused; and secrets kept out of sight."""

import pytest

from componentbase import pki
from kubeclient.config import ClientConfig, load_kubeconfig, write_kubeconfig
from kubeclient.errors import ConfigError
from kubeclient.rest import Client


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "admin.conf"
    write_kubeconfig(file, server="https://h:6443", ca_data=b"ca", user="me", certificate_data=b"c", key_data=b"k")
    config = load_kubeconfig(file)
    assert (config.server, config.ca_data, config.key_data, config.namespace) == (
        "https://h:6443",
        b"ca",
        b"k",
        "default",
    )
    assert file.stat().st_mode & 0o777 == 0o600


def test_files_are_relative_to_the_kubeconfig(tmp_path):
    file = tmp_path / "c"
    file.write_text(
        "clusters: [{name: k, cluster: {server: 'https://h/', certificate-authority: pki/ca.crt}}]\n"
        "users: [{name: u, user: {client-certificate: /abs/u.crt, tokenFile: token}}]\n"
        "contexts: [{name: c, context: {cluster: k, user: u, namespace: n}}, {name: d, context: {cluster: gone}}]\n"
        "current-context: c\n"
    )
    config = load_kubeconfig(file)
    assert config.ca_file == str(tmp_path / "pki/ca.crt")
    assert config.certificate_file == "/abs/u.crt"
    assert (config.namespace, config.server) == ("n", "https://h")
    with pytest.raises(ConfigError, match='no entry "gone" in clusters'):
        load_kubeconfig(file, context="d")


@pytest.mark.parametrize("content", ["", "[]", "a: [", "current-context: x", "clusters: []"])
def test_what_is_no_kubeconfig(tmp_path, content):
    (tmp_path / "c").write_text(content)
    with pytest.raises(ConfigError, match=str(tmp_path / "c")):
        load_kubeconfig(tmp_path / "c")


def test_secrets_are_not_shown():
    config = ClientConfig(server="s", token="hidden", key_data=b"hidden")
    assert "hidden" not in repr(config)


async def test_a_token_file_is_read_again(api, tmp_path, monkeypatch):
    from kubeclient import transport

    monkeypatch.setattr(transport, "CREDENTIALS_PERIOD_SECONDS", -1.0)
    file = tmp_path / "token"
    file.write_text("one\n")
    async with Client(ClientConfig(server=api.url, token_file=str(file))) as client:
        assert client._transport.credentials() == {"Authorization": "Bearer one"}
        file.write_text("two\n")
        assert client._transport.credentials() == {"Authorization": "Bearer two"}


async def test_inline_certificates_are_loaded(api):
    ca = pki.new_ca("ca")
    pair = pki.issue(ca, "me", client=True)
    config = ClientConfig(
        server="https://127.0.0.1:1",
        ca_data=ca.certificate_pem,
        certificate_data=pair.certificate_pem,
        key_data=pair.key_pem,
    )
    async with Client(config):
        pass
    with pytest.raises(ConfigError, match="cannot load the client's credentials"):
        async with Client(ClientConfig(server="https://h", certificate_file="/nowhere")):
            pass
