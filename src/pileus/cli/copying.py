"""Copies of files and folders between this machine and an instance: a tar archive through a command in the guest.

The guest needs a shell and tar, which busybox has too; neither an ssh server in a container nor sftp in a machine.
Links are followed, as by scp. A guest's archive is a stranger's: members that lead elsewhere are refused.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from pileus.cli.problem import Problem

Remote = Callable[[Sequence[str]], list[str]]
"""Makes of a guest's command one of this machine that runs it, with its input and output."""


class CopyPath(NamedTuple):
    """One end of a copy: a path of this machine, or with `instance` of a guest."""

    path: str
    instance: str = ""


_PIECE = 1 << 16
"""Bytes that are read at once behind an archive's end."""


def parse(text: str) -> CopyPath:
    """Read PATH or INSTANCE:PATH. A path with a colon is written with a slash before the colon: ./a:b."""
    instance, colon, path = text.partition(":")
    if not colon or "/" in instance or not instance:
        return CopyPath(text)
    return CopyPath(path or ".", instance)


def upload(remote: Remote, sources: Sequence[str], target: str, *, recursive: bool) -> None:
    """Copy files, or with `recursive` folders, of this machine to the path `target` of a guest. Raises Problem."""
    for source in sources:
        if not Path(source).exists():
            raise Problem(f"There is no {source} on this machine.")
        if Path(source).is_dir() and not recursive:
            raise Problem(f"{source} is a folder: -r copies folders.")
    into = _is_folder(remote, target)
    if not into and (len(sources) > 1 or target.endswith("/")):
        raise Problem(f"{target} is no folder in the instance.")
    folder = target if into else str(PurePosixPath(target).parent)
    with _running(remote(["tar", "-xf", "-", "-C", folder]), target, stdin=subprocess.PIPE) as running:
        try:
            with tarfile.open(fileobj=running.stdin, mode="w|", dereference=True, format=tarfile.GNU_FORMAT) as archive:
                for source in sources:
                    name = Path(os.path.abspath(source)).name if into else PurePosixPath(target).name  # noqa: PTH100  (a link keeps its name)
                    archive.add(source, arcname=name, filter=_as_root)
        except BrokenPipeError:
            """The guest's tar says why on standard error, and by its status."""


def download(remote: Remote, sources: Sequence[str], target: str, *, recursive: bool) -> None:
    """Copy files, or with `recursive` folders, of a guest to the path `target` of this machine. Raises Problem."""
    into = Path(target).is_dir()
    if not into and (len(sources) > 1 or target.endswith("/")):
        raise Problem(f"{target} is no folder on this machine.")
    for source in sources:
        if not recursive and _is_folder(remote, source):
            raise Problem(f"{source} is a folder: -r copies folders.")
        path = PurePosixPath(source)
        goal = Path(target) / path.name if into else Path(target)
        words = ["tar", "-chf", "-", "-C", str(path.parent), "--", path.name or "."]
        with _running(remote(words), source, stdout=subprocess.PIPE) as running:
            # The folder "/" has no name, which the members would begin with.
            extraction = Extraction(goal, named=bool(path.name))
            try:
                with tarfile.open(fileobj=running.stdout, mode="r|") as archive:
                    for member in archive:
                        extraction.write(archive, member)
            except tarfile.ReadError:
                """The guest's tar says why on standard error, and by its status."""
            # Zeros fill the last record behind the archive's end: tar ends by SIGPIPE unless the rest is read.
            while running.stdout and running.stdout.read(_PIECE):
                pass


class _running:  # noqa: N801  (a context manager)
    """A command that runs within the block. Raises Problem where its status is not 0 after the block."""

    def __init__(
        self, words: Sequence[str], path: str, stdin: int | None = subprocess.DEVNULL, stdout: int | None = None
    ) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] = subprocess.Popen(words, stdin=stdin, stdout=stdout)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, kind: object, *_: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            _close(stream)
        if kind is not None:
            self._process.terminate()
        status = self._process.wait()
        if kind is None and status:
            raise Problem(f"{self._path} was not copied whole: the command in the instance ended with status {status}.")


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        try:
            stream.close()
        except BrokenPipeError:
            """The other end went before; its status tells."""


def _is_folder(remote: Remote, path: str) -> bool:
    status = subprocess.call(remote(["test", "-d", path]), stdin=subprocess.DEVNULL)
    if status not in (0, 1):
        raise Problem("The instance was not reached.", status)
    return status == 0


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Users of this machine are none of the guest's: the files are those of whoever writes them there."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


class Extraction:
    """Writes the members of a guest's archive below `goal`, which is the first folder of their names where `named`."""

    def __init__(self, goal: Path, *, named: bool) -> None:
        self._goal = goal
        self._skipped_parts = int(named)
        self._written: set[Path] = set()

    def write(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Write one member: a folder, a file, or another name of a file. Raises Problem for what leads elsewhere.

        Other members are passed over with a line on standard error: links that lead nowhere, devices.
        """
        path = self._path(member.name)
        if member.isdir():
            path.mkdir(exist_ok=True, parents=True)
        elif member.isreg():
            self._write_file(path, archive.extractfile(member), member.mode)
        elif member.islnk() and (source := self._path(member.linkname)) in self._written:
            with source.open("rb") as content:
                self._write_file(path, content, member.mode)
        else:
            print(f"pileus: {member.name!r} is neither a file nor a folder, and was not copied", file=sys.stderr)

    def _path(self, name: str) -> Path:
        """Where the member of this name goes. Raises Problem."""
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts:
            raise Problem(f"The instance sent a file that leads elsewhere: {name!r}.")
        return self._goal.joinpath(*parts[self._skipped_parts :])

    def _write_file(self, path: Path, content: IO[bytes] | None, mode: int) -> None:
        if content is None:
            return
        path.parent.mkdir(exist_ok=True, parents=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(mode & 0o777)
        self._written.add(path)
