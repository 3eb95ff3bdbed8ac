"""X.509 certificates of users: how they are made and signed, and the list of those that were revoked (RFC 5280).

Keys are RSA: tools of EC2's age sign images by a user's key, and seal them for the issuer's.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.model.certificate import Certificate, Wanted
from pileus.model.errors import Duplicate
from pileus.model.ids import new_uuid
from pileus.model.issuer import Issuer, RevokedCertificate
from pileus.model.issuer import Wanted as IssuerWanted
from pileus.rules.cipher import cipher

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.user import User
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

ISSUER_DAYS = 3650
"""Days for which the issuer's own certificate holds."""

DAYS = 365
"""Days for which a user's certificate holds."""

LIST_DAYS = 7
"""Days after which a revocation list is to be fetched anew."""

_BITS = 2048
_SKEW = dt.timedelta(days=1)
"""Certificates hold from the day before: clocks differ."""

_PEM = serialization.Encoding.PEM


class SigningAuthority(NamedTuple):
    """The issuer's certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def new_key() -> rsa.RSAPrivateKey:
    """Make a private key, which takes 0.1 s: outside of a transaction."""
    return rsa.generate_private_key(65537, _BITS)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A private key as the tools of EC2 read it: PKCS #1, PEM."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(_PEM, form, serialization.NoEncryption())


def issuer(tx: Reader) -> Issuer | None:
    """The cloud's issuer; None before its first certificate."""
    holder = tx.claimed(*Issuer.ONLY)
    return tx.need(Issuer, holder[1]) if holder else None


def authority(core: Core) -> SigningAuthority:
    """The cloud's authority for users, which is made when there is none."""
    with core.store.read() as tx:
        row = issuer(tx)
    if row is None:
        row = _make_issuer(core)
    key = serialization.load_pem_private_key(cipher(core).decrypt(row.wanted.sealed.encode()), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the issuer's key is of another kind than this cloud makes")
    return SigningAuthority(x509.load_pem_x509_certificate(row.wanted.pem.encode()), key)


def _make_issuer(core: Core) -> Issuer:
    key = new_key()
    # Clients tell authorities apart by their names: each has one of its own.
    name = _named(f"Pileus users {x509.random_serial_number():x}"[:29])
    certificate = (
        _builder(name, name, key.public_key(), core.store.now(), ISSUER_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    sealed = cipher(core).encrypt(key_pem(key)).decode()
    wanted = IssuerWanted(pem=certificate.public_bytes(_PEM).decode(), sealed=sealed)
    try:
        with core.store.write() as tx:
            row = tx.add(Issuer(uuid=new_uuid(), wanted=wanted))
            tx.add_journal_line(SYSTEM, row, "issuer.create", outcome="done")
            return row
    except Duplicate:
        # Another process made it meanwhile.
        with core.store.read() as tx:
            row_of_other = issuer(tx)
        if row_of_other is None:
            raise
        return row_of_other


def add(caller: Caller, tx: Writer, signer: SigningAuthority, user: User, public: rsa.RSAPublicKey) -> Certificate:
    """Make the certificate of a user's key, which names the user and the user's uuid."""
    certificate = (
        _builder(_named(user.name, user.uuid), signer.certificate.subject, public, tx.now, DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    wanted = Wanted(
        user=user.uuid,
        pem=certificate.public_bytes(_PEM).decode(),
        serial=f"{certificate.serial_number:x}",
        until=certificate.not_valid_after_utc.timestamp(),
    )
    row = tx.add(Certificate(uuid=new_uuid(), project=user.wanted.home, name=user.name, wanted=wanted))
    tx.add_journal_line(caller, row, "certificate.create", outcome="done", detail=wanted.serial)
    return row


def revoke(caller: Caller, tx: Writer, *certificates: Certificate) -> None:
    """Delete certificates, and put those that have not expired on the issuer's list."""
    row = issuer(tx)
    if row is None or not certificates:
        return
    unexpired = [each for each in row.wanted.revoked if each.until > tx.now]
    unexpired += [
        RevokedCertificate(each.wanted.serial, tx.now, each.wanted.until)
        for each in certificates
        if each.wanted.until > tx.now
    ]
    listed = sorted(unexpired, key=lambda each: each.until)[-bounds.REVOKED_CERTIFICATES.most :]
    tx.want(row, msgspec.structs.replace(row.wanted, revoked=tuple(listed)))
    for certificate in certificates:
        tx.make_tombstone(tx.want_gone(certificate))
        tx.add_journal_line(caller, certificate, "certificate.revoke", outcome="done", detail=certificate.wanted.serial)


def revocation_list(core: Core, signer: SigningAuthority) -> bytes:
    """The issuer's list of revoked certificates, signed now: PEM (RFC 5280, 5)."""
    with core.store.read() as tx:
        row = issuer(tx)
    now = _moment(core.store.now())
    builder = x509.CertificateRevocationListBuilder().issuer_name(signer.certificate.subject)
    builder = builder.last_update(now).next_update(now + dt.timedelta(days=LIST_DAYS))
    for each in row.wanted.revoked if row is not None else ():
        if each.until > core.store.now():
            entry = x509.RevokedCertificateBuilder().serial_number(int(each.serial, 16))
            builder = builder.add_revoked_certificate(entry.revocation_date(_moment(each.at)).build())
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(_PEM)


def _builder(
    subject: x509.Name, signer: x509.Name, public: rsa.RSAPublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    """The part that all certificates have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now) - _SKEW)
        .not_valid_after(_moment(now) + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)


def _named(name: str, uuid: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.USER_ID, uuid)] if uuid else []
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *attributes])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        # Images are sealed for the issuer's key, too, and for the user's.
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
