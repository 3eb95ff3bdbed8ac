"""Looks into an uploaded archive, and makes a plain one of it: a program of its own, for archives come from strangers.

`python -m pileus.objects.archives FOLDER`, the archive on standard input; FOLDER is for what has no room in memory.
Standard output has the root file system as a tar archive (gzip) where the upload is an image of another shape (OCI,
docker, LXC); nothing where it is a plain root file system already. The last line of standard error is JSON: `bytes` and
`entries` of the unpacked files, or `refused`, why not. Its caller bounds its memory, its time and its files.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from pileus.model import bounds
from pileus.model.rootfs import ArchiveMeter, Member, RefusedError, headers
from pileus.objects.layers import Layers, plain

_UNPACKERS = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
_HEAD = 8
_CHUNK = 1 << 20
_LARGEST_JSON = 4 << 20
_MOST_LAYERS = 256
_LONGEST = 512
_PREFIX = "rootfs/"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
UNREADABLE = (ValueError, MemoryError, OverflowError, TypeError, RecursionError)
"""The errors that unreadable content raises, beside errors of the archive itself."""

_ARCHITECTURES = ("amd64", "x86_64", "")
_NO_INIT = (
    "has no /sbin/init: a container runs a whole system, and this would have nothing to begin with. Images of single "
    "programs become one with an init in them (on Debian the packages systemd-sysv and openssh-server)"
)


def main() -> int:
    """Look at what is on standard input; 0 if it is taken."""
    try:
        meter = take(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])
    except RefusedError as error:
        answer: dict[str, Any] = {"refused": _cut(str(error))}
    except (tarfile.TarError, LookupError, AttributeError, *UNREADABLE) as error:
        answer = {"refused": f"cannot be read as an archive ({_cut(str(error) or type(error).__name__)})"}
    else:
        answer = {"bytes": meter.bytes, "entries": meter.entries}
    sys.stderr.write(json.dumps(answer) + "\n")
    return 0 if "bytes" in answer else 3


def _cut(text: str) -> str:
    """The beginning of a message that quotes the archive, without control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:_LONGEST])


def take(upload: BinaryIO, target: IO[bytes], folder: str) -> ArchiveMeter:
    """Return the upload's unpacked size; `target` gets a plain archive where it is none. Raises RefusedError."""
    meter, tops = _look(upload)
    if meter.bootable:
        return meter
    if {"oci-layout", "index.json"} <= tops or "manifest.json" in tops:
        with _plain_file(upload, folder) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as bundle:
            return _flatten(_Bundle(bundle, folder), target)
    if "metadata.yaml" in tops:
        if "rootfs" not in tops:
            raise RefusedError("is the description of an LXC image alone: its files are in rootfs.tar.xz beside it")
        return _strip(upload, target)
    raise RefusedError(_NO_INIT)


def _look(upload: BinaryIO) -> tuple[ArchiveMeter, set[str]]:
    """Return the totals of an archive, within its bounds, and the names at its top."""
    meter, tops = ArchiveMeter(), set[str]()
    with _stream(upload) as archive:
        for member in headers(archive):
            tops.update(meter.entry(member).path[:1])
    if not meter.entries:
        raise RefusedError("is an archive with nothing in it")
    return meter, tops


def _strip(upload: BinaryIO, target: IO[bytes]) -> ArchiveMeter:
    """The root file system of an LXC image whose files are below `rootfs`."""
    meter = ArchiveMeter()
    with _stream(upload) as archive, _writing(target) as new_archive:
        for member in headers(archive):
            name = member.name.lstrip("./")
            if name.startswith(_PREFIX) and len(name) > len(_PREFIX):
                header = plain(member, name.removeprefix(_PREFIX))
                if header.islnk():
                    header.linkname = member.linkname.lstrip("./").removeprefix(_PREFIX)
                if meter.entry(header).kind != "nothing":
                    new_archive.addfile(header, archive.extractfile(member) if member.isreg() else None)
            new_archive.members.clear()  # type: ignore[attr-defined]  # missing in the stubs
    return _bootable(meter)


def _bootable(meter: ArchiveMeter) -> ArchiveMeter:
    if not meter.bootable:
        raise RefusedError(_NO_INIT)
    return meter


