"""Which switches a router leaves by."""

from __future__ import annotations

import uuid
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pileus.model.router import GATEWAYS, gateways

switches = st.sets(st.text(alphabet="abcdef0123456789", min_size=1, max_size=8), max_size=12)
routers = st.uuids().map(str)


@given(routers, switches, st.data())
def test_a_router_keeps_its_switches_when_others_come_and_go(router: str, known: set[str], data: st.DataObject) -> None:
    before = gateways(router, known)
    assert len(before) == min(GATEWAYS, len(known))
    assert gateways(router, sorted(known, reverse=True)) == before
    for gone in known - set(before):
        assert gateways(router, known - {gone}) == before
    if before:
        lost = data.draw(st.sampled_from(before))
        after = gateways(router, known - {lost})
        assert [one for one in before if one != lost] == list(after[: len(before) - 1])


def test_routers_spread_over_the_switches() -> None:
    first = Counter(gateways(str(uuid.UUID(int=number)), ["a", "b", "c", "d"])[0] for number in range(400))
    assert set(first) == {"a", "b", "c", "d"}
    assert min(first.values()) > 60
