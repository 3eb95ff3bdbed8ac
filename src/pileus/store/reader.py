"""Reading: nouns by id, by project, by what they refer to; claims, usage and the journal."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Double, Integer, bindparam, case, func, select

from pileus.model import bounds, quota
from pileus.model.errors import DamagedRow, NotFound
from pileus.model.noun import Claim, Noun, Revision
from pileus.model.nouns import NOUNS
from pileus.model.project import Project
from pileus.store import tables, unions
from pileus.store.cache import COUNTED, KINDS, Unreadable, project_version, version_name
from pileus.store.identities import Identity
from pileus.store.journalreader import LAST_LINE, NEWEST_LINE, UNSETTLED, JournalReader
from pileus.store.preloaded import Preloaded
from pileus.store.rows import SHAPES, UNDECODABLE, decode_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Select

    from pileus.store.cache import Cache, CachedKind, ProjectLists
    from pileus.store.direct import StatementExecutor
    from pileus.store.journalreader import JournalEntry

N = TypeVar("N", bound=Noun)
V = TypeVar("V")

_List = list  # `Reader.list` hides the builtin's name inside the class
_CHUNK = 500
"""How many values one IN list holds: engines bound it, and a longer list is two statements."""

RECOVERING = "recovering"
"""The number in `meta` that says that a recovery has begun and not ended."""

OPENING = "opening"
"""The number in `meta` that rises each time that the store is opened by a process alone, and with every recovery."""


class Reader(JournalReader):
    """Questions to one snapshot, or to one transaction.

    `unreadable` are the rows, by uuid, that were read here and could not be decoded. Lists leave them out.
    """

    replacing = False
    """Whether an unreadable row counts as missing, because it may be made anew: in a recovery."""

    def __init__(self, session: StatementExecutor, cache: Cache | None = None) -> None:
        super().__init__(session, cache)
        self.unreadable: dict[str, Unreadable] = {}
        self._versions: dict[str, int] | None = session.first
        self._preloaded = Preloaded()

    def get(self, cls: type[N], uuid: str) -> N | None:
        """The noun with this uuid, tombstones included; None when there is none. Raises Unavailable if unreadable."""
        noun = self.many(cls, [uuid]).get(uuid)
        if noun is None and uuid in self.unreadable and not self.replacing:
            raise self.refusal(self.unreadable[uuid])
        return noun

    @staticmethod
    def refusal(row: Unreadable) -> DamagedRow:
        """The error for an unreadable row that a caller names."""
        text = f"The {row.kind} '{row.ec2_id}' cannot be read: its row is damaged. 'pileus doctor' says how to mend it."
        return DamagedRow(text, noun=row.kind, ident=row.ec2_id, reason="row-damaged")

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Context manager: raises Unavailable when a row that was read in the block is unreadable.

        For what is made of several rows, and would lack what an unreadable one describes.
        """
        before, self.unreadable = self.unreadable, {}
        try:
            yield
            if self.unreadable and not self.replacing:
                raise self.refusal(next(iter(self.unreadable.values())))
        except LookupError:
            if not self.unreadable:
                raise
            raise self.refusal(next(iter(self.unreadable.values()))) from None
        finally:
            self.unreadable = {**before, **self.unreadable}

    def _decoded(self, cls: type[N], rows: _List[Any]) -> _List[N]:
        """The nouns in these rows; unreadable ones are noted, logged once, and left out."""
        shape = SHAPES[cls]
        try:
            return [*map(shape.noun, rows)]
        except UNDECODABLE:
            nouns: list[N] = []
        for row in rows:
            try:
                nouns.append(shape.noun(row))
            except UNDECODABLE as error:
                self.unreadable[row.uuid] = Unreadable(
                    cls.KIND, str(row.uuid), str(row.ec2_id), str(row.project), str(row.name)
                )
                self._log_once(str(row.uuid), error, kind=cls.KIND, uuid=row.uuid, id=row.ec2_id)
        return nouns

    def need(self, cls: type[N], uuid: str) -> N:
        """The living noun with this uuid; NotFound otherwise. Raises Unavailable if its row is unreadable."""
        noun = self.get(cls, uuid)
        if noun is None or noun.gone is not None:
            raise NotFound(f"The {cls.KIND} '{uuid}' does not exist.", noun=cls.KIND, ident=uuid)
        return noun

    def many(self, cls: type[N], uuids: Iterable[str]) -> dict[str, N]:
        """The nouns with these uuids, by uuid; those that do not exist, or cannot be read, are left out."""
        return self._by(cls, "uuid", uuids)

    def _cached(self, kind: str) -> CachedKind | None:
        """Return the process's cache of a kind that changes seldom, as of this snapshot; None: ask the database."""
        if self._cache is None or kind not in KINDS:
            return None
        return self._cache.at(kind, self._numbers())

    @property
    def remembered(self) -> dict[str, object]:
        """Notes that rules keep between transactions, in this process, by name; they may be out of date."""
        return {} if self._cache is None else self._cache.remembered

    @property
    def recovering(self) -> bool:
        """Whether a recovery has begun and not ended, as it was when this began."""
        return bool(self._numbers().get(RECOVERING))

    @property
    def opening(self) -> int:
        """The latest opening of the store, as it was when this began: what is decided here says so to hosts."""
        return self._numbers().get(OPENING, 0)

    @property
    def reached(self) -> Revision:
        """The highest revision that the store has given, by this transaction too."""
        numbers = self._numbers()
        return numbers.get("incarnation", 0), numbers.get("counter", 0)

    @property
    def incarnation(self) -> int:
        """The store's incarnation, as it was when this began: hosts refuse what was ordered in an earlier one."""
        return self._numbers().get("incarnation", 0)

    def _numbers(self, name: str = "") -> dict[str, int]:
        """The numbers that nearly every transaction looks at, and the number `name`, asked for once."""
        if self._versions is None:
            self._versions = read_numbers(self.sql, name)
        elif name and name not in self._versions:
            self._versions[name] = self.meta(name)
        return self._versions

    def lists(self, project: str) -> ProjectLists | None:
        """Return the process's cached lists of a project (a uuid), as of this snapshot; None: ask the database."""
        if self._cache is None:
            return None
        return self._cache.lists(project, self._numbers(project_version(project)))

    def by_ec2(self, cls: type[N], ids: Iterable[str]) -> dict[str, N]:
        """The nouns with these EC2 ids, by EC2 id, tombstones included."""
        return self._by(cls, "ec2_id", ids)

    def identities(self, cls: type[Noun], ids: Iterable[str]) -> dict[str, Identity]:
        """The uuids and projects of the rows with these EC2 ids, by EC2 id: tombstones and unreadable ones too."""
        identities: dict[str, Identity] = {}
        for part in chunks(ids):
            rows = self.sql.execute(_identities(cls), {"values": part})
            identities.update((row.ec2_id, Identity(row.uuid, row.project)) for row in rows)
        return identities

    def _by(self, cls: type[N], key: Literal["uuid", "ec2_id"], values: Iterable[str]) -> dict[str, N]:
        values = list(values)
        preloaded = self._preloaded.nouns(cls.KIND, values) if key == "uuid" else None
        if preloaded is not None:
            return preloaded
        cached = self._cached(cls.KIND)
        if cached is None:
            return {getattr(noun, key): noun for noun in self._where_in(cls, key, values)}
        nouns, wanted = cached.nouns if key == "uuid" else cached.ec2, values
        missing = [value for value in wanted if value not in nouns]
        if missing:
            nouns.update((getattr(noun, key), noun) for noun in self._where_in(cls, key, missing))
        return {value: nouns[value] for value in wanted if value in nouns}

    def preload(self, cls: type[N], uuids: Iterable[str]) -> None:
        """Read nouns that are asked for one by one later: one statement in the place of one for each."""
        met, unique = len(self.unreadable), list(dict.fromkeys(uuids))
        if len(unique) < 2 or cls.KIND in KINDS:
            return
        nouns = self.many(cls, unique)
        # An unreadable row is to be met by those who ask for it.
        if len(self.unreadable) == met and len(nouns) == len(unique):
            self._preloaded.add(cls.KIND, nouns)

    def preload_referring(self, cls: type[N], targets: Iterable[str]) -> _List[N]:
        """Read the living nouns of `cls` that refer to any of `targets`, which is asked for one by one later."""
        met, unique = len(self.unreadable), list(dict.fromkeys(targets))
        nouns = self.referring(cls, unique) if unique else []
        if len(unique) > 1 and len(self.unreadable) == met:
            self._preloaded.add_referring(cls, unique, nouns)
        return nouns

    def _where_in(self, cls: type[N], column: str, values: Iterable[str]) -> _List[N]:
        nouns: list[N] = []
        for part in chunks(values):
            # One is asked for by far the most often, and a list is written into the statement's text each time.
            query = (_is(cls, column), {"value": part[0]}) if len(part) == 1 else (_in(cls, column), {"values": part})
            nouns += self._decoded(cls, self.sql.execute(*query).all())
        return nouns

    def list(
        self,
        cls: type[N],
        *,
        project: str | None = None,
        name: str | None = None,
        dead: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> _List[N]:
        """Nouns in the order of their making, from behind the id `after`; tombstones only with `dead`."""
        cached = None if dead or after or limit is not None or name is not None else self._cached(cls.KIND)
        if cached is None:
            return self._listed(cls, project, name, dead=dead, after=after, limit=limit)
        if project not in cached.living:
            cached.living[project] = nouns = self._listed(cls, project, name, dead=dead, after=after, limit=limit)
            cached.nouns.update((noun.uuid, noun) for noun in nouns)
            cached.unreadable.update((uuid, row) for uuid, row in self.unreadable.items() if row.kind == cls.KIND)
        self.unreadable.update(cached.unreadable)
        return [*cached.living[project]]

    def tags(self, kinds: Sequence[str], project: str) -> _List[tuple[str, str, dict[str, str]]]:
        """The tags of a project's living nouns of these kinds, as (kind, uuid, tags): by kind, then in order of making.

        Nouns without tags are left out.
        """
        rows = self.sql.execute(unions.tags(tuple(kinds)), {"project": project}).all()
        place = {kind: number for number, kind in enumerate(kinds)}
        tags = []
        for row in sorted(rows, key=lambda row: (place[row.kind], row.id)):
            try:
                tags.append((row.kind, row.uuid, decode_tags(row.tags)))
            except UNDECODABLE:
                self.many(NOUNS[row.kind], [row.uuid])  # notes that it is unreadable
        return tags

    def shared(self, cls: type[N], project: str, pools: Sequence[str]) -> _List[N]:
        """The living nouns of a project, of none, and those with a claim in `pools`, in the order of making."""
        rows = self.sql.execute(unions.shared(cls), {"project": project, "pools": pools}).all()
        return self._decoded(cls, [row for _, row in sorted({row.id: row for row in rows}.items())])

    def changed_since(
        self,
        cls: type[N],
        since: float,
        *,
        project: str | None = None,
        dead: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> _List[N]:
        """Nouns that were changed at `since` or later, in the order of their last changes; tombstones with `dead`.

        Of those that were changed at `since` itself only the ones behind the id `after`.
        """
        parameters = {"since": since, "project": project, "after": after, "limit": limit}
        parameters = {key: value for key, value in parameters.items() if value is not None}
        rows = self.sql.execute(_changed(cls, tuple(parameters), dead), parameters).all()
        nouns = self._decoded(cls, rows)
        if limit is not None and len(nouns) < len(rows) == limit:
            more = limit + len(rows) - len(nouns)
            return self.changed_since(cls, since, project=project, dead=dead, after=after, limit=more)[:limit]
        return nouns

    def _listed(
        self, cls: type[N], project: str | None, name: str | None, *, dead: bool, after: int, limit: int | None
    ) -> _List[N]:
        parameters = {"project": project, "name": name, "after": after or None, "limit": limit}
        parameters = {key: value for key, value in parameters.items() if value is not None}
        statement = _list(cls, tuple(parameters), dead)
        rows = self.sql.execute(statement, parameters).all()
        nouns = self._decoded(cls, rows)
        if limit is not None and len(nouns) < len(rows) == limit:
            # A page is as long as was asked: a shorter one would be taken for the last.
            more = limit + len(rows) - len(nouns)
            return self._listed(cls, project, name, dead=dead, after=after, limit=more)[:limit]
        return nouns

    def referring(self, cls: type[N], targets: Iterable[str], *, dead: bool = False) -> _List[N]:
        """The nouns of `cls` that refer to any of the uuids `targets`, in the order of their making."""
        targets = list(dict.fromkeys(targets))
        preloaded = None if dead else self._preloaded.referring(cls.KIND, targets)
        if preloaded is not None:
            return preloaded
        # References of tombstones are removed with them, so that hardly any is among these rows. With a condition for
        # that, SQLite would read every living row by its index.
        statement = _referring(cls)
        by_uuid: dict[str, N] = {}
        for part in chunks(targets):
            nouns = self._decoded(cls, self.sql.execute(statement, {"targets": part}).all())
            by_uuid.update((noun.uuid, noun) for noun in nouns if dead or noun.gone is None)
        return list(by_uuid.values())

    def referrers(self, uuid: str) -> Sequence[tuple[str, str, str]]:
        """Every living (kind, uuid, use) that refers to `uuid`: references of tombstones are removed with them."""
        ref = tables.reference
        rows = self.sql.execute(select(ref.c.source_kind, ref.c.source, ref.c.use).where(ref.c.target == uuid))
        return [(kind, source, use) for kind, source, use in rows]

    def is_referred(self, targets: Iterable[str], kind: str) -> bool:
        """Whether a living noun of `kind` refers to any of the uuids `targets`."""
        return any(
            self.sql.execute(_IS_REFERRED, {"targets": part, "kind": kind}).first() is not None
            for part in chunks(targets)
        )

    def claimed(self, pool: str, value: str) -> tuple[str, str] | None:
        """Return the holder of `value` of `pool` as (kind, uuid), None where nobody holds it."""
        row = self.sql.execute(_CLAIMED, {"pool": pool, "value": value}).first()
        return (row.kind, row.uuid) if row else None

    def holders(self, pool: str, values: Iterable[str]) -> dict[str, str]:
        """Return the holder's uuid of each of these values of a pool, by value; values without a holder are absent."""
        return {value: uuid for (_, value), uuid in self.claimants((pool, value) for value in values).items()}

    def claimants(self, claims: Iterable[Claim]) -> dict[Claim, str]:
        """Return the holder's uuid of each of these claims, by claim; claims without a holder are absent."""
        holder_uuids, claims = dict[Claim, str](), set(claims)
        for part in chunks(claims):
            pools, values = ([*dict.fromkeys(column)] for column in zip(*part, strict=True))
            rows = self.sql.execute(_HOLDERS, {"pools": pools, "values": values})
            # Of pools and values that were asked for in other pairs there may be claims too.
            holder_uuids.update(((row.pool, row.value), row.uuid) for row in rows)
        return {claim: uuid for claim, uuid in holder_uuids.items() if claim in claims}

    def named(self, cls: type[N], name: str, project: str = "") -> N | None:
        """The noun that holds this name; None where none does. Raises Unavailable if its row is unreadable."""
        holder = self.claimed(cls.names(project), name)
        return self.get(cls, holder[1]) if holder else None

    def claims(self, uuid: str | None = None) -> _List[tuple[str, str, str]]:
        """Claims as (pool, value, uuid), of one holder or all."""
        statement, parameters = (_CLAIMS, {}) if uuid is None else (_CLAIMS_OF, {"uuid": uuid})
        return [(row.pool, row.value, row.uuid) for row in self.sql.execute(statement, parameters).all()]

    def taken(self, pool: str) -> set[str]:
        """Every value of a pool that somebody holds."""
        return set(self.sql.execute(_TAKEN, {"pool": pool}).scalars())

    def values_of(self, pools: Iterable[str]) -> _List[tuple[str, str]]:
        """Every value of these pools that somebody holds, as (pool, value)."""
        parts = (self.sql.execute(_VALUES_OF, {"pools": part}).all() for part in chunks(pools))
        return [(row.pool, row.value) for part in parts for row in part]

    def claim_counts(self, pools: Iterable[str]) -> dict[str, int]:
        """How many values of each of these pools are taken."""
        counts: dict[str, int] = {}
        for part in chunks(pools):
            counts.update((row.pool, row.taken) for row in self.sql.execute(_CLAIM_COUNTS, {"pools": part}))
        return counts

    def usage(self, scope: str | None = None) -> dict[tuple[str, str], int]:
        """Return the usage by (scope, resource), of one scope or of all; zeros are left out."""
        statement, parameters = (_USAGE, {}) if scope is None else (_USAGE_OF, {"scope": scope})
        rows = self.sql.execute(statement, parameters).all()
        return {(row.scope, row.resource): row.used for row in rows if row.used}

    def usage_of(self, scopes: Iterable[str]) -> dict[tuple[str, str], int]:
        """Return the usage of these scopes by (scope, resource); what was never used is absent."""
        amounts: dict[tuple[str, str], int] = {}
        for part in chunks(scopes):
            rows = self.sql.execute(_USAGE_IN, {"scopes": part})
            amounts.update(((row.scope, row.resource), row.used) for row in rows)
        return amounts

    def unsettled(self, uuids: Iterable[str]) -> _List[JournalEntry]:
        """The lines of these nouns that are open still, oldest first."""
        entries: list[JournalEntry] = []
        for part in chunks(uuids):
            entries += self._entries(self.sql.execute(UNSETTLED, {"uuids": part}).all())
        return entries

    def last_line(self) -> int:
        """The id of the newest line that the journal ever had; 0 before the first. It never becomes less."""
        return max(self.meta(LAST_LINE), self.sql.execute(NEWEST_LINE).scalar() or 0)

    def surplus_tombstones(self, cls: type[Noun]) -> _List[str]:
        """The uuids of the tombstones that are beyond `bounds.TOMBSTONES` of their project, oldest first."""
        crowded, oldest = _tombstones(cls)
        uuids: list[str] = []
        rows = self.sql.execute(crowded, {"most": bounds.TOMBSTONES.most}).all()
        owners = self.many(Project, [row.project for row in rows])
        for row in rows:
            if row.project in self.unreadable:
                continue  # nobody knows its quota
            owner = owners.get(row.project)
            limit = quota.limit(owner, f"{cls.KIND}s") if owner is not None else 0
            most = bounds.UNLIMITED_TOMBSTONES.most if limit is None else max(limit, bounds.TOMBSTONES.most)
            if row.ended > most:
                parameters = {"project": row.project, "most": row.ended - most}
                uuids += self.sql.execute(oldest, parameters).scalars()
        return uuids

    def meta_names(self, prefix: str) -> set[str]:
        """The names with this beginning of numbers above 0 that the store keeps about itself."""
        return set(self.sql.execute(_META_NAMES, {"prefix": f"{prefix}%"}).scalars())

    def meta(self, name: str) -> int:
        """A number that the store keeps about itself: `incarnation`, `counter`."""
        row = self.sql.execute(_META, {"name": name}).first()
        return int(row.value) if row else 0

    def texts(self, cls: type[Noun]) -> _List[Any]:
        """Every living row of a kind as (uuid, name, wanted, seen), parts as JSON: for callers that read many often."""
        return [*self.sql.execute(_texts(cls)).all()]

    def usage_by_scope(self, prefix: str, resources: tuple[str, ...]) -> dict[str, _List[int]]:
        """Return the usage of these resources, in this order, by each scope whose name begins with `prefix`."""
        rows = self.sql.execute(_usage_by_scope(resources), {"prefix": f"{prefix}%"}).all()
        return {row[0]: [*row[1:]] for row in rows}

    def references(self) -> _List[tuple[str, str, str]]:
        """Every reference that is kept, as (source, kind of the target, target)."""
        ref = tables.reference
        rows = self.sql.execute(select(ref.c.source, ref.c.target_kind, ref.c.target))
        return [(row.source, row.target_kind, row.target) for row in rows]

    def wakes(self) -> _List[tuple[str, str, float | None]]:
        """Every wake that is kept, as (kind, uuid, due)."""
        table = tables.wake
        rows = self.sql.execute(select(table.c.kind, table.c.uuid, table.c.due))
        return [(row.kind, row.uuid, row.due) for row in rows]

    def due(self, kind: str, uuid: str) -> float | None:
        """When a loop looks at this noun next, without being woken; None: at the next resync."""
        table = tables.wake
        row = self.sql.execute(select(table.c.due).where(table.c.kind == kind, table.c.uuid == uuid)).first()
        return row.due if row else None

    def next_due(self) -> float | None:
        """The earliest stored due time."""
        due: float | None = self.sql.execute(_NEXT_DUE).scalar()
        return due

    def backlog(self, now: float) -> tuple[int, float | None]:
        """How many wakes are due at `now` and nobody's, and since when the first of them is."""
        count, oldest = self.sql.execute(_BACKLOG, {"at": now}).one()
        return count, oldest

    def counts(self) -> dict[str, int]:
        """How many living nouns there are of each kind."""
        return {row.kind: row.living for row in self.sql.execute(unions.counts()).all()}


# Statements are made once: building one costs more than running it.


def read_numbers(session: StatementExecutor, name: str = "") -> dict[str, int]:
    """Read the numbers that nearly every transaction looks at, and the number `name`."""
    return {row.name: row.value for row in session.execute(_VERSIONS, {"also": name})}


@cache
def _is(cls: type[Noun], column: str) -> Select[Any]:
    table = tables.nouns[cls.KIND]
    return select(table).where(table.c[column] == bindparam("value")).order_by(table.c.id)


@cache
def _identities(cls: type[Noun]) -> Select[Any]:
    table = tables.nouns[cls.KIND]
    columns = select(table.c.ec2_id, table.c.uuid, table.c.project)
    return columns.where(table.c.ec2_id.in_(bindparam("values", expanding=True)))


@cache
def _in(cls: type[Noun], column: str) -> Select[Any]:
    table = tables.nouns[cls.KIND]
    return select(table).where(table.c[column].in_(bindparam("values", expanding=True))).order_by(table.c.id)


@cache
def _list(cls: type[Noun], names: tuple[str, ...], dead: bool) -> Select[Any]:  # noqa: FBT001  (a key of the cache)
    table = tables.nouns[cls.KIND]
    statement = select(table).order_by(table.c.id)
    for key in ("project", "name"):
        if key in names:
            statement = statement.where(table.c[key] == bindparam(key))
    if "after" in names:
        statement = statement.where(table.c.id > bindparam("after"))
    if "limit" in names:
        statement = statement.limit(bindparam("limit", type_=Integer))
    return statement if dead else statement.where(table.c.gone.is_(None))


@cache
def _changed(cls: type[Noun], names: tuple[str, ...], dead: bool) -> Select[Any]:  # noqa: FBT001  (a key of the cache)
    table = tables.nouns[cls.KIND]
    since = bindparam("since", type_=Double)
    behind = (table.c.changed > since) | (table.c.id > bindparam("after"))
    # The first condition is what the index is searched by.
    statement = select(table).where(table.c.changed >= since, behind).order_by(table.c.changed, table.c.id)
    if "project" in names:
        statement = statement.where(table.c.project == bindparam("project"))
    if "limit" in names:
        statement = statement.limit(bindparam("limit", type_=Integer))
    return statement if dead else statement.where(table.c.gone.is_(None))


@cache
def _referring(cls: type[Noun]) -> Select[Any]:
    table, ref = tables.nouns[cls.KIND], tables.reference
    targets = ref.c.target.in_(bindparam("targets", expanding=True))
    sources = select(ref.c.source).where(targets, ref.c.source_kind == cls.KIND)
    return select(table).where(table.c.uuid.in_(sources)).order_by(table.c.id)


@cache
def _tombstones(cls: type[Noun]) -> tuple[Select[Any], Select[Any]]:
    """The projects with more than `most` tombstones, and how many; the `most` of one `project` that ended first."""
    table = tables.nouns[cls.KIND]
    ended, count = table.c.gone.is_not(None), func.count()
    most = bindparam("most", type_=Integer)
    crowded = select(table.c.project, count.label("ended")).where(ended).group_by(table.c.project).having(count > most)
    here = select(table.c.uuid).where(table.c.project == bindparam("project"), ended)
    return crowded, here.order_by(table.c.gone, table.c.id).limit(most)


@cache
def _texts(cls: type[Noun]) -> Select[Any]:
    table = tables.nouns[cls.KIND]
    return select(table.c.uuid, table.c.name, table.c.wanted, table.c.seen).where(table.c.gone.is_(None))


@cache
def _usage_by_scope(resources: tuple[str, ...]) -> Select[Any]:
    table = tables.usage
    # There is one row of each; the sum of these would be of another type in some engines.
    used = [func.max(case((table.c.resource == name, table.c.used), else_=0)) for name in resources]
    return select(table.c.scope, *used).where(table.c.scope.like(bindparam("prefix"))).group_by(table.c.scope)


_USAGE = select(tables.usage)
_USAGE_OF = _USAGE.where(tables.usage.c.scope == bindparam("scope"))
_USAGE_IN = _USAGE.where(tables.usage.c.scope.in_(bindparam("scopes", expanding=True)))
_META = select(tables.meta.c.value).where(tables.meta.c.name == bindparam("name"))
_META_NAMES = select(tables.meta.c.name).where(tables.meta.c.name.like(bindparam("prefix")), tables.meta.c.value > 0)
_TAKEN = select(tables.claim.c.value).where(tables.claim.c.pool == bindparam("pool"))
_NUMBERS = [
    RECOVERING,
    OPENING,
    "incarnation",
    "counter",
    "loopback",
    *(version_name(kind) for kind in sorted(COUNTED)),
]
_VERSIONS = select(tables.meta).where(tables.meta.c.name.in_(_NUMBERS) | (tables.meta.c.name == bindparam("also")))
_VALUES_OF = select(tables.claim.c.pool, tables.claim.c.value).where(
    tables.claim.c.pool.in_(bindparam("pools", expanding=True))
)
_CLAIMS = select(tables.claim.c.pool, tables.claim.c.value, tables.claim.c.uuid)
_CLAIMS_OF = _CLAIMS.where(tables.claim.c.uuid == bindparam("uuid"))
_CLAIMED = select(tables.claim.c.kind, tables.claim.c.uuid).where(
    tables.claim.c.pool == bindparam("pool"), tables.claim.c.value == bindparam("value")
)
_CLAIM_COUNTS = (
    select(tables.claim.c.pool, func.count().label("taken"))
    .where(tables.claim.c.pool.in_(bindparam("pools", expanding=True)))
    .group_by(tables.claim.c.pool)
)
_HOLDERS = select(tables.claim.c.pool, tables.claim.c.value, tables.claim.c.uuid).where(
    tables.claim.c.pool.in_(bindparam("pools", expanding=True)),
    tables.claim.c.value.in_(bindparam("values", expanding=True)),
)
_IS_REFERRED = (
    select(tables.reference.c.source)
    .where(
        tables.reference.c.target.in_(bindparam("targets", expanding=True)),
        tables.reference.c.source_kind == bindparam("kind"),
    )
    .limit(1)
)
_NEXT_DUE = select(func.min(tables.wake.c.due))
_BACKLOG = select(func.count(), func.min(tables.wake.c.due)).where(
    tables.wake.c.due <= bindparam("at"), tables.wake.c.until <= bindparam("at")
)


def chunks(values: Iterable[V]) -> Iterable[Sequence[V]]:
    """The values, each once, in lists as long as one IN list may be."""
    unique = list(dict.fromkeys(values))
    return (unique[i : i + _CHUNK] for i in range(0, len(unique), _CHUNK))
