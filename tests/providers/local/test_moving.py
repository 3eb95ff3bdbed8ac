"""The interfaces that come and go from one order to the next, a crash in the middle included."""

from __future__ import annotations

import msgspec

from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.container.order import ContainerOrder
from pileus.providers.local.machine.domain import Mark, mark_xml, read_mark
from pileus.providers.local.machine.provider import ports_of
from pileus.providers.local.moving import between


def nic(uuid: str) -> NicSpec:
    return NicSpec(
        uuid=uuid,
        ec2_id=f"eni-{uuid}",
        mac="02:50:00:00:00:01",
        address="10.0.0.4",
        cidr="10.0.0.0/24",
        gateway="10.0.0.1",
        localport="10.0.0.2",
        localport_mac="02:51:00:00:00:01",
        network="n",
    )


def spec(*ports: str) -> InstanceSpec:
    nics = tuple(nic(port) for port in ports)
    return InstanceSpec(uuid="u", ec2_id="i-1", power=Power(), vcpus=1, memory=64, nics=nics)


def test_what_comes_and_goes() -> None:
    assert between(spec("a"), spec("a"), ()).uuids == frozenset()
    assert [each.uuid for each in between(spec("a"), spec("a", "b"), ()).new] == ["b"]
    assert between(spec("a", "b"), spec("a"), ()).gone == {"b"}


def test_what_a_crash_left_is_begun_anew() -> None:
    """A NIC that was being plugged in may be there: it goes unless the next order has it, and comes if it does."""
    assert between(spec("a"), spec("a"), ["b"]).gone == {"b"}
    half = between(spec("a", "b"), spec("a", "b"), ["b"])
    assert ([each.uuid for each in half.new], half.gone) == (["b"], frozenset())


def test_what_moves_is_kept_with_the_order() -> None:
    mark = Mark(spec("a"), frozenset({"v"}), frozenset({"b", "c"}))
    assert read_mark(mark_xml(mark)) == mark
    assert ports_of(mark) == {"a", "b", "c"}
    order = ContainerOrder(spec("a"), ("v",), ("b",))
    assert order.ports == {"a", "b"}
    assert msgspec.json.decode(msgspec.json.encode(order), type=ContainerOrder) == order
    old = {"spec": msgspec.to_builtins(spec("a")), "made": ["v"]}
    assert msgspec.convert(old, ContainerOrder).moving == ()
