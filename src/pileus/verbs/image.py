"""Images: registering disks whose bytes the object store holds, and having instances' disks captured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds, quota, sizes, tag
from pileus.model.errors import Conflict, Duplicate, InvalidValue, QuotaExceeded, Unsupported
from pileus.model.host import Host
from pileus.model.ids import new_uuid
from pileus.model.image import (
    PUBLIC,
    Assigned,
    Image,
    Seen,
    Wanted,
    content,
    gibibytes,
    imported,
    kind_of,
    shared_with,
)
from pileus.model.instance import Instance
from pileus.model.noun import project_scope
from pileus.model.project import Project
from pileus.model.sizes import Description, Ident, Idents, Name, Tags
from pileus.model.volume import Volume
from pileus.rules import find
from pileus.rules.image import allow, check_login, check_name, finish_removal, own, source, usable
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader


@requires("member")
def register(caller: Caller, core: Core, name: str, wanted: Wanted) -> Image:
    """Register an image by its digest. The same name with the same digest is the same image (safe to repeat).

    Raises Forbidden; InvalidValue for a name or a login user that cannot be.
    """
    allow(caller, public=wanted.public)
    check_name(name)
    check_login(wanted.login_user)
    with core.store.write() as tx:
        for image in tx.list(Image, project=caller.project, name=name):
            # What an owner changes later does not make it another image.
            changed = {"description": wanted.description, "accounts": wanted.accounts}
            if msgspec.structs.replace(image.wanted, **changed) == wanted:
                return image
        image = tx.add(Image(uuid=new_uuid(), project=caller.project, name=name, wanted=wanted))
        tx.add_journal_line(caller, image, "image.register", outcome="done")
        return image


class RegistrationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of an image with the bytes of the image `source` (a uuid).

    `min_disk` is the least size of its root disks in GiB; 0: as that of `source`.
    """

    source: Ident
    name: Name
    description: Description = ""
    min_disk: int = 0
    tags: Tags = {}


@requires("member")
def register_again(caller: Caller, core: Core, request: RegistrationRequest) -> Image:
    """Register the bytes of an image that the caller may start from as a further, private image of its project.

    Raises NotFound; Conflict while the source has no bytes; Duplicate for a name that the project's other images have;
    InvalidValue for a name, or for a root disk that is smaller than the source's.
    """
    sizes.check(request)
    _named(request.name)
    with core.store.write() as tx:
        before = imported(usable(caller, tx, request.source)).wanted
        least = max(before.min_disk, gibibytes(before.virtual_size))
        if request.min_disk and request.min_disk < least:
            text = f"A root disk of {request.min_disk} GiB is smaller than the snapshot, which has {least} GiB."
            raise InvalidValue(text, ident=str(request.min_disk), reason="disk")
        _check_unused(tx, caller.project, request.name)
        wanted = msgspec.structs.replace(
            before,
            min_disk=request.min_disk or before.min_disk,
            description=request.description,
            public=False,
            accounts=(),
            snapshot_tags={},
        )
        image = Image(uuid=new_uuid(), project=caller.project, name=request.name, tags=request.tags, wanted=wanted)
        image = tx.add(image)
        tx.add_journal_line(caller, image, "image.register", outcome="done")
        return image


def _check_unused(tx: Reader, project: str, name: str) -> None:
    """Raise Duplicate where an image of the project has the name."""
    if any(not image.wanted.gone for image in tx.list(Image, project=project, name=name)):
        raise Duplicate(f"The project has an image '{name}' already.", noun="image", ident=name)


class CaptureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a capture of `instance`, which is shut down for it with `reboot`."""

    instance: Ident
    name: Name
    description: Description = ""
    reboot: bool = True
    tags: Tags = {}
    snapshot_tags: Tags = {}


_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}", re.ASCII)


@requires("member")
def capture(caller: Caller, core: Core, request: CaptureRequest) -> Image:
    """Have an image made of an instance's root disk as it is now. Its bytes follow; it is pending until they are here.

    The image's other properties are those of its instance's own image. Raises NotFound; Duplicate for a name that the
    project's other images have; Conflict for an instance that never ran or is to go; InvalidValue; Unsupported.
    """
    _named(request.name)
    tag.check(request.snapshot_tags)
    with core.store.write() as tx:
        row = _source(caller, tx, request.instance)
        _check_unused(tx, row.project, request.name)
        wanted = _captured(tx, row, request)
        image = Image(
            uuid=new_uuid(),
            project=row.project,
            name=request.name,
            tags=request.tags,
            wanted=wanted,
            assigned=Assigned(),
            seen=Seen(),
        )
        image = tx.add(image)
        tx.add_journal_line(caller, image, "image.capture", goal=image.generation)
        tx.wake(image)
        return image


def _named(name: str) -> None:
    """Whether a user's image may be called so: by the narrowest rule of the dialects. Raises InvalidValue."""
    if not _NAME.fullmatch(name):
        text = "An image's name has 3 to 128 letters, digits, spaces and ( ) [ ] . / - ' @ _"
        raise InvalidValue(text, noun="image", ident=name, reason="name")


