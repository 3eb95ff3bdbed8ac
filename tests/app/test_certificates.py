"""The cloud's authority: one for life, and certificates that say what they should and no more."""

from __future__ import annotations

import datetime as dt
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification

from pileus.app import certificates
from pileus.model.errors import InvalidValue

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.app.certificates import CertificateAuthority


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return certificates.authority(tmp_path)


def issued(authority: CertificateAuthority, name: str) -> tuple[x509.Certificate, str]:
    _, request = certificates.new_request(name)
    certificate_pem, serial = authority.host(request, name)
    return x509.load_pem_x509_certificate(certificate_pem), serial


def test_an_authority_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        fingerprints = set(threads.map(lambda _: certificates.authority(tmp_path).fingerprint, range(16)))
    assert len(fingerprints) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ca.key"]
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_its_certificates_pass_a_strict_verifier(authority: CertificateAuthority) -> None:
    store = verification.Store([authority.certificate])
    server = x509.load_pem_x509_certificates(authority.server(["127.0.0.1", "cloud.example"]))[0]
    verifier = verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName("cloud.example"))
    assert len(verifier.verify(server, [])) == 2
    host, _ = issued(authority, "host-1")
    assert len(verification.PolicyBuilder().store(store).build_client_verifier().verify(host, []).chain) == 2
    with pytest.raises(verification.VerificationError):
        verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName("else.example")).verify(server, [])


def test_a_host_gets_its_own_name_and_nothing_else_of_what_it_asks(authority: CertificateAuthority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(certificates._named("cloud"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cloud.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_pem, serial = authority.host(greedy.public_bytes(serialization.Encoding.PEM), "host-1")
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    assert certificate.subject.rfc4514_string() == "CN=host-1"
    assert certificates.names_of(certificate) == ["host-1"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.public_key() == key.public_key()
    assert certificate.serial_number == int(serial, 16)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("2a8648ce3d030107", "2a8648ce3d030106"), ("020100300c", "02011e300c")],
    ids=["curve", "version"],
)
def test_a_request_of_an_unknown_curve_or_version_is_refused(
    authority: CertificateAuthority, right: str, wrong: str
) -> None:
    request = x509.load_pem_x509_csr(certificates.new_request("h")[1]).public_bytes(serialization.Encoding.DER)
    assert bytes.fromhex(right) in request
    pem = ssl.DER_cert_to_PEM_cert(request.replace(bytes.fromhex(right), bytes.fromhex(wrong))).replace(
        "CERTIFICATE", "CERTIFICATE REQUEST"
    )
    with pytest.raises(InvalidValue, match="no certificate request"):
        authority.host(pem.encode(), "host-1")


@pytest.mark.parametrize("request_", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\nnonsense\n", None])
def test_what_is_no_request_gets_no_certificate(authority: CertificateAuthority, request_: bytes | None) -> None:
    if request_ is None:
        # A good one, of a kind of key that nobody makes here.
        key = rsa.generate_private_key(65537, 2048)
        csr = x509.CertificateSigningRequestBuilder().subject_name(certificates._named("h")).sign(key, hashes.SHA256())
        request_ = csr.public_bytes(serialization.Encoding.PEM)
    with pytest.raises(InvalidValue):
        authority.host(request_, "host-1")


def test_certificates_are_renewed_before_they_end(authority: CertificateAuthority) -> None:
    certificate, _ = issued(authority, "host-1")
    end = certificate.not_valid_after_utc
    assert not certificates.due(certificate)
    assert not certificates.due(certificate, end - dt.timedelta(days=certificates.DAYS / 2))
    assert certificates.due(certificate, end - dt.timedelta(days=30))


def test_another_authority_is_another(tmp_path: Path, authority: CertificateAuthority) -> None:
    (tmp_path / "other").mkdir()
    other = certificates.authority(tmp_path / "other")
    certificate, _ = issued(other, "host-1")
    assert other.issued(certificate)
    assert not authority.issued(certificate)
    assert other.certificate.subject != authority.certificate.subject
