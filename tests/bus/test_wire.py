"""What earlier versions said over the bus is understood, and said the same way, as long as hosts may be of them.

`wire/N.json` has one message of each kind, with every field set, as the version that first had that file sent them. A
file is never changed: what a later version says beside it goes into the next one, and the oldest goes when no host can
be so old any more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from pileus.bus import messages

FOLDER = Path(__file__).parent / "wire"
KEPT = sorted(FOLDER.glob("*.json"))


def check() -> None:
    """All of them."""
    for path in KEPT:
        check_one(path)


def check_one(path: Path) -> None:
    """A message that was kept is read whole: what is read says just the same."""
    for kept in json.loads(path.read_text()):
        read = decoded(kept)
        assert read is not None, kept
        assert json.loads(msgspec.json.encode(read)) == kept


def decoded(kept: dict[str, Any]) -> Any:
    """As its receiver has it."""
    data = msgspec.msgpack.encode(kept)
    to_host = {kind.__struct_config__.tag for kind in get_args(messages.ToHost)}
    return messages.decode_to_host(data) if kept["type"] in to_host else messages.decode_to_cloud(data)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_was_said_is_understood_and_said_the_same_way(path: Path) -> None:
    check_one(path)


def test_each_message_was_kept() -> None:
    kept = {one["type"] for path in KEPT for one in json.loads(path.read_text())}
    assert kept == {kind.__struct_config__.tag for kind in get_args(messages.ToHost | messages.ToCloud)}


def test_a_message_that_lost_a_field_would_be_noticed() -> None:
    (one,) = [one for one in json.loads(KEPT[0].read_text()) if one["type"] == "ask"]
    assert json.loads(msgspec.json.encode(decoded({**one, "colour": "green"}))) == one
