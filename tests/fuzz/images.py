"""Targets for images and keys: archives, their layers, headers of disks, public keys."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import tarfile
import tempfile

from pileus.model import bounds, diskformat
from pileus.model.errors import PileusError
from pileus.model.rootfs import ArchiveMeter, RefusedError
from pileus.objects import archives
from pileus.objects.layers import Layers
from pileus.rules import keypair
from tests.fuzz.target import Target, Work, text

_BLOCK = 512


def _summed(data: bytes) -> bytes:
    """Return an archive whose headers have right checksums, which no fuzzer finds out."""
    made = bytearray(data)
    for at in range(0, len(made) - _BLOCK + 1, _BLOCK):
        if made[at + 257 : at + 262] == b"ustar":
            made[at + 148 : at + 156] = b" " * 8
            made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + _BLOCK])
    return bytes(made)


def _archives() -> Work:
    folder = tempfile.mkdtemp(prefix="pileus-fuzz-")
    refused = (RefusedError, tarfile.TarError, LookupError, AttributeError, *archives.UNREADABLE)

    def work(data: bytes) -> None:
        with contextlib.suppress(*refused), tempfile.TemporaryFile(dir=folder) as upload:
            upload.write(_summed(data))
            upload.seek(0)
            target = io.BytesIO()
            archives.take(upload, target, folder)
            _check(target.getvalue())

    return work


def _check(made: bytes) -> None:
    """Whether an archive that the cloud made is one that hosts take."""
    if made:
        with tarfile.open(fileobj=io.BytesIO(made), encoding="utf-8") as archive:
            meter = ArchiveMeter()
            for member in archive:
                meter.entry(member)


_KINDS = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "s": tarfile.SYMTYPE, "l": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}


def _layer(lines: list[str]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        for line in lines:
            kind, name, target = (*line.split(" ", 2), "", "")[:3]
            member = tarfile.TarInfo(name.replace("\0", "?"))
            member.type, member.linkname = _KINDS.get(kind, tarfile.CHRTYPE), target.replace("\0", "?")
            archive.addfile(member)
    stream.seek(0)
    return stream


def _layers() -> Work:
    """Each line is an entry, `KIND NAME TARGET`; an empty line begins another layer."""

    def work(data: bytes) -> None:
        files = [_layer(layer.split("\n")) for layer in text(data).split("\n\n")[:8]]
        stream = io.BytesIO()
        with contextlib.suppress(RefusedError):
            layers = Layers(files, ArchiveMeter())
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as made:
                layers.write(made)
            _check(stream.getvalue())

    return work


def _disks() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(diskformat.DiskRefusedError):
            form = diskformat.sniff(data)
            for size in (len(data), 1 << 30):
                assert 0 < diskformat.virtual_size(data, size, form) <= bounds.VIRTUAL_DISK.most

    return work


def _public_keys() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(PileusError):
            keypair.parse(data)

    return work


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return stream.getvalue().rstrip(b"\0") + bytes(1024)


def _oci(root: bytes) -> bytes:
    blobs: dict[str, bytes] = {}

    def digest(body: bytes) -> str:
        name = hashlib.sha256(body).hexdigest()
        blobs[f"blobs/sha256/{name}"] = body
        return f"sha256:{name}"

    config = {"digest": digest(b'{"architecture":"amd64"}')}
    index = {"config": config, "layers": [{"digest": digest(root)}]}
    return _tar({"oci-layout": b"{}", "index.json": json.dumps(index).encode(), **blobs})


def _qcow2() -> bytes:
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 20, 0, 1, 196608, 65536, 1, 0, 0)
    return header + struct.pack(">QQQII", 0, 0, 0, 4, 112) + bytes(8) + struct.pack(">II", 0x6803F857, 8) + bytes(24)


_ROOT = _tar({"sbin/init": b"#!/bin/sh\n", "etc/os-release": b"ID=x\n"})
_DOCKER = {
    "manifest.json": b'[{"Config":"c","Layers":["a/layer.tar"]}]',
    "c": b'{"architecture":"amd64"}',
    "a/layer.tar": _ROOT,
}
_ED25519 = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0vGkMiMoyErPGLqCJqLpwjPKYdtxGD2XpZqPFRzxjS me@here"
_DER = b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"

TARGETS = {
    "archives": Target(
        make=_archives,
        seeds=(
            _ROOT,
            _tar({"metadata.yaml": b"a: b", "rootfs/sbin/init": b"#!/bin/sh\n"}),
            _tar(_DOCKER),
            _oci(_ROOT),
        ),
        words=("manifest.json", "oci-layout", "index.json", "metadata.yaml", "rootfs/", "Layers", "ustar"),
        largest=16384,
    ),
    "layers": Target(
        make=_layers,
        seeds=(
            b"d sbin\nf sbin/init\ns a ../b\n\nf sbin/.wh.init\nl x sbin/init",
            b"d a\nf a/b\ns l /a\nl c a/b\n\nf a/.wh..wh..opq\nf l/d\np l/e",
        ),
        words=(".wh.", ".wh..wh..opq", "../", "sbin/init"),
        largest=1024,
    ),
    "disk-formats": Target(
        make=_disks,
        seeds=(_qcow2(), b"KDMV" + bytes(600), bytes(512), bytes(64) + b"\x7f\x10\xda\xbe"),
        words=("vhdxfile", "conectix", "# Disk DescriptorFile", "QED\\x00"),
    ),
    "public-keys": Target(
        make=_public_keys,
        seeds=(
            _ED25519,
            _DER,
            b"---- BEGIN SSH2 PUBLIC KEY ----\nComment: a\\\nb\nAAAA\n---- END SSH2 PUBLIC KEY ----",
        ),
        words=("ssh-rsa", "ecdsa-sha2-nistp256", "-----BEGIN PUBLIC KEY-----", "AAAAB3NzaC1yc2E"),
    ),
}
"""These targets by name."""
