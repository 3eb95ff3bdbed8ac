"""Nouns as JSON documents: their parts as they are, ids, and for instances and addresses what a person wants to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pileus.model.credential import Credential
from pileus.model.errors import NotFound
from pileus.model.floatingip import FloatingIp
from pileus.model.grant import Grant
from pileus.model.host import Host
from pileus.model.image import Image, content, state
from pileus.model.instance import Instance, failed
from pileus.model.noun import Noun
from pileus.model.nouns import NOUNS
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.statistics import Statistics
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.rules import find
from pileus.rules.floatingip import views_of as views_of_addresses
from pileus.rules.host import Heard, HostView
from pileus.rules.host import views_of as views_of_hosts
from pileus.rules.instance.view import InstanceView, views_of
from pileus.store.keyuse import KeyUse, last_uses
from pileus.verbs.instance.stats import InstanceStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.faces.wire.typed import TypedRequest
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.rules.floatingip import AddressView
    from pileus.store.reader import Reader

N = TypeVar("N", bound=Noun)

PLURALS: dict[str, type[Noun]] = {f"{kind}s": cls for kind, cls in NOUNS.items()}
"""The word for each noun in paths and lists."""

FIGURES = tuple(
    field for field in Statistics.__struct_fields__ if field not in ("uuid", "id", "project", "running", "fault")
)
"""The figures in a document of an instance's use."""


def kind_of(word: str) -> type[Noun]:
    """The noun that a word in a path means, singular or plural; NotFound for any other word."""
    cls = PLURALS.get(word) or NOUNS.get(word)
    if cls is None:
        raise NotFound(f"There are no {word} here; there are {', '.join(sorted(PLURALS))}.", ident=word)
    return cls


