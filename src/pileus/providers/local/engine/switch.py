"""The switch's own database: which interfaces are plugged into the bridge, and as which logical ports.

Speaks OVSDB (RFC 7047) on one short connection a call: a millisecond, where ovs-vsctl costs thirty.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pileus.model.errors import Fault
from pileus.providers.local.engine import unixsocket
from pileus.providers.local.engine.daemons import BRIDGE
from pileus.providers.local.layout import Layout

_TIMEOUT = 5.0
_POLL = 0.005
_BY_UUID = "_uuid"
_INTERFACE = ["named-uuid", "interface"]


def attach(layout: Layout, interface: str, port: str) -> None:
    """Plug `interface` (of the cloud's namespace) into the bridge as the logical port `port`. Raises Fault.

    Idempotent; the interface may appear later. The controller binds the port once it exists.
    """
    row = {"external_ids": ["map", [["iface-id", port]]]}
    updated = _transact(
        layout, {"op": "update", "table": "Interface", "where": [["name", "==", interface]], "row": row}
    )
    if updated[0]["count"]:
        return
    _transact(
        layout,
        {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": {"name": interface, **row}},
        {"op": "insert", "table": "Port", "uuid-name": "port", "row": {"name": interface, "interfaces": _INTERFACE}},
        _bridge("insert", ["named-uuid", "port"]),
        _changed(),
    )


def detach(layout: Layout, interface: str) -> None:
    """Unplug `interface`; nothing when it is not plugged in. Raises Fault."""
    reply = _transact(
        layout, {"op": "select", "table": "Port", "where": [["name", "==", interface]], "columns": [_BY_UUID]}
    )
    for row in reply[0]["rows"]:
        _transact(layout, _bridge("delete", row[_BY_UUID]), _changed())


def settle(layout: Layout, patience: float = 5.0) -> None:
    """Wait until the switch has done what it was told so far, for `patience` seconds at most. Raises Fault."""
    until = time.monotonic() + patience
    columns = {"columns": ["next_cfg", "cur_cfg"], "where": []}
    while True:
        reply = _transact(layout, {"op": "select", "table": "Open_vSwitch", **columns})
        if all(row["cur_cfg"] >= row["next_cfg"] for row in reply[0]["rows"]) or time.monotonic() > until:
            return
        time.sleep(_POLL)


def ports(layout: Layout) -> dict[str, str]:
    """The logical port of each plugged interface, by the interface's name. Raises Fault."""
    reply = _transact(layout, {"op": "select", "table": "Interface", "where": [], "columns": ["name", "external_ids"]})
    named = {row["name"]: dict(row["external_ids"][1]) for row in reply[0]["rows"]}
    return {name: ids["iface-id"] for name, ids in named.items() if "iface-id" in ids}


def _bridge(mutator: str, port: list[str]) -> dict[str, Any]:
    """Insert a port into the bridge's, or delete it from them."""
    where = [["name", "==", BRIDGE]]
    return {"op": "mutate", "table": "Bridge", "where": where, "mutations": [["ports", mutator, port]]}


def _changed() -> dict[str, Any]:
    # The switch looks at its configuration when this counter moves.
    return {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}


def _transact(layout: Layout, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    request = {"method": "transact", "params": ["Open_vSwitch", *operations], "id": 0}
    try:
        reply = _call(Path(layout.switch.removeprefix("unix:")), json.dumps(request))
    except OSError as error:
        raise Fault("NetworkEngineUnavailable", f"the switch's database does not answer: {error}") from error
    results: list[dict[str, Any]] = reply.get("result") or []
    wrong = [result for result in results if result and result.get("error")]
    if reply.get("error") or wrong or len(results) < len(operations):
        raise Fault("NetworkEngineFailed", f"the switch's database refused: {reply.get('error') or wrong}")
    return results


def _call(path: Path, request: str) -> dict[str, Any]:
    with unixsocket.connect(path, _TIMEOUT) as stream:
        stream.sendall(request.encode())
        received = b""
        while True:
            part = stream.recv(65536)
            if not part:
                raise ConnectionResetError("closed before the whole answer came")
            received += part
            try:
                reply: dict[str, Any] = json.loads(received)
            except ValueError:
                continue
            return reply
