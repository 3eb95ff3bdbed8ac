"""Tags: on any noun that users tag; `Noun.check` bounds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Forbidden, NotFound
from pileus.model.image import Image
from pileus.model.instance import Instance, login_user
from pileus.model.nouns import NOUNS
from pileus.model.securitygroup import SecurityGroup
from pileus.model.tag import check_key_prefix
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.tag import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


RULE = "securitygrouprule"
"""The kind of a rule of a group, which has tags of its own."""

SNAPSHOT = "snapshot"
"""The kind of what is behind an image, with tags of its own."""

Target = tuple[str, str]
"""The bearer of tags: the kind and the uuid of a noun, or RULE and the rule's id."""


Change = Callable[[dict[str, str]], dict[str, str]]


@requires("member")
def put(caller: Caller, core: Core, targets: Sequence[Target], tags: Mapping[str, str]) -> None:
    """Set these tags on every one of the nouns and rules of groups, or on none."""
    _change(caller, core, targets, lambda old: {**old, **tags}, "tag.put")


@requires("member")
def remove(caller: Caller, core: Core, targets: Sequence[Target], tags: Mapping[str, str | None] | None) -> None:
    """Take tags away: a key with a value goes only if the value is that; None as value: whatever it is; None: all.

    Raises InvalidValue for a system tag; those stay where all others are taken away.
    """
    for key in tags or ():
        check_key_prefix(key)

    def left(old: dict[str, str]) -> dict[str, str]:
        if tags is None:
            return {}
        return {k: v for k, v in old.items() if k not in tags or tags[k] not in (None, v)}

    _change(caller, core, targets, left, "tag.remove")


def _change(caller: Caller, core: Core, targets: Sequence[Target], change: Change, verb: str) -> None:
    with core.store.write() as tx:
        rules = {ident for kind, ident in targets if kind == RULE}
        nouns = [_one(caller, tx, kind, uuid) for kind, uuid in dict.fromkeys(targets) if kind != RULE]
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
        raise NotFound(message, noun=RULE, ident=ident)


def _one(caller: Caller, tx: Reader, kind: str, uuid: str) -> Noun:
    cls = NOUNS.get(kind)
    if cls is None or not cls.TAGGED:
        raise NotFound(f"A {kind} has no tags.", noun="tagged", ident=uuid)
    noun = find.present(caller, tx, cls, uuid)
    if noun.project != caller.project and not caller.admin:
        raise Forbidden(f"You may not tag the {noun.label}.", noun=noun.KIND, ident=uuid)
    return noun


@requires("reader")
def listing(caller: Caller, core: Core) -> list[tuple[str, str, str, str]]:
    """Every tag in the project, system tags too: (kind, uuid, key, value), by kind, noun and key.

    A group's rule is a securitygrouprule with its own id, the snapshot behind an image a snapshot with that's uuid.
    """
    with core.store.read() as tx:
        bearers = tx.tags([kind for kind, cls in NOUNS.items() if cls.TAGGED and cls is not Instance], caller.project)
        instances = tx.list(Instance, project=caller.project)
        images = tx.many(Image, {row.wanted.image for row in instances if not row.wanted.login_user})
        bearers += [
            (Instance.KIND, row.uuid, shown(row, login_user(row, images.get(row.wanted.image)))) for row in instances
        ]
        for image in tx.list(Image, project=caller.project):
            bearers.append((SNAPSHOT, image.uuid, image.wanted.snapshot_tags))
        for group in tx.list(SecurityGroup, project=caller.project):
            bearers += [(RULE, rule.id, rule.tags) for rule in group.wanted.rules]
    return [(kind, ident, key, value) for kind, ident, tags in bearers for key, value in sorted(tags.items())]
