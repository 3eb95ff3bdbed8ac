"""Finding what a caller names: not visible is the same as not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from pileus.model.errors import Malformed, NotFound, PileusError
from pileus.model.ids import is_ec2
from pileus.model.noun import Noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader

N = TypeVar("N", bound=Noun)
T = TypeVar("T")


def visible(caller: Caller, noun: Noun) -> bool:
    """Whether the caller may know of it: its own, what it has a part in, public or shared; an admin everything."""
    if caller.admin or noun.project in ("", caller.project) or caller.project in noun.parties():
        return True
    if getattr(noun.wanted, "public", False):
        return True
    return bool(caller.account_id) and caller.account_id in getattr(noun.wanted, "accounts", ())


def by_ec2(caller: Caller, tx: Reader, cls: type[N], ids: Iterable[str], *, dead: bool = False) -> list[N]:
    """The nouns with these EC2 ids, in that order; Malformed or NotFound naming those that are wrong."""
    wanted = list(dict.fromkeys(ids))
    for ident in wanted:
        if not is_ec2(cls.PREFIX, ident):
            raise Malformed(f'Invalid id: "{ident}" (expecting "{cls.PREFIX}-...")', noun=cls.KIND, ident=ident)
    nouns = tx.by_ec2(cls, wanted)
    visible_nouns = {
        ident: noun for ident, noun in nouns.items() if visible(caller, noun) and (dead or noun.gone is None)
    }
    missing = [ident for ident in wanted if ident not in visible_nouns]
    if missing:
        for row in tx.unreadable.values():
            if row.ec2_id in missing and (caller.admin or row.project == caller.project):
                raise tx.refusal(row)
        raise not_found(cls, missing)
    return [visible_nouns[ident] for ident in wanted]


def known(caller: Caller, tx: Reader, cls: type[N], uuids: Iterable[str], *, dead: bool = False) -> list[N]:
    """The nouns with these uuids, in that order, each once; with `dead` those too that are gone or to go.

    Raises NotFound naming all that are none, DamagedRow.
    """
    wanted = list(dict.fromkeys(uuids))
    nouns = tx.many(cls, wanted)
    missing = [
        uuid
        for uuid in wanted
        if uuid not in nouns
        or not visible(caller, nouns[uuid])
        or not (dead or (nouns[uuid].gone is None and not nouns[uuid].wanted.gone))
    ]
    if missing:
        raise _absent(caller, tx, cls, missing)
    return [nouns[uuid] for uuid in wanted]


def present(caller: Caller, tx: Reader, cls: type[N], uuid: str) -> N:
    """The noun with this uuid that is not gone, though it may be to go. Raises NotFound, DamagedRow."""
    noun = known(caller, tx, cls, [uuid], dead=True)[0]
    if noun.gone is not None:
        raise absent(cls, [uuid])
    return noun


def living(caller: Caller, tx: Reader, cls: type[N], uuid: str) -> N:
    """The noun with this uuid that is not gone and not to go. Raises NotFound, DamagedRow."""
    return known(caller, tx, cls, [uuid])[0]


def _absent(caller: Caller, tx: Reader, cls: type[Noun], uuids: Sequence[str]) -> PileusError:
    """The error for uuids that name nothing the caller may see; for one whose row is damaged, that."""
    for uuid in uuids:
        row = tx.unreadable.get(uuid)
        if row is not None and (caller.admin or row.project == caller.project):
            return tx.refusal(row)
    return absent(cls, uuids)


def absent(cls: type[Noun], uuids: Sequence[str]) -> NotFound:
    """The error for uuids that name nothing the caller may see; its `ident` has them all, with commas between."""
    text = f"The {cls.KIND} {uuids[0]} does not exist."
    if len(uuids) > 1:
        text = f"There is no {', no '.join(f'{cls.KIND} {uuid}' for uuid in uuids)}."
    return NotFound(text, noun=cls.KIND, ident=", ".join(uuids))


def by_any(caller: Caller, tx: Reader, cls: type[N], ident: str) -> N:
    """The living noun that a person means: by EC2 id, uuid, or name; NotFound otherwise, or when two have the name.

    A name is one of the caller's own project, or of something that belongs to everybody. An administrator names
    another project's noun as PROJECT/NAME: a tenant's choice of a name never makes a command land there.
    """
    for look in (tx.by_ec2, tx.many):
        for noun in look(cls, [ident]).values():
            if visible(caller, noun) and noun.gone is None:
                return noun
    named = _named(caller, tx, cls, ident)
    own = [noun for noun in named if noun.project == caller.project] or named
    # An instance that is being terminated gives its name to the next one.
    own = [noun for noun in own if not getattr(noun.wanted, "gone", False)] or own
    if len(own) == 1:
        return own[0]
    if own:
        raise _ambiguous(cls, ident, own)
    raise not_found(cls, [ident])


_MOST_NAMED = 5
"""How many ids the error for an ambiguous name lists."""


def _ambiguous(cls: type[Noun], name: str, nouns: Sequence[Noun]) -> NotFound:
    """The error for a name that several nouns have, with their ids."""
    ids = [noun.ec2_id for noun in nouns]
    listed = ", ".join(ids[:_MOST_NAMED]) + (", …" if len(ids) > _MOST_NAMED else "")
    text = f"{len(ids)} {cls.KIND}s are named '{name}': {listed}. Name one by its id."
    return NotFound(text, noun=cls.KIND, ident=name, reason="ambiguous")


def _named(caller: Caller, tx: Reader, cls: type[N], name: str) -> list[N]:
    """The living nouns that a caller means by a name."""
    # What another project shares is found by id alone: its owner chose the name.
    everybodys = msgspec.structs.replace(caller, admin=caller.admin and not cls.QUOTA, account_id="")
    named = [noun for noun in tx.list(cls, name=name) if visible(everybodys, noun)]
    project, slash, rest = name.partition("/")
    holder = tx.claimed("project", project) if caller.admin and slash and not named else None
    return tx.list(cls, project=holder[1], name=rest) if holder else named


def chosen(
    caller: Caller,
    tx: Reader,
    cls: type[N],
    names: Sequence[str],
    uuids: Sequence[str],
    absent_name: Callable[[str], NotFound],
) -> list[N]:
    """The living nouns of the caller's project with these names or uuids, all if neither is given.

    Raises NotFound for a uuid that is wrong, and what `absent_name` makes of a name that is.
    """
    nouns = tx.list(cls, project=caller.project)
    known(caller, tx, cls, uuids)
    missing = set(names) - {noun.name for noun in nouns}
    if missing:
        raise absent_name(min(missing))
    return [noun for noun in nouns if not (names or uuids) or noun.name in names or noun.uuid in uuids]


def named_items(cls: type[Noun], items: Mapping[str, T], ids: Sequence[str]) -> list[T]:
    """The items, by public id, that `ids` name; all of them for no ids. Raises Malformed, NotFound."""
    for ident in ids:
        if not is_ec2(cls.PREFIX, ident):
            raise Malformed(f'Invalid id: "{ident}" (expecting "{cls.PREFIX}-...")', noun=cls.KIND, ident=ident)
    missing = [ident for ident in ids if ident not in items]
    if missing:
        raise not_found(cls, missing)
    return [items[ident] for ident in dict.fromkeys(ids)] if ids else list(items.values())


def not_found(cls: type[Noun], idents: Sequence[str], more: str = "") -> NotFound:
    """The error for ids that name nothing the caller may see."""
    listed = ", ".join(idents)
    text = f"The {cls.KIND} ID '{listed}' does not exist{more}"
    if len(idents) > 1:
        text = f"The {cls.KIND} IDs '{listed}' do not exist{more}"
    return NotFound(text, noun=cls.KIND, ident=listed)
