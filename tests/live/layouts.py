"""Networks that users lay out while a process is killed: all of their parts are in the engine once, or none is left.

As in `operations`, whose matrix has these two.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pileus.providers.local.network.northbound import Northbound
from tests.live.cloud import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.operations import Guest, World

ENGINE_TIMEOUT = 60.0
"""Seconds that the network engine may take to answer: it may have been killed a moment ago."""
EVERYWHERE = "0.0.0.0/0"
PARTS = {
    "vpc": 1,
    "subnet": 1,
    "network-interface": 1,
    "internet-gateway": 1,
    "elastic-ip": 1,
    "natgateway": 1,
    "route-table": 2,
    "network-acl": 1,
}
"""Resources of a layout that have its tag, by the type that DescribeTags gives; the private table is the second."""


def retries(answer: dict[str, Any]) -> int:
    """How often a request was repeated before it was answered so."""
    return int(answer["ResponseMetadata"]["RetryAttempts"])


class Layout:
    """CreateVpc and the requests for all of its parts. Those without a client token may make a part twice."""

    guest: Guest | None = None

    def __init__(self, world: World) -> None:
        if world.layout_token:
            clear = Clear(world)
            clear.request()
        self.world, self.ec2 = world, world.ec2
        self.token = world.layout_token = uuid.uuid4().hex
        self.again = 0

    def request(self) -> int:
        vpc = self._make("vpc", self.ec2.create_vpc, CidrBlock="10.88.0.0/16")
        subnet = self._make("subnet", self.ec2.create_subnet, VpcId=vpc, CidrBlock="10.88.1.0/24")
        # A router without a port has no way out.
        self._make("network-interface", self.ec2.create_network_interface, SubnetId=subnet, ClientToken=self.token)
        gateway = self._make("internet-gateway", self.ec2.create_internet_gateway)
        self._do(self.ec2.attach_internet_gateway, "Resource.AlreadyAssociated", InternetGatewayId=gateway, VpcId=vpc)
        allocation = self._make("elastic-ip", self.ec2.allocate_address)
        nat = self._make("natgateway", self.ec2.create_nat_gateway, SubnetId=subnet, AllocationId=allocation)
        for number, target in enumerate(({"GatewayId": gateway}, {"NatGatewayId": nat})):
            table = self._make(
                "route-table", self.ec2.create_route_table, VpcId=vpc, ClientToken=f"{self.token}{number}"
            )
            route = {"RouteTableId": table, "DestinationCidrBlock": EVERYWHERE, **target}
            self._do(self.ec2.create_route, "RouteAlreadyExists", **route)
            if number:
                self._do(
                    self.ec2.associate_route_table, "Resource.AlreadyAssociated", RouteTableId=table, SubnetId=subnet
                )
        acl = self._make("network-acl", self.ec2.create_network_acl, VpcId=vpc)
        entry = {"NetworkAclId": acl, "RuleNumber": 7, "Protocol": "-1", "Egress": True, "CidrBlock": EVERYWHERE}
        self._do(self.ec2.create_network_acl_entry, "NetworkAclEntryAlreadyExists", **entry, RuleAction="allow")
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        (held,) = self.ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
        (association,) = (each for each in held["Associations"] if each["SubnetId"] == subnet)
        if held["NetworkAclId"] != acl:
            words = {"AssociationId": association["NetworkAclAssociationId"], "NetworkAclId": acl}
            self._do(self.ec2.replace_network_acl_association, "InvalidAssociationID.NotFound", **words)
        return self.again

    def reached(self) -> bool:
        return in_engine(self.world, self.token) == {"routers": 1, "routes": 2, "policies": True}

    def once(self, disturbed: str) -> list[str]:
        del disturbed
        counts = {kind: len(idents) for kind, idents in tagged(self.world, self.token).items()}
        if self.again:
            counts = {kind: min(count, PARTS[kind]) for kind, count in counts.items()}
        return [] if counts == PARTS else [f"parts: {counts}"]

    def _make(self, kind: str, create: Callable[..., dict[str, Any]], **words: Any) -> str:
        tags = [{"ResourceType": kind, "Tags": [{"Key": "layout", "Value": self.token}]}]
        before = tagged(self.world, self.token).get(kind, [])
        self._do(create, "InvalidSubnet.Conflict", **words, TagSpecifications=tags)
        (ident, *_) = [ident for ident in tagged(self.world, self.token)[kind] if ident not in before]
        return ident

    def _do(self, call: Callable[..., dict[str, Any]], done: str, **words: Any) -> None:
        """Send a request; an earlier try without an answer may have done it, which the code `done` says."""
        try:
            self.again += retries(call(**words))
        except ClientError as error:
            self.again += retries(error.response)  # type: ignore[arg-type]
            if error.response["Error"]["Code"] != done or not retries(error.response):  # type: ignore[arg-type]
                raise


class Clear:
    """DeleteVpc, and before it the requests for all of its parts."""

    guest: Guest | None = None

    def __init__(self, world: World) -> None:
        if not world.layout_token:
            Layout(world).request()
        self.world, self.ec2, self.token = world, world.ec2, world.layout_token
        self.again = 0

    def request(self) -> int:
        ec2, parts = self.ec2, tagged(self.world, self.token)
        self.engine_uuids = parts["vpc"]
        for nat in parts.get("natgateway", []):
            self._do(ec2.delete_nat_gateway, NatGatewayId=nat)
        for vpc in parts["vpc"]:
            for gateway in parts.get("internet-gateway", []):
                self._do(ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc)
        deletions: dict[str, tuple[Callable[..., dict[str, Any]], str]] = {
            "network-interface": (ec2.delete_network_interface, "NetworkInterfaceId"),
            "subnet": (ec2.delete_subnet, "SubnetId"),
            "internet-gateway": (ec2.delete_internet_gateway, "InternetGatewayId"),
            "route-table": (ec2.delete_route_table, "RouteTableId"),
            "network-acl": (ec2.delete_network_acl, "NetworkAclId"),
            "elastic-ip": (ec2.release_address, "AllocationId"),
            "vpc": (ec2.delete_vpc, "VpcId"),
        }
        for kind, (delete, name) in deletions.items():
            for ident in parts.get(kind, []):
                self._do(delete, **{name: ident})
        self.world.layout_token = ""
        return self.again

    def reached(self) -> bool:
        return not any(in_engine(self.world, self.token, self.engine_uuids).values())

    def once(self, disturbed: str) -> list[str]:
        del disturbed
        left = {kind: idents for kind, idents in tagged(self.world, self.token).items() if kind != "natgateway"}
        return [f"left: {left}"] if left else []

    def _do(self, call: Callable[..., dict[str, Any]], **words: Any) -> None:
        """Send a request until nothing depends on the part any more; an earlier try may have done it."""
        until(call.__name__, lambda: self._is_done(call, words))

    def _is_done(self, call: Callable[..., dict[str, Any]], words: dict[str, Any]) -> bool:
        try:
            self.again += retries(call(**words))
        except ClientError as error:
            self.again += retries(error.response)  # type: ignore[arg-type]
            code = error.response["Error"]["Code"]
            if code == "DependencyViolation":
                return False
            if not code.endswith((".NotFound", "NotFound", "Gateway.NotAttached")):
                raise
        return True


def tagged(world: World, token: str) -> dict[str, list[str]]:
    """The ids of a layout's parts, by type."""
    filters = [{"Name": "key", "Values": ["layout"]}, {"Name": "value", "Values": [token]}]
    parts: dict[str, list[str]] = {}
    for tag in world.ec2.describe_tags(Filters=filters)["Tags"]:
        parts.setdefault(tag["ResourceType"], []).append(tag["ResourceId"])
    return parts


def in_engine(world: World, token: str, vpcs: list[str] | None = None) -> dict[str, int]:
    """How many routers of a layout OVN holds, how many routes of its tables, and whether its ACL filters."""
    idents = vpcs if vpcs is not None else tagged(world, token).get("vpc", [])
    digits = [ident.partition("-")[2] for ident in idents]
    northbound = Northbound(world.layout.northbound, ENGINE_TIMEOUT)
    try:
        with northbound.read() as tables:
            rows = [
                row
                for row in tables["Logical_Router"].rows.values()
                if row.name.replace("-", "").startswith(tuple(digits))
            ]
            routes = sum(
                route.ip_prefix == EVERYWHERE and bool(route.route_table) for row in rows for route in row.static_routes
            )
            return {"routers": len(rows), "routes": routes, "policies": any(row.policies for row in rows)}
    finally:
        northbound.close()
