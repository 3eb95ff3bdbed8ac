"""The images that every cloud of a provider has, for everybody."""

from __future__ import annotations

from pileus.app.wiring import Cloud
from pileus.model.caller import Caller
from pileus.model.kit import Kit
from pileus.verbs.imageupload import Disk, ImageUpload, register


def register_all(caller: Caller, cloud: Cloud, kit: Kit) -> None:
    """Register them as public images, in the kit's order; safe to repeat."""
    for image in kit.images():
        stored = cloud.objects.put([image.content])
        upload = ImageUpload(
            name=image.name,
            kind=image.kind,
            login_user=image.login_user,
            public=True,
            description=image.description,
        )
        register(caller, cloud.core, upload, Disk(image.format, image.virtual_size), stored.digest, stored.size)
