"""The parts of every noun: identity, three parts with one writer each, references, and public ids."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from pileus.model import bounds, tag
from pileus.model.ids import public_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.errors import Fault

N = TypeVar("N")

Revision = tuple[int, int]
"""(incarnation of the store, counter from one store-wide sequence); ordered, never reused."""

NEVER: Revision = (0, 0)

Use = Literal["owned", "uses"]

Keeper = Literal["", "host", "engine"]
"""The keeper of a noun's body, which is given orders: a host, the network engine, or none."""

Claim = tuple[str, str]
"""(pool, value): within a pool each value belongs to one living noun at most."""

Usage = dict[tuple[str, str], int]
"""Amounts in use by (scope, resource); a scope is a project or a host."""


class Ref:
    """Marks a field of `wanted` (a uuid, `None`, or a tuple of uuids) as a reference to another noun.

    `owned`: this noun goes when the other goes (cascade). `uses`: the other cannot go while this one lives.
    """

    def __init__(self, kind: str, use: Use) -> None:
        self.kind = kind
        self.use: Use = use


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a noun's three parts; stored as one JSON column. New fields need a default: old rows lack them."""


class SeenFault(Part, frozen=True, kw_only=True):
    """Why a body is not what is wanted, in the provider's words; shown by every face."""

    code: str
    message: str
    permanent: bool = False
    at: float = 0.0

    @classmethod
    def of(cls, fault: Fault, at: float) -> SeenFault:
        """The fault that a provider raised at this time."""
        return cls(code=fault.code, message=fault.message, permanent=fault.permanent, at=at)


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of thing. `wanted` is written by verbs, `assigned` by verbs and placement, `seen` by observation alone.

    `generation` counts the writes of `wanted`; `created`, `changed` and `gone` are seconds since the epoch; a row whose
    `gone` is set is a tombstone: it answers lists for a day, unless too many of its project ended since, and holds
    nothing. The store writes `changed`: the time of the last write of more than `UNSHOWN`.
    """

    KIND: ClassVar[str] = ""
    PREFIX: ClassVar[str] = ""
    QUOTA: ClassVar[dict[str, int]] = {}
    """How much a project may use by default, by resource: `KINDs` counts the nouns. Administrators alone make nouns
    without any."""

    KEEPER: ClassVar[Keeper] = ""
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ()
    """The keepers whose orders' records carry it, beside its own keeper: a keeper is believed nothing else."""

    SEEN_BY: ClassVar[Literal["project", "everybody", "administrators"]] = "project"
    """The audience of their lists; a noun for everybody may still be private to a project (`find.visible`)."""

    NAMES: ClassVar[Literal["", "project", "cloud"]] = ""
    """Where a name belongs to one noun of the kind alone: in its project, in the whole cloud, or nowhere."""

    RENAMED: ClassVar[bool] = False
    """Whether users give it another name."""

    NAME_IS_TAG: ClassVar[bool] = True
    """Whether the name of a tagged noun is also its tag `Name`; False where EC2 has a field of its own for the name."""

    SECRET: ClassVar[tuple[str, ...]] = ()
    """Fields of `wanted` that no document shows."""

    TAGGED: ClassVar[bool] = True
    """Whether users tag them."""

    DROPPED: ClassVar[dict[str, Any]] = {}
    """Fields of `wanted` that hold long values of users, and the short values that replace them in a tombstone."""

    UNSHOWN: ClassVar[tuple[str, ...]] = ()
    """Fields of `seen` that change all the time: their changes alone are no change for users."""

    id: int = 0
    uuid: str
    project: str = ""
    name: str = ""
    tags: dict[str, str] = {}
    generation: int = 1
    created: float = 0.0
    changed: float = 0.0
    gone: float | None = None
    revision: Revision = NEVER

    wanted: Any
    assigned: Any
    seen: Any

    @property
    def ec2_id(self) -> str:
        """Amazon's form of the id: prefix, a dash, the first 17 hex digits of the uuid."""
        return public_id(self.PREFIX, self.uuid)

    @property
    def label(self) -> str:
        """The noun in messages: kind and uuid. A face writes its dialect's id instead."""
        return f"{self.KIND} {self.uuid}"

    def check(self, before: Noun | None = None) -> None:
        """Whether name and tags, as far as they are not those of `before`, are within their bounds.

        The store asks this of every noun that is written. Raises InvalidValue, QuotaExceeded.
        """
        if before is None or self.name != before.name:
            tag.check_text(self.name, bounds.NAME.most, "A name")
        if before is None or self.tags != before.tags:
            tag.check(self.tags)

    def with_one_name(self, before: Noun | None = None) -> Self:
        """The noun with one name: a new name is written into the tag `Name`, a new tag `Name` into the name.

        Of a noun that is new (without `before`) the tag gives the name where that is empty, and a name no tag.
        """
        if not self.TAGGED or not self.NAME_IS_TAG or self.NAMES:
            return self
        tagged = self.tags.get(tag.NAME, "")
        if before is not None and self.name != before.name:
            others = {key: value for key, value in self.tags.items() if key != tag.NAME}
            return msgspec.structs.replace(self, tags={**others, tag.NAME: self.name} if self.name else others)
        if tagged != before.tags.get(tag.NAME, "") if before is not None else tagged and not self.name:
            return msgspec.structs.replace(self, name=tagged[: bounds.NAME.most])
        return self

    def as_tombstone(self) -> Noun:
        """The small row that stays when the noun has ended."""
        return msgspec.structs.replace(self, tags={}, wanted=msgspec.structs.replace(self.wanted, **self.DROPPED))

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """The nouns, by (kind, uuid), whose orders carry this noun's tags: a lost store gets them back from there."""
        return ((self.KIND, self.uuid),) if self.KEEPER else ()

    def is_shown_as(self, before: Noun) -> bool:
        """Whether users see nothing of the difference to `before` in `seen`, the only part that differs."""
        unshown = {field: getattr(before.seen, field) for field in self.UNSHOWN}
        return bool(unshown) and msgspec.structs.replace(self.seen, **unshown) == before.seen

    def recorded(self) -> Noun:
        """The noun as it stands in the record of its order: without the fields that change with its placement."""
        if hasattr(self.assigned, "content"):
            return msgspec.structs.replace(self, assigned=msgspec.structs.replace(self.assigned, content=""))
        return self

    @classmethod
    def is_recorded_by(cls, keeper: Keeper) -> bool:
        """Whether the records of orders of this keeper carry nouns of this kind."""
        return keeper in (cls.KEEPER, *cls.CONTEXT_OF)

    def as_context(self) -> Noun:
        """The noun as it stands in records of nouns that refer to it: without tags, whose changes need no new order."""
        return msgspec.structs.replace(self, tags={})

    def assigned_over(self, row: Noun) -> Any:
        """The assigned part of this noun, read from a record, with the placement of its present `row`."""
        return row.assigned if self.assigned is None else self.assigned

    def owner(self, kind: str) -> str:
        """The uuid of the noun of this kind that owns it; empty for none."""
        owners = (uuid for of, uuid, use in referred(self, references(type(self))) if (of, use) == (kind, "owned"))
        return next(owners, "")

    def is_ahead_of(self, row: Noun) -> bool:
        """Whether the noun, read from another's record, is known to be newer than its `row`."""
        return False

    def uncarried(self) -> Any:
        """Its `wanted` once a later order of its owner carries it no more: it was deleted."""
        return msgspec.structs.replace(self.wanted, gone=True)

    def yields(self) -> bool:
        """Whether it gives a value up that another noun claims too, because any other value will do."""
        return False

    def parties(self) -> tuple[str, ...]:
        """The projects beside its own that see it."""
        return ()

    def unheard(self) -> str:
        """The host that may have the noun and has not reported since the latest recovery; empty for none."""
        return ""

    def claims(self) -> tuple[Claim, ...]:
        """The values that the noun holds while it lives: its name where that is unique, its addresses, its places.

        The store takes and gives back the difference whenever a row changes.
        """
        return ((self.names(self.project), self.name),) if self.NAMES else ()

    @classmethod
    def names(cls, project: str = "") -> str:
        """The pool of the unique names, of nouns of this project where the kind has its names by project."""
        return f"{cls.KIND}:{project}" if cls.NAMES == "project" else cls.KIND

    def amounts(self) -> dict[str, int]:
        """The amounts that a living noun takes of its project's quota, by resource."""
        return {f"{self.KIND}s": 1} if self.QUOTA else {}

    def uses(self) -> Usage:
        """The amounts that a living noun takes, of its project and of hosts. They follow from `wanted` and `assigned`.

        The store takes and gives back the difference whenever one of these changes.
        """
        scope = project_scope(self.project)
        return {(scope, resource): amount for resource, amount in self.amounts().items()}


