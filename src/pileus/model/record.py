"""Records: the rows that an order was made from, as text that goes along with it and that a lost store is rebuilt from.

The keeper of an order keeps its record without reading it. Parts are written as the store writes its columns, so
rules for old rows hold for old records: new fields need a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model.nouns import NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.noun import Keeper, Noun

_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(list[dict[str, Any]])


def record(nouns: Iterable[Noun]) -> str:
    """These nouns as one text: identity, `wanted`, and of `assigned` what another placement does not change."""
    return _ENCODER.encode([_kept(noun.recorded()) for noun in nouns]).decode()


def recall(text: str, keeper: Keeper) -> list[Noun]:
    """The nouns in the record of an order of `keeper`, as new ones; none for an empty text.

    Kinds of nouns that its records do not carry are left out. Raises ValueError for a text that is no record.
    """
    if not text:
        return []
    try:
        nouns = [msgspec.convert(fields, NOUNS[fields["kind"]]) for fields in _DECODER.decode(text)]
        return [noun for noun in nouns if noun.is_recorded_by(keeper)]
    except (KeyError, msgspec.MsgspecError) as error:
        raise ValueError(f"no record: {error}") from error


def _kept(noun: Noun) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": noun.KIND, "uuid": noun.uuid, "wanted": noun.wanted}
    for name in ("project", "name", "tags", "created"):
        value = getattr(noun, name)
        if value:
            fields[name] = value
    if noun.assigned is not None:
        fields["assigned"] = noun.assigned
    return fields
