"""Transit gateways: packets pass among three routers as the tables of the gateway lead, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.peering import Side
from pileus.model.routerattachment import Assigned, RouterAttachment, Wanted
from pileus.model.securitygroup import Rule
from pileus.model.spec import PeeringSpec, RouterSpec, RouteSpec, RouteTableSpec, TransitGatewaySpec
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.test_network import OUT, Cloud, new

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16"])]

EVERYTHING = Rule(id="all", cidr="0.0.0.0/0")


class Attached(Cloud):
    """Three routers, each with a subnet, a guest and a route to all others by a transit gateway."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        super().__init__(layout, provider)
        group = self.group(OUT, EVERYTHING).uuid
        self.gateway, self.tables = new(), (new(), new())
        self.routers, self.ends, self.attachments = [], [], []
        for number in (1, 2, 3):
            self.router = RouterSpec(uuid=new(), revision=self.revision())
            self.write(self.router)
            network, table = self.network(number), new()
            subnet = msgspec.structs.replace(network.subnets[0], table=table)
            self.write(msgspec.structs.replace(network, subnets=(subnet,), revision=self.revision()))
            wanted = Wanted(gateway=self.gateway, router=self.router.uuid)
            attachment = RouterAttachment(uuid=new(), wanted=wanted, assigned=Assigned(link=number))
            route = RouteSpec(cidr="10.41.0.0/16", target="peering", peering=attachment.uuid)
            self.routers.append(
                msgspec.structs.replace(
                    self.router,
                    tables=(RouteTableSpec(uuid=table, routes=(route,)),),
                    peerings=(self.end(attachment, "requester"),),
                    revision=self.revision(),
                )
            )
            self.attachments.append(attachment)
            self.write(self.routers[-1])
            self.ends.append(self.guest(network, group)[0])

    def end(self, attachment: RouterAttachment, side: Side, table: str = "") -> PeeringSpec:
        return PeeringSpec(
            uuid=attachment.uuid,
            side=side,
            address=attachment.address(side),
            other=attachment.address("accepter" if side == "requester" else "requester"),
            mac=addresses.derived_mac(attachment.uuid, side),
            table=table,
        )

    def led(self, associations: list[int | None], *tables: dict[int, str]) -> None:
        """Associate each attachment with a table; the routes of each lead to routers by number, or nowhere."""
        links = tuple(
            self.end(attachment, "accepter", "" if number is None else self.tables[number])
            for attachment, number in zip(self.attachments, associations, strict=True)
        )
        specs = tuple(
            RouteTableSpec(
                uuid=uuid,
                routes=tuple(
                    RouteSpec(cidr=cidr, target="peering", peering=self.attachments[router].uuid)
                    if router >= 0
                    else RouteSpec(cidr=cidr, target="nowhere")
                    for router, cidr in routes.items()
                ),
            )
            for uuid, routes in zip(self.tables, tables, strict=False)
        )
        self.write(TransitGatewaySpec(uuid=self.gateway, tables=specs, links=links, revision=self.revision()))
        self.settled()

    def reached(self) -> set[tuple[int, int]]:
        """The pairs of guests of which the first pings the second."""
        pairs = [(one, other) for one in range(3) for other in range(3) if one != other]
        return {(one, other) for one, other in pairs if self.ends[one].pings(self.ends[other].address)}


EVERY = {0: "10.41.1.0/24", 1: "10.41.2.0/24", 2: "10.41.3.0/24"}


@pytest.fixture
def cloud(layout: Layout) -> Iterator[Attached]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    cloud = Attached(layout, provider)
    yield cloud
    cloud.close()
    provider.close()


def test_one_table_connects_all_three(cloud: Attached) -> None:
    cloud.settled()
    assert cloud.reached() == set(), "there is no transit gateway yet"
    cloud.led([0, 0, 0], EVERY)
    assert cloud.reached() == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    server = cloud.ends[2].listen(cloud.ends[2].address, 80)
    veth.serve(server, b"here")
    assert cloud.ends[0].fetches(cloud.ends[2].address, 80) == b"here"
    server.close()
    cloud.led([0, 0, None], EVERY)
    assert cloud.reached() == {(0, 1), (1, 0)}, "what comes from the third goes by no table"
    cloud.led([0, 0, 0], {**EVERY, -1: f"{cloud.ends[2].address}/32"})
    assert cloud.reached() == {(0, 1), (1, 0)}, "the longer prefix is a blackhole"


def test_tables_separate_spokes_around_a_hub(cloud: Attached) -> None:
    """The spokes' table leads to the hub alone, the hub's to both spokes."""
    cloud.led([0, 1, 1], EVERY, {0: EVERY[0]})
    assert cloud.reached() == {(0, 1), (0, 2), (1, 0), (2, 0)}
