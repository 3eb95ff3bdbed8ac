"""A port's order on one network engine with 1, 100, 1,000 and 10,000 ports: its time must not depend on their number.

The engine has its databases and northd, and no switch. Ports are spread over networks of fifty, each with a group of
its own; every port is in the group of all ports as well. A row shows orders of ports that are new (and are removed
again), and orders that repeat what is there. With `--ipv6` each port has an address of IPv6 as well, for which its
router answers outside.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
import time
import uuid as uuids
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.server import cpu
from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import (
    NetworkSpec,
    OutsideIpv6Spec,
    PortSpec,
    RouterSpec,
    SecurityGroupSpec,
    SubnetIpv6Spec,
    SubnetSpec,
)
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.fabric import Fabric
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import port
from pileus.providers.local.network.provider import NetworkProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.providers.local.network.rows import NorthboundRows

SIZES = (1, 100, 1000, 10000)
PER_NETWORK = 50
SAMPLES = 50
PATIENCE = 60.0
"""Seconds that northd has to finish what was ordered before figures are taken."""

_NAMESPACE = uuids.uuid5(uuids.NAMESPACE_DNS, "bench.pileus")
_SERVERS = ("northbound", "northd")


class Cost(NamedTuple):
    """Milliseconds of one order: until it is committed, and of processor by this process and by each server."""

    elapsed: float
    own: float
    servers: tuple[float, ...]


def main() -> None:
    """Print the curve as a table, a row for each number of ports."""
    parser = argparse.ArgumentParser(prog="python -m bench.ports", description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="numbers of ports, rising")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="orders for each figure")
    parser.add_argument("--ipv6", action="store_true", help="ports have an address of IPv6, too")
    arguments = parser.parse_args()
    ipv6 = bool(arguments.ipv6)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no engine behind
    print("| ports | new: time | processor | ovsdb-server | northd | repeated: time | processor | observed |")
    print("|---|---|---|---|---|---|---|---|")
    with _engine() as (provider, layout):
        _order(provider, _router(ipv6=ipv6))
        count = 0
        for size in arguments.sizes:
            for number in range(count, size, PER_NETWORK):
                _fill(provider, range(number, min(number + PER_NETWORK, size)), ipv6=ipv6)
            count = size
            _settle(layout)
            _row(provider, layout, count, arguments.samples, ipv6=ipv6)


def _row(provider: NetworkProvider, layout: Layout, count: int, samples: int, *, ipv6: bool) -> None:
    numbers = [count + sample for sample in range(samples)]
    for number in numbers:
        _prepare(provider, number, ipv6=ipv6)
    _settle(layout)
    new = _cost(layout, [lambda number=number: provider.ensure(_port(number, ipv6=ipv6)) for number in numbers])  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    for number in numbers:
        provider.remove(BodyRef(kind=PortSpec.KIND, uuid=_uuid(f"port-{number}"), revision=(1, 1)))
    _settle(layout)
    sampled = [(number * count) // samples for number in range(samples)]
    again = _cost(
        layout,
        [lambda number=number: provider.ensure(_port(number, (1, 2), ipv6=ipv6)) for number in sampled],  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    )
    refs = [BodyRef(kind=PortSpec.KIND, uuid=_uuid(f"port-{number}"), revision=(1, 2)) for number in sampled]
    seen = _cost(layout, [lambda ref=ref: provider.observe(ref) for ref in refs])  # type: ignore[misc]
    figures = (new.elapsed, new.own, *new.servers, again.elapsed, again.own, seen.elapsed)
    print(f"| {count:,} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)


def _cost(layout: Layout, orders: list[Callable[[], object]]) -> Cost:
    """The median time of an order, and the mean of what it costs until northd has translated all of them."""
    pids = [chassis.status(layout, _fabric(layout))[name] or 0 for name in _SERVERS]
    before, own = [cpu([pid]) for pid in pids], time.process_time()
    elapsed = []
    for order in orders:
        begin = time.perf_counter()
        order()
        elapsed.append(time.perf_counter() - begin)
    spent = time.process_time() - own
    _settle(layout)
    servers = tuple((cpu([pid]) - was) * 1000 / len(orders) for pid, was in zip(pids, before, strict=True))
    return Cost(statistics.median(elapsed) * 1000, spent * 1000 / len(orders), servers)


def _settle(layout: Layout) -> None:
    """Return once no server of the engine has used its processor for a third of a second."""
    pids = [pid for pid in chassis.status(layout, _fabric(layout)).values() if pid]
    until = time.monotonic() + PATIENCE
    spent = -1.0
    while (now := cpu(pids)) > spent and time.monotonic() < until:
        spent = now
        time.sleep(0.35)


def _fill(provider: NetworkProvider, numbers: range, *, ipv6: bool) -> None:
    """Make these ports in one transaction, which costs the servers less than their orders one by one."""
    for number in numbers:
        _prepare(provider, number, ipv6=ipv6)

    def work(rows: NorthboundRows) -> None:
        for number in numbers:
            port.ensure(rows, _port(number, ipv6=ipv6))

    provider._commit(work)  # noqa: SLF001  (a bulk of orders is for this alone)


def _prepare(provider: NetworkProvider, number: int, *, ipv6: bool) -> None:
    """Order the network and the group of port `number`, if it is the first of them."""
    place, rest = divmod(number, PER_NETWORK)
    if rest:
        return
    subnet = _subnet(place, ipv6=ipv6)
    network = NetworkSpec(uuid=_uuid(f"network-{place}"), revision=(1, 1), router=_uuid("router"), subnets=(subnet,))
    _order(provider, network)
    ssh = Rule(id=_uuid(f"rule-{place}"), protocol="tcp", port_min=22, port_max=22, cidr="0.0.0.0/0")
    _order(provider, SecurityGroupSpec(uuid=_uuid(f"group-{place}"), revision=(1, 1), rules=(ssh,)))


def _order(provider: NetworkProvider, spec: NetworkSpec | RouterSpec | SecurityGroupSpec) -> None:
    provider.ensure(spec)


def _router(*, ipv6: bool) -> RouterSpec:
    """The router; with IPv6 it leads outside, for without a gateway nothing is answered there."""
    router = RouterSpec(uuid=_uuid("router"), revision=(1, 1))
    if not ipv6:
        return router
    return msgspec.structs.replace(
        router,
        address="198.51.100.20",
        outside="198.51.100.0/24",
        gateways=("gateway",),
        ipv6=OutsideIpv6Spec(gateway="fd00::1", admitted=("fd00:0:0:1::/64",)),
    )


def _subnet(place: int, *, ipv6: bool) -> SubnetSpec:
    prefix, prefix6 = f"10.{place // 256}.{place % 256}", f"fd00:0:0:{place + 1:x}::"
    return SubnetSpec(
        uuid=_uuid(f"subnet-{place}"),
        cidr=f"{prefix}.0/24",
        gateway=f"{prefix}.1",
        gateway_mac=f"02:01:00:00:{place // 256:02x}:{place % 256:02x}",
        localport=f"{prefix}.2",
        localport_mac=f"02:02:00:00:{place // 256:02x}:{place % 256:02x}",
        ipv6=SubnetIpv6Spec(cidr=f"{prefix6}/64", gateway=f"{prefix6}1", localport=f"{prefix6}2") if ipv6 else None,
    )


def _port(number: int, revision: tuple[int, int] = (1, 1), *, ipv6: bool) -> PortSpec:
    place, rest = divmod(number, PER_NETWORK)
    return PortSpec(
        uuid=_uuid(f"port-{number}"),
        revision=revision,
        network=_uuid(f"network-{place}"),
        subnet=_uuid(f"subnet-{place}"),
        mac=f"02:03:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        address=f"10.{place // 256}.{place % 256}.{rest + 4}",
        groups=(_uuid(f"group-{place}"),),
        hostname=f"guest-{number}",
        router=_uuid("router"),
        ipv6=(f"fd00:0:0:{place + 1:x}::{rest + 4:x}",) if ipv6 else (),
    )


def _uuid(name: str) -> str:
    return str(uuids.uuid5(_NAMESPACE, name))


def _fabric(layout: Layout) -> Fabric:
    return Fabric(chassis=layout.netns, switches=False)


@contextlib.contextmanager
def _engine() -> Iterator[tuple[NetworkProvider, Layout]]:
    """The databases and northd in a folder of their own, and a provider of them."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        try:
            chassis.up(layout, _fabric(layout))
            provider = NetworkProvider(f"unix:{layout.engine / 'nb' / 'ovnnb_db.sock'}", timeout=30.0)
            provider.watch(lambda _ref: None)
            yield provider, layout
            provider.close()
        finally:
            chassis.down(layout, _fabric(layout))


if __name__ == "__main__":
    main()
