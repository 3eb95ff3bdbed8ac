"""Flavor: the size of an instance."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model import allowance
from pileus.model.allowance import Allowance
from pileus.model.noun import Keeper, Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """`memory` in MiB, `disk` in GiB; `kind` says whether it runs machines or containers, `traits` what of a host.

    One that is `retired` takes no new instances; those that have it keep it. Of `allowance`, 0 stands for the default.
    """

    vcpus: int
    memory: int
    disk: int
    kind: Literal["machine", "container"] = "machine"
    traits: tuple[str, ...] = ()
    allowance: Allowance = Allowance()
    retired: bool = False
    gone: bool = False

    @property
    def allowed(self) -> Allowance:
        """The allowance of an instance of this size, the defaults included."""
        return allowance.whole(self.allowance, self.vcpus, self.memory)


class Flavor(Noun, frozen=True, kw_only=True):
    """An instance type; its name is unique in the cloud and never reused for another size."""

    KIND: ClassVar[str] = "flavor"
    PREFIX: ClassVar[str] = "flv"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    SEEN_BY: ClassVar[Literal["project", "everybody", "administrators"]] = "everybody"
    TAGGED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None


DEFAULT = "m1.small"

# name: (vcpus, memory MiB, disk GiB)
MACHINES: dict[str, tuple[int, int, int]] = {
    "m1.tiny": (1, 128, 1),
    "m1.small": (1, 512, 4),
    "m1.medium": (1, 1024, 8),
    "m1.large": (2, 2048, 16),
    "m1.xlarge": (4, 4096, 32),
    "c1.medium": (2, 1024, 8),
    "t2.micro": (1, 256, 4),
    "t2.small": (1, 512, 8),
    "n1-standard-1": (1, 1024, 8),
    # By Amazon's sizes. A size is for ever, so that those above keep theirs; larger ones fit on few hosts.
    "t1.micro": (1, 627, 8),
    "t2.nano": (1, 512, 8),
    "t3.nano": (2, 512, 8),
    "t3.micro": (2, 1024, 8),
    "t3.small": (2, 2048, 8),
    "t3.medium": (2, 4096, 8),
    "t3.large": (2, 8192, 8),
    "t3.xlarge": (4, 16_384, 8),
    "t3.2xlarge": (8, 32_768, 8),
    "m5.large": (2, 8192, 8),
    "m5.xlarge": (4, 16_384, 8),
    "m5.2xlarge": (8, 32_768, 8),
    "m5.4xlarge": (16, 65_536, 8),
}
CONTAINERS: dict[str, tuple[int, int, int]] = {
    "basic": (1, 256, 2),
    "light": (1, 128, 1),
    "unlimited": (2, 1024, 8),
    "vswap-256m": (1, 256, 4),
    "vswap-512m": (1, 512, 4),
    "vswap-1024m": (1, 1024, 4),
}
