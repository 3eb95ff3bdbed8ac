"""The provider protocol: six methods between the loops and whatever really runs things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from pileus.model.noun import NEVER, Revision, SeenFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.host import ProviderLimits
    from pileus.model.spec import Spec

Cause = Literal["", "guest", "other"]
Channel = Literal["log", "console", "screenshot", "connect", "bytes", "stats", "exec", "follow"]


class BodyRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One body. `revision` is that of the order that names it: an older one than the body's own does nothing."""

    kind: str
    uuid: str
    revision: Revision = NEVER


class Capture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of a capture (the body of an image). A `captured` one never changes any more.

    `moment` names the moment that it will be of, once nothing that its instance does is in it any more; another name
    means that the one before was lost. `digest` is the sha256 (hex) and `size` the number of its bytes, `virtual_size`
    the bytes of the disk, or of the files once unpacked; all of them of what was captured alone. `fault` is why it
    `failed`.
    """

    state: Literal["capturing", "captured", "failed"]
    moment: str = ""
    digest: str = ""
    size: int = 0
    virtual_size: int = 0
    fault: SeenFault | None = None


class SeenBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's view of one body, `revision` as last ensured.

    `running` and `cause` are an instance's: `cause` says what ended it, "guest" being the guest's own shutdown.
    `up`: the guest has come up since it began to run, as far as can be seen from outside of it.
    `groups` are a port's memberships as the engine's own database has them; `capture` is an image's.
    """

    kind: str
    uuid: str
    revision: Revision = NEVER
    running: bool = False
    up: bool = True
    cause: Cause = ""
    groups: tuple[str, ...] = ()
    capture: Capture | None = None


class Recalled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An engine's memory of an order: the `record` of its spec, or the fact that it was a removal (`gone`)."""

    kind: str
    uuid: str
    revision: Revision = NEVER
    record: str = ""
    gone: bool = False


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes of a channel are had: a unix socket's path, or `tcp://HOST:PORT`, which speaks TLS.

    The one-time `ticket` and a newline are sent first. `name` is whose certificate the other side has to show, by an
    authority in the file `ca` (the system's when not given).
    """

    address: str
    ticket: str
    name: str = ""
    ca: str = ""


class Provider(Protocol):
    """Makes one kind of backend do things and reports what it sees. No decisions, no database.

    Every method may be called from several threads, at most one at a time for one uuid.
    """

    @property
    def handles(self) -> frozenset[str]:
        """The kinds of nouns that it has bodies for."""

    @property
    def limits(self) -> ProviderLimits:
        """The limits of the provider."""

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """The body as it is now, or None when there is none. Raises Fault when the backend does not answer."""

    def scan(self) -> Iterable[SeenBody]:
        """Every body there is, those that no order ever named included."""

    def ensure(self, spec: Spec) -> None:
        """One idempotent step towards `spec`; never waits for a guest. Raises Fault.

        For an instance: its body exists, with its disks and ports, and its power is, or is becoming, what
        `spec.power.state` says (a graceful stop that is ignored for long ends in a hard one);
        with `spec.power.keep` its power is left as it is. A body that this or a later order removed is not made again.

        For an image: its capture is being made, or is there; one that is whole is never made again. With `reboot` the
        agent has shut the instance down before it asks, and keeps it so until the capture is there or has failed.
        A failure is a Fault, raised here or given by `observe`: a permanent one ends it, after another one it
        is asked for again.
        """

    def remove(self, ref: BodyRef) -> None:
        """One idempotent step towards no such body, without a trace left; done when `observe` gives None."""

    def watch(self, report: Callable[[BodyRef], None]) -> None:
        """From now on call `report` whenever a body may have changed by itself; losing such a hint loses nothing."""

    def open(self, ref: BodyRef, channel: Channel, port: int = 0) -> Access:
        """A way to the bytes of `channel` (`connect`: a TCP stream to the guest's `port`). Raises Fault.

        `stats` is what `pileus.model.statistics` encodes, of the body, or of all bodies when `ref` names none ("").
        `log` is the end of what the guest wrote to its console, `follow` that and all that comes after it; `console` is
        the console itself, both ways, for one client at a time. `exec` has the frames of `pileus.model.execution`, and
        is a container's alone. `bytes` is an image's, once captured: exactly the bytes that its digest is of, to the
        end of the stream.
        """


class NetworkEngine(Provider, Protocol):
    """The provider of networks, which is asked for what it keeps when the store is lost: hosts keep their orders."""

    def recall(self) -> Iterable[Recalled]:
        """The last order of everything that was ordered, and the removals of the last day at least. Raises Fault."""


class Stream(Protocol):
    """A connected stream socket, as far as a channel needs it."""

    def recv(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""

    def fileno(self) -> int:
        """The file descriptor."""

    def close(self) -> None:
        """Close it."""


class Channels(Protocol):
    """Where a provider offers the bytes of a channel; given to it by whoever runs it."""

    def offer(self, serve: Callable[[Stream], None]) -> Access:
        """A one-time way to `serve`, which gets the connected stream, in a thread of its own."""
