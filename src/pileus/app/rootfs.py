"""Uploaded archives: what containers start from, looked into and made plain by a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pileus.model.errors import InvalidValue
from pileus.model.rootfs import BYTES
from pileus.objects import Incoming, ObjectStore

_MAGIC = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"hsqs")
_TAR, _TAR_AT, _HEAD = b"ustar", 257, 512
_CPU_SECONDS = 900
_SECONDS = 1800.0
_BOUNDED = ("prlimit", f"--as={1 << 30}", f"--cpu={_CPU_SECONDS}", f"--fsize={BYTES}", "--nofile=1024", "--core=0")
_CHUNK = 1 << 20
_LAST = 4096


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive or compressed, by its first bytes; disks of machines are neither."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(_MAGIC) or head[_TAR_AT:].startswith(_TAR)


@contextlib.contextmanager
def plain(objects: ObjectStore, incoming: Incoming) -> Iterator[tuple[Incoming, int]]:
    """An upload as the archive of a root file system, and the bytes of its files: itself, or one made of it.

    InvalidValue, in words for whoever sent it, for what is no root file system that would start.
    """
    with incoming.path.open("rb") as file:
        if file.read(4) == b"hsqs":
            text = "The image is a SquashFS; unpack it (unsquashfs) and send its files as a tar archive."
            raise InvalidValue(text, noun="image", reason="format")
        file.seek(0)
        with objects.incoming() as made:
            size = _take(file.fileno(), made, incoming.path.parent)
            if made.size:
                yield made, size
                return
    yield incoming, size


def _take(upload: int, made: Incoming, folder: Path) -> int:
    command = [*_BOUNDED, sys.executable, "-I", "-m", "pileus.objects.archives", os.fspath(folder)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command, stdin=upload, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("a process without pipes")
        late = threading.Timer(_SECONDS, process.kill)
        late.start()
        try:
            while part := process.stdout.read(_CHUNK):
                made.write(part)
            said = process.stderr.read()[-_LAST:].decode("utf-8", "replace").strip().rpartition("\n")[2]
            status = process.wait()
        finally:
            late.cancel()
            process.kill()
    return _size(status, said)


def _size(status: int, said: str) -> int:
    """What the process said of the unpacked files; InvalidValue for what it did not take."""
    try:
        found = json.loads(said)
        if status == 0:
            return int(found["bytes"])
        reason = str(found["refused"])
    except (ValueError, KeyError, TypeError):
        reason = "takes too much time or memory to look into" if status < 0 else "cannot be looked into now"
    raise InvalidValue(f"The image {reason}.", noun="image", reason="archive")
