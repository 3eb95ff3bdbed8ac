"""Reading an instance's console, and other ways to its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.bus import channels
from pileus.bus.messages import Open
from pileus.model import bounds
from pileus.model.errors import Conflict, Fault, Unsupported
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, State, state
from pileus.rules import find
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.provider import Access, Channel
    from pileus.rules.core import Core


@requires("reader")
def output(caller: Caller, core: Core, uuid: str) -> tuple[Instance, bytes]:
    """The last 64 KiB that the instance wrote to its serial console; empty before it ran."""
    instance = _instance(caller, core, uuid)
    if instance.gone is not None or instance.assigned.host is None:
        return instance, b""
    with core.waits.on(instance.assigned.host):
        access = core.hosts.open(instance.assigned.host, Open(call=new_uuid(), uuid=instance.uuid, channel="log"))
        return instance, channels.read_all(access)[-bounds.CONSOLE_OUTPUT.most :]


@requires("reader")
def screenshot(caller: Caller, core: Core, uuid: str) -> tuple[Instance, bytes]:
    """The screen of the running machine with this uuid, as PNG.

    Raises NotFound; Unsupported for a container, which has none; Conflict for a machine that does not run.
    """
    instance = _instance(caller, core, uuid)
    host = instance.assigned.host
    if instance.assigned.size.kind == "container":
        raise Unsupported(f"{instance.label} is a container, which has no screen.", noun="instance", ident=uuid)
    if host is None or state(instance) is not State.RUNNING:
        text = f"{instance.label} does not run: there is no screen."
        raise Conflict(text, noun="instance", ident=uuid, reason="state")
    with core.waits.on(host):
        request = Open(call=new_uuid(), uuid=instance.uuid, channel="screenshot")
        try:
            return instance, channels.read_all(core.hosts.open(host, request))
        except Fault as fault:
            if fault.code != "Unsupported":
                raise
            raise Unsupported(fault.message, noun="instance", ident=uuid) from fault


@requires("member")
def connect(caller: Caller, core: Core, uuid: str, port: int) -> Access:
    """A TCP stream to `port` of the instance, as the loopback listener gives it."""
    return attach(caller, core, uuid, "connect", port)


@requires("member")
def attach(caller: Caller, core: Core, uuid: str, channel: Channel, port: int = 0) -> Access:
    """A stream of the instance: `exec`, `console` or `follow` (see `model/provider.py`), or `connect` to a TCP port.

    Members of the instance's project have it, and administrators. Raises NotFound, Conflict, Unavailable, Fault.
    """
    instance = _instance(caller, core, uuid)
    if instance.gone is not None or instance.assigned.host is None:
        raise Conflict(f"The {instance.label} has no host.", noun="instance", ident=uuid, reason="state")
    request = Open(call=new_uuid(), uuid=instance.uuid, channel=channel, port=port)
    with core.waits.on(instance.assigned.host):
        return core.hosts.open(instance.assigned.host, request)


def _instance(caller: Caller, core: Core, uuid: str) -> Instance:
    with core.store.read() as tx:
        return find.known(caller, tx, Instance, [uuid], dead=True)[0]
