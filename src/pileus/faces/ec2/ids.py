"""Amazon's ids of requests to uuids, by which verbs know nouns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.rules import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.faces.ec2.call import Call
    from pileus.model.noun import Noun


def uuid_of(call: Call, cls: type[Noun], ident: str) -> str:
    """The uuid of the living noun with this id. Raises Malformed, NotFound."""
    return uuids_of(call, cls, [ident])[0]


def uuids_of(call: Call, cls: type[Noun], idents: Sequence[str]) -> list[str]:
    """The uuids of the living nouns with these ids, in order. Raises Malformed, NotFound."""
    with call.core.store.read() as tx:
        return [noun.uuid for noun in find.by_ec2(call.caller, tx, cls, idents)]
