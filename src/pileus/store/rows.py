"""Nouns to rows and back: each part is one JSON column, decoded by a decoder made once per noun."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec

from pileus.model.noun import Noun, Ref, references
from pileus.model.nouns import NOUNS

_ENCODER = msgspec.json.Encoder()
UNDECODABLE = (msgspec.MsgspecError, TypeError, ValueError)
"""Raised by `NounSchema.noun` for a row that was damaged."""

_SOUND = frozenset((int, str, str, str, int, float, float, gone, int, int) for gone in (float, type(None)))
"""The types of a sound row's columns that are not JSON. SQLite keeps a value of any type in a column of any type."""

decode_tags = msgspec.json.Decoder(dict[str, str]).decode
"""Tags from the text of their column. Raises `UNDECODABLE`."""


def encode(part: object) -> str:
    """A part, or tags, as the text of its column."""
    return _ENCODER.encode(part).decode()


class NounSchema:
    """How one noun is kept: decoders of its parts and the fields that refer to other nouns."""

    def __init__(self, cls: type[Noun]) -> None:
        hints = get_type_hints(cls)
        self.cls = cls
        self.kind = cls.KIND
        self.wanted = msgspec.json.Decoder(hints["wanted"])
        self.assigned = msgspec.json.Decoder(hints["assigned"])
        self.seen = msgspec.json.Decoder(hints["seen"])
        self.references: dict[str, Ref] = references(cls)

    def noun(self, row: Any) -> Any:
        """The noun in `row`, whose columns are those of the table in order. Raises `UNDECODABLE`."""
        # fmt: off
        (ident, uuid, _, project, name, tags, generation, created, changed, gone, inc, counter,
         wanted, assigned, seen) = row
        # fmt: on
        # One look-up of a tuple: this is done for every row that is read.
        types = (
            ident.__class__,
            uuid.__class__,
            project.__class__,
            name.__class__,
            generation.__class__,
            created.__class__,
            changed.__class__,
            gone.__class__,
            inc.__class__,
            counter.__class__,
        )
        if types not in _SOUND:
            raise TypeError("a column holds a value of another type")
        return self.cls(
            id=ident,
            uuid=uuid,
            project=project,
            name=name,
            tags=decode_tags(tags) if tags != "{}" else {},
            generation=generation,
            created=created,
            # An earlier version that writes to the same database leaves it out.
            changed=changed or gone or created,
            gone=gone,
            revision=(inc, counter),
            wanted=self.wanted.decode(wanted),
            assigned=self.assigned.decode(assigned),
            seen=self.seen.decode(seen),
        )

    def row(self, noun: Noun) -> dict[str, Any]:
        """The columns of a new row."""
        return {
            "uuid": noun.uuid,
            "ec2_id": noun.ec2_id,
            "project": noun.project,
            "name": noun.name,
            "tags": encode(noun.tags),
            "generation": noun.generation,
            "created": noun.created,
            "changed": noun.changed,
            "gone": noun.gone,
            "incarnation": noun.revision[0],
            "counter": noun.revision[1],
            "wanted": encode(noun.wanted),
            "assigned": encode(noun.assigned),
            "seen": encode(noun.seen),
        }


SHAPES: dict[type[Noun], NounSchema] = {cls: NounSchema(cls) for cls in NOUNS.values()}
