"""The cloud's own certificate authority: made at the first start, issues certificates for its servers and its hosts."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pileus.model.errors import InvalidValue
from pileus.posix.files import keep_once

AUTHORITY_DAYS = 3650
"""Days for which the authority's own certificate holds."""

DAYS = 365
"""Days for which what it issues holds."""

RENEW_AT = 2 / 3
"""The part of a certificate's life after which it is renewed."""

_SKEW = dt.timedelta(days=1)
"""Certificates hold from the day before: clocks differ."""

_DNS_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*", re.ASCII)

Key = ec.EllipticCurvePrivateKey
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class CertificateAuthority:
    """Issues certificates. A holder of `key` can pass for any host and for the cloud."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """Its certificate, for everybody."""
        return self.certificate.public_bytes(PEM)

    @property
    def fingerprint(self) -> str:
        """By which its certificate is known: the sha256 of its bytes (DER), in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def server(self, names: Iterable[str]) -> bytes:
        """A new key and its certificate for a server of these names and addresses, and this one's: PEM.

        To another server it may show it, too; no host has its name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        shown = list(dict.fromkeys(names))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = self._issue("pileus", key.public_key(), shown, usages)
        return key_pem(key) + certificate.public_bytes(PEM) + self.pem

    def host(self, request: bytes, name: str) -> tuple[bytes, str]:
        """The certificate (PEM) of the host `name` for the key in `request` (a CSR), and its serial number in hex.

        Nothing but the key is taken from the request. InvalidValue for one that is none, or was not made with its key.
        """
        try:
            csr = x509.load_pem_x509_csr(request)
            public = csr.public_key()
            if not csr.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
                raise ValueError("not signed by an elliptic curve key of its own")
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
            raise InvalidValue(f"This is no certificate request: {error}.", reason="request") from error
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        certificate = self._issue(name, public, [name], usages)
        return certificate.public_bytes(PEM), serial(certificate)

    def issued(self, certificate: x509.Certificate) -> bool:
        """Whether it issued this one."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _issue(
        self, name: str, public: ec.EllipticCurvePublicKey, names: list[str], usages: list[x509.ObjectIdentifier]
    ) -> x509.Certificate:
        ends = min(dt.datetime.now(dt.UTC) + dt.timedelta(days=DAYS), self.certificate.not_valid_after_utc)
        return (
            _builder(_named(name), self.certificate.subject, public, ends, signs=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(alt_name) for alt_name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def authority(folder: Path) -> CertificateAuthority:
    """The authority whose key and certificate are in `folder`/ca.key (mode 0600), made when there is none."""
    both = keep_once(folder / "ca.key", _new_authority)
    key = serialization.load_pem_private_key(both, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{folder / 'ca.key'} holds a key of another kind than this cloud makes")
    return CertificateAuthority(x509.load_pem_x509_certificate(both), key)


def _new_authority() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # Clients tell authorities apart by their names: each has one of its own.
    name = _named(f"Pileus {x509.random_serial_number():x}"[:23])
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=AUTHORITY_DAYS)
    certificate = (
        _builder(name, name, key.public_key(), ends, signs=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key_pem(key) + certificate.public_bytes(PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, ends: dt.datetime, *, signs: bool
) -> x509.CertificateBuilder:
    """The part that all certificates have; see `_usage` for `signs`."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - _SKEW)
        .not_valid_after(ends)
        .add_extension(_usage(signs=signs), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def new_request(name: str) -> tuple[bytes, bytes]:
    """A new key (PEM), and the request by which its holder asks for a certificate as `name` (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(_named(name)).sign(key, hashes.SHA256())
    return key_pem(key), csr.public_bytes(PEM)


def key_pem(key: Key) -> bytes:
    """A private key as it is written into a file."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(PEM, form, serialization.NoEncryption())


def serial(certificate: x509.Certificate) -> str:
    """A certificate's serial number, in hex."""
    return f"{certificate.serial_number:x}"


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a server certificate is for."""
    try:
        alt_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in alt_names.get_values_for_type(x509.IPAddress)]
    return [*alt_names.get_values_for_type(x509.DNSName), *addresses]


def due(certificate: x509.Certificate, now: dt.datetime | None = None) -> bool:
    """Whether it is time to renew it."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (now or dt.datetime.now(dt.UTC)) >= begin + (end - begin) * RENEW_AT


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _DNS_NAME.fullmatch(name):
            raise InvalidValue(f"'{name}' is neither a name nor an address.", ident=name, reason="name") from None
        return x509.DNSName(name)


def _usage(*, signs: bool) -> x509.KeyUsage:
    """A key that `signs` messages, or else certificates."""
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
    )
