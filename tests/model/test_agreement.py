"""Rows and orders are compared both ways; what is on its way is no finding."""

from __future__ import annotations

import msgspec
import pytest

from pileus.model import agreement
from pileus.model.finding import MEANINGS
from pileus.model.instance import Body, Power
from pileus.model.spec import InstanceSpec
from pileus.model.views import BookView, Held, InstanceRow, StoreView

ROW = InstanceRow(uuid="u1", ec2_id="i-1", host="h1", revision=(0, 7), settled=True)
SPEC = InstanceSpec(uuid="u1", revision=(0, 7), power=Power(), vcpus=1, memory=64, ec2_id="i-1")
ORDER = Held(uuid="u1", revision=(0, 7), spec=SPEC, body=Body(exists=True, running=True, n=1), applied=(0, 7))


def store(*rows: InstanceRow) -> StoreView:
    return StoreView(now=100.0, newest=99.0, highest=(0, 9), instances=rows)


def host(*orders: Held) -> BookView:
    return BookView(orders={order.uuid: order for order in orders}, highest=(0, 9))


def codes(rows: tuple[InstanceRow, ...], orders: tuple[Held, ...]) -> list[str]:
    return [found.code for found in agreement.orders(store(*rows), host(*orders), "h1")]


def test_a_row_and_its_order_agree() -> None:
    assert codes((ROW,), (ORDER,)) == []


def test_a_settled_row_needs_its_order_at_its_revision() -> None:
    assert codes((ROW,), ()) == ["OrderMissing"]
    assert codes((ROW,), (msgspec.structs.replace(ORDER, revision=(0, 6)),)) == ["OrderBehind"]
    assert codes((ROW,), (msgspec.structs.replace(ORDER, applied=(0, 6)),)) == ["OrderBehind"]


@pytest.mark.parametrize("changes", [{"settled": False}, {"host": "h2"}, {"gone": True, "settled": False}])
def test_what_is_on_its_way_or_elsewhere_is_no_finding(changes: dict[str, object]) -> None:
    assert codes((msgspec.structs.replace(ROW, **changes),), ()) == []


def test_an_order_that_no_row_names_can_be_adopted() -> None:
    assert codes((), (ORDER,)) == ["OrderUnknown"]
    assert MEANINGS["OrderUnknown"].mend == "adopt"
    assert codes((), (msgspec.structs.replace(ORDER, spec=None),)) == []


def test_an_order_for_what_is_gone_is_a_leak() -> None:
    assert codes((msgspec.structs.replace(ROW, gone=True, settled=False),), (ORDER,)) == ["OrderLeaked"]


def test_a_host_that_knows_more_than_the_store_tells_of_an_old_copy() -> None:
    ahead = BookView(highest=(0, 10))
    assert [found.code for found in agreement.orders(store(), ahead, "h1")] == ["StoreBehind"]


def test_a_clock_behind_what_is_stored_is_told_of_each_who_stored_it() -> None:
    ahead = BookView(newest=250.0)
    found = list(agreement.clocks(store(), ahead, 90.0))
    assert [(one.code, one.ident) for one in found] == [
        ("ClockBack", "the store"),
        ("ClockBack", "the host's book"),
    ]
    assert list(agreement.clocks(store(), BookView(newest=99.0), 98.0)) == []
