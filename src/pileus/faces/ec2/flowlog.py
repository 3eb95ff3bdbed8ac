"""Flow logs: kept as they are asked for, and shown as what they are here, logs that are not delivered."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue, Unsupported
from pileus.model.flowlog import FlowLog, Wanted
from pileus.model.noun import Noun
from pileus.model.nouns import NOUNS
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.rules import find
from pileus.verbs import flowlog as verbs

_RESOURCES: dict[str, type[Noun]] = {
    "NetworkInterface": Port,
    "Subnet": Subnet,
    "TransitGateway": TransitGateway,
    "TransitGatewayAttachment": RouterAttachment,
    "VPC": Router,
}

_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets}"
    " ${bytes} ${start} ${end} ${action} ${log-status}"
)

UNDELIVERED = "This cloud has no service that takes flow logs: no line of this log is written or delivered."


@action("CreateFlowLogs")
def create(call: Call) -> dict[str, Any]:
    """Keep flow logs, which are shown as `ACTIVE` and as not delivered: nothing here takes their lines."""
    args = call.args
    cls = _RESOURCES.get(args["ResourceType"])
    if cls is None:
        raise Unsupported(f"This cloud has no {args['ResourceType']} whose packets are logged.", noun=FlowLog.KIND)
    wanted = _wanted(args)
    logs = verbs.create(
        call.caller,
        call.core,
        [Wanted(kind=cls.KIND, resource=uuid, **wanted) for uuid in uuids_of(call, cls, args["ResourceIds"])],
        specified(args, "vpc-flow-log")["vpc-flow-log"],
        args.get("ClientToken", ""),
    )
    return {
        "FlowLogIds": [log.ec2_id for log in logs],
        "ClientToken": args.get("ClientToken") or None,
        "Unsuccessful": [],
    }


def _wanted(args: dict[str, Any]) -> dict[str, Any]:
    """The fields of the log that a request names, but for its noun. Raises InvalidValue."""
    kind, destination = args.get("LogDestinationType", "cloud-watch-logs"), args.get("LogDestination", "")
    group = args.get("LogGroupName", "")
    if not destination and (kind != "cloud-watch-logs" or not group):
        raise missing("LogGroupName" if kind == "cloud-watch-logs" else "LogDestination")
    if group and (destination or kind != "cloud-watch-logs"):
        raise InvalidValue("LogGroupName cannot be used together with LogDestination", reason="combination")
    if kind == "cloud-watch-logs" and "DeliverLogsPermissionArn" not in args:
        raise missing("DeliverLogsPermissionArn")
    interval, of_gateways = args.get("MaxAggregationInterval"), args["ResourceType"].startswith("TransitGateway")
    if of_gateways == ("TrafficType" in args):
        text = "TrafficType is for a VPC, a subnet and a network interface, which need it."
        raise InvalidValue(text, reason="combination" if of_gateways else "missing")
    if interval not in (None, 60, 600) or (of_gateways and interval == 600):
        text = "MaxAggregationInterval is 60 or 600 seconds; of a transit gateway, 60."
        raise InvalidValue(text, noun=FlowLog.KIND, reason="interval")
    return {
        "traffic": args.get("TrafficType", "ALL"),
        "destination_type": kind,
        "destination": destination,
        "log_group": group,
        "role": args.get("DeliverLogsPermissionArn", ""),
        "cross_role": args.get("DeliverCrossAccountRole", ""),
        "format": args.get("LogFormat", _FORMAT),
        "interval": interval or (60 if of_gateways else 600),
    }


@action("DeleteFlowLogs")
def delete(call: Call) -> dict[str, Any]:
    """Delete flow logs, all or none."""
    verbs.delete(call.caller, call.core, uuids_of(call, FlowLog, call.args["FlowLogIds"]))
    return {"Unsuccessful": []}


@action("DescribeFlowLogs")
def describe(call: Call) -> dict[str, Any]:
    """List flow logs, by id or all; each says that it is not delivered."""
    by_id = {log.ec2_id: log for log in verbs.listing(call.caller, call.core)}
    logs = find.named_items(FlowLog, by_id, call.args.get("FlowLogIds", ()))
    args = {**call.args, "Filters": call.args.get("Filter", [])}
    return paging.listed(args, "FlowLogs", [_log(log) for log in logs], _FILTERS)


def _log(log: FlowLog) -> dict[str, Any]:
    wanted = log.wanted
    texts = {
        "LogGroupName": wanted.log_group,
        "LogDestination": wanted.destination,
        "DeliverLogsPermissionArn": wanted.role,
        "DeliverCrossAccountRole": wanted.cross_role,
    }
    traffic = {} if wanted.kind in (TransitGateway.KIND, RouterAttachment.KIND) else {"TrafficType": wanted.traffic}
    return {
        "FlowLogId": log.ec2_id,
        "FlowLogStatus": "ACTIVE",
        "CreationTime": dt.datetime.fromtimestamp(log.created, dt.UTC),
        "DeliverLogsStatus": "FAILED",
        "DeliverLogsErrorMessage": UNDELIVERED,
        "ResourceId": ec2_id(NOUNS[wanted.kind], wanted.resource),
        **traffic,
        "LogDestinationType": wanted.destination_type,
        **{name: text for name, text in texts.items() if text},
        "LogFormat": wanted.format,
        "MaxAggregationInterval": wanted.interval,
        "Tags": shown(log.tags),
    }


_FILTERS = filters.of_members(
    *("FlowLogId", "LogDestinationType", "LogGroupName", "ResourceId", "TrafficType"),
    others={"deliver-log-status": "DeliverLogsStatus"},
)
