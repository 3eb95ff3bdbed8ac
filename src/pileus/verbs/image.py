"""Images: registering disks whose bytes the object store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Forbidden, NotFound
from pileus.model.ids import new_uuid
from pileus.model.image import Image, Wanted
from pileus.verbs import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.verbs.core import Core


def register(caller: Caller, core: Core, name: str, wanted: Wanted) -> Image:
    """Register an image by its digest. The same name with the same digest is the same image (safe to repeat)."""
    allow(caller, public=wanted.public)
    with core.store.write() as tx:
        for image in tx.list(Image, project=caller.project, name=name):
            if image.wanted == wanted:
                return image
        image = tx.add(Image(uuid=new_uuid(), project=caller.project, name=name, wanted=wanted))
        tx.record(caller, image, "image.register", outcome="done")
        return image


def allow(caller: Caller, *, public: bool) -> None:
    """Whether the caller may register such an image; asked again before its bytes are taken in. Raises Forbidden."""
    if public and not caller.admin:
        raise Forbidden("Only an administrator makes an image public.", noun="image")


def deregister(caller: Caller, core: Core, ident: str) -> None:
    """Forget an image; instances that were started from it keep their disks."""
    with core.store.write() as tx:
        image = find.by_any(caller, tx, Image, ident)
        if image.project != caller.project and not caller.admin:
            raise find.not_found(Image, [ident])
        tx.want(image, msgspec.structs.replace(image.wanted, gone=True))
        tx.bury(image)
        tx.record(caller, image, "image.deregister", outcome="done")


def listing(caller: Caller, core: Core, ids: Sequence[str] = ()) -> list[Image]:
    """The images that the caller may start from, oldest first; `ids` are EC2 ids, each of which must exist."""
    with core.store.read() as tx:
        if ids:
            return find.by_ec2(caller, tx, Image, ids)
        return [image for image in tx.list(Image) if find.visible(caller, image)]


def needed(caller: Caller, tx: Reader, ident: str) -> Image:
    """The image that a launch names: by EC2 id, as EC2 has it, or by uuid or name. NotFound otherwise."""
    try:
        return find.by_any(caller, tx, Image, ident)
    except NotFound:
        if ident.startswith("ami-"):
            return find.by_ec2(caller, tx, Image, [ident])[0]
        raise
