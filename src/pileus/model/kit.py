"""A provider's kit: one object that says and does all that the processes of a cloud need of its provider.

The entry point of a provider (group `pileus.providers`) loads its kit. The module that has it imports nothing heavy:
commands that need no provider look at it too. Methods that a kit does not override do nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pileus.model.addresses import IPV6

if TYPE_CHECKING:
    import msgspec

    from pileus.model.finding import Finding
    from pileus.model.host import Capacity
    from pileus.model.provider import Channels, NetworkEngine, Provider
    from pileus.model.spec import InstanceSpec
    from pileus.model.statistics import Statistics
    from pileus.model.views import BookView, Held, StoreView


Say = Callable[[str], None]
"""Shows a line of progress to the operator."""


@dataclass(frozen=True)
class ProcessDeclaration:
    """One process or daemon to supervise: `argv` runs it in the foreground, and it keeps `pidfile` locked for life.

    Its output is appended to `log`; `listens`: it inherits the listening socket; `stale` is a file of its predecessor,
    removed before it starts. At the unix socket `at` it answers `question` (text of Latin-1 characters, one for each
    byte), or ends the connection.
    """

    name: str
    argv: tuple[str, ...]
    pidfile: str
    log: str
    listens: bool = False
    stale: str = ""
    at: str = ""
    question: str = "\n"


@dataclass(frozen=True)
class Membership:
    """The cloud that a machine joined, as it was at that time, and the files that authenticate the machine there.

    `southbound` is where the network controllers of its hosts find their database; `own` holds key and certificate.
    """

    name: str
    southbound: str
    floating_cidr: str
    own: Path
    authority: Path
    ipv6_cidr: str = ""


@dataclass(frozen=True)
class Site:
    """One cloud on this machine: its state directory, and what the kit's `settings` are there.

    `kept` are settings of the last start (see `Kit.kept`); `joined` is there where the cloud is on other machines.
    """

    state: Path
    settings: Any
    floating_cidr: str
    southbound: str = ""
    ipv6_cidr: str = IPV6
    kept: Mapping[str, str] = field(default_factory=dict)
    joined: Membership | None = None


class Respond(Protocol):
    """The guest metadata service: the answer to a request of the guest of `spec`, or of an unknown one."""

    def __call__(
        self, spec: InstanceSpec | None, method: str, path: str, headers: Mapping[str, str], source: str, /
    ) -> Any:
        """An answer with `status`, `headers` and `body`."""


@dataclass(frozen=True)
class HostServices:
    """The services that a host's body is given.

    `fetch` brings an object to a file, by its digest; `metadata` makes the guest metadata service.
    """

    fetch: Callable[[str, Path], None]
    channels: Channels
    metadata: Callable[[], Respond]


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class HostBody:
    """The provider of a host's instances, and the host's facts. `measure` returns the statistics of its instances.

    `on_specs` is called with the specs of the host's book, then `start`, then come orders; `stop` is called last.
    """

    provider: Provider
    measure: Callable[[], Iterable[Statistics]]
    chassis: str = ""
    capacity: Capacity | None = None
    traits: tuple[str, ...] = ()
    on_specs: Callable[[Iterable[InstanceSpec]], None] | None = None
    start: Callable[[], None] = _nothing
    stop: Callable[[], None] = _nothing


@dataclass(frozen=True)
class CloudEngine:
    """The provider of networks in a process of the cloud; `loopback_prefix` is the N of 127.N.0.0/16 for instances."""

    provider: NetworkEngine
    loopback_prefix: int | None = None
    close: Callable[[], None] = _nothing


class HostRegister(Protocol):
    """A place where hosts of other machines are known by name. Methods raise PileusError or Fault."""

    @property
    def admits(self) -> bool:
        """Whether hosts have to be added; otherwise they register by themselves."""

    def hosts(self) -> set[str]:
        """Return the names of the admitted hosts."""

    def add(self, host: str) -> None:
        """Admit a host; safe to repeat."""

    def remove(self, host: str) -> None:
        """Remove a host, and disconnect it; safe to repeat."""

    def close(self) -> None:
        """Disconnect."""


@dataclass(frozen=True)
class StockImage:
    """An image that every cloud of a kit has from its start on, public."""

    name: str
    kind: Literal["machine", "container"]
    content: bytes
    format: Literal["qcow2", "raw", "tar"]
    virtual_size: int
    login_user: str = "root"
    description: str = ""


class ImageBuilder(Protocol):
    """Builds images for all clouds of this machine. Methods raise PileusError."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """The names of the images that it can build."""

    def current(self, name: str, folder: Path) -> bool:
        """Whether `folder` holds the image as today's recipe makes it."""

    def build(self, name: str, folder: Path, progress: Say) -> Path:
        """Build the image, which is then in `folder` with its description: its file. Needs root."""


