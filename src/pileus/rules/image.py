"""Images: their names, their sources, and the bytes that are needed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Forbidden, InvalidValue, QuotaExceeded
from pileus.model.image import Image, State, content, state
from pileus.model.instance import Instance
from pileus.model.volume import Volume
from pileus.rules import find

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def check_name(name: str) -> None:
    """Whether an image may be called that. Raises InvalidValue."""
    if not (name.isprintable() and 1 <= len(name) <= LONGEST_NAME):
        text = f"An image's name has 1 to {LONGEST_NAME} printable characters."
        raise InvalidValue(text, ident=name[:40], reason="name")


def check_login(user: str) -> None:
    """Whether somebody may log in as `user`: as useradd(8) has it, with capitals and dots. Raises InvalidValue."""
    if not _LOGIN.fullmatch(user):
        text = f"'{user[:40]}' can be no login user: 1 to 32 letters, digits and . _ -, a letter or _ first."
        raise InvalidValue(text, ident=user[:40], reason="login-user")


def own(caller: Caller, image: Image) -> Image:
    """The image, which the caller may change. Raises Forbidden for another project's, as it is public or shared."""
    if not caller.admin and image.project != caller.project:
        raise Forbidden(f"Not authorized for {image.label}.", noun="image", ident=image.uuid, reason="owner")
    return image


LONGEST_NAME = 128
"""Characters, as in EC2."""

_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", re.ASCII)


def source(tx: Writer, image: Image) -> None:
    """A capture needs its source no more: an instance that waited for it goes on."""
    # One that cannot be read is found by the resync when it can.
    instance = tx.many(Instance, [image.wanted.instance]).get(image.wanted.instance)
    if instance is not None and instance.gone is None and instance.wanted.gone:
        tx.wake(instance)


def finish_removal(tx: Writer, image: Image) -> Image:
    """Make the row of an image that no host holds any more a tombstone, and settle its journal lines."""
    tx.make_tombstone(image)
    for line in tx.unsettled([image.uuid]):
        tx.settle([line.id], "done" if line.verb == "image.deregister" else "superseded")
    return msgspec.structs.replace(image, gone=tx.now)


def allow(caller: Caller, *, public: bool) -> None:
    """Whether the caller may register such an image; asked again before its bytes are taken in. Raises Forbidden."""
    if public:
        caller.require_admin("makes an image public", "image")


def full(room: int) -> QuotaExceeded:
    """The error for an image of more bytes than the `room` that its project has left."""
    return QuotaExceeded(f"This project has room for {room} more bytes of images.", noun="image", reason="imagespace")


def named(tx: Reader) -> set[str]:
    """The digests of all objects that anything in the store still needs.

    They are those of images, of captures that are on their way, and of the images that instances' disks began as.
    """
    images = tx.list(Image)
    digests = {content(image).digest for image in images}
    digests |= {image.seen.digest for image in images if image.seen is not None}
    digests |= {volume.wanted.digest for volume in tx.list(Volume)}
    return digests - {""}


def usable(caller: Caller, tx: Reader, uuid: str) -> Image:
    """The image that a launch names. Raises NotFound, and Conflict while it has no bytes."""
    image = find.living(caller, tx, Image, uuid)
    if state(image) is not State.AVAILABLE:
        text = f"The {image.label} is {state(image)}: nothing can be launched from it."
        raise Conflict(text, noun="image", ident=image.uuid, reason="unavailable")
    return image
