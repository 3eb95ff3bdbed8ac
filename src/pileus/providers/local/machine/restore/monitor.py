"""The monitor commands of QEMU that libvirt has no call for, sent through libvirt's own monitor connection."""

from __future__ import annotations

import json
import time
from typing import Any

import libvirt_qemu

from pileus.model.errors import Fault
from pileus.providers.local.machine.hypervisor import Hypervisor

_POLL = 0.01
_ENDED = frozenset({"failed", "cancelled"})


def command(hypervisor: Hypervisor, domain: Any, name: str, **arguments: Any) -> Any:
    """Return the answer of QEMU's monitor command `name` (QEMU's QMP reference). Raises Fault."""
    request = json.dumps({"execute": name, "arguments": arguments})
    answer_text = hypervisor.call(libvirt_qemu.qemuMonitorCommand, domain, request, 0)
    answer: dict[str, Any] = json.loads(answer_text)
    if "error" in answer:
        raise Fault("RestoreFailed", f"QEMU's {name}: {answer['error'].get('desc')}")
    return answer["return"]


def without_memory(hypervisor: Hypervisor, domain: Any) -> None:
    """Have QEMU send, or expect, its state without the memory that is a file."""
    capability = {"capability": "x-ignore-shared", "state": True}
    command(hypervisor, domain, "migrate-set-capabilities", capabilities=[capability])


def transferred(hypervisor: Hypervisor, domain: Any, seconds: float) -> None:
    """Wait until QEMU's state is sent or read completely. Raises Fault when it was not, or takes too long."""
    until = time.monotonic() + seconds
    while (status := command(hypervisor, domain, "query-migrate").get("status")) != "completed":
        if status in _ENDED or time.monotonic() > until:
            raise Fault("RestoreFailed", f"QEMU's state was not carried over: {status}")
        time.sleep(_POLL)
