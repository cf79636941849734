"""Keys, certificates and files; and the layout of /etc/kubernetes/pki."""

import os
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from componentbase import defaults, pki, pkilayout
from componentbase.files import write_file


def test_a_leaf_says_who_it_is_and_never_outlives_its_authority():
    ca = pki.new_ca("ca", lifetime=timedelta(days=10))
    leaf = pki.issue(ca, "me", organizations=["a", "b"], dns=["h"], ips=["10.0.0.1"], client=True, days=365).certificate
    leaf.verify_directly_issued_by(ca.certificate)
    assert leaf.subject.rfc4514_string() == "CN=me,O=b,O=a"
    assert leaf.not_valid_after_utc <= ca.certificate.not_valid_after_utc
    assert leaf.not_valid_before_utc < datetime.now(UTC) - timedelta(minutes=4), "clocks differ a little"
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["h"]


def test_keys_are_private_from_the_first_byte_and_files_whole(tmp_path):
    pair = pki.new_ca("ca")
    pki.write_pair(pair, tmp_path / "deep" / "ca.crt", tmp_path / "deep" / "ca.key")
    assert stat.S_IMODE(os.stat(tmp_path / "deep" / "ca.key").st_mode) == 0o600
    assert pki.load_pair(tmp_path / "deep" / "ca.crt", tmp_path / "deep" / "ca.key").certificate == pair.certificate
    assert sorted(each.name for each in (tmp_path / "deep").iterdir()) == ["ca.crt", "ca.key"]


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write_file(tmp_path / "taken", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_a_request_carries_its_names():
    pem = pki.request(pki.new_key(), pki.Subject("me", ("g",), ("h",), ("::1",)))
    parsed = x509.load_pem_x509_csr(pem)
    assert parsed.is_signature_valid
    assert len(parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == 2


def test_the_layout_is_made_once_and_kept(tmp_path):
    names = pkilayout.Names("cp", ips=("172.30.0.2",), extra=("api.example.com", "192.0.2.7"))
    made = pkilayout.create(tmp_path, names)
    assert {"ca", "etcd/ca", "apiserver", "etcd/peer", "sa"} <= set(made)
    before = (tmp_path / "apiserver.crt").read_bytes()
    (tmp_path / "apiserver-kubelet-client.crt").unlink()
    assert pkilayout.create(tmp_path, names) == ["apiserver-kubelet-client"]
    assert (tmp_path / "apiserver.crt").read_bytes() == before
    certificate = x509.load_pem_x509_certificate(before)
    dns = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"cp", "kubernetes.default.svc.cluster.local", "api.example.com"} <= set(
        dns.get_values_for_type(x509.DNSName)
    )
    ips = {str(ip) for ip in dns.get_values_for_type(x509.IPAddress)}
    assert {"10.96.0.1", "172.30.0.2", "192.0.2.7", "127.0.0.1"} <= ips
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc >= defaults.CERTIFICATE_LIFETIME
