"""Every path of this face that is not derived from the nouns: one function per verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pileus.faces.rest import changes, documents, launch, lists, networking, people
from pileus.faces.rest.explain import explain
from pileus.faces.wire.typed import Route, TypedRequest
from pileus.model import addresses, quota
from pileus.model import listing as pages
from pileus.model.allowance import Allowance
from pileus.model.caller import Caller
from pileus.model.flavor import Flavor
from pileus.model.flavor import Wanted as FlavorWanted
from pileus.model.floatingip import FloatingIp
from pileus.model.host import Duty, Host, Overcommit
from pileus.model.image import Image
from pileus.model.instance import Body, Instance
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.sizes import Ident, Name, PublicKey, Tags, Traits
from pileus.model.spec import InstanceSpec
from pileus.rules.core import Core
from pileus.verbs import doctor, flavor, floatingip, host, image, join, keypair, limit
from pileus.verbs.instance import console, power, stats, view
from pileus.verbs.instance.launch import launch as launch_verb
from pileus.verbs.rename import rename


class NewKeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair to make, or with `public_key` (OpenSSH or PEM) to import."""

    name: Name
    type: keypair.KeyType = "ed25519"
    public_key: PublicKey = ""


class NewAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A floating address to keep: the one that is asked for, or any free one."""

    address: Ident = ""
    tags: Tags = {}


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """The target of an address: an instance, by id or name, or a port, by id; moved from another one unless refused."""

    instance: Ident = ""
    port: Ident = ""
    reassociate: bool = True


class NewHostToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token by which one host joins, once: under the name `host` if given, within `valid` seconds."""

    host: Name = ""
    valid: float = 3600.0


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that no row knows: the order that it was made by, the host that has it, and how it is there."""

    spec: InstanceSpec
    host: Name
    body: Body = Body()


class NewFlavor(msgspec.Struct, frozen=True, kw_only=True):
    """A flavor to make: `memory` in MiB, `disk` in GiB, demands of hosts, and an allowance (0: the default)."""

    name: Name
    vcpus: int
    memory: int
    disk: int
    kind: Literal["machine", "container"] = "machine"
    traits: Traits = ()
    allowance: Allowance = Allowance()


class NewTraits(msgspec.Struct, frozen=True, kw_only=True):
    """Traits that are given, or demanded, from now on, and those that no longer are."""

    add: Traits = ()
    remove: Traits = ()


class NewName(msgspec.Struct, frozen=True, kw_only=True):
    """The name that a noun gets."""

    name: Name


class NewLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a project by resource, in place of those that it had; null: any amount."""

    limits: Annotated[dict[Ident, int | None], Meta(max_length=len(quota.DEFAULTS))]


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """How a host is removed: with `forget` one that is lost, whatever it holds."""

    forget: bool = False


def _document(request: TypedRequest, noun: Noun) -> dict[str, Any]:
    with request.core.store.read() as tx:
        return documents.documents(request.core, tx, [noun])[0]


def _show(request: TypedRequest) -> dict[str, Any]:
    cls = documents.kind_of(request.path["nouns"])
    with request.core.store.read() as tx:
        return documents.documents(request.core, tx, [documents.one(request.caller, tx, cls, request.path["id"])])[0]


def _rename(request: TypedRequest) -> dict[str, Any]:
    cls = documents.kind_of(request.path["nouns"])
    uuid = documents.uuid_of(request, cls)
    return _document(request, rename(request.caller, request.core, cls, uuid, request.read(NewName).name))


def _explain(request: TypedRequest) -> dict[str, Any]:
    return explain(request.caller, request.core, documents.kind_of(request.path["kind"]), request.path["id"])


def _deregister_image(request: TypedRequest) -> dict[str, Any]:
    image.deregister(request.caller, request.core, documents.uuid_of(request, Image))
    return {}


