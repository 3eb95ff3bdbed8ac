"""Flow log: a request that the packets of a noun be logged, which this cloud keeps and does not deliver."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model import bounds, tag
from pileus.model.noun import Claim, Noun, Part

Traffic = Literal["ACCEPT", "REJECT", "ALL"]


class Wanted(Part, frozen=True, kw_only=True):
    """The packets of one noun, `kind` and `resource` (its uuid), as lines of `format` to a `destination`.

    `destination_type` is the kind of store for logs, `role` and `cross_role` the rights by which to write there, and
    `interval` the seconds that a line covers. A log outlives what it names.
    """

    kind: str
    resource: str
    traffic: Traffic = "ALL"
    destination_type: str = "cloud-watch-logs"
    destination: str = ""
    log_group: str = ""
    role: str = ""
    cross_role: str = ""
    format: str = ""
    interval: int = 600
    gone: bool = False


class FlowLog(Noun, frozen=True, kw_only=True):
    """It has no body: nothing here takes the lines."""

    KIND: ClassVar[str] = "flowlog"
    PREFIX: ClassVar[str] = "fl"
    QUOTA: ClassVar[dict[str, int]] = {"flowlogs": 50}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The noun together with the destination: a second log would repeat the first."""
        wanted = self.wanted
        place = f"{wanted.destination_type}/{wanted.destination or wanted.log_group}"
        return ((self.KIND, f"{wanted.resource}/{place}"),)

    def check(self, before: Noun | None = None) -> None:
        """Of its texts as well."""
        super().check(before)
        if before is None:
            for field in ("destination", "log_group", "role", "cross_role", "format"):
                tag.check_text(getattr(self.wanted, field), bounds.FLOW_LOG_TEXT.most, f"A flow log's {field}")
