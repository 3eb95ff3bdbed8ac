"""Paths of nouns: making, changing and deleting by a body in which nouns are named by id, uuid or name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pileus.faces.rest import documents
from pileus.faces.wire.typed import Route, TypedRequest
from pileus.model.caller import Caller
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.noun import Noun
from pileus.model.prefixlist import PrefixList
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.rules.core import Core

B = TypeVar("B", bound=msgspec.Struct)

_CLASSES: dict[str, type[Noun]] = {
    "attachment": RouterAttachment,
    "dhcpoptionset": DhcpOptionSet,
    "floatingip": FloatingIp,
    "group": SecurityGroup,
    "groups": SecurityGroup,
    "instance": Instance,
    "network": Network,
    "prefixlist": PrefixList,
    "project": Project,
    "router": Router,
    "subnet": Subnet,
    "subnets": Subnet,
    "transitgateway": TransitGateway,
    "user": User,
    "usergroup": UserGroup,
}
"""The nouns that fields of bodies name, by id, uuid or name."""


def read(request: TypedRequest, shape: type[B]) -> B:
    """The body, with uuids in the place of the nouns that it names. Raises NotFound, InvalidValue."""
    body = request.read(shape)
    uuids: dict[str, Any] = {}
    for field in body.__struct_fields__:
        named = getattr(body, field)
        if field in _CLASSES and named:
            uuids[field] = _uuids(request, _CLASSES[field], named)
    return msgspec.structs.replace(body, **uuids)


def _uuids(request: TypedRequest, cls: type[Noun], named: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(named, str):
        return documents.uuid_of(request, cls, named)
    return tuple(documents.uuid_of(request, cls, each) for each in named)


def document(request: TypedRequest, noun: Noun) -> dict[str, Any]:
    """The document of a noun."""
    with request.core.store.read() as tx:
        return documents.documents(request.core, tx, [noun])[0]


def present(request: TypedRequest, cls: type[Noun], uuid: str) -> dict[str, Any]:
    """The document of a noun that was changed, which may have ended by that."""
    with request.core.store.read() as tx:
        return documents.documents(request.core, tx, [*tx.many(cls, [uuid]).values()])[0]


def make(cls: type[Noun], shape: type[B], make: Callable[[Caller, Core, B], Noun], says: str) -> Route:
    """The path that makes a noun from a body and returns its document."""

    def handle(request: TypedRequest) -> dict[str, Any]:
        return document(request, make(request.caller, request.core, read(request, shape)))

    return Route("POST", f"{cls.KIND}s", handle, says, shape, 201)


def act(cls: type[Noun], action: str, verb: Callable[[Caller, Core, str], object], says: str) -> Route:
    """The path of an action without a body, which returns the noun's document."""

    def handle(request: TypedRequest) -> dict[str, Any]:
        uuid = documents.uuid_of(request, cls)
        verb(request.caller, request.core, uuid)
        return present(request, cls, uuid)

    return Route("POST", f"{cls.KIND}s/{{id}}/{action}", handle, says)


def change(
    cls: type[Noun], action: str, shape: type[B], verb: Callable[[Caller, Core, str, B], object], says: str
) -> Route:
    """The path of a change that a body describes, which returns the noun's document; the path of the noun for none."""

    def handle(request: TypedRequest) -> dict[str, Any]:
        uuid = documents.uuid_of(request, cls)
        verb(request.caller, request.core, uuid, read(request, shape))
        return present(request, cls, uuid)

    return Route("POST", f"{cls.KIND}s/{{id}}/{action}".rstrip("/"), handle, says, shape)


def delete(cls: type[Noun], verb: Callable[[Caller, Core, str], object], says: str) -> Route:
    """The path that deletes a noun."""

    def handle(request: TypedRequest) -> dict[str, Any]:
        verb(request.caller, request.core, documents.uuid_of(request, cls))
        return {}

    return Route("DELETE", f"{cls.KIND}s/{{id}}", handle, says)