def project_scope(project: str) -> str:
    """The scope of the usage of a project."""
    return f"project:{project}"


def host_scope(host: str) -> str:
    """The scope of the usage of a host, by its name."""
    return f"host:{host}"


def only(cls: type[N], nouns: Iterable[object]) -> list[N]:
    """The nouns, or orders, of one class among these."""
    return [noun for noun in nouns if isinstance(noun, cls)]


@cache
def references(cls: type[Noun]) -> dict[str, Ref]:
    """The fields of `cls`'s wanted part that refer to other nouns, by field name."""
    wanted = get_type_hints(cls, include_extras=True)["wanted"]
    hints = get_type_hints(wanted, include_extras=True)
    refs = {}
    for field, hint in hints.items():
        for annotation in get_args(hint) if get_origin(hint) is Annotated else ():
            if isinstance(annotation, Ref):
                refs[field] = annotation
    return refs


def referred(noun: Noun, fields: dict[str, Ref]) -> list[tuple[str, str, Use]]:
    """Every (kind, uuid, use) that `noun` refers to now; `fields` comes from `references(type(noun))`."""
    out: list[tuple[str, str, Use]] = []
    for field, ref in fields.items():
        value = getattr(noun.wanted, field)
        targets = value if isinstance(value, tuple) else (value,)
        out.extend((ref.kind, uuid, ref.use) for uuid in targets if uuid)
    return out
