"""TLS for the cloud's listeners: what they prove themselves with, kept current while they run."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509

from pileus.app import certificates
from pileus.app.certificates import CertificateAuthority
from pileus.cli.problem import Problem
from pileus.posix.files import write_file

LOOK = 5.0
"""Seconds between two looks at the files of a certificate."""

OWN = "own"
"""The setting by which the cloud's own authority issues what the faces prove themselves with."""

_REFUSAL = b"This port speaks HTTPS: use an https:// URL.\n"
_REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL)
)

Stamp = tuple[int, int, int]
"""Of a file: when it was changed (ns), its size and its number."""

log = structlog.get_logger()


class _Handshake(ssl.SSLObject):
    """A connection that is answered in plain words when it begins with plain HTTP."""

    outgoing: ssl.MemoryBIO
    refused = False

    def do_handshake(self) -> None:
        """As for every connection; a plain request is answered, and its client expected to hang up."""
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason not in ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST") or self.refused:
                raise
            self.refused = True
            self.outgoing.write(_REFUSED)
            # What waits to be sent is sent only for a handshake that goes on.
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "plain HTTP") from error


class _Context(ssl.SSLContext):
    sslobject_class = _Handshake

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *more: Any, **named: Any) -> ssl.SSLObject:
        """As every context does."""
        ssl_object = super().wrap_bio(incoming, outgoing, *more, **named)
        ssl_object.outgoing = outgoing  # type: ignore[attr-defined]  # an attribute of ours
        return ssl_object


class _Serving(ssl.SSLContext):
    """Stands for the context that is current.

    A context takes a certificate and its key one after the other: a connection that began in between had half of each.
    """

    current: ssl.SSLContext

    def wrap_bio(self, *positional: Any, **named: Any) -> ssl.SSLObject:
        """As the current one does."""
        return self.current.wrap_bio(*positional, **named)


class ListenerIdentity:
    """The identity of a listener: `context` serves new connections with the files that `refresh` loaded last.

    `certificate` and `key` are PEM files, perhaps one and the same; `issue` writes them when that is due. Callers are
    asked for a certificate where there is a PEM of `callers`, the authority that vouches for them; they may do without.
    """

    def __init__(
        self, certificate: Path, key: Path, issue: Callable[[], None] | None = None, callers: bytes = b""
    ) -> None:
        self._files = (certificate, key)
        self._issue = issue
        self._callers = callers
        self._seen: list[Stamp] = []
        self.context = _Serving(ssl.PROTOCOL_TLS_SERVER)
        self.refresh()

    @property
    def chain(self) -> list[x509.Certificate]:
        """The server's certificate first, then those that vouch for it."""
        return x509.load_pem_x509_certificates(self._files[0].read_bytes())

    def refresh(self) -> None:
        """Take the files anew if they have changed. Problem when they cannot be used; what was used before stays."""
        try:
            if self._issue is not None:
                self._issue()
            seen = self._stamps()
            while seen != self._seen:
                seen = self._load(seen)
        except (OSError, ValueError) as error:
            what = " and ".join(dict.fromkeys(map(str, self._files)))
            raise Problem(f"{what} cannot be used for TLS: {error}.") from error

    def _load(self, seen: list[Stamp]) -> list[Stamp]:
        """Take the files, which were as `seen`; how they are now.

        They are opened one after the other, even if they are one: what another process of this cloud puts in their
        place meanwhile is half of another pair.
        """
        try:
            context = self._fresh()
            context.load_cert_chain(*self._files)
        except ssl.SSLError:
            if self._stamps() == seen:
                raise
        else:
            self.context.current, self._seen = context, seen
        return self._stamps()

    def _fresh(self) -> ssl.SSLContext:
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self._callers:
            context.load_verify_locations(cadata=self._callers.decode())
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _stamps(self) -> list[Stamp]:
        return [
            (file_stat.st_mtime_ns, file_stat.st_size, file_stat.st_ino)
            for file_stat in (file.stat() for file in self._files)
        ]

    async def follow(self) -> None:
        """Keep it current until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await asyncio.to_thread(self.refresh)
            except Problem as problem:
                log.warning("certificate not renewed", reason=problem.message)


def own(authority: CertificateAuthority, file: Path, names: Sequence[str], callers: bytes = b"") -> ListenerIdentity:
    """A server of these names, as `authority` says; key and certificates are kept in `file`."""

    def issue() -> None:
        if not _good(authority, file, names):
            write_file(file, authority.server(names), 0o600)

    return ListenerIdentity(file, file, issue, callers)


def _good(authority: CertificateAuthority, file: Path, names: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return False
    covers = set(certificates.names_of(certificate)) == set(names)
    return covers and authority.issued(certificate) and not certificates.due(certificate)


def faces(setting: str, authority: CertificateAuthority, folder: Path, names: Sequence[str]) -> ListenerIdentity | None:
    """Return the identity of the faces, as the setting `tls` says; None where they speak plain HTTP."""
    if not setting:
        return None
    if setting == OWN:
        return own(authority, folder / "server.pem", names)
    certificate, _, key = setting.partition(":")
    return ListenerIdentity(Path(certificate), Path(key))


def anchor(identity: ListenerIdentity) -> bytes | None:
    """Return the certificate (PEM) to trust: the chain's last, if self-signed; None: clients trust the chain anyway."""
    last = identity.chain[-1]
    try:
        last.verify_directly_issued_by(last)
    except Exception:  # noqa: BLE001  (whatever is wrong with it, it does not vouch for itself)
        return None
    return last.public_bytes(certificates.PEM)


def shown(identity: ListenerIdentity, wanted: str) -> str:
    """The name in the faces' URLs: `wanted` if the certificate is for it, else the first that it is for."""
    names = [name for name in certificates.names_of(identity.chain[0]) if not name.startswith("*")]
    return wanted if wanted in names or not names else names[0]
