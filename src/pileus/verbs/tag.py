"""Tags: on any noun that has an EC2 id; `Noun.check` bounds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Forbidden, NotFound
from pileus.model.image import Image, snapshot_id
from pileus.model.instance import Instance, login_user
from pileus.model.nouns import NOUNS
from pileus.model.securitygroup import SecurityGroup
from pileus.model.tag import check_key_prefix
from pileus.rules import find
from pileus.rules.tag import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


TAGGED: dict[str, type[Noun]] = {cls.PREFIX: cls for cls in NOUNS.values() if cls.TAGGED}
"""The nouns that users tag, by the prefix of their ids."""


Change = Callable[[dict[str, str]], dict[str, str]]


def put(caller: Caller, core: Core, ids: Sequence[str], tags: Mapping[str, str]) -> None:
    """Set these tags on every one of the nouns, or rules of groups, with these EC2 ids, or on none."""
    _change(caller, core, ids, lambda old: {**old, **tags}, "tag.put")


def remove(caller: Caller, core: Core, ids: Sequence[str], tags: Mapping[str, str | None] | None) -> None:
    """Take tags away: a key with a value goes only if the value is that; None as value: whatever it is; None: all.

    Raises InvalidValue for a system tag; those stay where all others are taken away.
    """
    for key in tags or ():
        check_key_prefix(key)

    def left(old: dict[str, str]) -> dict[str, str]:
        if tags is None:
            return {}
        return {k: v for k, v in old.items() if k not in tags or tags[k] not in (None, v)}

    _change(caller, core, ids, left, "tag.remove")


def _change(caller: Caller, core: Core, ids: Sequence[str], change: Change, verb: str) -> None:
    with core.store.write() as tx:
        rules = {ident for ident in ids if ident.startswith("sgr-")}
        nouns = [_one(caller, tx, ident) for ident in dict.fromkeys(ids) if ident not in rules]
        for noun in nouns:
            tags = change(dict(noun.tags))
            if tags == noun.tags:
                continue
            changed = tx.want(noun, tags=tags)
            tx.add_journal_line(caller, changed, verb, goal=changed.generation, outcome="done")
            for kind, uuid in changed.carriers():
                tx.wake_all(kind, [uuid])
        _change_rules(caller, tx, rules, change, verb)


def _change_rules(caller: Caller, tx: Writer, ids: set[str], change: Change, verb: str) -> None:
    """The same for rules of security groups, which live in their groups."""
    missing_ids = set(ids)
    for group in tx.list(SecurityGroup, project=caller.project) if ids else ():
        changed = [
            msgspec.structs.replace(rule, tags=change(rule.tags)) if rule.id in ids else rule
            for rule in group.wanted.rules
        ]
        missing_ids -= {rule.id for rule in group.wanted.rules}
        if tuple(changed) != group.wanted.rules:
            written = tx.want(group, msgspec.structs.replace(group.wanted, rules=tuple(changed)))
            tx.add_journal_line(caller, written, verb, goal=written.generation, outcome="done")
            tx.wake(written)
    if missing_ids:
        ident = min(missing_ids)
        message = f"The security group rule ID '{ident}' does not exist"
        raise NotFound(message, noun="securitygrouprule", ident=ident)


def _one(caller: Caller, tx: Reader, ident: str) -> Noun:
    prefix = ident.partition("-")[0]
    if prefix not in TAGGED:
        raise NotFound(f"The ID '{ident}' is not valid", noun="tagged", ident=ident)
    noun = find.by_ec2(caller, tx, TAGGED[prefix], [ident])[0]
    if noun.project != caller.project and not caller.admin:
        raise Forbidden(f"You may not tag '{ident}'.", noun=noun.KIND, ident=ident)
    return noun


def listing(caller: Caller, core: Core) -> list[tuple[str, str, str, str]]:
    """Every tag in the project, system tags too: (EC2 id, noun, key, value), by noun and key.

    A group's rule is a securitygrouprule, the snapshot behind an image a snapshot.
    """
    tag_rows: list[tuple[str, str, str, str]] = []

    def of(ident: str, kind: str, tags: Mapping[str, str]) -> None:
        tag_rows.extend((ident, kind, key, value) for key, value in sorted(tags.items()))

    with core.store.read() as tx:
        for cls in TAGGED.values():
            nouns = tx.list(cls, project=caller.project)
            instances = [noun for noun in nouns if isinstance(noun, Instance)]
            images = tx.many(Image, {row.wanted.image for row in instances if not row.wanted.login_user})
            for noun in nouns:
                if isinstance(noun, Instance):
                    of(noun.ec2_id, noun.KIND, shown(noun, login_user(noun, images.get(noun.wanted.image))))
                elif isinstance(noun, Image):
                    of(noun.ec2_id, noun.KIND, noun.tags)
                    of(snapshot_id(noun.ec2_id), "snapshot", noun.wanted.snapshot_tags)
                else:
                    of(noun.ec2_id, noun.KIND, noun.tags)
                if isinstance(noun, SecurityGroup):
                    for rule in noun.wanted.rules:
                        of(rule.id, "securitygrouprule", rule.tags)
    return tag_rows
