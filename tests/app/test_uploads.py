"""The bytes of uploads under way are counted for their project."""

from __future__ import annotations

from collections import Counter

from pileus.app.uploads import Begun


def test_uploads_at_once_count_together_for_their_project() -> None:
    under_way: Counter[str] = Counter()
    with Begun(under_way, "ann") as first:
        first.more(700)
        with Begun(under_way, "ann") as second, Begun(under_way, "bob") as other:
            second.more(400)
            other.more(5)
            assert (first.of_project, second.of_project, other.of_project) == (1100, 1100, 5)
        assert first.of_project == 700
    assert under_way == {}
