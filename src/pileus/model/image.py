"""Image: a disk, or a root file system, that instances start from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

import msgspec

from pileus.model import bounds, tag
from pileus.model.noun import NEVER, Claim, Keeper, Noun, Part, Revision, SeenFault

Kind = Literal["machine", "container"]
Format = Literal["qcow2", "raw", "tar"]
Architecture = Literal["x86_64"]
"""The architectures, by EC2's names, that hosts start images of."""


def gibibytes(size: int) -> int:
    """GiB that so many bytes count for in a quota: at least one."""
    return max(1, -(-size // (1 << 30)))


def kind_of(form: str) -> Kind:
    """Return the kind of instance that boots from a disk made from an image of this format."""
    return "container" if form == "tar" else "machine"


class Wanted(Part, frozen=True, kw_only=True):
    """`digest` is the sha256 (hex) of the bytes in the object store, `size` theirs; `virtual_size` the disk's.

    Format `tar` is a root file system with real user ids, perhaps compressed (zstd, gzip, xz); it is kind `container`'s
    only one, and no machine's. `virtual_size` is then that of its unpacked files.
    `traits` are what a host has to have for it. `accounts` are the numbers of other projects' accounts that may launch
    from it while it is private.

    One that is captured says of what: the root `disk` of an `instance` (uuids), which is shut down for it with
    `reboot`. Its digest and sizes are seen when the bytes are there. `snapshot_tags` are those of the snapshot that
    EC2's clients see as the source of the image's disk.
    """

    digest: str = ""
    size: int = 0
    virtual_size: int = 0
    format: Format = "qcow2"
    kind: Kind = "machine"
    public: bool = False
    login_user: str = "root"
    min_memory: int = 64
    min_disk: int = 1
    architecture: str = "x86_64"
    description: str = ""
    traits: tuple[str, ...] = ()
    gone: bool = False
    instance: str = ""
    disk: str = ""
    reboot: bool = False
    snapshot_tags: dict[str, str] = {}
    accounts: tuple[str, ...] = ()


class Assigned(Part, frozen=True, kw_only=True):
    """Where it is captured, as of an instance: `clear` names the hosts that may still hold the capture.

    `content` is the digest of the order that was given a revision last.
    """

    host: str | None = None
    clear: dict[str, Revision] = {}
    content: str = ""


class Seen(Part, frozen=True, kw_only=True):
    """The host's report of the capture at `revision`; `stored`: the cloud has the bytes, and they are verified.

    `fault` is why there are no bytes yet, or, when permanent, why there will never be any.
    """

    revision: Revision = NEVER
    captured: bool = False
    digest: str = ""
    size: int = 0
    virtual_size: int = 0
    stored: bool = False
    fault: SeenFault | None = None


def of_instance(uuid: str) -> str:
    """The pool of the images that still need this instance's disk."""
    return f"capture:{uuid}"


def on_host(name: str) -> str:
    """The pool of the images of which this host has a capture, or may have one."""
    return f"captured:{name}"


PUBLIC = "public:image"
"""The pool of public images."""


def shared_with(account: str) -> str:
    """The pool of the images that are shared with an account (its number)."""
    return f"shared:image:{account}"


class Image(Noun, frozen=True, kw_only=True):
    """Public images are seen by every project; private ones by their own, and those that they are shared with.

    One that was imported has no `seen`.
    """

    KIND: ClassVar[str] = "image"
    PREFIX: ClassVar[str] = "ami"
    SEEN_BY: ClassVar[Literal["project", "everybody", "administrators"]] = "everybody"
    QUOTA: ClassVar[dict[str, int]] = {"images": 50, "imagespace": 200}
    KEEPER: ClassVar[Keeper] = "host"
    DROPPED: ClassVar[dict[str, Any]] = {"accounts": (), "description": "", "snapshot_tags": {}}
    SECRET: ClassVar[tuple[str, ...]] = ("accounts",)
    RENAMED: ClassVar[bool] = True
    NAME_IS_TAG: ClassVar[bool] = False
    wanted: Wanted
    assigned: Assigned | None = None
    seen: Seen | None = None

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """None: a capture is ordered once."""
        return ()

    def as_context(self) -> Noun:
        """As if it had been imported."""
        return imported(self)

    def claims(self) -> tuple[Claim, ...]:
        """Each host that has a capture of it, or may have one; its audience; its source, while it needs that disk."""
        assigned = self.assigned or Assigned()
        hosts = dict.fromkeys((assigned.host, *assigned.clear))
        pools = [on_host(host) for host in hosts if host]
        pools += [PUBLIC] if self.wanted.public else []
        pools += map(shared_with, self.wanted.accounts)
        pools += [of_instance(self.wanted.instance)] if waiting(self) else []
        return tuple((pool, self.uuid) for pool in pools)

    def check(self, before: Noun | None = None) -> None:
        """Of its description as well."""
        super().check(before)
        if before is None or self.wanted.description != before.wanted.description:
            tag.check_text(self.wanted.description, bounds.DESCRIPTION.most, "A description")

    def amounts(self) -> dict[str, int]:
        """Itself, and its GiB, begun ones too: those of its bytes, or of the disk that it is captured of."""
        wanted = self.wanted
        return {**super().amounts(), "imagespace": wanted.min_disk if wanted.instance else gibibytes(wanted.size)}


def snapshot_id(image: str) -> str:
    """The EC2 id of the snapshot behind the image with this EC2 id; there is one for each image, and no other."""
    return f"snap-{image.removeprefix(f'{Image.PREFIX}-')}"


class State(StrEnum):
    """The states of EC2's images; never stored, always computed."""

    PENDING = "pending"
    AVAILABLE = "available"
    FAILED = "failed"
    DEREGISTERED = "deregistered"


def state(image: Image) -> State:
    """The state that a user sees, from the three parts."""
    seen = image.seen
    if image.gone is not None or image.wanted.gone:
        return State.DEREGISTERED
    if not image.wanted.instance or (seen is not None and seen.stored):
        return State.AVAILABLE
    return State.FAILED if seen is not None and seen.fault is not None and seen.fault.permanent else State.PENDING


def waiting(image: Image) -> bool:
    """Whether its source is still needed: it is not captured yet, and may still be."""
    seen = image.seen
    return state(image) is State.PENDING and seen is not None and not seen.captured


def converged(image: Image) -> bool:
    """Whether no step is left: the image has its bytes, or never will, and no host holds anything of it."""
    assigned = image.assigned
    if image.gone is not None or assigned is None:
        return True
    return assigned.host is None and not assigned.clear and state(image) in (State.AVAILABLE, State.FAILED)


def content(image: Image) -> Wanted:
    """Return the description of an image's bytes: `wanted`, with the seen digest and sizes of a stored capture."""
    seen = image.seen
    if seen is None or not seen.stored:
        return image.wanted
    return msgspec.structs.replace(image.wanted, digest=seen.digest, size=seen.size, virtual_size=seen.virtual_size)


def imported(image: Image) -> Image:
    """A captured image as if it had been imported: its bytes are known, and where they came from does not count."""
    if image.seen is None:
        return image
    wanted = msgspec.structs.replace(content(image), instance="", disk="", reboot=False)
    return msgspec.structs.replace(image, wanted=wanted, assigned=None, seen=None)