def _source(caller: Caller, tx: Reader, uuid: str) -> Instance:
    row = find.present(caller, tx, Instance, uuid)
    if row.wanted.gone or not row.seen.ever or row.assigned.host is None:
        why = "is to go" if row.wanted.gone else "has never run"
        text = f"The {row.label} {why}: there is nothing to make an image of."
        raise Conflict(text, noun="instance", ident=row.uuid, reason="state")
    return row


def _captured(tx: Reader, row: Instance, request: CaptureRequest) -> Wanted:
    """Return the wanted state of an image of `row`'s root disk. Raises Unsupported where it cannot be captured."""
    with tx.complete():
        disks = [volume for volume in tx.referring(Volume, [row.uuid]) if not volume.wanted.gone]
    if not disks:
        text = f"The {row.label} has no disk to make an image of."
        raise Unsupported(text, noun="instance", ident=row.uuid)
    root, own = disks[0], tx.get(Image, row.wanted.image)
    kind = kind_of(root.wanted.format)
    host = tx.named(Host, row.assigned.host or "")
    if host is None or kind not in host.seen.limits.captures:
        text = f"The host of {row.label} makes no images of a {kind}'s disk."
        raise Unsupported(text, noun="instance", ident=row.uuid)
    own_wanted = own.wanted if own is not None else Wanted()
    return Wanted(
        format="tar" if kind == "container" else "qcow2",
        kind=kind,
        login_user=row.wanted.login_user or own_wanted.login_user,
        min_memory=own_wanted.min_memory,
        min_disk=root.wanted.size,
        architecture=own_wanted.architecture,
        description=request.description,
        traits=own_wanted.traits,
        instance=row.uuid,
        disk=root.uuid,
        reboot=request.reboot,
        snapshot_tags=request.snapshot_tags,
    )


class ImageChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to an image; None leaves a part as it is. `add` and `remove` are numbers of accounts."""

    description: Description | None = None
    public: bool | None = None
    add: Idents = ()
    remove: Idents = ()


_ACCOUNT = re.compile(r"[0-9]{12}")


@requires("member")
def modify(caller: Caller, core: Core, uuid: str, change: ImageChange) -> Image:
    """Change an image's description, and who may launch from it beside its own project.

    Raises NotFound; Forbidden for another project's image, and for a user who makes an image public; InvalidValue;
    QuotaExceeded for too many accounts.
    """
    sizes.check(change)
    for account in change.add:
        if not _ACCOUNT.fullmatch(account):
            text = f"'{account[:40]}' is no number of an account, which has 12 digits."
            raise InvalidValue(text, noun="image", ident=account[:40], reason="account")
    with core.store.write() as tx:
        image = own(caller, find.living(caller, tx, Image, uuid))
        before = image.wanted
        public = before.public if change.public is None else change.public
        allow(caller, public=public and not before.public)
        accounts = dict.fromkeys((*before.accounts, *change.add))
        wanted = msgspec.structs.replace(
            before,
            description=before.description if change.description is None else change.description,
            public=public,
            accounts=tuple(account for account in accounts if account not in change.remove),
        )
        if len(wanted.accounts) > bounds.IMAGE_ACCOUNTS.most:
            text = f"An image is shared with at most {bounds.IMAGE_ACCOUNTS.most} accounts."
            raise QuotaExceeded(text, noun="image", reason="accounts")
        if wanted == before:
            return image
        image = tx.want(image, wanted)
        tx.add_journal_line(caller, image, "image.modify", goal=image.generation, outcome="done")
        return image


class ImageCopy(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a copy; without a description it has that of its source."""

    name: Name
    description: Description | None = None
    tags: Tags = {}