def _create_keypair(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewKeyPair)
    if new.public_key:
        return documents.document(keypair.import_(request.caller, request.core, new.name, new.public_key.encode()))
    key, private = keypair.create(request.caller, request.core, new.name, new.type)
    return {**documents.document(key), "private_key": private}


def _create_flavor(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewFlavor)
    wanted = msgspec.convert(new, FlavorWanted, from_attributes=True)
    return documents.document(flavor.create(request.caller, request.core, new.name, wanted))


def _demand(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewTraits)
    uuid = documents.uuid_for_administrators(request, Flavor)
    return documents.document(flavor.demand(request.caller, request.core, uuid, new.add, new.remove))


def _offered(*, retired: bool) -> Callable[[TypedRequest], dict[str, Any]]:
    return lambda request: documents.document(
        flavor.offer(request.caller, request.core, documents.uuid_for_administrators(request, Flavor), retired=retired)
    )


def _capture_image(request: TypedRequest) -> dict[str, Any]:
    new = request.read(image.CaptureRequest)
    with request.core.store.read() as tx:
        source = documents.one(request.caller, tx, Instance, new.instance)
    new = msgspec.structs.replace(new, instance=source.uuid)
    return documents.image_document(image.capture(request.caller, request.core, new))


def _launch(request: TypedRequest) -> dict[str, Any]:
    uuids = launch_verb(request.caller, request.core, launch.read(request))
    views = view.launched(request.caller, request.core, uuids)
    with request.core.store.read() as tx:
        return {"instances": documents.documents(request.core, tx, [instance_view.instance for instance_view in views])}


class _Count(msgspec.Struct):
    """The part of a launch that says how many."""

    most: int = 1


def _launches(body: bytes) -> int:
    """The number of instances that a launch asks for, as far as that can be read; the verb looks at it closely."""
    try:
        return max(1, msgspec.json.decode(body, type=_Count).most)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return 1


def _console(request: TypedRequest) -> dict[str, Any]:
    instance, output = console.output(request.caller, request.core, documents.uuid_of(request, Instance))
    return {"id": instance.ec2_id, "output": output.decode("utf-8", "replace")}


def _ingress(request: TypedRequest) -> dict[str, Any]:
    instance, ingress = view.ingress(request.caller, request.core, documents.uuid_of(request, Instance))
    return {"id": instance.ec2_id, "ingress": documents.whole(tuple(ingress))}


def _stats(request: TypedRequest) -> dict[str, Any]:
    start, limit = pages.after(request.query.get("after")), lists.page_size(request)
    all_measured, rest = stats.of_all(
        request.caller, request.core, everywhere=request.flag("all"), after=start, limit=limit
    )
    return {"stats": [documents.statistics_document(measured) for measured in all_measured], "next": rest}


def _stats_of_one(request: TypedRequest) -> dict[str, Any]:
    return documents.statistics_document(
        stats.of_one(request.caller, request.core, documents.uuid_of(request, Instance))
    )


def _limits(request: TypedRequest) -> Any:
    project = request.query.get("project", "")
    own = project in ("", request.caller.project_name)
    return limit.show(request.caller, request.core, "" if own else documents.uuid_of(request, Project, project))


def _change_limits(request: TypedRequest) -> Any:
    uuid = documents.uuid_for_administrators(request, Project)
    return limit.change(request.caller, request.core, uuid, request.read(NewLimits).limits)


def _doctor(request: TypedRequest) -> Any:
    return doctor.look(request.caller, request.core)


def _mend(request: TypedRequest) -> dict[str, Any]:
    return {"findings": doctor.mend(request.caller, request.core)}


def _confirm(request: TypedRequest) -> dict[str, Any]:
    doctor.confirm(request.caller, request.core)
    return {}


def _sweep(request: TypedRequest) -> dict[str, Any]:
    doctor.sweep(request.caller, request.core, request.path["kind"], request.path["uuid"])
    return {}


