"""The installed providers' kits: found by their entry points, and given a cloud on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pileus.app import entrypoints, settings
from pileus.app.entrypoints import EntryPoint
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.model.errors import Fault, PileusError
from pileus.model.kit import Kit, Machine, Membership, Site
from pileus.posix.files import read_json

PROVIDERS = "pileus.providers"
"""The entry points' group."""

DEFAULT = "default"
"""The entry point of the provider that is used where none is named; it has another of its own name."""

THROWAWAY = "throwaway"
"""The entry point of the provider for clouds that are made for one command."""


def _points() -> dict[str, EntryPoint]:
    """The entry points of all providers, by name; other packages cannot replace this one's."""
    return {point.name: point for point in entrypoints.of(PROVIDERS)}


def installed() -> tuple[str, ...]:
    """The names of the installed providers, in alphabetical order."""
    return tuple(name for name in _points() if name not in (DEFAULT, THROWAWAY))


def load(name: str = "") -> Kit:
    """Return the kit of a provider, of the default one without a name. Raises Problem."""
    name = name or DEFAULT
    point = _points().get(name)
    if point is None:
        raise Problem(f"There is no provider '{name}'; there are {' and '.join(installed()) or 'none'}.")
    kit: Kit = entrypoints.load(point, Kit)
    return kit


def every() -> Iterator[Kit]:
    """Every kit that is installed; one that cannot be loaded is passed over."""
    for name in installed():
        with contextlib.suppress(Problem):
            yield load(name)


def of(state: StateDirectory) -> Kit | None:
    """The kit of the cloud that was started in `state`; None where there was none. Raises Problem."""
    name = (read_json(state.started) or {}).get("provider")
    return load(str(name)) if name else None


def builds_images(state: StateDirectory) -> bool:
    """Whether the cloud in `state` is given the images that are built on this machine."""
    kit = of(state)
    return kit is not None and kit.builder() is not None


def site(kit: Kit, state: StateDirectory, chosen: Settings | None = None) -> Site:
    """The cloud in `state` as a kit is told of it, of which `chosen` are the settings. Raises Problem."""
    chosen = chosen or settings.read()
    start_options = read_json(state.started) or {}
    return Site(
        state=state.root,
        settings=settings.read_own(kit),
        floating_cidr=chosen.floating_cidr,
        ipv6_cidr=chosen.ipv6_cidr,
        southbound=chosen.southbound,
        kept={name: str(value) for name, value in start_options.items() if name not in ("provider", "port")},
        joined=_membership(state) if state.joined.exists() else None,
    )


def machine(kit: Kit, state: StateDirectory) -> Machine:
    """The daemons and files that a kit has on this machine for the cloud in `state`. Raises Problem."""
    return kit.machine(site(kit, state))


@contextlib.contextmanager
def as_problems() -> Iterator[None]:
    """Raise Problem in place of the errors of a kit, inside the block."""
    try:
        yield
    except Fault as fault:
        raise Problem(f"{fault.code}: {fault.message}") from fault
    except PileusError as error:
        raise Problem(error.message) from error


def _membership(state: StateDirectory) -> Membership:
    from pileus.app import joining  # noqa: PLC0415  (machines that joined alone)

    cloud = joining.joined(state)
    if cloud is None:
        raise Problem(f"{state.joined} does not say which cloud this machine belongs to: have it join anew.")
    return Membership(
        cloud.name,
        cloud.southbound,
        cloud.floating_cidr,
        state.host_identity,
        state.host_authority,
        ipv6_cidr=cloud.ipv6_cidr,
    )
