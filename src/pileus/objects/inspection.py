"""Uploaded archives: what containers start from, looked into and made plain by a process of its own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pileus.model import bounds
from pileus.model.errors import InvalidValue
from pileus.model.threads import once
from pileus.objects.files import Incoming, ObjectStore

_MAGIC = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"hsqs")
_TAR, _TAR_AT, _HEAD = b"ustar", 257, 512
_CPU_SECONDS = 900
_BYTES_PER_SECOND = 4 << 20
_BOUNDED = (
    *("nice", "prlimit", f"--as={1 << 30}", f"--cpu={_CPU_SECONDS}", f"--fsize={bounds.ARCHIVE_BYTES.most}"),
    *("--nofile=1024", "--core=0"),
)
# The process ends with the one that inspects, however that ends.
_TIED = ("setpriv", "--pdeathsig", "KILL")
_CHUNK = 1 << 20
_STDERR_CHUNK = 4096


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
        with objects.incoming(owner=incoming.owner) as archive:
            size = _take(file.fileno(), archive, incoming.path.parent)
            if archive.size:
                yield archive, size
                return
    yield incoming, size


def _take(upload: int, archive: Incoming, folder: Path) -> int:
    command = [*_TIED, *_BOUNDED, sys.executable, "-I", "-m", "pileus.objects.archives", os.fspath(folder)]
    status, last_line = inspect(command, upload, archive, seconds_for(os.fstat(upload).st_size))
    return _size(status, last_line)


def seconds_for(size: int) -> int:
    """The wall-clock seconds that the inspection of an upload of `size` bytes may take."""
    return min(bounds.INSPECTION_SECONDS.most + size // _BYTES_PER_SECOND, bounds.INSPECTION_SECONDS_IN_ALL.most)


def inspect(command: list[str], upload: int, target: Incoming, seconds: float) -> tuple[int, str]:
    """Run `command` with `upload` as standard input: its status, and the last line of its standard error.

    Its standard output is written to `target`. Its process group is killed after `seconds` (the status is then
    negative), and when this ends in any way. Raises Unavailable when the disk does not take the output.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command, stdin=upload, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, process_group=0
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("a process without pipes")
        tail: deque[bytes] = deque(maxlen=2)
        drain = once("inspection-stderr", functools.partial(_drain, process.stderr, tail))
        deadline = threading.Timer(seconds, _kill, [process.pid])
        deadline.start()
        try:
            while part := process.stdout.read(_CHUNK):
                target.write(part)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            deadline.cancel()
            deadline.join()
            # The group's number is not given away before its first process is waited for.
            _kill(process.pid)
            drain.join()
            status = process.wait()
    text = b"".join(tail)[-bounds.INSPECTION_MESSAGE.most :].decode("utf-8", "replace")
    return status, text.strip().rpartition("\n")[2]


def _drain(stderr: IO[bytes], tail: deque[bytes]) -> None:
    """Read all of `stderr`; its end is in `tail`."""
    while part := stderr.read(_STDERR_CHUNK):
        tail.append(part)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _size(status: int, last_line: str) -> int:
    """The bytes of the unpacked files, as the process reported them; InvalidValue for what it refused."""
    try:
        report = json.loads(last_line)
        if status == 0:
            return int(report["bytes"])
        reason = str(report["refused"])
    except (ValueError, KeyError, TypeError):
        reason = "takes too much time or memory to look into" if status < 0 else "cannot be looked into now"
    raise InvalidValue(f"The image {reason}.", noun="image", reason="archive")
