"""Amazon's ids of requests to uuids, by which verbs know nouns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.ec2.names import check_id
from pileus.rules import find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.faces.ec2.call import Call
    from pileus.model.noun import Noun


def uuid_of(call: Call, cls: type[Noun], ident: str) -> str:
    """The uuid of the noun with this id, as `uuids_of` has it. Raises Malformed, NotFound."""
    return uuids_of(call, cls, [ident])[0]


def uuids_of(call: Call, cls: type[Noun], idents: Iterable[str]) -> list[str]:
    """The uuids of the nouns with these ids, in order, each once. Raises Malformed, NotFound.

    A noun may have ended, or may end before the verb looks at it: the verb says so, in its own transaction. Ids of the
    caller's nouns cost no look into the database but the first time, and those of others but the first time that the
    caller's project sees them. Ids that it has not seen may have to be told from ids of nothing, and are looked up.
    """
    wanted = list(dict.fromkeys(idents))
    for ident in wanted:
        check_id(cls.PREFIX, cls.KIND, ident)
    store, project = call.core.store, call.caller.project
    identities = store.identities(cls, wanted)
    uuids = {
        ident: identity.uuid
        for ident, identity in identities.items()
        if call.caller.admin or identity.project in ("", project) or store.has_shown(project, ident)
    }
    others = [ident for ident in wanted if ident not in uuids]
    if others:
        with store.read() as tx:
            nouns = find.by_ec2(call.caller, tx, cls, others, dead=True)
        store.note_shown(project, others)
        uuids.update((noun.ec2_id, noun.uuid) for noun in nouns)
    return [uuids[ident] for ident in wanted]