@requires("member")
def copy(caller: Caller, core: Core, uuid: str, request: ImageCopy) -> Image:
    """Register an image of the caller's project with the bytes of one that the caller may launch from.

    The copy is private and outlives its source; the bytes are stored once. Raises NotFound; Conflict for an image whose
    bytes are not there yet; Duplicate for a name that the project's other images have; InvalidValue; QuotaExceeded.
    """
    sizes.check(request)
    check_name(request.name)
    with core.store.write() as tx:
        original = imported(usable(caller, tx, uuid))
        if any(not other.wanted.gone for other in tx.list(Image, project=caller.project, name=request.name)):
            text = f"The project has an image '{request.name}' already."
            raise Duplicate(text, noun="image", ident=request.name, reason="name")
        description = original.wanted.description if request.description is None else request.description
        wanted = msgspec.structs.replace(
            original.wanted, public=False, accounts=(), snapshot_tags={}, description=description
        )
        duplicate = Image(
            uuid=new_uuid(), project=caller.project, name=request.name, tags=dict(request.tags), wanted=wanted
        )
        duplicate = tx.add(duplicate)
        tx.add_journal_line(caller, duplicate, "image.copy", outcome="done", detail=original.uuid)
        return duplicate


@requires("reader")
def one(caller: Caller, core: Core, uuid: str) -> Image:
    """The caller's own image with this uuid. Raises NotFound; Forbidden for another project's."""
    with core.store.read() as tx:
        return own(caller, find.living(caller, tx, Image, uuid))


@requires("member")
def room(caller: Caller, core: Core, stored: Callable[[str], int | None]) -> int | None:
    """How many bytes one more image of the caller's project may have; None: any number. Raises QuotaExceeded.

    Asked before bytes are taken in: what is registered has the last word. `stored` gives the bytes of a digest that the
    project had stored, None for any other: those of deleted images that disks of the project still need take room too.
    """
    with core.store.read() as tx:
        project = tx.need(Project, caller.project)
        used = tx.usage(project_scope(caller.project))
        deleted = sum(
            gibibytes(size) for digest in _deleted(tx, caller.project) if (size := stored(digest)) is not None
        )
    remaining = {
        resource: limit - used.get((project_scope(caller.project), resource), 0)
        for resource in ("images", "imagespace")
        if (limit := quota.limit(project, resource)) is not None
    }
    if "imagespace" in remaining:
        remaining["imagespace"] -= deleted
    for resource, amount in remaining.items():
        if amount < 1:
            text = f"{resource}: this project has all {quota.limit(project, resource)} that it may have."
            if resource == "imagespace" and deleted:
                text += f" {deleted} GiB are of deleted images that disks of its instances began as."
            raise QuotaExceeded(text, noun="image", reason=resource)
    return remaining["imagespace"] << 30 if "imagespace" in remaining else None


def _deleted(tx: Reader, project: str) -> set[str]:
    """The digests that disks of a project began as, and that no image has any more."""
    begun = {volume.wanted.digest for volume in tx.list(Volume, project=project)}
    return begun - {content(image).digest for image in tx.list(Image)} - {""}


@requires("member")
def deregister(caller: Caller, core: Core, uuid: str) -> None:
    """Forget an image; instances that were started from it keep their disks."""
    with core.store.write() as tx:
        image = find.living(caller, tx, Image, uuid)
        if image.project != caller.project and not caller.admin:
            raise find.absent(Image, [uuid])
        image = tx.want_gone(image)
        tx.add_journal_line(caller, image, "image.deregister", goal=image.generation)
        if image.wanted.instance:
            source(tx, image)
        if image.assigned is None or (image.assigned.host is None and not image.assigned.clear):
            finish_removal(tx, image)
        else:
            tx.wake(image)


@requires("reader")
def listing(caller: Caller, core: Core, uuids: Sequence[str] = ()) -> list[Image]:
    """The images that the caller may start from, oldest first; `uuids`: these, each of which must exist."""
    with core.store.read() as tx:
        if uuids:
            return find.known(caller, tx, Image, uuids)
        pools = (PUBLIC, shared_with(caller.account_id))
        images = tx.list(Image) if caller.admin else tx.shared(Image, caller.project, pools)
        return [image for image in images if find.visible(caller, image) and not image.wanted.gone]
