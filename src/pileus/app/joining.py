"""A machine that joins a cloud, and what it knows of it from then on: `pileus host join`, and renewal."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from cryptography import x509

from pileus.app import certificates
from pileus.app.state import StateDirectory
from pileus.cli.client import HttpReply, exchange
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
    ipv6_cidr: str
    address: str


def joined(state: StateDirectory) -> JoinedCloud | None:
    """The cloud that the machine of this state directory belongs to; None when it is not another machine's."""
    cloud_fields = read_json(state.joined)
    return _joined_cloud(cloud_fields) if cloud_fields else None


def _joined_cloud(cloud_fields: dict[str, Any]) -> JoinedCloud:
    return JoinedCloud(**{field: str(cloud_fields.get(field, "")) for field in JoinedCloud.__dataclass_fields__})


def join(state: StateDirectory, url: str, token: str, name: str, zone: str, say: Callable[[str], None]) -> JoinedCloud:
    """Make a key, have it certified by the cloud at `url`, and keep all that this host needs. Raises Problem.

    The cloud is known by the fingerprint in the token, before it is told anything.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Problem(f"This is no whole token. {HINT}")
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise Problem(f"'{url}' is no https:// URL; 'pileus host token' prints it with the token.")
    before = _may_join(state, match[1], name)
    state.prepare()
    state.identity.mkdir(mode=0o700, exist_ok=True)
    say("verifying the cloud")
    authority = _verified(url, match[1])
    if before is None:
        write_file(state.host_authority, authority, 0o600)
    key, request = certificates.new_request(name[:64])
    body = {"token": token, "request": request.decode(), "name": name, "zone": zone}
    say(f"joining as '{name}'")
    answer, address = _ask(url, state, "/internal/join", body)
    write_file(state.host_identity, key + str(answer["certificate"]).encode(), 0o600)
    cloud = _joined_cloud({**answer, "url": answer["cloud"], "address": address})
    write_json(state.joined, asdict(cloud), 0o600)
    return cloud


def _may_join(state: StateDirectory, fingerprint: str, name: str) -> JoinedCloud | None:
    """The cloud that it belongs to, if it is to join the same anew under the same name. Raises Problem."""
    before = joined(state)
    if before is None:
        if state.started.exists():
            raise Problem(f"{state.root} holds a cloud of its own: choose another --state, or remove it.")
        return None
    authority = state.host_authority
    authority_der = ssl.PEM_cert_to_DER_cert(authority.read_text(encoding="ascii")) if authority.exists() else b""
    if name != before.name or not hmac.compare_digest(hashlib.sha256(authority_der).hexdigest(), fingerprint):
        text = f"{state.root} belongs to the cloud at {before.url}, as '{before.name}'"
        raise Problem(f"{text}: join that under this name again, choose another --state, or remove it.")
    return before


def refusal(state: StateDirectory, cloud: JoinedCloud, patience: float = 5.0) -> str:
    """Why the cloud knows this host no more, in its words; empty while it does. Raises Problem when it does not say."""
    reply = _exchange(cloud.url, _context(state), "GET", "/internal/host", patience=patience)
    if reply.status != http.client.FORBIDDEN:
        return ""
    try:
        return str(msgspec.json.decode(reply.body)["error"]["message"])
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
    if not certificates.due(x509.load_pem_x509_certificate(state.host_identity.read_bytes())):
        return False
    key, request = certificates.new_request(cloud.name)
    answer, _ = _ask(cloud.url, state, "/internal/renew", {"request": request.decode()})
    write_file(state.host_identity, key + str(answer["certificate"]).encode(), 0o600)
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
        return _context(state).wrap_socket(link, server_hostname=to.hostname)
    except (OSError, ValueError):
        link.close()
        raise


def _verified(url: str, fingerprint: str) -> bytes:
    """The certificate of the cloud's authority: whatever answers at `url`, it is the one that the token speaks of."""
    unproven = ssl.create_default_context()
    unproven.check_hostname = False
    unproven.verify_mode = ssl.CERT_NONE  # what comes is compared below, and nothing is said
    reply = _exchange(url, unproven, "GET", "/internal/ca")
    authority_der = b""
    if reply.status == http.client.OK:
        with contextlib.suppress(ValueError):
            authority_der = ssl.PEM_cert_to_DER_cert(reply.body.decode("ascii").strip())
    if not hmac.compare_digest(hashlib.sha256(authority_der).hexdigest(), fingerprint):
        raise Problem(f"What answers at {url} is not the cloud that the token is of; it was told nothing.")
    return ssl.DER_cert_to_PEM_cert(authority_der).encode()


def _context(state: StateDirectory) -> ssl.SSLContext:
    """For connections to the cloud: it has to be the cloud, and is shown which host this is."""
    tls_context = ssl.create_default_context(cafile=state.host_authority)
    tls_context.minimum_version = ssl.TLSVersion.TLSv1_2
    if state.host_identity.exists():
        tls_context.load_cert_chain(state.host_identity)
    return tls_context


def _ask(url: str, state: StateDirectory, path: str, body: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The answer, and this machine's address on the way there."""
    reply = _exchange(url, _context(state), "POST", path, msgspec.json.encode(body))
    try:
        answer = msgspec.json.decode(reply.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Problem(f"The cloud at {url} answered {reply.status}, which this version does not understand.") from error
    if reply.status != http.client.CREATED:
        cloud_error = answer.get("error", {})
        words = cloud_error.get("message", f"The cloud answered {reply.status}.")
        raise Problem(f"{words} ({cloud_error.get('reason') or reply.status})")
    return answer, reply.address


def _exchange(
    url: str, context: ssl.SSLContext, method: str, path: str, body: bytes | None = None, patience: float = _PATIENCE
) -> HttpReply:
    headers = {"content-type": "application/json"}
    return exchange(url, method, path, body, headers, context=context, timeout=patience, largest=_LARGEST)


def hostname() -> str:
    """Return this machine's host name, the default name in the cloud."""
    return os.uname().nodename.partition(".")[0]
