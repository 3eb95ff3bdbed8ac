"""X.509 certificates of users, and the archives of credentials for old tools."""

from __future__ import annotations

import io
import shlex
import time
import zipfile
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from pileus.model.certificate import Certificate
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.project import Project
from pileus.rules import certificate
from pileus.rules import user as user_rules
from pileus.rules.credential import add_aws
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core

RC, KEY, CERTIFICATE, AUTHORITY = "novarc", "pk.pem", "cert.pem", "cacert.pem"
"""The files of an archive of credentials."""

_RC = """\
# Credentials of a Pileus cloud: source this file.
PILEUS_CREDS="$(cd "$(dirname "${{BASH_SOURCE:-$0}}")" && pwd)"
export EC2_URL={ec2_url}
export S3_URL={s3_url}
export EC2_ACCESS_KEY={access_key}
export EC2_SECRET_KEY={secret_key}
export EC2_USER_ID={account}
export EC2_PRIVATE_KEY="$PILEUS_CREDS/{key}"
export EC2_CERT="$PILEUS_CREDS/{certificate}"
export EUCALYPTUS_CERT="$PILEUS_CREDS/{authority}"
export NOVA_CERT="$EUCALYPTUS_CERT"
export AWS_ACCESS_KEY_ID="$EC2_ACCESS_KEY"
export AWS_SECRET_ACCESS_KEY="$EC2_SECRET_KEY"
alias ec2-bundle-image="ec2-bundle-image --cert $EC2_CERT --privatekey $EC2_PRIVATE_KEY \
--user $EC2_USER_ID --ec2cert $NOVA_CERT"
alias ec2-upload-bundle="ec2-upload-bundle -a $EC2_ACCESS_KEY -s $EC2_SECRET_KEY --url $S3_URL --ec2cert $NOVA_CERT"
"""


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A new certificate and its private key, which is readable here and nowhere later; all are PEM.

    `authority` is the certificate of the cloud's issuer, `until` is in seconds since the epoch.
    """

    uuid: str
    user: str
    serial: str
    until: float
    private_key: str
    certificate: str
    authority: str


class CredentialArchive(msgspec.Struct, frozen=True, kw_only=True):
    """A new access key, and a zip `file` with it in an rc file, and a new certificate; the secrets are not shown again.

    The zip has `novarc`, `pk.pem`, `cert.pem` and `cacert.pem`.
    """

    user: str
    access_key: str
    secret_key: str
    serial: str
    file: bytes


class UserAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud's authority for users: its `certificate`, and the list of certificates that it `revoked`; PEM."""

    certificate: str
    revoked: str


@requires("reader")
def create(caller: Caller, core: Core, user: str = "") -> IssuedCertificate:
    """Make a certificate for the caller, or for a `user` (a uuid) whom the caller looks after, with a new key.

    Raises Forbidden, NotFound, QuotaExceeded.
    """
    return _issued(caller, core, user, with_key=False)[0]


@requires("reader")
def archive(caller: Caller, core: Core, url: str, user: str = "") -> CredentialArchive:
    """Make an access key and a certificate, as `create` does, and a zip of both for a cloud at this URL.

    Raises Forbidden, NotFound, QuotaExceeded, InvalidValue.
    """
    if not url.startswith(("http://", "https://")) or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise InvalidValue("The URL of the cloud begins with http:// or https://.", noun=Certificate.KIND, reason="url")
    issued, project, (access_key, secret_key) = _issued(caller, core, user, with_key=True)
    root = url.rstrip("/")
    values = {
        "ec2_url": f"{root}/services/Cloud/",
        "s3_url": f"{root}/",
        "access_key": access_key,
        "secret_key": secret_key,
        "account": project.wanted.account_id,
    }
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    rc = _RC.format(**quoted, key=KEY, certificate=CERTIFICATE, authority=AUTHORITY)
    files = {RC: rc, KEY: issued.private_key, CERTIFICATE: issued.certificate, AUTHORITY: issued.authority}
    return CredentialArchive(
        user=issued.user,
        access_key=access_key,
        secret_key=secret_key,
        serial=issued.serial,
        file=_zipped(files, core.store.now()),
    )


_LONGEST_URL = 512


def _issued(
    caller: Caller, core: Core, user: str, *, with_key: bool
) -> tuple[IssuedCertificate, Project, tuple[str, str]]:
    """A new certificate, the project that its user is at home in or acts in, and a new access key if `with_key`."""
    with core.store.read() as tx:
        user_rules.self_or_managed(caller, tx, user)
    # Both take a while: outside of the transaction, and after the look at the rights.
    signer, key = certificate.authority(core), certificate.new_key()
    with core.store.write() as tx:
        owner = user_rules.self_or_managed(caller, tx, user)
        project = tx.need(Project, caller.project if owner.uuid == caller.user else owner.wanted.home)
        row = certificate.add(caller, tx, signer, owner, key.public_key())
        access_key = add_aws(caller, core, tx, owner, project) if with_key else ("", "")
    issued = IssuedCertificate(
        uuid=row.uuid,
        user=owner.name,
        serial=row.wanted.serial,
        until=row.wanted.until,
        private_key=certificate.key_pem(key).decode(),
        certificate=row.wanted.pem,
        authority=signer.certificate.public_bytes(Encoding.PEM).decode(),
    )
    return issued, project, access_key


_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can hold."""


def _zipped(files: dict[str, str], now: float) -> bytes:
    """A zip of these files, which are their owner's alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            info = zipfile.ZipInfo(name, max(time.gmtime(now)[:6], _EARLIEST))
            info.external_attr = 0o100600 << 16
            bundle.writestr(info, text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@requires("reader")
def revoke(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a certificate of the caller, or of a user whom the caller looks after: it is on the list from now on.

    Raises NotFound, Forbidden.
    """
    with core.store.write() as tx:
        row = tx.get(Certificate, uuid)
        if row is None or row.gone is not None or (row.wanted.user != caller.user and not _sees(caller, row)):
            raise NotFound(f"The certificate {uuid} does not exist.", noun=Certificate.KIND, ident=uuid)
        if row.wanted.user != caller.user:
            user_rules.managed(caller, tx, row.wanted.user)
        certificate.revoke(caller, tx, row)


def _sees(caller: Caller, row: Certificate) -> bool:
    return caller.admin or row.project == caller.project


@requires("reader")
def authority(caller: Caller, core: Core) -> UserAuthority:
    """The cloud's authority for users, which is made when there is none, with its list as of now."""
    del caller
    signer = certificate.authority(core)
    pem = signer.certificate.public_bytes(Encoding.PEM)
    return UserAuthority(certificate=pem.decode(), revoked=certificate.revocation_list(core, signer).decode())
