"""Hosts that join: admitted once by a token, known from then on by a certificate, until they are removed."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pileus.model.caller import SYSTEM
from pileus.model.credential import Credential, Wanted
from pileus.model.errors import Conflict, Duplicate, Forbidden, InvalidValue, Unsupported
from pileus.model.host import Host
from pileus.model.host import Wanted as HostWanted
from pileus.model.ids import new_uuid
from pileus.model.volume import Volume
from pileus.rules.host import JOINED, REMOVED, readmit
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

Issue = Callable[[str], tuple[bytes, str]]
"""Makes the certificate of the host of this name: (PEM, serial number in hex)."""

LONGEST = 7 * 24 * 3600.0
"""Seconds for which a token is good at most."""

HINT = "An administrator makes another by 'pileus host token'."

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*", re.ASCII)
_LIKE_AN_ADDRESS = re.compile(r"[0-9.]+")


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A token for one host, readable here and nowhere later; good until `until` (seconds since the epoch) at `url`."""

    token: str
    url: str
    host: str
    until: float


@requires("administrator", "lets hosts join")
def invite(caller: Caller, core: Core, host: str = "", valid: float = 3600.0) -> Invitation:
    """Make a token by which one host may join, once, within `valid` seconds; under the name `host` alone if given.

    It carries the fingerprint by which whoever joins knows the cloud. Raises Forbidden, InvalidValue, Unsupported.
    """
    if not core.place.join:
        text = "Hosts cannot join this cloud: PILEUS_INTERNAL says at which address they could."
        raise Unsupported(text, noun="host")
    if not 0 < valid <= LONGEST:
        raise InvalidValue(f"A token is good for a week at most, and for more than no time; not {valid:g} s.")
    if host:
        _checked(host)
    token = f"pileus_join_{secrets.token_urlsafe(32)}.{core.place.fingerprint}"
    with core.store.write() as tx:
        _forget(tx)
        wanted = Wanted(type="join", key=_digest(token), user=caller.user, host=host, until=tx.now + valid)
        credential = tx.add(Credential(uuid=_uuid(token), project=caller.project, name=host, wanted=wanted))
        tx.add_journal_line(caller, credential, "host.invite", outcome="done", detail=host)
    return Invitation(token=token, url=core.place.join, host=host, until=wanted.until)


def redeem(core: Core, token: str, name: str, zone: str, issue: Issue) -> tuple[Host, bytes]:
    """Let the host `name` in, in `zone` (the cloud's own if empty): its row and its certificate. The token is used up.

    Raises Forbidden for a token that is unknown, used or expired or for another name, Conflict for a name that is
    taken, InvalidValue for one that is none.
    """
    _checked(name)
    with core.store.write() as tx:
        credential = tx.get(Credential, _uuid(token))
        if credential is None or credential.wanted.type != "join" or credential.wanted.key != _digest(token):
            raise _refused("token-unknown", "This token is none of this cloud's, or was used long ago.")
        if credential.gone is not None:
            raise _refused("token-used", "This token was used already: each lets one host in, once.")
        if credential.wanted.until <= tx.now:
            raise _refused("token-expired", "This token has expired.")
        if credential.wanted.host not in ("", name):
            text = f"This token lets the host '{credential.wanted.host}' in, and not '{name}'."
            raise Forbidden(text, noun="host", ident=name, reason="token-name")
        certificate, serial = issue(name)
        wanted = HostWanted(zone=zone or core.place.zone, certificates=(serial,))
        host = _admit(tx, Host(uuid=new_uuid(), name=name, wanted=wanted))
        try:
            # Whatever the database: of two that come at the same moment one gets this.
            tx.claim(JOINED, credential.uuid, host)
        except Duplicate as error:
            raise _refused("token-used", "This token was used already: each lets one host in, once.") from error
        tx.want_gone(credential)
        tx.make_tombstone(credential)
        tx.add_journal_line(SYSTEM, host, "host.join", outcome="done", detail=f"certificate {serial}")
    return host, certificate


def renew(core: Core, name: str, serial: str, issue: Issue) -> bytes:
    """Another certificate for a host that shows a good one; that stays good until the new one is shown.

    Raises Forbidden when this one is not, or no longer, the host's.
    """
    with core.store.write() as tx:
        host = tx.named(Host, name)
        if not _good(host, serial) or host is None:
            raise _stranger(tx, name)
        certificate, new = issue(name)
        host = tx.want(host, msgspec.structs.replace(host.wanted, certificates=(serial, new)))
        tx.add_journal_line(
            SYSTEM, host, "host.renew", goal=host.generation, outcome="done", detail=f"certificate {new}"
        )
    return certificate


def recognize(core: Core, name: str, serial: str) -> Host:
    """The host that shows this certificate; Forbidden when it is not, or no longer, that host's.

    A newer one, once it is shown, makes those before it worthless.
    """
    with core.store.read() as tx:
        host = tx.named(Host, name)
        if not _good(host, serial) or host is None:
            raise _stranger(tx, name)
    if host.wanted.certificates[-1] == serial != host.wanted.certificates[0]:
        with core.store.write() as tx:
            host = tx.need(Host, host.uuid)
            if host.wanted.certificates[-1:] == (serial,):
                host = tx.want(host, msgspec.structs.replace(host.wanted, certificates=(serial,)))
    return host


def objects(core: Core, host: str) -> frozenset[str]:
    """The digests of what a host may fetch: of the images that its instances' disks begin as."""
    with core.store.read() as tx:
        placed = tx.taken(f"host:{host}")
        return frozenset(volume.wanted.digest for volume in tx.referring(Volume, placed)) - {""}


def _checked(name: str) -> str:
    """A host's name; InvalidValue for what is none, or could be taken for an address."""
    if not _NAME.fullmatch(name) or _LIKE_AN_ADDRESS.fullmatch(name) or len(name) > 64 or name == "localhost":
        text = f"'{name}' is no host's name: letters, digits, '-' and '.', at most 64, and no address."
        raise InvalidValue(text, noun="host", ident=name, reason="name")
    return name


def _admit(tx: Writer, host: Host) -> Host:
    try:
        host = tx.add(host)
    except Duplicate as error:
        text = f"There is a host '{host.name}' already: remove it first, or join under another name (--name)."
        raise Conflict(text, noun="host", ident=host.name, reason="name") from error
    readmit(tx, host.name)
    return host


def _good(host: Host | None, serial: str) -> bool:
    return host is not None and host.gone is None and not host.wanted.gone and serial in host.wanted.certificates


def _forget(tx: Writer) -> None:
    """Make the tokens that nobody used in time tombstones."""
    for credential in tx.list(Credential):
        if credential.wanted.type == "join" and credential.wanted.until <= tx.now:
            tx.want_gone(credential)
            tx.make_tombstone(credential)


def _refused(reason: str, text: str) -> Forbidden:
    return Forbidden(f"{text} {HINT}", noun="credential", reason=reason)


def _stranger(tx: Reader, name: str) -> Forbidden:
    if tx.claimed(REMOVED, name) is not None:
        text = (
            f"The host '{name}' was removed from this cloud, which listens to it no more. What it runs goes on. "
            f"An administrator readmits it by 'pileus host admit {name}'."
        )
        return Forbidden(text, noun="host", ident=name, reason=REMOVED)
    text = f"This is not the certificate that the host '{name}' was given last."
    return Forbidden(text, noun="host", ident=name, reason="certificate")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _uuid(token: str) -> str:
    """The row of a token, used or not, is found by the token alone."""
    return str(uuid.UUID(bytes=hashlib.sha256(token.encode()).digest()[:16], version=4))
