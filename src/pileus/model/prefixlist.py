"""Prefix list: ranges under one id, which rules of security groups and routes name instead of each range."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar, Literal

import msgspec

from pileus.model import bounds, tag
from pileus.model.errors import InvalidValue
from pileus.model.noun import Keeper, Noun, Part
from pileus.model.sizes import Description, Ident


class PrefixListEntry(Part, frozen=True, kw_only=True):
    """One range of a list."""

    cidr: Ident
    description: Description = ""


class PrefixListVersion(Part, frozen=True, kw_only=True):
    """The entries of a list as they were in an earlier version."""

    number: int
    entries: tuple[PrefixListEntry, ...] = ()


class Wanted(Part, frozen=True, kw_only=True):
    """Each change of `entries` raises `version`. Rules and routes count as `max_entries` of their kind."""

    family: Literal["IPv4"] = "IPv4"
    max_entries: int
    version: int = 1
    entries: tuple[PrefixListEntry, ...] = ()
    earlier: tuple[PrefixListVersion, ...] = ()
    gone: bool = False


class PrefixList(Noun, frozen=True, kw_only=True):
    """It has no body: the orders of groups and routers have its entries."""

    KIND: ClassVar[str] = "prefixlist"
    PREFIX: ClassVar[str] = "pl"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"prefixlists": 100}
    NAME_IS_TAG: ClassVar[bool] = False
    DROPPED: ClassVar[dict[str, Any]] = {"entries": (), "earlier": ()}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def recorded(self) -> PrefixList:
        """Without earlier versions: the records of many orders may have it."""
        return msgspec.structs.replace(self, wanted=msgspec.structs.replace(self.wanted, earlier=()))

    def is_ahead_of(self, row: Noun) -> bool:
        """Whether it has a higher version than an older copy of the store: no order is its own."""
        return bool(self.wanted.version > row.wanted.version)

    def check(self, before: Noun | None = None) -> None:
        """Of its entries as well."""
        super().check(before)
        most = bounds.PREFIX_LIST_ENTRIES.most
        if not 1 <= self.wanted.max_entries <= most:
            text = f"A prefix list has from 1 to {most} entries at most, not {self.wanted.max_entries}."
            raise InvalidValue(text, noun=self.KIND, reason="max-entries")
        entries = self.wanted.entries
        if len(entries) > self.wanted.max_entries:
            text = f"The {self.label} has {self.wanted.max_entries} entries at most, and would have {len(entries)}."
            raise InvalidValue(text, noun=self.KIND, ident=self.uuid, reason="entries")
        for entry in entries:
            tag.check_text(entry.description, bounds.DESCRIPTION.most, "The description of an entry")
        if len({entry.cidr for entry in entries}) < len(entries):
            raise InvalidValue("An entry of a prefix list must not appear twice.", noun=self.KIND, reason="entry")


def cleared(cidr: str) -> str:
    """The IPv4 range with the bits behind its prefix cleared. Raises InvalidValue."""
    try:
        return str(ipaddress.IPv4Network(cidr, strict=False)) if "/" in cidr else _refused(cidr)
    except ValueError:
        return _refused(cidr)


def _refused(cidr: str) -> str:
    text = f"The CIDR '{cidr[:40]}' of a prefix list's entry is no range of IPv4."
    raise InvalidValue(text, noun=PrefixList.KIND, ident=cidr[:40], reason="cidr")
