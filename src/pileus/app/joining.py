"""A machine that joins a cloud, and what it knows of it from then on: `pileus host join`, and renewal."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import structlog
from cryptography import x509

from pileus.app import certificates
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.posix.files import read_json, write_file, write_json
from pileus.verbs.join import HINT

_TOKEN = re.compile(r"pileus_join_[A-Za-z0-9_-]{20,}\.([0-9a-f]{64})", re.ASCII)
_PATIENCE = 30.0
_LARGEST = 1 << 20

LOOK = 3600.0
"""Seconds between looks at whether the certificate is to be renewed."""

HEED = 10.0
"""Seconds between questions to the cloud by a host that the broker refuses."""

log = structlog.get_logger()


@dataclass(frozen=True)
class JoinedCloud:
    """The cloud that this machine belongs to, as it said when the machine joined.

    `address` is this machine's, on the way there.
    """

    name: str
    url: str
    bus: str
    southbound: str
    zone: str
    region: str
    floating_cidr: str
    address: str


@dataclass(frozen=True)
class HostIdentity:
    """The files of a joined machine's TLS identity (mode 0600). Key and certificate change together: one file."""

    folder: Path

    @property
    def key_and_certificate(self) -> Path:
        """The file of the key and the certificate."""
        return self.folder / "host.pem"

    @property
    def authority(self) -> Path:
        """The certificate of the cloud's authority."""
        return self.folder / "ca.pem"

    def context(self) -> ssl.SSLContext:
        """For connections to the cloud: it has to be the cloud, and is shown who this is."""
        tls_context = ssl.create_default_context(cafile=self.authority)
        tls_context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.key_and_certificate.exists():
            tls_context.load_cert_chain(self.key_and_certificate)
        return tls_context


def joined(state: StateDirectory) -> JoinedCloud | None:
    """The cloud that the machine of this state directory belongs to; None when it is not another machine's."""
    cloud_fields = read_json(state.joined)
    return (
        JoinedCloud(**{key: str(cloud_fields.get(key, "")) for key in JoinedCloud.__dataclass_fields__})
        if cloud_fields
        else None
    )


def host_identity(state: StateDirectory) -> HostIdentity:
    """Where the files of this machine's identity are."""
    return HostIdentity(state.identity)