class _Bundle:
    """The files of an archive that holds an image in layers, by their names."""

    def __init__(self, archive: tarfile.TarFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder
        self._members = {member.name.removeprefix("./"): member for member in archive}

    def document(self, name: str) -> Any:
        """A JSON file. Raises RefusedError."""
        with self._open(name) as file:
            return json.loads(file.read(_LARGEST_JSON + 1)[:_LARGEST_JSON])

    def blob(self, digest: str) -> str:
        """The name of a file by its digest, which it has. Raises RefusedError."""
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise RefusedError(f"names its parts by digests of a kind that is not read here ({digest[:40]!r})")
        name, checksum = f"blobs/sha256/{match[1]}", hashlib.sha256()
        with self._open(name) as file:
            while part := file.read(_CHUNK):
                checksum.update(part)
        if checksum.hexdigest() != match[1]:
            raise RefusedError(f"has other bytes than it says in {name}")
        return name

    def layer(self, name: str) -> BinaryIO:
        """A layer, as a plain archive that can be read from anywhere."""
        with self._open(name) as file:
            spooled = _spool(file, self._folder)
        with _decompressed(spooled) as plain_bytes:
            if plain_bytes is spooled:
                return spooled
            with spooled:
                return _spool(plain_bytes, self._folder)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._members

    def _open(self, name: str) -> IO[bytes]:
        member = self._members.get(name.removeprefix("./"))
        # Older archives of docker share layers by links.
        for _ in range(2):
            if member is not None and (member.issym() or member.islnk()):
                target = member.linkname.rpartition("../")[2] if member.issym() else member.linkname
                member = self._members.get(target)
        file = self._archive.extractfile(member) if member is not None and member.isreg() else None
        if file is None:
            raise RefusedError(f"names a part that it does not have ({name[:80]!r})")
        return file


def _flatten(bundle: _Bundle, target: IO[bytes]) -> ArchiveMeter:
    names, config = _docker(bundle) if bundle.has("manifest.json") else _oci(bundle)
    architecture = str(bundle.document(config).get("architecture", ""))
    if architecture not in _ARCHITECTURES:
        raise RefusedError(f"is for {architecture[:40]} processors; this cloud's are amd64")
    if len(names) > _MOST_LAYERS:
        raise RefusedError(f"has {len(names)} layers; {_MOST_LAYERS} are taken")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(bundle.layer(name)) for name in names]
        layers = Layers(files, ArchiveMeter())
        with _writing(target) as new_archive:
            return _bootable(layers.write(new_archive))


def _docker(bundle: _Bundle) -> tuple[list[str], str]:
    images = bundle.document("manifest.json")
    if len(images) != 1:
        raise RefusedError(f"holds {len(images)} images: save one alone")
    return [str(name) for name in images[0]["Layers"]], str(images[0]["Config"])


def _oci(bundle: _Bundle) -> tuple[list[str], str]:
    index = bundle.document("index.json")
    for _ in range(4):
        if "layers" in index:
            break
        index = bundle.document(bundle.blob(_for_this_machine(index["manifests"])["digest"]))
    layers = [bundle.blob(layer["digest"]) for layer in index["layers"]]
    return layers, bundle.blob(index["config"]["digest"])


def _for_this_machine(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The one manifest for amd64, or the only one. Raises RefusedError."""
    wanted = [manifest for manifest in manifests if manifest.get("platform", {}).get("architecture") == "amd64"]
    candidates = wanted or [manifest for manifest in manifests if "platform" not in manifest]
    if len(candidates) != 1:
        raise RefusedError(f"holds {len(candidates)} images for amd64: keep one alone")
    return candidates[0]


@contextlib.contextmanager
def _stream(upload: BinaryIO) -> Iterator[tarfile.TarFile]:
    """The upload from its beginning, as an archive to be read once."""
    with (
        _decompressed(upload) as plain_bytes,
        tarfile.open(fileobj=plain_bytes, mode="r|", tarinfo=Member, encoding="utf-8") as archive,
    ):
        yield archive


@contextlib.contextmanager
def _plain_file(upload: BinaryIO, folder: str) -> Iterator[BinaryIO]:
    """The upload decompressed, to be read from anywhere."""
    with _decompressed(upload) as plain_bytes:
        if plain_bytes is upload:
            yield upload
            return
        with _spool(plain_bytes, folder) as spool:
            yield spool


@contextlib.contextmanager
def _decompressed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The bytes of `file`, which has a descriptor, from its beginning; decompressed if they are compressed."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    name = next((name for magic, name in _UNPACKERS.items() if head.startswith(magic)), None)
    if name is None:
        yield file
        return
    if shutil.which(name) is None:
        raise RefusedError(f"is compressed by {name}, which is not installed where the cloud runs")
    # What was read ahead is the file's buffer's, and not its descriptor's.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    with subprocess.Popen([name, "-dc"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield cast("IO[bytes]", process.stdout)
        finally:
            process.kill()


@contextlib.contextmanager
def _writing(target: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """A new archive, compressed quickly, whose bytes follow from what is in it alone."""
    with (
        gzip.GzipFile("", "wb", 1, target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as new_archive,
    ):
        yield new_archive


def _spool(source: IO[bytes], folder: str) -> BinaryIO:
    """The bytes of `source` in a file without a name, which its user closes. Raises RefusedError beyond the bounds."""
    spool, size = tempfile.TemporaryFile(dir=folder), 0  # noqa: SIM115  (its user closes it)
    while part := source.read(_CHUNK):
        size += len(part)
        if size > bounds.ARCHIVE_BYTES.most:
            raise RefusedError(f"unpacks to more than {bounds.ARCHIVE_BYTES.most} bytes")
        spool.write(part)
    spool.flush()
    spool.seek(0)
    return cast("BinaryIO", spool)


if __name__ == "__main__":
    sys.exit(main())