class Sight(Protocol):
    """A snapshot of all bodies of a cloud, taken before orders and rows are read."""

    @property
    def unchecked(self) -> Mapping[str, str]:
        """The parts that could not be examined, each with the reason."""

    def compare(self, host: BookView, store: StoreView | None) -> Iterator[Finding]:
        """Every disagreement of bodies with orders, and with rows where the store can be asked."""

    def agree(self, store: StoreView) -> Iterator[Finding]:
        """Every disagreement of the network engine with rows."""

    def strays(self) -> Mapping[str, Held]:
        """Every guest by its instance's uuid, in the form of an order: doctor shows those that no order names."""


class Machine:
    """The daemons and files that a kit has on this machine beside the cloud's own processes; by default none.

    Methods raise Fault, and PileusError for what a person has to do first.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def begin(self, say: Say) -> None:
        """Start the daemons that do not run yet; safe to repeat."""

    def end(self, say: Say, *, instances: bool) -> None:
        """End the guests if `instances`, after the cloud's processes; where no guest runs, end the daemons too."""

    def processes(self) -> Sequence[ProcessDeclaration]:
        """The daemons to supervise, in the order of starting."""
        return ()

    def running(self) -> Mapping[str, int | None]:
        """The pid of each daemon, None for one that does not run."""
        return {}

    def silent(self) -> Sequence[str]:
        """The daemons that do not answer."""
        return ()

    def certified(self) -> None:
        """Use this machine's certificate, which was renewed."""

    def names(self) -> set[str]:
        """The names of its files and folders in the state directory: purge removes them."""
        return set()

    def release(self) -> None:
        """Give up what this cloud holds of the machine, before the state directory is removed."""

    def forget(self) -> None:
        """Remove shared files that this cloud alone used, after the state directory was removed."""

    def facts(self) -> Mapping[str, str]:
        """The facts of the machine that doctor shows, by name."""
        return {}

    def look(self, host: int | None) -> Sight | None:
        """Take a snapshot of all bodies; `host` is the host process's pid, or None. None: nothing to examine."""
        return None

    def look_at_engine(self) -> Sight | None:
        """Take a snapshot of the network engine alone, for a cloud with hosts elsewhere; None: no address is set."""
        return None

    def repair(self, finding: Finding, host: BookView, store: StoreView | None) -> None:
        """Repair a finding whose meaning says that it can be repaired. Raises OSError too."""


class Central(Machine):
    """The network engine's databases, for hosts on machines of their own: `pileus central`."""

    address: str = ""
    """The address at which the cloud's processes find the databases."""


class Kit(ABC):
    """One provider, as the processes of a cloud know it."""

    name: ClassVar[str]
    """Its entry point's name, which the state directory keeps."""

    real: ClassVar[str] = ""
    """A clause that says which parts of its clouds are real, for people who start one."""

    needs_root: ClassVar[bool] = False
    """Whether it runs as root; the cloud process is then a system user's."""

    own_process: ClassVar[bool] = False
    """Whether hosts are processes of their own; else the one body of a cloud is within the cloud process."""

    settings: ClassVar[type[msgspec.Struct] | None] = None
    """Its settings, each with a description, read from PILEUS_NAME as the cloud's own; a ValueError says why not."""

    defaults: ClassVar[Mapping[str, str]] = {}
    """Other defaults for settings of the cloud, as text."""

    shared: ClassVar[tuple[Path, ...]] = ()
    """Folders that all clouds of this machine share: never a part of one, and in need of space."""

    @abstractmethod
    def body(self, site: Site, services: HostServices) -> HostBody:
        """The body of a host on this machine, not started."""

    @abstractmethod
    def engine(self, site: Site, *, shared: bool) -> CloudEngine:
        """The network engine for a process of the cloud; `shared` where it is one of several. Not opened."""

    def machine(self, site: Site) -> Machine:
        """The daemons and files beside the processes."""
        return Machine(site)

    def kept(self, site: Site) -> Mapping[str, str]:
        """The settings of this machine that hold from a start until another start changes them. Raises InvalidValue."""
        return {}

    def registers(self, site: Site) -> Sequence[HostRegister]:
        """Where the network engine knows hosts of other machines by name, as far as it can be reached."""
        return ()

    def central(self, site: Site) -> Central | None:
        """The network engine's databases as a command of their own, where it has such. Raises InvalidValue."""
        return None

    def images(self) -> Sequence[StockImage]:
        """The images that every cloud has from its start on."""
        return ()

    def builder(self) -> ImageBuilder | None:
        """The builder of images, for a kit whose clouds are given the images that are built."""
        return None
