"""Containers' roots as they were at one moment: a copy of the disk, made while its file system holds still.

Of the copy, which nobody else has, and of the image beneath it, the root is put together as at a start, in a mount
namespace that ends with the packing of it. The packer is in the container's own user namespace: it sees the users
that the container sees, may read nothing else of this machine, and follows no link. Mounts and loop devices end with
whatever dies; a copy that is whole is packed by whoever comes next, who also tells a file system that holds still to go
on. A container that is off is not started before it is copied.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from pileus.model.errors import Fault
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.posix.locks import is_locked
from pileus.providers.local.capture.folders import COPY, CaptureFolders
from pileus.providers.local.capture.provider import CaptureProvider, Locks
from pileus.providers.local.capture.work import GENTLY, CancellationToken, ProgramFault, need_room
from pileus.providers.local.container import disk, frozencopy, guests, kernel, ranges, unpack
from pileus.providers.local.container.bases import Bases, decompressed
from pileus.providers.local.container.idmap import Maps
from pileus.providers.local.container.monitor import drop_mounts
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.kvm import boot_id

FREEZE_MARKER = "still"
"""In the container's folder: its file system holds still, as long as some process has this file locked."""

_TAR = (
    *("tar", "--sort=name", "--numeric-owner", "--format=posix", "--sparse"),
    *("--xattrs", "--xattrs-include=security.capability", "--warning=no-file-ignored"),
    # Times to the second, and no name of the process that packs.
    *("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime,delete=mtime",),
    "--use-compress-program=zstd -q -3 -T1",
)

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_POLL = 0.05

log = structlog.get_logger()


class ContainerCaptures:
    """The views of containers' disks. Called with the instance's lock held; all methods raise Fault and OSError.

    `lookup` says what is asked for: at first nothing.
    """

    def __init__(self, layout: Layout, bases: Bases, maps: Maps) -> None:
        self._layout = layout
        self._bases = bases
        self._maps = maps
        self.lookup = CaptureProvider(CaptureFolders(layout.captures), {}, Locks())
        self._copying: set[str] = set()
        self._tried: set[str] = set()

    def view(self, image: ImageSpec, source: InstanceSpec) -> CopyView | None:
        """The root of `source` as it is when it is copied, which is soon, or as it was then; None: ask again.

        Of a container that was shut down for it no other moment counts than when it was.
        """
        root, folder = source.disks[0], self._layout.containers / source.uuid
        if root.uuid != image.disk:
            raise Fault("SourceMissing", f"the disk {image.disk} is not that of {source.ec2_id}")
        if source.uuid in self._copying or is_locked(folder / FREEZE_MARKER):
            return None
        there = self._copied(image.uuid)
        if not there:
            if guests.monitor(self._layout, source).running():
                if image.reboot:
                    self.lookup.folders.lose(image.uuid)
                    return None
            else:
                self.lookup.folders.rest(image.uuid)
            need_room(folder, (folder / disk.NAME).stat().st_blocks * 512)
        # It stays for as long as the capture's folder leans on it.
        below = self._bases.path(root.digest, self._layout.captures / image.uuid) if root.digest else None
        base = ranges.base(self._layout, source.project)
        if not there:
            self._copying.add(source.uuid)
        self._tried.add(image.uuid)
        copied = None if there else lambda: self.lookup.folders.kept(image.uuid, boot_id())
        namespace = self._maps.namespace(base)
        return CopyView(
            self._layout, source, below, base, namespace, copied, lambda: self._copying.discard(source.uuid)
        )

    def _copied(self, image: str) -> bool:
        """Whether there is a whole copy for this image, made since the machine booted: it is not synced to the disk."""
        moment = self.lookup.folders.moment(image)
        moment_kept = moment is not None and moment.at == "kept" and moment.by == boot_id()
        return moment_kept and (self._layout.captures / image / COPY).exists()

    def starting(self, source: InstanceSpec) -> bool:
        """Whether the container has to wait: its disk is being copied as it is, for a capture that it began after."""
        if not self.lookup.reading(source.uuid):
            self._copying.discard(source.uuid)
        image = self.lookup.waiting(source.uuid)
        if image is None or source.uuid in self._copying or self._copied(image.uuid):
            return source.uuid in self._copying
        moment = self.lookup.folders.moment(image.uuid)
        if (
            moment is not None
            and moment.at == "rest"
            and is_locked(self._layout.containers / source.uuid / FREEZE_MARKER)
        ):
            # A process that has died began to copy it, for this or for what went before it: that ends by itself.
            return True
        if image.uuid not in self._tried:
            self._tried.add(image.uuid)
            try:
                view = self.view(image, source)
                if view is not None:
                    self.lookup.begin(image, view)
                    return True
            except (Fault, OSError) as error:
                # What the user wants comes first; the capture is of a later moment then.
                self._copying.discard(source.uuid)
                log.warning("not captured at start", instance=source.ec2_id, image=image.ec2_id, error=str(error))
        self.lookup.folders.lose(image.uuid)
        return False

    def tidy(self, source: InstanceSpec) -> None:
        """A container whose file system was left holding still goes on."""
        marker = self._layout.containers / source.uuid / FREEZE_MARKER
        if not marker.exists() or is_locked(marker):
            return
        mounted = _mounted(self._layout, source)
        if mounted is not None:
            try:
                frozencopy.thaw(mounted)
            finally:
                os.close(mounted)
            log.warning("a container's disk was left still, and goes on", instance=source.ec2_id)
        marker.unlink(missing_ok=True)

    def done(self, image: ImageSpec) -> None:
        """Nothing has to be kept for this image any more."""
        self._tried.discard(image.uuid)
        self._bases.release(self._layout.captures / image.uuid)


