"""Writing: one transaction in which nouns, claims, usage, wakes and the journal change together."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import delete, insert, select, update

from pileus.model import bounds, quota
from pileus.model.errors import Duplicate, QuotaExceeded, TokenReused
from pileus.model.noun import Claim, Noun, Part, Revision, Usage, project_scope, referred
from pileus.model.project import Project
from pileus.store import statements, tables
from pileus.store.cache import COUNTED, LISTED, TOMBSTONES, project_version, version_name
from pileus.store.journalreader import LAST_LINE
from pileus.store.reader import RECOVERING, Reader, chunks
from pileus.store.rows import SHAPES, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Delete

    from pileus.model.caller import Caller
    from pileus.store.cache import Cache, CachedKind, ProjectLists
    from pileus.store.direct import StatementExecutor

N = TypeVar("N", bound=Noun)


class Writer(Reader):
    """A transaction. `woken` and `touched` are told to the process after the commit, never before."""

    def __init__(self, session: StatementExecutor, now: float, cache: Cache | None = None) -> None:
        super().__init__(session, cache)
        self.now = now
        self.limited = True
        """Whether nouns have to be within bounds and quotas, and to claim nothing that another noun holds.

        A recovery takes whatever hosts have, claims of it what is free, and counts anew at its end.
        """
        self.woken = False
        self._request: str | None = None
        self._reserved: list[Revision] = []
        self.touched: set[str] = set()
        self._projects: set[str] = set()

    def _cached(self, kind: str) -> CachedKind | None:
        """As for every reader, until this transaction itself has written nouns of the kind."""
        return None if kind in self.touched else super()._cached(kind)

    def lists(self, project: str) -> ProjectLists | None:
        """None: what this transaction has written is in no list yet."""
        return None

    def _touch(self, kind: str, projects: Iterable[str]) -> None:
        """Note that nouns of a kind have changed, in these projects."""
        self.touched.add(kind)
        self._preloaded.forget(kind)
        if kind in LISTED:
            self._projects.update(projects)

    # -- nouns ---------------------------------------------------------------------------------------------------

    def add(self, noun: N) -> N:
        """Insert a new noun, its references too; returned with its id and time."""
        return self.add_all([noun])[0]

    def insert(self, *kinds: list[Any], unclaimed: bool = False) -> None:
        """Insert new nouns, each list of one kind, with their references, claims and usage.

        With `unclaimed`, the caller has found in this transaction that nobody holds what they claim. Raises Duplicate,
        QuotaExceeded.
        """
        every: list[Noun] = []
        anew: set[str] = set()
        for nouns in filter(None, kinds):
            shape, kind = SHAPES[type(nouns[0])], nouns[0].KIND
            new_nouns = [self._dated(noun) for noun in nouns]
            if self.limited:
                for noun in new_nouns:
                    noun.check()
            self._touch(kind, [project for noun in new_nouns for project in (noun.project, *noun.parties())])
            for uuid in [noun.uuid for noun in new_nouns if noun.uuid in self.unreadable]:
                self._drop_row(uuid)
                anew.add(uuid)
            self.sql.defer(statements.add_noun(kind), [shape.row(noun) for noun in new_nouns])
            every += new_nouns
        self._claim([(None, noun) for noun in every], unclaimed=unclaimed)
        # What the unreadable row used that a noun takes the place of is counted already.
        self._use([(None, noun) for noun in every if noun.uuid not in anew])
        self._refer(every)

    def drop(self, uuid: str) -> None:
        """Delete a row that this transaction met unreadable, with its references, claims and wake.

        Its usage stays counted until usage is counted anew: nobody can read how much that was.
        """
        self.free(uuid)
        self.unwake(self.unreadable[uuid].kind, uuid)
        self._drop_row(uuid)

    def _drop_row(self, uuid: str) -> None:
        row = self.unreadable.pop(uuid)
        kind = row.kind
        self._touch(kind, [row.project])
        self.sql.defer(statements.DROP_REFERENCES, {"key": uuid})
        self.sql.defer(statements.drop_noun(kind), {"key": uuid})

    def add_all(self, nouns: list[N]) -> list[N]:
        """Insert new nouns of one kind, in order; returned with their ids and time."""
        if not nouns:
            return []
        cls = type(nouns[0])
        new_nouns = [self._dated(noun) for noun in nouns]
        self.insert(new_nouns)
        ids: dict[str, int] = {}
        for part in chunks(noun.uuid for noun in new_nouns):
            rows = self.sql.execute(statements.noun_ids(cls.KIND), {"uuids": part})
            ids.update((row.uuid, row.id) for row in rows.all())
        return [msgspec.structs.replace(noun, id=ids[noun.uuid]) for noun in new_nouns]

    def _dated(self, noun: N) -> N:
        """A new noun, with the name and the times that its row has."""
        return msgspec.structs.replace(noun.with_one_name(), created=noun.created or self.now, changed=self.now)

    def _refer(self, nouns: Iterable[Noun]) -> None:
        rows = {
            (noun.uuid, target, use): {
                "source": noun.uuid,
                "source_kind": noun.KIND,
                "target": target,
                "target_kind": kind,
                "use": use,
            }
            for noun in nouns
            for kind, target, use in referred(noun, SHAPES[type(noun)].references)
        }
        if rows:
            self.sql.defer(statements.ADD_REFERENCE, list(rows.values()))

    def want(self, noun: N, wanted: Part | None = None, **other: Any) -> N:
        """Write `wanted` (verbs alone do); `other` may hold name and tags, see `Noun.with_one_name`."""
        changed = msgspec.structs.replace(
            noun, wanted=noun.wanted if wanted is None else wanted, generation=noun.generation + 1, **other
        )
        if other:
            changed = changed.with_one_name(noun)
        if self.limited:
            changed.check(noun)
        values = {"wanted": encode(changed.wanted), "generation": changed.generation}
        if other:
            values |= {"name": changed.name, "tags": encode(changed.tags)}
        changed = self._change(noun, changed, values, counted=wanted is None)
        fields = SHAPES[type(noun)].references
        if fields and referred(noun, fields) != referred(changed, fields):
            self.sql.defer(statements.DROP_REFERENCES, {"key": noun.uuid})
            self._refer([changed])
        return changed

    def want_gone(self, noun: N) -> N:
        """Want a noun gone (verbs alone do); one that is to go already stays as it is."""
        return noun if noun.wanted.gone else self.want(noun, msgspec.structs.replace(noun.wanted, gone=True))

    def assign(self, noun: N, assigned: Part, *, counted: bool = False) -> N:
        """Write where it is (verbs and placement do). With `counted`, the usage of the new part is counted already.

        Raises Duplicate, QuotaExceeded.
        """
        changed = msgspec.structs.replace(noun, assigned=assigned)
        return self._change(noun, changed, {"assigned": encode(assigned)}, counted=counted)

    def see(self, noun: N, seen: Part) -> N:
        """Write what was observed."""
        return self._change(noun, msgspec.structs.replace(noun, seen=seen), {"seen": encode(seen)}, counted=True)

    def see_all(self, seen: Iterable[tuple[Noun, Part]]) -> None:
        """Write what was observed of many nouns of one kind."""
        changes = [(noun, msgspec.structs.replace(noun, seen=part)) for noun, part in seen]
        if changes:
            kind = changes[0][0].KIND
            self._touch(kind, [noun.project for noun, _ in changes])
            rows = [
                {"key": noun.uuid, "seen": encode(noun.seen), "changed": self._change_time(before, noun)}
                for before, noun in changes
            ]
            self.sql.defer(statements.change_noun(kind), rows)
            self._claim(changes)

    def revise(self, noun: N, assigned: Part | None = None) -> N:
        """Give the noun a new revision from the store-wide sequence; with `assigned`, write that as well."""
        revision = self.bump()
        changed = msgspec.structs.replace(
            noun, revision=revision, assigned=noun.assigned if assigned is None else assigned
        )
        values: dict[str, Any] = {"incarnation": revision[0], "counter": revision[1]}
        if assigned is not None:
            values["assigned"] = encode(assigned)
        return self._change(noun, changed, values, counted=assigned is None)

    def _change_time(self, before: Noun, noun: Noun) -> float:
        """The time of the last change that users see, where the row was `before` and is written as `noun`."""
        return before.changed if noun.UNSHOWN and noun.is_shown_as(before) else self.now

    def _change(self, noun: Noun, changed: N, values: dict[str, Any], *, counted: bool) -> N:
        """Write `values`, and the difference of claims; that of usage too, unless that is `counted` already."""
        seen_alone = values.keys() == {"seen"}
        changed = msgspec.structs.replace(changed, changed=self._change_time(noun, changed) if seen_alone else self.now)
        self._update(noun, {**values, "changed": changed.changed})
        self._claim([(noun, changed)])
        if not counted:
            self._use([(noun, changed)])
        return changed

    def make_tombstone(self, *nouns: Noun) -> None:
        """Make these rows tombstones: free their claims, drop their references, and give back their usage.

        Values that no one needs any more are dropped, so that a tombstone is a small row.
        """
        for noun in nouns:
            small = noun.as_tombstone()
            values = {"gone": self.now, "changed": self.now, "tags": encode(small.tags)}
            if small.wanted != noun.wanted:
                values["wanted"] = encode(small.wanted)
            self._update(noun, values)
            self.free(noun.uuid)
            self.sql.defer(statements.DROP_REFERENCES, {"key": noun.uuid})
        self._use([(noun, None) for noun in nouns])

    def erase(self, cls: type[Noun], before: float) -> int:
        """Forget tombstones older than `before`, and how they came about."""
        first, *others, rows = statements.old(cls.KIND)
        when = {"before": before}
        if self.sql.execute(first, when).first() is None:
            return 0
        return self._erase(cls, others, rows, when)

    def erase_these(self, cls: type[Noun], uuids: Sequence[str]) -> int:
        """Forget these tombstones, and how they came about; how many. Rows that live stay."""
        *others, rows = statements.ended(cls.KIND)
        return self._erase(cls, others, rows, {"uuids": uuids})

    def _erase(self, cls: type[Noun], others: Iterable[Delete], rows: Delete, which: dict[str, Any]) -> int:
        self.touched |= {cls.KIND, TOMBSTONES} if cls.KIND in LISTED else {cls.KIND}
        self.keep_meta(LAST_LINE, self.last_line())
        for statement in others:
            self.sql.execute(statement, which)
        return int(self.sql.execute(rows, which).rowcount)

    def _update(self, noun: Noun, values: dict[str, Any]) -> None:
        self._touch(noun.KIND, [noun.project, *noun.parties()])
        self.sql.defer(statements.change_noun(noun.KIND), {"key": noun.uuid, **values})

    def count_versions(self) -> None:
        """Tell later snapshots, of every process, which of the cached kinds and of the projects' lists have changed."""
        for kind in sorted(self.touched & COUNTED):
            self._step(version_name(kind))
        for project in sorted(self._projects):
            self._step(project_version(project), unread=True)

    def lock(self, noun: Noun) -> None:
        """Have every other transaction that locks this row wait for the end of this one."""
        self.sql.defer(statements.change_noun(noun.KIND), {"key": noun.uuid, "name": noun.name})

    # -- claims and usage ----------------------------------------------------------------------------------------

    def _use(self, changes: Iterable[tuple[Noun | None, Noun | None]]) -> None:
        """Take what rows use now and did not before, give back what they use no more. Raises QuotaExceeded.

        None: there was no row, or it has ended.
        """
        amounts: Counter[tuple[str, str]] = Counter()
        for before, noun in changes:
            amounts.update(noun.uses() if noun else {})
            amounts.subtract(before.uses() if before else {})
        if self.limited:
            self._check_quotas(amounts)
        self.count(amounts)

    def _check_quotas(self, amounts: Mapping[tuple[str, str], int]) -> None:
        owners: dict[str, tuple[Project | None, Usage]] = {}
        for (scope, resource), amount in sorted(amounts.items()):
            uuid = scope.removeprefix(project_scope(""))
            if amount <= 0 or uuid == scope:
                continue
            if scope not in owners:
                project = self.get(Project, uuid)
                owners[scope] = project, self.usage(scope) if project and project.wanted.quota else {}
            owner, used = owners[scope]
            limit = quota.limit(owner, resource) if owner else None
            in_use = used.get((scope, resource), 0)
            if limit is not None and in_use + amount > limit:
                text = f"{resource}: {in_use} in use and {amount} more asked for, of at most {limit}."
                raise QuotaExceeded(text, ident=scope, reason=resource)

    def count(self, amounts: Mapping[tuple[str, str], int]) -> None:
        """Add to what is used, by (scope, resource), whatever the limits; negative amounts are given back."""
        rows = [
            {"scope": scope, "resource": resource, "used": amount}
            for (scope, resource), amount in sorted(amounts.items())
            if amount
        ]
        if rows:
            self.sql.defer(statements.ADD_USAGE, rows)

    def close_usage(self, scope: str) -> None:
        """Forget the usage of a scope that has ended."""
        self.sql.execute(delete(tables.usage).where(tables.usage.c.scope == scope))

    def _claim(self, changes: Iterable[tuple[Noun | None, Noun]], *, unclaimed: bool = False) -> None:
        """Take what rows claim now and did not before (None: there was no row), give back what they claim no more."""
        new_claims: list[tuple[Claim, Noun]] = []
        for before, noun in changes:
            old, new = before.claims() if before else (), noun.claims() if noun.gone is None else ()
            if old == new:
                continue
            for pool, value in set(old).difference(new):
                self.unclaim(pool, value, noun.uuid)
            new_claims += [(claim, noun) for claim in new if claim not in old]
        if new_claims:
            self.claim_all(new_claims if unclaimed else self._unclaimed(new_claims))

    def _unclaimed(self, new_claims: Iterable[tuple[Claim, Noun]]) -> list[tuple[Claim, Noun]]:
        """Return the claims that nobody holds. Raises Duplicate for one that another noun holds, if `limited`."""
        new_claims = list(new_claims)
        holders, free = self.claimants(claim for claim, _ in new_claims), list[tuple[Claim, Noun]]()
        for claim, noun in new_claims:
            holder = holders.setdefault(claim, "")
            if not holder:
                holders[claim] = noun.uuid
                free.append((claim, noun))
            elif holder != noun.uuid and self.limited:
                raise _duplicate(claim, noun)
        return free

    def claim(self, pool: str, value: str, noun: Noun) -> None:
        """Take `value` of `pool` for a noun that does not claim it by itself; Duplicate when another holds it."""
        self.claim_all(self._unclaimed([((pool, value), noun)]))

    def claim_all(self, new_claims: Sequence[tuple[Claim, Noun]]) -> None:
        """Take many claims at once that were found free in this transaction. Raises Duplicate."""
        rows = [{"pool": p, "value": v, "kind": noun.KIND, "uuid": noun.uuid} for (p, v), noun in new_claims]
        if rows:
            self.sql.defer(statements.ADD_CLAIM, rows, refusal=_duplicate(*new_claims[0]))

    def free(self, uuid: str) -> None:
        """Give back every claim of a noun."""
        self.sql.defer(statements.DROP_CLAIMS, {"key": uuid})

    def unclaim(self, pool: str, value: str, uuid: str) -> None:
        """Give back one claim of a noun, if it holds it."""
        self.sql.defer(statements.DROP_CLAIM, {"of_pool": pool, "of_value": value, "key": uuid})

    # -- wakes, journal, idempotency, numbers ---------------------------------------------------------------------

    def wake(self, noun: Noun, due: float | None = None) -> None:
        """Have a loop look at `noun`, now or at `due`."""
        self.wake_all(noun.KIND, [noun.uuid], due)

    def wake_all(self, kind: str, uuids: Iterable[str], due: float | None = None) -> None:
        """Have a loop look at each of these; an earlier due time stays."""
        when = self.now if due is None else due
        for part in chunks(uuids):
            self.sql.defer(statements.WAKE, [_wake(kind, uuid, when, self._request) for uuid in part])
        self.woken = True

    def cancel_later_wakes(self, kind: str, uuids: Iterable[str]) -> None:
        """Cancel the later wakes of these nouns, which have converged; a wake that is due, or under way, stays."""
        for part in chunks(uuids):
            self.sql.defer(statements.CANCEL_LATER_WAKES, {"of_kind": kind, "uuids": part, "at": self.now})

    def unwake(self, kind: str, uuid: str) -> None:
        """Forget the wake of a noun that does not exist."""
        table = tables.wake
        self.sql.execute(delete(table).where(table.c.kind == kind, table.c.uuid == uuid))

    def wake_new(self, nouns: Iterable[Noun]) -> None:
        """Have loops look at nouns that this transaction has added, and that nobody can have woken before."""
        rows = [_wake(noun.KIND, noun.uuid, self.now, self._request) for noun in nouns]
        if rows:
            self.sql.defer(statements.ADD_WAKE, rows)
        self.woken = True

    def add_journal_line(
        self, caller: Caller, noun: Noun, verb: str, *, goal: int = 0, outcome: str = "open", detail: str = ""
    ) -> None:
        """Write into the journal that `caller` asked for `verb`; `goal` is the counter that it waits for."""
        self.add_journal_lines(caller, [noun], verb, goal=goal, outcome=outcome, detail=detail)

    def add_journal_lines(
        self,
        caller: Caller,
        nouns: Iterable[Noun],
        verb: str,
        *,
        goal: int = 0,
        outcome: str = "open",
        detail: str = "",
    ) -> None:
        """Write a line of the journal for each of `nouns`. Later wakes of this transaction are for its request."""
        self._request = caller.request
        rows = [
            {
                "at": self.now,
                "project": noun.project,
                "kind": noun.KIND,
                "uuid": noun.uuid,
                "verb": verb,
                "goal": goal,
                "user": caller.user_name,
                "face": caller.face,
                "request": caller.request,
                "outcome": outcome,
                "detail": detail,
                "ended": self.now if outcome != "open" else None,
            }
            for noun in nouns
        ]
        if rows:
            self.sql.defer(statements.ADD_JOURNAL, rows)

    def settle(self, entry_ids: Iterable[int], outcome: str, detail: str = "") -> None:
        """Say how journal lines ended; without a `detail` they keep their own."""
        ids = list(entry_ids)
        if ids:
            values = {"outcome": outcome, "ended": self.now, **({"detail": detail} if detail else {})}
            self.sql.defer(statements.SETTLE, {"ids": ids, **values})

    def repeated(self, project: str, verb: str, token: str, parameters: object) -> Any:
        """The result stored for this token, or None when it is new; TokenReused when the parameters differ."""
        table = tables.idempotency
        where = (table.c.project == project) & (table.c.verb == verb) & (table.c.token == token)
        row = self.sql.execute(select(table.c.digest, table.c.result).where(where)).first()
        if row is None:
            return None
        if row.digest not in ("", digest(parameters)):
            raise TokenReused(f"The token '{token}' was used before with other parameters.", ident=token)
        return msgspec.json.decode(row.result)

    def remember(self, project: str, verb: str, token: str, parameters: object, result: object) -> None:
        """Store what this token led to, in the transaction that does it. Raises QuotaExceeded."""
        if self.sql.execute(statements.LAST_TOKEN, {"of_project": project, "of_verb": verb}).first() is not None:
            text = f"This project used {bounds.TOKENS.most} client tokens within a day; later there is room for more."
            raise QuotaExceeded(text, ident=project, reason="tokens")
        self.sql.execute(
            insert(tables.idempotency).values(
                project=project,
                verb=verb,
                token=token,
                digest=digest(parameters),
                result=encode(result),
                at=self.now,
            )
        )

    def restore_token(self, project: str, verb: str, token: str, digest: str, uuids: Sequence[str], at: float) -> None:
        """Store that this token led to `uuids` too, at the time `at`, as orders' records tell.

        `digest` is the digest of its parameters; empty where the record does not tell, then any parameters will do.
        """
        table = tables.idempotency
        where = (table.c.project == project) & (table.c.verb == verb) & (table.c.token == token)
        row = self.sql.execute(select(table.c.result).where(where)).first()
        if row is None:
            values = {"project": project, "verb": verb, "token": token, "digest": digest, "at": at}
            self.sql.execute(insert(table).values(result=encode(list(uuids)), **values))
            return
        stored_uuids = msgspec.json.decode(row.result, type=list[str])
        more = [uuid for uuid in uuids if uuid not in stored_uuids]
        if more:
            self.sql.execute(table.update().where(where).values(result=encode([*stored_uuids, *more])))

    def bump(self) -> Revision:
        """The next revision: (incarnation, counter)."""
        if not self._reserved:
            self.reserve(1)
        return self._reserved.pop()

    def reserve(self, count: int) -> None:
        """Have the next `count` revisions ready; those that are not used are nobody's."""
        last = self._step("counter", count)
        incarnation = self._numbers().get("incarnation", 0)
        self._reserved = [(incarnation, last - behind) for behind in range(count)]

    def keep_meta(self, name: str, value: int) -> None:
        """Set a number that the store keeps about itself."""
        table = tables.meta
        if not self.sql.execute(update(table).where(table.c.name == name).values(value=value)).rowcount:
            self.sql.execute(statements.ADD_META, {"name": name, "value": value})
        if self._versions is not None:
            self._versions[name] = value

    def begin_recovery(self, incarnation: int) -> None:
        """Have the store in a higher incarnation, without wakes; it takes no changes until a recovery has ended."""
        self.keep_meta("incarnation", incarnation)
        self.keep_meta(RECOVERING, 1)
        self.sql.execute(delete(tables.wake))

    def sequence(self, name: str) -> int:
        """The next number of a store-wide sequence, from 1."""
        return self._step(name)

    def _step(self, name: str, by: int = 1, *, unread: bool = False) -> int:
        """Add to a number; what it is then, or 0 if that is to stay `unread`.

        Nobody else can change one before this transaction ends.
        """
        numbers = self._numbers()
        value = numbers.get(name)
        if value is None and not unread:
            value = self.meta(name)
        self.sql.defer(statements.STEP, {"name": name, "value": by})
        if value is None:
            return 0
        numbers[name] = value + by
        return value + by


def _duplicate(claim: Claim, noun: Noun) -> Duplicate:
    pool, value = claim
    reason = pool.split(":", maxsplit=1)[0]
    return Duplicate(f"'{value}' is taken already.", noun=noun.KIND, ident=value, reason=reason)


def _wake(kind: str, uuid: str, due: float, request: str | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "uuid": uuid,
        "due": due,
        "until": 0.0,
        "wakes": 1,
        "tries": 0,
        "request": request or "",
    }


def digest(parameters: object) -> str:
    """The digest by which an idempotency token knows its parameters."""
    return hashlib.sha256(msgspec.json.encode(parameters, order="deterministic")).hexdigest()
