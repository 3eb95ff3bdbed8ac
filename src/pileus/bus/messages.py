"""The bus's messages: orders down to a host, reports up from it, and the opening of channels. Versioned, closed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import structlog

from pileus.model.host import Capacity, ProviderLimits
from pileus.model.noun import NEVER, Revision, SeenFault
from pileus.model.provider import Capture, Channel
from pileus.model.spec import HostSpec


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """Make `uuid` as `spec` says; without a spec: remove it, `why` being gone (for good) or moved (elsewhere).

    `request` is the id of the request for whose sake it is sent, for logs alone; `kind` that of the noun. `opening` is
    the store's when it was decided: a host refuses what an earlier one than its own decided.
    """

    uuid: str
    revision: Revision
    spec: HostSpec | None = None
    why: str = ""
    request: str = ""
    kind: str = "instance"
    opening: int = 0


FORGOTTEN = "forgotten"
"""Why a host holds nothing of something, when it has forgotten the removals through a revision."""


class Removed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A removal that a host was ordered and has done; `satisfied` is the power n that its guest had ended.

    `why` is gone, moved, or FORGOTTEN: the host holds nothing of it, and takes no order through `revision` for it.
    """

    revision: Revision
    why: str
    satisfied: int = 0


class BodyReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One body. `revision` is the one applied, not merely stored; `ever`: it has run under Pileus.

    `up`: its guest has come up since it began to run; None: the host is of a version that does not say.
    `capture` is an image's, once it is whole.
    """

    revision: Revision = NEVER
    running: bool = False
    n: int = 0
    reboot: int = 0
    satisfied: int = 0
    ever: bool = False
    up: bool | None = None
    since: float = 0.0
    fault: SeenFault | None = None
    capture: Capture | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="report"):
    """Repeated state of one host. Absence of a body means something in a full report alone.

    `epoch` counts the agent's starts, `sequence` its reports in this epoch; `after` is the one, of those before this
    one, that said something of bodies last; `unknown` are bodies that no order named.
    `chassis` is its switch, as the network engine names that. `answer` is the call of the Ask that it answers; if that
    asked for them, `orders` are all that are held, and `removed` has every removal. `fault` says why the host could not
    answer the last Ask. An answer of several `pages` is as many reports of one sequence, numbered by `page`; the first
    has the bodies, each has some of the orders and removals.
    `removals` is how many the host remembers, if these are so many that it wants to forget some; `forgotten` the
    revision through which it has.
    """

    host: str
    epoch: int
    sequence: int
    after: int = 0
    incarnation: int = 0
    opening: int = 0
    highest: Revision = NEVER
    full: bool = False
    bodies: dict[str, BodyReport] = {}
    removed: dict[str, Removed] = {}
    unknown: tuple[str, ...] = ()
    capacity: Capacity = Capacity()
    limits: ProviderLimits = ProviderLimits()
    traits: tuple[str, ...] = ()
    zone: str = ""
    chassis: str = ""
    answer: str = ""
    orders: dict[str, Order] | None = None
    fault: SeenFault | None = None
    page: int = 0
    pages: int = 1
    removals: int = 0
    forgotten: Revision = NEVER


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="ask"):
    """Report in full, now, as the answer to `call`; with all that is held if `orders`.

    A host that is asked in a higher `incarnation`, or `opening`, of the store than its own is in that from then on.
    `pages` says that the answer may come in pages. With `forget` the store vouches for all removals through that
    revision: the host may forget them, and refuses orders through it for what it does not hold.
    `epoch` and `sequence` are of the last report that the store took in: a host that counts lower has an old book, and
    begins a later epoch.
    """

    call: str = ""
    incarnation: int = 0
    opening: int = 0
    orders: bool = False
    pages: bool = False
    forget: Revision = NEVER
    epoch: int = 0
    sequence: int = 0


class Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="open"):
    """Open a channel to a body; answered by Opened with the same `call`."""

    call: str
    uuid: str
    channel: Channel
    port: int = 0
    kind: str = "instance"


class Opened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """Where the bytes are had, or why not (`code`, `message`)."""

    call: str
    address: str = ""
    ticket: str = ""
    code: str = ""
    message: str = ""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First message of a host on a new connection. `version` is that of the messages."""

    host: str
    version: int = 1


log = structlog.get_logger()


class _Typed(msgspec.Struct):
    """The part of a message that every version has."""

    type: str


ToHost = Order | Ask | Open
ToCloud = Hello | Report | Opened

_ENCODER = msgspec.msgpack.Encoder()
_ANY = msgspec.msgpack.Decoder(_Typed)
_TO_HOST: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ToHost)
_TO_CLOUD: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ToCloud)


def encode(message: ToHost | ToCloud | Removed) -> bytes:
    """A message, or a part of one, as bytes."""
    return _ENCODER.encode(message)


def decode_to_host(data: bytes) -> ToHost | None:
    """The message for a host in `data`; None for one that this version does not know. Raises msgspec.DecodeError."""
    return _known(_TO_HOST, data)  # type: ignore[no-any-return]  # a decoder of a union is Any


def decode_to_cloud(data: bytes) -> ToCloud | None:
    """The message for the cloud in `data`; None for one that this version does not know. Raises msgspec.DecodeError."""
    message = _known(_TO_CLOUD, data)
    if isinstance(message, Report) and not all(math.isfinite(number) for number in _numbers(message)):
        raise msgspec.DecodeError("a report with a number that is not finite, which no row can hold")
    return message  # type: ignore[no-any-return]  # a decoder of a union is Any


def _numbers(report: Report) -> Iterator[float]:
    """Every floating-point number of a report that a row takes over."""
    for body in report.bodies.values():
        yield body.since
        faults = (body.fault, body.capture.fault if body.capture is not None else None)
        yield from (fault.at for fault in faults if fault is not None)


def _known(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    """Decode `data`, None for a message of another version; unknown fields are passed over. Raises DecodeError."""
    try:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError as error:
            _ANY.decode(data)
            log.warning("message of another version passed over", reason=str(error))
            return None
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
