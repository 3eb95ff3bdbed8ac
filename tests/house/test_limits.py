"""Each bound is stated once: its setting exists and has the same default, and its answer is said."""

from __future__ import annotations

import msgspec
import pytest

from pileus.app.settings import Settings
from pileus.model.bounds import BOUNDS

DEFAULTS = {field.encode_name: field.default for field in msgspec.structs.fields(Settings)}


def test_there_are_bounds() -> None:
    assert "tags" in BOUNDS


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_is_whole_and_agrees_with_its_setting(name: str) -> None:
    bound = BOUNDS[name]
    assert bound.most > 0
    assert bound.what
    assert bound.answer
    if bound.setting:
        assert DEFAULTS[bound.setting] == bound.most
