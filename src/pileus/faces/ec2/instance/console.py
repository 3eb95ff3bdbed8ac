"""GetConsoleOutput."""

from __future__ import annotations

import base64
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.model.errors import Malformed
from pileus.model.ids import is_ec2
from pileus.verbs.instance import console


@action("GetConsoleOutput", waits=True)
def get_console_output(call: Call) -> dict[str, Any]:
    """Return the last 64 KiB of the instance's output to its serial console, as of now."""
    ident = call.args["InstanceId"]
    if not is_ec2("i", ident):
        raise Malformed(f'Invalid id: "{ident}" (expecting "i-...")', noun="instance", ident=ident)
    instance, output = console.output(call.caller, call.core, ident)
    return {
        "InstanceId": instance.ec2_id,
        "Timestamp": call.core.store.now(),
        "Output": base64.b64encode(output).decode(),
    }
