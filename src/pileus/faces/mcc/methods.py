"""The five methods: MiniCloud's words for verbs and nouns. Exactly these are exposed."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pileus.model import bounds
from pileus.model import image as images
from pileus.model.errors import InvalidValue, NoCapacity, NotFound
from pileus.model.instance import State
from pileus.verbs import flavor, image
from pileus.verbs.instance import number, power
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.instance.view import launched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.rules.core import Core
    from pileus.rules.instance.view import InstanceView
    from pileus.verbs.network import Flat

NOTHING = "-"
"""The text of an empty place in a list."""

LOGIN = "root"
"""Whose keys a container's are, whatever user its image has for that elsewhere: `ssh root@ADDRESS`."""

_NUMBER = re.compile(r"\s*([+-]?)([0-9]+(?:_[0-9]+)*)", re.ASCII)

STATUS: Mapping[State, str] = MappingProxyType(
    {
        State.PENDING: "mounted",
        State.RUNNING: "running",
        State.STOPPING: "running",
        State.STOPPED: "stopped",
        State.SHUTTING_DOWN: "stopped",
        State.TERMINATED: "stopped",
    }
)
"""Each state in the words of vzlist, of which clients take `running` alone for running."""


class MethodCall(NamedTuple):
    """The arguments of every method: the caller, the core and the flat network."""

    caller: Caller
    core: Core
    flat: Flat


def _get_instances(call: MethodCall, which: Any = None) -> list[dict[str, str]]:
    criteria = which if isinstance(which, dict) else {}
    views = number.listing(call.caller, call.core)
    if _true(criteria.get("instance")):
        wanted = _number(criteria["instance"])
        views = [view for view in views if view.instance.assigned.number == wanted]
    elif not _true(criteria.get("all")):
        views = [view for view in views if STATUS[view.state] == "running"]
    return [_shown(view) for view in views]


def _shown(view: InstanceView) -> dict[str, str]:
    return {
        "id": str(view.instance.assigned.number),
        "ip": view.nics[0].port.assigned.address if view.nics else NOTHING,
        "status": STATUS[view.state],
        "ostemplate": view.image.name if view.image is not None else NOTHING,
        "name": view.instance.name or NOTHING,
    }


def _get_images(call: MethodCall) -> list[str]:
    return sorted(_images(call))


def _images(call: MethodCall) -> dict[str, Image]:
    """Return the container images that can be started, by name, the newest of a name."""
    container_images = [each for each in image.listing(call.caller, call.core) if each.wanted.kind == "container"]
    return {each.name: each for each in container_images if images.state(each) is images.State.AVAILABLE}


def _get_instance_types(call: MethodCall) -> list[str]:
    return sorted(each.name for each in flavor.listing(call.caller, call.core) if each.wanted.kind == "container")


def _run_instance(
    call: MethodCall,
    template: Any,
    type: Any = "basic",
    pubkey: Any = "",
    name: Any = "",
) -> dict[str, Any]:
    if type not in _get_instance_types(call):
        raise InvalidValue(f"Instance type {type} not found", noun="flavor", ident=str(type))
    chosen = _images(call).get(template) if isinstance(template, str) else None
    if chosen is None:
        raise InvalidValue(f"Image template {template} not found!", noun="image", ident=str(template))
    keys, called = str(pubkey), str(name)
    if len(keys) > bounds.PUBLIC_KEYS_SIZE.most:
        raise InvalidValue(f"A public key has at most {bounds.PUBLIC_KEYS_SIZE.most} characters", reason="key")
    request = Launch(
        image=chosen.uuid,
        flavor=type,
        name=called,
        tags={"Name": called} if called else {},
        public_keys=tuple(line.strip() for line in keys.splitlines() if line.strip()),
        subnet=call.flat.subnet,
        groups=(call.flat.group,),
        numbered=True,
        login_user=LOGIN,
    )
    try:
        uuids = launch(call.caller, call.core, request)
    except NoCapacity as error:
        if error.reason == "addresses":
            raise NoCapacity("Do not have any more free leases!", noun="subnet", reason="addresses") from error
        raise
    view = launched(call.caller, call.core, uuids)[0]
    return {"id": view.instance.assigned.number, "ip": view.nics[0].port.assigned.address}


def _destroy_instance(call: MethodCall, instance: Any) -> bool:
    wanted = _number(instance)
    # One that another face launched has its number from the first look at it.
    view = next((v for v in number.listing(call.caller, call.core) if v.instance.assigned.number == wanted), None)
    if view is None:
        raise NotFound("Instance ID not found", noun="instance", ident=str(instance))
    power.terminate(call.caller, call.core, [view.instance.uuid])
    return True


def _true(value: Any) -> bool:
    """Whether it is true in Ruby, where 0 and an empty text are."""
    return value is not None and value is not False


def _number(value: Any) -> int:
    """A number, or a text's beginning that is one, as Ruby reads it; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    if isinstance(value, str):
        matched = _NUMBER.match(value)
        return int(matched[1] + matched[2].replace("_", "")[:18]) if matched else 0
    return int(value) if abs(value) < 1 << 62 else 0


METHODS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "openvz.get_instances": _get_instances,
        "openvz.get_images": _get_images,
        "openvz.get_instance_types": _get_instance_types,
        "openvz.run_instance": _run_instance,
        "openvz.destroy_instance": _destroy_instance,
    }
)
