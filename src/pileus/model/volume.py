"""Volume: every disk is one, root disks too."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model.noun import Keeper, Noun, Part, Ref

DEFAULT_TYPE = "standard"
"""EC2's type of the disk of a launch that names none."""


class Wanted(Part, frozen=True, kw_only=True):
    """`size` in GiB; `digest` and `format` are those of the source image, empty for a blank disk.

    `type` is EC2's, as the launch said it: disks of all types are alike.
    """

    size: int
    instance: Annotated[str | None, Ref("instance", "owned")] = None
    device: str = "/dev/vda"
    pool: str = "host-local"
    image: str = ""
    digest: str = ""
    format: Literal["qcow2", "raw", "tar"] = "qcow2"
    type: str = DEFAULT_TYPE
    delete_on_termination: bool = True
    gone: bool = False


class Volume(Noun, frozen=True, kw_only=True):
    """A disk in the pool `host-local` lives and goes with the body of its instance."""

    KIND: ClassVar[str] = "volume"
    PREFIX: ClassVar[str] = "vol"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    QUOTA: ClassVar[dict[str, int]] = {"volumes": 100, "disk": 400}
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its instance."""
        return (("instance", self.wanted.instance),) if self.wanted.instance else ()

    def amounts(self) -> dict[str, int]:
        """Itself, and its GiB."""
        return {**super().amounts(), "disk": self.wanted.size}
