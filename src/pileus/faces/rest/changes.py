"""The paths that change what is beside the networks: tags of any noun, images and key pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.faces.rest import documents
from pileus.faces.wire.typed import Route
from pileus.model.image import Image
from pileus.model.keypair import KeyPair
from pileus.model.sizes import Idents, Tags
from pileus.verbs import image, keypair, tag

if TYPE_CHECKING:
    from pileus.faces.wire.typed import TypedRequest


class TagChange(msgspec.Struct, frozen=True, kw_only=True):
    """Tags to set, and the keys of tags to take away; a key that the noun does not have is passed over."""

    add: Tags = {}
    remove: Idents = ()


def _change_tags(request: TypedRequest) -> dict[str, Any]:
    cls = documents.kind_of(request.path["nouns"])
    change, uuid = request.read(TagChange), documents.uuid_of(request, cls)
    target = (cls.KIND, uuid)
    if change.add or not change.remove:
        tag.put(request.caller, request.core, [target], change.add)
    if change.remove:
        tag.remove(request.caller, request.core, [target], dict.fromkeys(change.remove))
    with request.core.store.read() as tx:
        return documents.documents(request.core, tx, [tx.need(cls, uuid)])[0]


def _change_image(request: TypedRequest) -> dict[str, Any]:
    uuid = documents.uuid_of(request, Image)
    return documents.image_document(image.modify(request.caller, request.core, uuid, request.read(image.ImageChange)))


def _copy_image(request: TypedRequest) -> dict[str, Any]:
    uuid, new = documents.uuid_of(request, Image), request.read(image.ImageCopy)
    return documents.image_document(image.copy(request.caller, request.core, uuid, new))


def _delete_keypair(request: TypedRequest) -> dict[str, Any]:
    keypair.delete(request.caller, request.core, documents.uuid_of(request, KeyPair))
    return {}


ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "images/{id}", _change_image, "Change its description, and who may launch from it.", image.ImageChange
    ),
    Route(
        "POST", "images/{id}/copy", _copy_image, "Make an image of the project with its bytes.", image.ImageCopy, 201
    ),
    Route("DELETE", "keypairs/{id}", _delete_keypair, "Delete a key pair; instances keep the public key."),
    Route("POST", "{nouns}/{id}/tags", _change_tags, "Set tags, and take tags away.", TagChange),
)
