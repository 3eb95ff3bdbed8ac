"""The toy's kit: hosts in processes of their own, a daemon, a setting, an image; without root."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from pileus.model.host import Capacity
from pileus.model.kit import CloudEngine, HostBody, Kit, Machine, ProcessDeclaration, StockImage
from pileus.posix import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.kit import HostServices, Say, Site

_DAEMON = """
import fcntl, signal, sys
file = open(sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
signal.pause()
"""


class ToySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The toy's settings."""

    toy_vcpus: int = 4
    toy_folder: Path = Path("/nowhere")

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be used."""
        if not self.toy_folder.is_absolute():
            raise ValueError("the folder is an absolute path")


class ToyMachine(Machine):
    """One daemon, and a folder below the state directory."""

    @property
    def _folder(self) -> Path:
        return self.site.state / "toys"

    @property
    def _daemon(self) -> ProcessDeclaration:
        argv = (sys.executable, "-I", "-c", _DAEMON, str(self._folder / "toyd.pid"))
        return ProcessDeclaration("toyd", argv, str(self._folder / "toyd.pid"), str(self._folder / "toyd.log"))

    def begin(self, say: Say) -> None:
        """Start the daemon."""
        self._folder.mkdir(exist_ok=True)
        if self.running()["toyd"] is None:
            say("winding up the toy")
            processes.spawn(list(self._daemon.argv), self._folder / "toyd.log")

    def end(self, say: Say, *, instances: bool) -> None:
        """End it."""
        pid = self.running()["toyd"]
        if pid is not None:
            say(f"the toy runs down, {'with' if instances else 'without'} its instances")
            processes.stop(pid, 5.0)

    def processes(self) -> Sequence[ProcessDeclaration]:
        """The daemon."""
        return (self._daemon,)

    def running(self) -> Mapping[str, int | None]:
        """The daemon's pid."""
        return {"toyd": processes.owner(self._folder / "toyd.pid")}

    def names(self) -> set[str]:
        """The folder."""
        return {self._folder.name}

    def facts(self) -> Mapping[str, str]:
        """One fact."""
        return {"toy": f"of {self.site.settings.toy_vcpus} processors"}


class ToyKit(Kit):
    """The kit of the toy provider."""

    name = "toy"
    own_process = True
    settings = ToySettings
    defaults: ClassVar[Mapping[str, str]] = {"zone": "toy-zone"}

    def body(self, site: Site, services: HostServices) -> HostBody:
        """A host of some processors."""
        from .provider import ToyProvider  # noqa: PLC0415  (a kit is loaded quickly)

        provider = ToyProvider(services.channels)
        capacity = Capacity(vcpus=site.settings.toy_vcpus, memory=4096, disk=100)
        return HostBody(provider, provider.statistics, capacity=capacity, traits=("toy",))

    def engine(self, site: Site, *, shared: bool) -> CloudEngine:
        """Networks in memory."""
        from .provider import ToyProvider  # noqa: PLC0415  (a kit is loaded quickly)

        return CloudEngine(ToyProvider())

    def machine(self, site: Site) -> Machine:
        """The daemon."""
        return ToyMachine(site)

    def images(self) -> Sequence[StockImage]:
        """One image."""
        return (StockImage(name="toy", kind="machine", content=b"toy\n" * 256, format="raw", virtual_size=1024),)


KIT = ToyKit()
