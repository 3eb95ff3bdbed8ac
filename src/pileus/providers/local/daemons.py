"""The daemons of our own hosts on this machine: the network engine's, libvirtd and lxcfs; and what else is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from pileus.model.errors import Conflict, Fault, InvalidValue
from pileus.model.finding import Finding
from pileus.model.kit import Machine, ProcessDeclaration, Say, Sight, Site
from pileus.model.views import BookView, StoreView
from pileus.posix.processes import until
from pileus.providers.local import prefix
from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import lxcfs, monitor, ranges
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import daemons
from pileus.providers.local.engine.fabric import Fabric
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups, daemon
from pileus.providers.local.machine.daemon import libvirtd
from pileus.providers.local.site import fabric_of, has_uplink, layout_of
from pileus.providers.local.uplink import daemon as uplink

PATIENCE = 10.0
"""Seconds that the kernel may take to let go of the guests' last cgroups."""


class LocalMachine(Machine):
    """The machine's part of one cloud."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._layout = layout_of(site)

    def begin(self, say: Say) -> None:
        """Start the daemons that do not run, and take a range of loopback addresses."""
        if importlib.util.find_spec("libvirt") is None:
            text = "libvirt's Python module is not installed: pip install 'pileus[local]'"
            raise Fault("HypervisorMissing", text, permanent=True)
        layout, fabric = self._layout, fabric_of(self.site)
        _check_outside(self.site, fabric)
        prefix.take(layout)
        pids = self.running()
        if None in (pids[process.name] for process in daemons(layout, fabric=fabric)):
            say("starting the network engine")
        chassis.up(layout, fabric=fabric)
        if has_uplink(self.site):
            uplink.up(layout, fabric, self.site.settings.internet_rate)
        else:
            uplink.down(layout)
        if pids["libvirtd"] is None:
            say("starting libvirtd")
        daemon.up(layout)
        if monitor.available() and (why := lxcfs.up(layout)):
            say(f"containers will see this machine's memory and processors: lxcfs does not run ({why})")

    def end(self, say: Say, *, instances: bool) -> None:
        """End the guests if asked to; without guests, the daemons and namespaces too."""
        layout = self._layout
        count = len(daemon.guests(layout)) + len(containers.running(layout))
        if count and instances:
            say(f"ending {counted(count)}")
            containers.end_all(layout)
            daemon.end_guests(layout)
        elif count:
            verb = "runs" if count == 1 else "run"
            say(f"{counted(count)} {verb} on, with libvirtd and the network engine (--instances ends them)")
            return
        say("ending libvirtd and the network engine")
        lxcfs.down(layout)
        daemon.down(layout)
        uplink.down(layout)
        chassis.down(layout, fabric=fabric_of(self.site))

    def processes(self) -> Sequence[ProcessDeclaration]:
        """The network engine's daemons, the uplink, libvirtd and lxcfs."""
        layout, fabric = self._layout, fabric_of(self.site)
        uplinks = [uplink.daemon(layout, fabric, self.site.settings.internet_rate)] if has_uplink(self.site) else []
        figures = [lxcfs.daemon(layout)] if _shows_figures() else []
        processes = [*daemons(layout, fabric), *uplinks, libvirtd(layout), *figures]
        return [process.declaration for process in processes]

    def running(self) -> Mapping[str, int | None]:
        """The daemons' pids."""
        layout = self._layout
        figures = {lxcfs.NAME: lxcfs.pid(layout)} if _shows_figures() else {}
        uplinks = {uplink.NAME: uplink.pid(layout)} if has_uplink(self.site) else {}
        return {"libvirtd": daemon.pid(layout), **figures, **uplinks, **chassis.status(layout, fabric_of(self.site))}

    def silent(self) -> Sequence[str]:
        """The network engine's daemons, and libvirtd, as far as they do not answer."""
        engine = daemons(self._layout, fabric_of(self.site))
        silent_names = [process.name for process in engine if not process.answers()]
        return silent_names if daemon.answers(self._layout) else [*silent_names, "libvirtd"]

    def certified(self) -> None:
        """Let the network controller have the new certificate, which it takes as soon as it changes."""
        chassis.give_papers(self._layout, fabric_of(self.site))

    def names(self) -> set[str]:
        """The first word of each path below the state directory."""
        top_names = set()
        for name, value in vars(Layout).items():
            path = getattr(self._layout, name) if isinstance(value, property) else None
            if isinstance(path, Path) and path.is_relative_to(self.site.state):
                top_names.add(path.relative_to(self.site.state).parts[0])
        return top_names

    def release(self) -> None:
        """Have the guests' cgroup gone, which the kernel empties a little late; give up addresses and user ids."""
        # The kernel tells nobody when it has let go of a group.
        if not until(self._cgroup_is_gone, PATIENCE, 0.05):
            text = "is still in use: processes of this cloud run; try again."
            raise Conflict(f"The cgroup of {self._layout.netns} {text}")
        prefix.free(self._layout)
        ranges.free(self._layout)

    def _cgroup_is_gone(self) -> bool:
        """Remove the guests' cgroup, unless the kernel still holds it."""
        cgroups.remove(self._layout)
        return cgroups.partition(self._layout) is None

    def forget(self) -> None:
        """Remove the unpacked images that this cloud alone used."""
        from pileus.providers.local.doctor.folders import no_fetch  # noqa: PLC0415  (doctor and purge alone)

        try:
            Bases(self._layout.bases, no_fetch).forget(self._layout.containers)
        except OSError as error:
            raise Conflict(f"Images in {self._layout.bases} cannot be removed: {error}.") from error

    def facts(self) -> Mapping[str, str]:
        """The facts of the machine."""
        from pileus.providers.local.doctor import machine  # noqa: PLC0415  (doctor alone)

        return machine.facts()

    def look(self, host: int | None) -> Sight | None:
        """See everything."""
        from pileus.providers.local.doctor import examination  # noqa: PLC0415  (doctor alone)

        return examination.look(self._layout, host, central=self.site.joined is None)

    def look_at_engine(self) -> Sight | None:
        """See OVN's rows."""
        from pileus.providers.local.doctor import examination  # noqa: PLC0415  (doctor alone)

        return examination.side(self._layout, self.site.settings.northbound)

    def repair(self, finding: Finding, host: BookView, store: StoreView | None) -> None:
        """Mend it."""
        from pileus.providers.local.doctor import examination  # noqa: PLC0415  (doctor alone)

        examination.repair(self._layout, finding, host, store)


def counted(count: int) -> str:
    """Return a number of instances in words.

    >>> counted(1), counted(2)
    ('1 instance', '2 instances')
    """
    return f"{count} instance" if count == 1 else f"{count} instances"


def _shows_figures() -> bool:
    """Whether this machine can run containers, and what shows them their own figures."""
    return monitor.available() and lxcfs.available()


def _check_outside(site: Site, fabric: Fabric) -> None:
    """Raise InvalidValue for a way out that this machine cannot give to the cloud."""
    if has_uplink(site) and site.joined is not None:
        raise InvalidValue("--internet is for a cloud on one machine: here the outside network's gateway leads on.")
    if has_uplink(site) and fabric.outside_interface:
        text = "has the outside network's gateway behind it, which decides what guests reach: leave --internet out."
        raise InvalidValue(f"{fabric.outside_interface} {text}")
    if site.joined is None and fabric.outside_interface and (why := chassis.unfit(layout_of(site), fabric)):
        raise InvalidValue(why)
