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

    from pileus.model.noun import Noun

_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(list[dict[str, Any]])


def record(nouns: Iterable[Noun]) -> str:
    """These nouns as one text: identity, `wanted`, and of `assigned` what another placement does not change."""
    return _ENCODER.encode([_kept(noun.recorded()) for noun in nouns]).decode()


def recall(text: str) -> list[Noun]:
    """The nouns in a record, as new ones; none for an empty text. Raises ValueError for one that is not ours."""
    if not text:
        return []
    try:
        return [msgspec.convert(fields, NOUNS[fields["kind"]]) for fields in _DECODER.decode(text)]
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
