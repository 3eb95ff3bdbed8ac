"""Transit table: where a transit gateway sends packets that come from the attachments associated with the table."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pileus.model import bounds
from pileus.model.errors import QuotaExceeded
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref


class TransitRoute(Part, frozen=True, kw_only=True):
    """Packets to `cidr` go over `attachment` (a uuid), or nowhere where that is empty or gone."""

    cidr: str
    attachment: str = ""


class Wanted(Part, frozen=True, kw_only=True):
    """`associations` are attachments (uuids) whose packets go by it, `propagations` those to whose ranges it leads."""

    gateway: Annotated[str, Ref("transitgateway", "owned")]
    associations: tuple[str, ...] = ()
    propagations: tuple[str, ...] = ()
    routes: tuple[TransitRoute, ...] = ()
    gone: bool = False


class TransitTable(Noun, frozen=True, kw_only=True):
    """Its body is a part of the transit gateway's."""

    KIND: ClassVar[str] = "transittable"
    PREFIX: ClassVar[str] = "tgw-rtb"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"transittables": 20}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its associated attachments, each of which has one table."""
        return tuple((self.KIND, attachment) for attachment in self.wanted.associations)

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its transit gateway."""
        return (("transitgateway", self.wanted.gateway),)

    def check(self, before: Noun | None = None) -> None:
        """Of the number of its static routes as well."""
        super().check(before)
        changed = before is None or self.wanted.routes != before.wanted.routes
        if changed and len(self.wanted.routes) > bounds.ROUTES.most:
            text = f"A route table has at most {bounds.ROUTES.most} static routes."
            raise QuotaExceeded(text, noun=self.KIND, reason="routes")