def _adopt(request: TypedRequest) -> dict[str, Any]:
    adoption = request.read(Adoption)
    return documents.document(doctor.adopt(request.caller, request.core, adoption.spec, adoption.host, adoption.body))


def _powered(verb: Callable[[Caller, Core, list[str]], object]) -> Callable[[TypedRequest], dict[str, Any]]:
    def handle(request: TypedRequest) -> dict[str, Any]:
        with request.core.store.read() as tx:
            instance = documents.one(request.caller, tx, Instance, request.path["id"])
        verb(request.caller, request.core, [instance.uuid])
        with request.core.store.read() as tx:
            instance = documents.one(request.caller, tx, Instance, instance.uuid)
            return documents.documents(request.core, tx, [instance])[0]

    return handle


def _allocate_address(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewAddress)
    return _document(request, floatingip.allocate(request.caller, request.core, new.tags, new.address))


def _associate_address(request: TypedRequest) -> dict[str, Any]:
    to = request.read(Association)
    instance = to.instance
    if instance:
        with request.core.store.read() as tx:
            instance = documents.one(request.caller, tx, Instance, instance).uuid
    port = documents.uuid_of(request, Port, to.port) if to.port else ""
    floating = floatingip.associate(
        request.caller, request.core, *_address(request), instance=instance, port=port, reassociate=to.reassociate
    )
    return _document(request, floating)


def _address(request: TypedRequest) -> tuple[str, str]:
    """The uuid of the floating address that the path names, or the address itself; one of them is empty."""
    ident = request.path["id"]
    return ("", ident) if addresses.valid(ident) else (documents.uuid_of(request, FloatingIp), "")


def _disassociate_address(request: TypedRequest) -> dict[str, Any]:
    floating = floatingip.disassociate(request.caller, request.core, "", *_address(request))
    return _document(request, floating)


def _release_address(request: TypedRequest) -> dict[str, Any]:
    floatingip.release(request.caller, request.core, *_address(request))
    return {}


def _host(request: TypedRequest) -> str:
    """The name of the host that the path names; for those whom the verb refuses, what the path says."""
    if not request.caller.admin:
        return str(request.path["id"])
    with request.core.store.read() as tx:
        return documents.one(request.caller, tx, Host, request.path["id"]).name


def _turned(state: Duty) -> Callable[[TypedRequest], dict[str, Any]]:
    return lambda request: _document(request, host.set_duty(request.caller, request.core, _host(request), state))


def _give_host(request: TypedRequest) -> dict[str, Any]:
    return _document(request, host.give(request.caller, request.core, _host(request), request.read(Overcommit)))


def _mark_host(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewTraits)
    return _document(request, host.change_traits(request.caller, request.core, _host(request), new.add, new.remove))


def _remove_host(request: TypedRequest) -> dict[str, Any]:
    forget = request.read(Removal).forget
    return _document(request, host.remove(request.caller, request.core, _host(request), forget=forget))


def _admit_host(request: TypedRequest) -> dict[str, Any]:
    host.admit(request.caller, request.core, request.path["id"])
    return {}


def _invite(request: TypedRequest) -> join.Invitation:
    new = request.read(NewHostToken)
    return join.invite(request.caller, request.core, new.host, new.valid)


RENAME = Route("PATCH", "{nouns}/{id}", _rename, "Give it another name.", NewName)