def join(state: StateDirectory, url: str, token: str, name: str, zone: str, say: Callable[[str], None]) -> JoinedCloud:
    """Make a key, have it certified by the cloud at `url`, and keep all that this host needs. Raises Problem.

    The cloud is known by the fingerprint in the token, before it is told anything.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Problem(f"This is no whole token. {HINT}")
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise Problem(f"'{url}' is no https:// URL; 'pileus host token' prints it with the token.")
    identity = host_identity(state)
    before = _may_join(state, identity, match[1], name)
    state.prepare()
    state.identity.mkdir(mode=0o700, exist_ok=True)
    say("verifying the cloud")
    authority = _verified(url, match[1])
    if before is None:
        write_file(identity.authority, authority, 0o600)
    key, request = certificates.new_request(name[:64])
    body = {"token": token, "request": request.decode(), "name": name, "zone": zone}
    say(f"joining as '{name}'")
    answer, address = _ask(url, identity, "/internal/join", body)
    write_file(identity.key_and_certificate, key + str(answer["certificate"]).encode(), 0o600)
    cloud_fields = {**answer, "url": answer["cloud"], "address": address}
    cloud = JoinedCloud(**{field: str(cloud_fields.get(field, "")) for field in JoinedCloud.__dataclass_fields__})
    write_json(state.joined, {field: getattr(cloud, field) for field in JoinedCloud.__dataclass_fields__}, 0o600)
    return cloud


def _may_join(state: StateDirectory, identity: HostIdentity, fingerprint: str, name: str) -> JoinedCloud | None:
    """The cloud that it belongs to, if it is to join the same anew under the same name. Raises Problem."""
    before = joined(state)
    if before is None:
        if state.started.exists():
            raise Problem(f"{state.root} holds a cloud of its own: choose another --state, or remove it.")
        return None
    authority_der = (
        ssl.PEM_cert_to_DER_cert(identity.authority.read_text(encoding="ascii")) if identity.authority.exists() else b""
    )
    if name != before.name or not hmac.compare_digest(hashlib.sha256(authority_der).hexdigest(), fingerprint):
        text = f"{state.root} belongs to the cloud at {before.url}, as '{before.name}'"
        raise Problem(f"{text}: join that under this name again, choose another --state, or remove it.")
    return before


def refusal(state: StateDirectory, cloud: JoinedCloud, patience: float = 5.0) -> str:
    """Why the cloud knows this host no more, in its words; empty while it does. Raises Problem when it does not say."""
    with _Link(cloud.url, host_identity(state).context(), patience) as link:
        status, answer_body = link.ask("GET", "/internal/host", None)
    if status != http.client.FORBIDDEN:
        return ""
    try:
        return str(msgspec.json.decode(answer_body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"The cloud at {cloud.url} refuses this host."


def heed(state: StateDirectory, cloud: JoinedCloud, ended: threading.Event, refused: Callable[[], bool]) -> None:
    """While the broker has `refused` this host, ask the cloud why, and log what it says; until `ended`."""
    logged_reason = ""
    while not ended.wait(HEED):
        if not refused():
            logged_reason = ""
            continue
        try:
            reason = refusal(state, cloud)
        except (Problem, OSError, ValueError):
            continue
        if reason != logged_reason:
            log.warning("the cloud refuses this host", reason=reason)
        logged_reason = reason


def renew(state: StateDirectory, cloud: JoinedCloud) -> bool:
    """Get another certificate if that is due; False when it is not. Raises Problem."""
    identity = host_identity(state)
    if not certificates.due(x509.load_pem_x509_certificate(identity.key_and_certificate.read_bytes())):
        return False
    key, request = certificates.new_request(cloud.name)
    answer, _ = _ask(cloud.url, identity, "/internal/renew", {"request": request.decode()})
    write_file(identity.key_and_certificate, key + str(answer["certificate"]).encode(), 0o600)
    log.info("certificate renewed")
    return True


def keep_renewed(
    state: StateDirectory, cloud: JoinedCloud, ended: threading.Event, renewed: Callable[[], None]
) -> None:
    """Renew the certificate whenever that is due, until `ended`; `renewed` is told."""
    while not ended.is_set():
        try:
            if renew(state, cloud):
                renewed()
        except (Problem, OSError, ValueError) as error:
            log.warning("certificate not renewed", reason=str(error))
        ended.wait(LOOK)


def dial(state: StateDirectory, cloud: JoinedCloud) -> socket.socket:
    """A connection to the cloud, as this host. Raises OSError."""
    to = urlsplit(cloud.url)
    link = socket.create_connection((to.hostname or "", to.port or 443), timeout=_PATIENCE)
    try:
        return host_identity(state).context().wrap_socket(link, server_hostname=to.hostname)
    except (OSError, ValueError):
        link.close()
        raise


def _verified(url: str, fingerprint: str) -> bytes:
    """The certificate of the cloud's authority: whatever answers at `url`, it is the one that the token speaks of."""
    unproven = ssl.create_default_context()
    unproven.check_hostname = False
    unproven.verify_mode = ssl.CERT_NONE  # what comes is compared below, and nothing is said
    with _Link(url, unproven) as link:
        status, answer_body = link.ask("GET", "/internal/ca", None)
    try:
        authority_der = (
            ssl.PEM_cert_to_DER_cert(answer_body.decode("ascii").strip()) if status == http.client.OK else b""
        )
    except ValueError:
        authority_der = b""
    if not hmac.compare_digest(hashlib.sha256(authority_der).hexdigest(), fingerprint):
        raise Problem(f"What answers at {url} is not the cloud that the token is of; it was told nothing.")
    return ssl.DER_cert_to_PEM_cert(authority_der).encode()


def _ask(url: str, identity: HostIdentity, path: str, body: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The answer, and this machine's address on the way there."""
    with _Link(url, identity.context()) as link:
        status, answer_body = link.ask("POST", path, msgspec.json.encode(body))
        address = link.address
    try:
        answer = msgspec.json.decode(answer_body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Problem(f"The cloud at {url} answered {status}, which this version does not understand.") from error
    if status != http.client.CREATED:
        cloud_error = answer.get("error", {})
        raise Problem(
            f"{cloud_error.get('message', f'The cloud answered {status}.')} ({cloud_error.get('reason') or status})"
        )
    return answer, address


class _Link:
    """One connection for one request. Raises Problem when the cloud does not answer, or is another."""

    def __init__(self, url: str, context: ssl.SSLContext, patience: float = _PATIENCE) -> None:
        to = urlsplit(url)
        self._url = url
        self._link = http.client.HTTPSConnection(to.hostname or "", to.port, timeout=patience, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._link.close()

    @property
    def address(self) -> str:
        """This side's."""
        return str(self._link.sock.getsockname()[0]) if self._link.sock else ""

    def ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        try:
            self._link.request(method, path, body, {"content-type": "application/json"})
            answer = self._link.getresponse()
            return answer.status, answer.read(_LARGEST)
        except ssl.SSLCertVerificationError as error:
            raise Problem(f"What answers at {self._url} is not the cloud: {error.verify_message}.") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Problem(f"The cloud at {self._url} does not answer ({reason}).") from error


def hostname() -> str:
    """Return this machine's host name, the default name in the cloud."""
    return os.uname().nodename.partition(".")[0]