@dataclass(frozen=True, eq=False)
class CopyView:
    """The disk of `source`, which lies over the image `below`.

    `base` is the machine's user that is the container's root, `users` the user namespace in which that is so.
    `copied` is called when the disk is copied (None: it is already), `over` when the container may write again, in
    any case.
    """

    layout: Layout
    source: InstanceSpec
    below: Path | None
    base: int
    users: int
    copied: Callable[[], None] | None
    over: Callable[[], None]

    def take(self, part: Path, cancellation: CancellationToken) -> None:
        """See View: the disk is copied."""
        if self.copied is None:
            return
        folder, target = self.layout.containers / self.source.uuid, part.with_name(COPY)
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            mounted = self._at_rest(cancellation)
            descriptors = [] if mounted is None else [mounted]
            try:
                words = [
                    sys.executable,
                    "-I",
                    "-m",
                    frozencopy.__name__,
                    folder / FREEZE_MARKER,
                    folder / disk.NAME,
                    target,
                ]
                # To its end, whatever becomes of this process: it has the container go on.
                cancellation.run([*words, *descriptors], pass_fds=descriptors, start_new_session=True, stays=True)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            self.copied()
        finally:
            self.over()

    def _at_rest(self, cancellation: CancellationToken) -> int | None:
        """A descriptor of a folder on the disk that some mount shows; None once none does, and all is written."""
        file = self.layout.containers / self.source.uuid / disk.NAME
        while True:
            cancellation.look()
            mounted = _mounted(self.layout, self.source)
            if mounted is not None or not kernel.looped(file):
                return mounted
            time.sleep(_POLL)

    def write(self, part: Path, cancellation: CancellationToken) -> int:
        """See View: the copy is packed."""
        copy = part.with_name(COPY)
        target = os.open(part, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # In a thread whose mounts end with it and what it starts.
            kernel.apart(lambda: self._pack(copy, target, cancellation))
        finally:
            os.close(target)
        return self._size(part, cancellation)

    def _pack(self, copy: Path, target: int, cancellation: CancellationToken) -> int:
        stage = disk.Stage()
        kernel.leave_mounts()
        drop_mounts([copy.parent, stage.at, *([self.below] if self.below is not None else [])])
        disk.assemble(copy, self.below, self.base, self.users, stage)
        enter = ["nsenter", f"--user=/proc/self/fd/{self.users}", "--setuid=0", "--setgid=0"]
        words = [*enter, *GENTLY, *_TAR, "-C", stage.root, "-cf", "-", "."]
        cancellation.run(words, stdout=target, pass_fds=[self.users], env={"PATH": _PATH, "TZ": "UTC"}, cwd="/")
        return 0

    def _size(self, part: Path, cancellation: CancellationToken) -> int:
        """The bytes of the files, once it is known that a launch would take the archive."""
        words = [*GENTLY, "prlimit", f"--as={1 << 30}", "--core=0", sys.executable, "-I", "-m", unpack.__name__]
        with part.open("rb") as file, decompressed(file) as plain:
            try:
                tally_json = cancellation.run(words, stdin=plain, env={"LC_ALL": "C.UTF-8"})
            except ProgramFault as fault:
                if fault.status == unpack.REFUSED:
                    message = f"no container could be launched from it: {fault.message}"
                    raise Fault("CaptureFailed", message, permanent=True) from fault
                raise
        return int(json.loads(tally_json)["bytes"])


def _mounted(layout: Layout, source: InstanceSpec) -> int | None:
    """A descriptor of a folder on the disk of a container that runs, as its monitor has it mounted; else None."""
    number = guests.monitor(layout, source).pid()
    if number is None:
        return None
    try:
        descriptor = os.open(f"/proc/{number}/root{disk.Stage().disk}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    # Numbers are used again, and what is mounted comes and goes.
    if _backing(os.fstat(descriptor).st_dev) == str(layout.containers / source.uuid / disk.NAME):
        return descriptor
    os.close(descriptor)
    return None


def _backing(device: int) -> str:
    """The file that a loop device shows; empty for another device."""
    try:
        path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/loop/backing_file")
        return path.read_text().rstrip("\n")
    except OSError:
        return ""