ROUTES: tuple[Route, ...] = (
    *people.ROUTES,
    Route("POST", "keypairs", _create_keypair, "Make or import a key pair.", NewKeyPair, 201),
    Route(
        "POST", "images/capture", _capture_image, "Make an image of an instance's root disk.", image.CaptureRequest, 201
    ),
    Route("DELETE", "images/{id}", _deregister_image, "Forget an image."),
    Route("POST", "flavors", _create_flavor, "Make a flavor.", NewFlavor, 201),
    Route("POST", "flavors/{id}/traits", _demand, "Change what it demands of hosts.", NewTraits),
    Route("POST", "flavors/{id}/retire", _offered(retired=True), "Launch nothing in it any more."),
    Route("POST", "flavors/{id}/offer", _offered(retired=False), "Offer it again."),
    Route("POST", "instances", _launch, "Launch instances.", launch.NewInstances, 201, launches=_launches),
    Route("POST", "instances/{id}/start", _powered(power.start), "Want it running."),
    Route("POST", "instances/{id}/stop", _powered(power.stop), "Want it stopped."),
    Route("POST", "instances/{id}/reboot", _powered(power.reboot), "Have it go down and come up again."),
    Route("POST", "instances/{id}/terminate", _powered(power.terminate), "Want it gone."),
    Route("DELETE", "instances/{id}", _powered(power.terminate), "Want it gone."),
    Route("GET", "instances/{id}/console", _console, "The end of what it wrote to its serial console.", waits=True),
    Route("GET", "instances/{id}/ingress", _ingress, "The TCP ports that its security groups admit, and from where."),
    Route(
        "GET", "instances/{id}/stats", _stats_of_one, "What it uses: processors, memory, disks, network.", waits=True
    ),
    Route(
        "GET",
        "stats",
        _stats,
        "What the project's instances use, oldest first; lists' parameters go with it.",
        waits=True,
    ),
    Route("POST", "floatingips", _allocate_address, "Keep a floating address.", NewAddress, 201),
    Route("POST", "floatingips/{id}/associate", _associate_address, "Give it to an instance or port.", Association),
    Route("POST", "floatingips/{id}/disassociate", _disassociate_address, "Take it from what has it."),
    Route("DELETE", "floatingips/{id}", _release_address, "Give it back to the cloud."),
    Route("POST", "hosts/{id}/drain", _turned("drained"), "Give a host no new instances."),
    Route("POST", "hosts/{id}/activate", _turned("active"), "Give it new ones again."),
    Route("POST", "hosts/{id}/maintenance", _turned("maintenance"), "Drain it, and let it be silent."),
    Route("POST", "hosts/{id}/overcommit", _give_host, "Give it its own ratios of overcommit.", Overcommit),
    Route("POST", "hosts/{id}/traits", _mark_host, "Give it traits, or take them from it.", NewTraits),
    Route("POST", "hosts/{id}/remove", _remove_host, "Take it out of the cloud.", Removal),
    Route("POST", "hosts/{id}/admit", _admit_host, "Readmit a removed host."),
    Route("POST", "hosttokens", _invite, "Make a token by which one host may join, once.", NewHostToken, 201),
    Route("GET", "limits", _limits, "What the project (`project`: another one) may use and uses, and all bounds."),
    Route("POST", "projects/{id}/limits", _change_limits, "Give a project other limits.", NewLimits),
    Route("GET", "explain/{kind}/{id}", _explain, "What is wanted, assigned and seen, and what it waits for."),
    Route("GET", "journal", lists.journal_lines, "The project's changes, newest first; of a noun, or of a request."),
    Route("GET", "journal/{number}", lists.journal_line, "One change, with its outcome."),
    Route("GET", "doctor", _doctor, "What the store says there should be, and where it disagrees with itself."),
    Route("POST", "doctor/mend", _mend, "Set claims, usage and wakes right, by what the rows say."),
    Route("POST", "doctor/confirm", _confirm, "Confirm users, keys, grants and projects after a recovery."),
    Route("POST", "doctor/adopt", _adopt, "Take in an instance that no row knows.", Adoption, 201),
    Route("DELETE", "doctor/{kind}/{uuid}", _sweep, "Have the network engine, or the hosts, forget what is gone."),
    *networking.ROUTES,
    *changes.ROUTES,
    Route("GET", "{nouns}", lists.nouns, "The nouns of one kind, oldest first."),
    Route("GET", "{nouns}/{id}", _show, "One noun, by id or name."),
    RENAME,
)
"""Tried in this order."""
