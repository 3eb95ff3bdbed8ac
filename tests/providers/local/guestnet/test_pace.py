"""Rates by caller."""

import pytest

from pileus.providers.local.guestnet.pace import Pace


def test_a_caller_waits_beyond_its_burst_and_no_other_does() -> None:
    now = 100.0
    pace: Pace[str] = Pace(10, 2, lambda: now)
    assert [pace.delay("busy") for _ in range(20)] == [0.0] * 20
    assert pace.delay("busy") == pytest.approx(0.1)
    assert pace.delay("busy") == pytest.approx(0.2)
    assert pace.delay("quiet") == 0
    now += 0.3
    assert pace.delay("busy") == pytest.approx(0)
    now += 100
    assert [pace.delay("busy") for _ in range(20)] == [0.0] * 20, "no more than a burst is saved up"
    assert pace.delay("busy") > 0


def test_only_callers_that_are_there_are_remembered() -> None:
    pace: Pace[str] = Pace(1, 1, lambda: 0.0)
    for caller in ("a", "b"):
        pace.delay(caller)
    pace.keep({"b"})
    assert pace.delay("a") == 0
    assert pace.delay("b") == 1
