"""Actions that list only: what every VPC has by itself, and what this cloud does not have.

Whole tools work against a list that is empty, or has the one default, where a refusal would end them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, Handler, action
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.tag import shown
from pileus.faces.wire.errors import WireError
from pileus.model.instance import Instance
from pileus.verbs import network as verbs
from pileus.verbs.instance import view as instances


class Listed(NamedTuple):
    """One list: the answer's member, the request's member for ids, and the code for an unknown id."""

    member: str
    ids: str
    absent: str


EMPTY = {
    "DescribeCapacityReservations": Listed(
        "CapacityReservations", "CapacityReservationIds", "InvalidCapacityReservationId.NotFound"
    ),
    "DescribeCarrierGateways": Listed("CarrierGateways", "CarrierGatewayIds", "InvalidCarrierGatewayID.NotFound"),
    "DescribeCustomerGateways": Listed("CustomerGateways", "CustomerGatewayIds", "InvalidCustomerGatewayID.NotFound"),
    "DescribeFleets": Listed("Fleets", "FleetIds", "InvalidFleetId.NotFound"),
    "DescribeHosts": Listed("Hosts", "HostIds", "InvalidHostID.NotFound"),
    "DescribeInstanceEventWindows": Listed(
        "InstanceEventWindows", "InstanceEventWindowIds", "InvalidInstanceEventWindowID.NotFound"
    ),
    "DescribeNetworkInterfacePermissions": Listed(
        "NetworkInterfacePermissions", "NetworkInterfacePermissionIds", "InvalidPermissionID.NotFound"
    ),
    "DescribePrefixLists": Listed("PrefixLists", "PrefixListIds", "InvalidPrefixListID.NotFound"),
    "DescribeReservedInstances": Listed(
        "ReservedInstances", "ReservedInstancesIds", "InvalidReservedInstancesId.NotFound"
    ),
    "DescribeSpotInstanceRequests": Listed(
        "SpotInstanceRequests", "SpotInstanceRequestIds", "InvalidSpotInstanceRequestID.NotFound"
    ),
    "DescribeVolumesModifications": Listed("VolumesModifications", "VolumeIds", "InvalidVolume.NotFound"),
    "DescribeVpcEndpoints": Listed("VpcEndpoints", "VpcEndpointIds", "InvalidVpcEndpointId.NotFound"),
    "DescribeVpnConnections": Listed("VpnConnections", "VpnConnectionIds", "InvalidVpnConnectionID.NotFound"),
    "DescribeVpnGateways": Listed("VpnGateways", "VpnGatewayIds", "InvalidVpnGatewayID.NotFound"),
}
"""Lists of what this cloud does not have, by action. A line more is an action more."""


def _absent(listed: Listed, ident: str) -> WireError:
    return WireError(listed.absent, f"The ID '{ident[:40]}' does not exist")


def _nothing(listed: Listed) -> Handler:
    def handler(call: Call) -> dict[str, Any]:
        for ident in call.args.get(listed.ids, ()):
            raise _absent(listed, ident)
        paging.paged(call.args, [])
        return {listed.member: []}

    handler.__doc__ = "Lists only: there are none in this cloud."
    return handler


for _name, _listed in EMPTY.items():
    action(_name)(_nothing(_listed))


def _listing(
    call: Call,
    listed: Listed,
    items: list[dict[str, Any]],
    supported_filters: Mapping[str, filters.Values[dict[str, Any]]],
) -> dict[str, Any]:
    """The answer with those of `items` that the request names by id, or by filters; the first member is the id."""
    by_id = {next(iter(item.values())): item for item in items}
    requested_ids = dict.fromkeys(call.args.get(listed.ids, ()))
    for ident in requested_ids:
        if ident not in by_id:
            raise _absent(listed, ident)
    chosen = [by_id[ident] for ident in requested_ids] if requested_ids else items
    return paging.listed(call.args, listed.member, chosen, supported_filters)


@action("DescribeInstanceCreditSpecifications")
def credit_specifications(call: Call) -> dict[str, Any]:
    """Lists only: `standard` for each instance that is named; without names the `unlimited` ones, which is none."""
    ids = call.args.get("InstanceIds", ())
    paging.alone(call.args, "InstanceIds", "instancesSet")
    views = instances.listing(call.caller, call.core, uuids_of(call, Instance, ids))[0] if ids else []
    items = [{"InstanceId": view.instance.ec2_id, "CpuCredits": "standard"} for view in views]
    return paging.listed(call.args, "InstanceCreditSpecifications", items, _CREDIT_FILTERS)


@action("DescribeSecurityGroupVpcAssociations")
def group_associations(call: Call) -> dict[str, Any]:
    """Lists only: none, as a group is of the one VPC that it was made in."""
    return paging.listed(call.args, "SecurityGroupVpcAssociations", [], _ASSOCIATION_FILTERS)


@action("DescribeVpcClassicLink")
def classic_links(call: Call) -> dict[str, Any]:
    """Lists only: for each VPC that it is not linked to EC2-Classic, which AWS itself has retired."""
    items = [
        {"VpcId": router.ec2_id, "ClassicLinkEnabled": False, "Tags": shown(router.tags)}
        for router in verbs.routers(call.caller, call.core)
    ]
    return _listing(call, _CLASSIC, items, _CLASSIC_FILTERS)


@action("DescribeVpcClassicLinkDnsSupport")
def classic_link_dns(call: Call) -> dict[str, Any]:
    """Lists only: for each VPC that names of EC2-Classic mean nothing in it."""
    routers = verbs.routers(call.caller, call.core)
    items = [{"VpcId": router.ec2_id, "ClassicLinkDnsSupported": False} for router in routers]
    return _listing(call, _CLASSIC, items, {})


_CLASSIC = Listed("Vpcs", "VpcIds", "InvalidVpcID.NotFound")
_CLASSIC_FILTERS = filters.of_members(others={"is-classic-link-enabled": "ClassicLinkEnabled"})
_ASSOCIATION_FILTERS = filters.of_members("GroupId", "GroupOwnerId", "State", "VpcId", "VpcOwnerId")
_CREDIT_FILTERS = filters.of_members("InstanceId")
