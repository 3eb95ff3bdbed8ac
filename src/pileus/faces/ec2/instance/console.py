"""GetConsoleOutput and GetConsoleScreenshot."""

from __future__ import annotations

import base64
from typing import Any

from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.model.errors import Unsupported
from pileus.model.instance import Instance
from pileus.verbs.instance import console


@action("GetConsoleOutput", waits=True)
def get_console_output(call: Call) -> dict[str, Any]:
    """Return the last 64 KiB of the instance's output to its serial console, as of now."""
    uuid = uuid_of(call, Instance, call.args["InstanceId"])
    instance, output = console.output(call.caller, call.core, uuid)
    return {
        "InstanceId": instance.ec2_id,
        "Timestamp": call.core.store.now(),
        "Output": base64.b64encode(output).decode(),
    }


@action("GetConsoleScreenshot", waits=True)
def get_console_screenshot(call: Call) -> dict[str, Any]:
    """Return the screen of a running machine as PNG; a container has none."""
    uuid = uuid_of(call, Instance, call.args["InstanceId"])
    if call.args.get("WakeUp"):
        raise Unsupported("This cloud wakes no screens: WakeUp is not supported.", noun="instance")
    instance, picture = console.screenshot(call.caller, call.core, uuid)
    return {"InstanceId": instance.ec2_id, "ImageData": base64.b64encode(picture).decode()}
