"""The views of each side of a cloud at one moment, closed and without behaviour: `pileus doctor` compares them."""

from __future__ import annotations

import msgspec

from pileus.model.finding import Finding
from pileus.model.instance import Body
from pileus.model.noun import NEVER, Revision
from pileus.model.securitygroup import Rule
from pileus.model.spec import InstanceSpec


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance as the store has it. `settled`: it has converged. `gone`: a tombstone."""

    uuid: str
    ec2_id: str
    host: str | None = None
    clear: tuple[str, ...] = ()
    revision: Revision = NEVER
    settled: bool = False
    gone: bool = False


class EngineRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A noun that the network engine keeps, as the store has it.

    `groups` are a port's and `subnets` a network's, by uuid; `router` and `rules` a security group's. `used` says of a
    floating address that a port has it, of a router that it has a way out.
    """

    kind: str
    uuid: str
    ec2_id: str
    revision: Revision = NEVER
    settled: bool = False
    gone: bool = False
    groups: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    router: str = ""
    rules: tuple[Rule, ...] = ()
    used: bool = False


class StoreView(msgspec.Struct, frozen=True, kw_only=True):
    """All of the store that others can be compared with, and what it finds in itself.

    `now` is the store's clock, `newest` the newest time in it (seconds); `highest` the greatest revision that it ever
    gave; `images` maps digests to bytes; `objects` are the digests of all that is needed, None where nobody says.
    """

    now: float
    newest: float
    highest: Revision
    instances: tuple[InstanceRow, ...] = ()
    engine: tuple[EngineRow, ...] = ()
    images: dict[str, int] = {}
    objects: tuple[str, ...] | None = None
    findings: tuple[Finding, ...] = ()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One order in a host's book and what came of it; `spec` is None for a removal, `applied` NEVER until it is so."""

    uuid: str
    revision: Revision
    spec: InstanceSpec | None
    body: Body
    applied: Revision = NEVER


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """A host's book: orders by uuid, the revision of every removal that it has confirmed as gone, and its clock's word.

    `orders` are of instances; `captures` are the uuids of the images that it is ordered, or was.

    `highest` is the greatest revision that any order brought; `newest` the newest time in the book (seconds);
    `damaged` are the files, UUID.TIME.json of orders and start.TIME.json, that could not be read and were set aside.
    """

    orders: dict[str, Held] = {}
    removed: dict[str, Revision] = {}
    highest: Revision = NEVER
    newest: float = 0.0
    damaged: tuple[str, ...] = ()
    captures: tuple[str, ...] = ()
