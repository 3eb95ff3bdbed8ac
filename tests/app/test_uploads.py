"""The bytes of uploads under way are counted for their project."""

from __future__ import annotations

from collections import Counter

import pytest

from pileus.app.uploads import ReceivedBytes
from pileus.faces.rest import streams
from pileus.model.errors import InvalidValue


@pytest.mark.parametrize("architecture", ["", "sparc", "X86_64", "x86_64 ", "arm64", "x" * 32])
def test_an_image_is_for_an_architecture_of_the_hosts(architecture: str) -> None:
    assert streams.read({"name": "a", "architecture": "x86_64"}).architecture == "x86_64"
    with pytest.raises(InvalidValue, match="architecture"):
        streams.read({"name": "a", "architecture": architecture})


def test_uploads_at_once_count_together_for_their_project() -> None:
    under_way: Counter[str] = Counter()
    with ReceivedBytes(under_way, "ann") as first:
        first.more(700)
        with ReceivedBytes(under_way, "ann") as second, ReceivedBytes(under_way, "bob") as other:
            second.more(400)
            other.more(5)
            assert (first.of_project, second.of_project, other.of_project) == (1100, 1100, 5)
        assert first.of_project == 700
    assert under_way == {}