def whole(value: Any) -> Any:
    """A part as JSON's types, with the fields that have their default: rows leave those out, documents do not."""
    if isinstance(value, msgspec.Struct):
        return {field: whole(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [whole(item) for item in value]
    return {key: whole(item) for key, item in value.items()} if isinstance(value, dict) else value


def document(noun: Noun) -> dict[str, Any]:
    """One noun: `id` is the public one, times are seconds since the epoch, `wanted` without secrets."""
    wanted, assigned = whole(noun.wanted), whole(noun.assigned)
    # After a recovery an instance keeps what was wanted of it before.
    before = ((assigned or {}).get("unheard") or {}).get("wanted", {})
    for field in noun.SECRET:
        wanted.pop(field, None)
        before.pop(field, None)
    return {
        "kind": noun.KIND,
        "id": noun.ec2_id,
        "uuid": noun.uuid,
        "name": noun.name,
        "project": noun.project,
        "tags": noun.tags,
        "generation": noun.generation,
        "revision": list(noun.revision),
        "created": noun.created,
        "changed": noun.changed,
        "gone": noun.gone,
        "wanted": wanted,
        "assigned": assigned,
        "seen": whole(noun.seen),
    }


def instance_document(view: InstanceView, liveness: Heard) -> dict[str, Any]:
    """An instance, with its state, size, image and addresses in words of their own; `trouble` is "" if all is well.

    `address` is private, `loopback` is reached from the machine of its host, `floating` from the outside network.
    """
    image = view.image
    return {
        **document(view.instance),
        "state": "error" if failed(view.instance) and view.instance.wanted.on_failure == "stay" else str(view.state),
        "flavor": view.flavor.name,
        "image": image.name if image else "",
        "login_user": view.login_user,
        "address": view.nics[0].port.assigned.address if view.nics else "",
        "loopback": view.instance.assigned.loopback,
        "floating": next((nic.floating.assigned.address for nic in view.nics if nic.floating), ""),
        "host": view.instance.assigned.host,
        "trouble": _trouble(view.instance, liveness),
        "key": view.instance.wanted.key_name,
        "groups": [group.name for nic in view.nics for group in nic.groups],
    }


def _trouble(instance: Instance, liveness: Heard) -> str:
    if instance.gone is not None:
        return ""
    if liveness.lost(instance.assigned.host):
        return "host lost" if liveness.since(instance.assigned.host) is not None else "host removed"
    return instance.seen.fault.code if instance.seen.fault else ""


def statistics_document(measured: InstanceStatistics) -> dict[str, Any]:
    """Return the document of an instance's statistics: seconds, bytes, packets; null where its host cannot measure now.

    `uptime` is 0 and counters are unless it runs; `trouble` is "" unless nothing is known.
    """
    statistics = measured.statistics
    return {
        "kind": "stats",
        "id": measured.instance.ec2_id,
        "name": measured.instance.name,
        "project": measured.instance.project,
        "host": measured.instance.assigned.host,
        "state": str(measured.state),
        "since": measured.since or None,
        "uptime": max(0.0, measured.asked - measured.since) if measured.since else 0.0,
        **{field: whole(getattr(statistics, field)) for field in FIGURES},
        "trouble": measured.trouble,
    }


def address_document(view: AddressView) -> dict[str, Any]:
    """A floating address, with what has it in public ids, "" where nothing does.

    `loopback` is the address by which the instance is reached from the machine of its host `host`.
    """
    return {
        **document(view.floating),
        "address": view.floating.assigned.address,
        "instance": view.instance.ec2_id if view.instance else "",
        "port": view.port.ec2_id if view.port else "",
        "private": view.port.assigned.address if view.port else "",
        "loopback": view.instance.assigned.loopback if view.instance else "",
        "host": view.instance.assigned.host if view.instance else "",
    }


def image_document(image: Image) -> dict[str, Any]:
    """An image, with its state, and what its bytes are wherever they came from; `trouble` is "" if all is well."""
    what, fault = content(image), image.seen.fault if image.seen is not None else None
    return {
        **document(image),
        "state": str(state(image)),
        "digest": what.digest,
        "size": what.size,
        "virtual_size": what.virtual_size,
        "trouble": fault.code if fault is not None else "",
    }


def host_document(view: HostView) -> dict[str, Any]:
    """A host, with how it is, when it was heard last, and what is used of what may be given away (None: no bound).

    `traits` are those that it found out by itself, and those that it was given.
    """
    return {
        **document(view.host),
        "state": view.condition,
        "heard": view.host.seen.heard,
        "instances": view.instances,
        "traits": sorted({*view.host.seen.traits, *view.host.wanted.traits}),
        "used": view.used,
        "room": view.room,
    }


def credential_document(credential: Credential, user: User | None, use: KeyUse | None) -> dict[str, Any]:
    """A credential, with its user; `key` is an access key's id, "" for what is told by its secret alone.

    `used` and `service` are the last use of an access key, which is written at most once a minute.
    """
    key = credential.wanted.key if credential.wanted.type == "aws" else ""
    return {
        **document(credential),
        "user": user.name if user else "",
        "key": key,
        "used": use.at if use else None,
        "service": use.service if use else "",
    }


def _grants(_core: Core, tx: Reader, grants: Sequence[Grant]) -> list[dict[str, Any]]:
    """Grants, each with the names of its project, and of its user or group of users."""
    names = {
        noun.uuid: noun.name
        for noun in (
            *tx.many(User, {grant.wanted.user for grant in grants}).values(),
            *tx.many(UserGroup, {grant.wanted.usergroup for grant in grants}).values(),
            *tx.many(Project, {grant.project for grant in grants}).values(),
        )
    }
    return [
        {
            **document(grant),
            "role": grant.wanted.role,
            "user": names.get(grant.wanted.user, ""),
            "usergroup": names.get(grant.wanted.usergroup, ""),
            "project_name": names.get(grant.project, ""),
        }
        for grant in grants
    ]


def _usergroups(_core: Core, tx: Reader, groups: Sequence[UserGroup]) -> list[dict[str, Any]]:
    """Groups of users, each with the names of its users."""
    users = tx.many(User, {member for group in groups for member in group.wanted.members})
    return [
        {**document(group), "users": [users[uuid].name for uuid in group.wanted.members if uuid in users]}
        for group in groups
    ]


def documents(core: Core, tx: Reader, nouns: Sequence[Noun]) -> list[dict[str, Any]]:
    """The documents of nouns of one kind, in order; one query per noun that they are shown with."""
    shown = _SHOWN.get(nouns[0].KIND) if nouns else None
    return shown(core, tx, nouns) if shown else [document(noun) for noun in nouns]


def _instances(core: Core, tx: Reader, nouns: Sequence[Instance]) -> list[dict[str, Any]]:
    liveness = Heard(tx, core.store.now())
    return [instance_document(view, liveness) for view in views_of(tx, nouns)]


def _credentials(_core: Core, tx: Reader, credentials: Sequence[Credential]) -> list[dict[str, Any]]:
    users = tx.many(User, {credential.wanted.user for credential in credentials})
    uses = last_uses(tx, [credential.uuid for credential in credentials])
    return [credential_document(each, users.get(each.wanted.user), uses.get(each.uuid)) for each in credentials]


_SHOWN: dict[str, Callable[[Core, Reader, Sequence[Any]], list[dict[str, Any]]]] = {
    Instance.KIND: _instances,
    Host.KIND: lambda core, tx, hosts: [host_document(view) for view in views_of_hosts(tx, core, hosts)],
    Image.KIND: lambda _core, _tx, images: [image_document(image) for image in images],
    FloatingIp.KIND: lambda _core, tx, addresses: [
        address_document(view) for view in views_of_addresses(tx, addresses)
    ],
    Credential.KIND: _credentials,
    Grant.KIND: _grants,
    UserGroup.KIND: _usergroups,
}
"""The kinds of nouns whose documents hold more than the noun."""


def one(caller: Caller, tx: Reader, cls: type[N], ident: str) -> N:
    """The noun that a person means, by id (tombstones too) or, if it lives, by name; NotFound otherwise.

    Of groups of one name the group of the project's default router is meant, as in a launch.
    """
    for noun in (*tx.by_ec2(cls, [ident]).values(), *tx.many(cls, [ident]).values()):
        if _shown(caller, noun):
            return noun
    try:
        living_noun = find.by_any(caller, tx, cls, ident)
    except NotFound as error:
        if error.reason != "ambiguous" or cls is not SecurityGroup:
            raise
        groups = [noun for noun in tx.list(cls, project=caller.project, name=ident) if _of_default_router(tx, noun)]
        if not groups:
            raise
        living_noun = groups[0]
    if not _shown(caller, living_noun):
        raise find.not_found(cls, [ident])
    return living_noun


def _of_default_router(tx: Reader, group: Noun) -> bool:
    return bool(group.wanted.router) and tx.need(Router, group.wanted.router).wanted.default


def uuid_of(request: TypedRequest, cls: type[N], ident: str = "") -> str:
    """The uuid of the noun that `ident`, or else the path, names, by id or name. Raises NotFound."""
    with request.core.store.read() as tx:
        return one(request.caller, tx, cls, ident or request.path["id"]).uuid


def uuid_for_administrators(request: TypedRequest, cls: type[N], ident: str = "") -> str:
    """The uuid for administrators; the word itself for other callers, whom the verb refuses without a look-up."""
    return uuid_of(request, cls, ident) if request.caller.admin else ident or request.path["id"]


def listed(
    caller: Caller, tx: Reader, cls: type[Noun], *, everywhere: bool, gone: bool, after: int, limit: int | None
) -> list[Noun]:
    """The nouns of one kind that the caller may see, oldest first: its project's, or (`everywhere`) all of them."""
    across = cls.SEEN_BY != "project" or (everywhere and caller.admin)
    project = None if across else caller.project
    # What is filtered by visibility is cut after the filter.
    bound = None if across and not caller.admin else limit
    nouns = tx.list(cls, project=project, dead=gone, after=after, limit=bound)
    shown = [noun for noun in nouns if _shown(caller, noun)]
    return shown if limit is None else shown[:limit]


def changed(
    caller: Caller,
    tx: Reader,
    cls: type[Noun],
    since: float,
    *,
    everywhere: bool,
    gone: bool,
    after: int,
    limit: int,
) -> list[Noun]:
    """The nouns of one kind that the caller may see and that changed at `since` or later, in the order of changes.

    Of those that changed at `since` itself only the ones behind the id `after`.
    """
    across = cls.SEEN_BY != "project" or (everywhere and caller.admin)
    project = None if across else caller.project
    bound = None if across and not caller.admin else limit
    nouns = tx.changed_since(cls, since, project=project, dead=gone, after=after, limit=bound)
    return [noun for noun in nouns if _shown(caller, noun)][:limit]


def _shown(caller: Caller, noun: Noun) -> bool:
    return find.visible(caller, noun) and (caller.admin or noun.SEEN_BY != "administrators")
