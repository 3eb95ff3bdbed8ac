"""The images of a stub cloud: placeholders, for nothing ever boots them."""

from __future__ import annotations

from typing import Literal

from pileus.app.uploads import Disk, Upload, register
from pileus.app.wiring import Cloud
from pileus.model.caller import Caller

SIZE = 1 << 20

IMAGES = (
    Upload(name="stub-machine", login_user="admin", public=True, description="A machine that only pretends to run."),
    Upload(
        name="stub-container",
        kind="container",
        public=True,
        description="A container that only pretends to run.",
    ),
)


def register_all(caller: Caller, cloud: Cloud) -> None:
    """Register them as public images, the machine first; safe to repeat."""
    for image in IMAGES:
        stored = cloud.objects.put([f"{image.name}\n".encode().ljust(SIZE, b"\0")])
        form: Literal["raw", "tar"] = "tar" if image.kind == "container" else "raw"
        register(caller, cloud.core, image, Disk(form, SIZE), stored.digest, stored.size)
