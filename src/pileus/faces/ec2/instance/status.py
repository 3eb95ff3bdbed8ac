"""DescribeInstanceStatus."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuids_of
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.part import CODES, STATES
from pileus.faces.ec2.names import zone_id
from pileus.model.instance import Instance, State
from pileus.rules.host import Heard
from pileus.rules.instance.view import InstanceView
from pileus.verbs.instance import view as verbs

UNKNOWN = "insufficient-data"
"""EC2's word for what nobody can say while the host is silent."""


@action("DescribeInstanceStatus")
def describe(call: Call) -> dict[str, Any]:
    """List how instances do: the running ones, or with IncludeAllInstances all."""
    args = call.args
    paging.alone(args, "InstanceIds", "instancesSet")
    every = bool(args.get("IncludeAllInstances"))
    with call.core.store.read() as tx:
        liveness = Heard(tx, call.core.store.now())
    zone = call.core.place.zone
    fits = filters.compiled(args.get("Filters"), {**_FILTERS, **_of_zone(zone), **_of_system(liveness)}, shape.tags)

    def keep(view: InstanceView) -> bool:
        return (every or view.state == State.RUNNING) and (fits is None or fits(view))

    views, token = verbs.listing(
        call.caller,
        call.core,
        uuids_of(call, Instance, args.get("InstanceIds", ())),
        keep=keep,
        after=args.get("NextToken"),
        limit=paging.limit(args),
    )
    statuses = []
    for view in views:
        host = view.instance.assigned.host
        lost = liveness.lost(host)
        statuses.append(StatusView(view=view, lost=lost, since=liveness.since(host) if lost else None))
    texts = elements.rendered(call, "InstanceStatuses", "InstanceStatus", statuses, _status)
    return {"InstanceStatuses": texts, "NextToken": token}


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """An instance with whether its host is lost, and when that was heard last."""

    view: InstanceView
    lost: bool
    since: float | None


def _status(call: Call, status: StatusView) -> dict[str, Any]:
    view = status.view
    word, reachability = (UNKNOWN, UNKNOWN) if status.lost and view.state == State.RUNNING else health(view)
    zone = _zone(view, call.core.place.zone)
    return {
        "InstanceId": view.instance.ec2_id,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id(zone),
        "InstanceState": STATES[view.state],
        "InstanceStatus": _summary(word, reachability),
        "SystemStatus": _summary(*system(view, lost=status.lost), status.since),
        "Events": [],
    }


def _zone(view: InstanceView, default_zone: str) -> str:
    return view.instance.wanted.zone or default_zone


def _summary(word: str, reachability: str, since: float | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"Name": "reachability", "Status": reachability}
    return {"Status": word, "Details": [detail if since is None else {**detail, "ImpairedSince": since}]}


def system(view: InstanceView, *, lost: bool) -> tuple[str, str]:
    """The same for the host that it is on: impaired when that is lost, or was removed."""
    if view.state in (State.PENDING, State.RUNNING) and lost:
        return "impaired", "failed"
    return health(view)


def _of_zone(default_zone: str) -> dict[str, filters.Values[InstanceView]]:
    return {
        "availability-zone": lambda view: (_zone(view, default_zone),),
        "availability-zone-id": lambda view: (zone_id(_zone(view, default_zone)),),
    }


def _of_system(liveness: Heard) -> dict[str, filters.Values[InstanceView]]:
    def of(view: InstanceView) -> tuple[str, str]:
        return system(view, lost=liveness.lost(view.instance.assigned.host))

    return {
        "system-status.reachability": lambda view: (of(view)[1],),
        "system-status.status": lambda view: (of(view)[0],),
    }


def health(view: InstanceView) -> tuple[str, str]:
    """EC2's word for how the instance does, and for whether it is reachable."""
    if view.instance.seen.fault is not None and view.state in (State.PENDING, State.RUNNING):
        return "impaired", "failed"
    if view.state == State.RUNNING and view.instance.seen.up is not False:
        return "ok", "passed"
    if view.state in (State.PENDING, State.RUNNING):
        return "initializing", "initializing"
    return "not-applicable", "not-applicable"


_FILTERS: dict[str, filters.Values[InstanceView]] = {
    "instance-state-code": lambda view: (str(CODES[view.state]),),
    "instance-state-name": lambda view: (view.state.value,),
    "instance-status.reachability": lambda view: (health(view)[1],),
    "instance-status.status": lambda view: (health(view)[0],),
    **dict.fromkeys(
        (
            *("attached-ebs-status.status", "event.code", "event.description", "event.instance-event-id"),
            *("event.not-after", "event.not-before", "event.not-before-deadline", "operator.managed"),
            *("application-status.status", "operator.principal"),
        ),
        filters.none,
    ),
}
