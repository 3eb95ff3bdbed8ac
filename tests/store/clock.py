"""Time that passes when a test says so, and a few nouns."""

from __future__ import annotations

from pileus.model.flavor import Flavor
from pileus.model.flavor import Wanted as FlavorWanted
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, Wanted


class Clock:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def flavor(name: str = "", project: str = "") -> Flavor:
    """A new flavor, with a name of its own."""
    uuid = new_uuid()
    return Flavor(uuid=uuid, name=name or uuid, project=project, wanted=FlavorWanted(vcpus=1, memory=64, disk=1))


def instance(of: Flavor, project: str = "p") -> Instance:
    """A new instance, which refers to its flavor."""
    return Instance(uuid=new_uuid(), project=project, wanted=Wanted(flavor=of.uuid, image="image"))
