"""The places of identity in a guest's memory, and their exchange while the guest stands still.

Each value is one that no other guest has and that stands nowhere by chance, so wherever its bytes are found, in the
kernel, in SMBIOS's tables, in programs or in cached files, it is this value that is meant.
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pileus.model.errors import Fault
from pileus.providers.local.images import hook

PAGE = 4096

Findings = dict[str, list[int]]
"""Offsets by the name of what stands there (see `words`)."""

MOST = 4096
"""Places of one value beyond which it is no identity but a pattern."""


@dataclass(frozen=True)
class GuestIdentity:
    """SMBIOS uuid and serial number in one, boot id, and MAC address (empty: no NIC), as text in lower case."""

    uuid: str
    boot_id: str
    mac: str = ""


def words(identity: GuestIdentity) -> dict[str, bytes]:
    """All the forms in which memory holds `identity`, by name; those of two identities have equal lengths."""
    forms = {}
    for name, value in (("uuid", identity.uuid), ("boot", identity.boot_id)):
        if value:
            parsed = uuid.UUID(value)
            forms[f"{name} text"] = str(parsed).encode()
            # systemd's form, the machine id's among others.
            forms[f"{name} digits"] = parsed.hex.encode()
            forms[f"{name} bytes"] = parsed.bytes
            # SMBIOS's form.
            forms[f"{name} little-endian"] = parsed.bytes_le
    if identity.mac:
        forms["mac bytes"] = bytes.fromhex(identity.mac.replace(":", ""))
        forms["mac text"] = identity.mac.encode()
    return forms


def search(data: mmap.mmap | bytes, identity: GuestIdentity) -> Findings:
    """Where `data` holds each form of `identity`. Raises Fault for a value that stands in too many places."""
    findings = {}
    for name, word in words(identity).items():
        places = []
        at = data.find(word)
        while at >= 0:
            places.append(at)
            at = data.find(word, at + len(word))
        if len(places) > MOST:
            raise Fault("TemplateRefused", f"the template's {name} stands in {len(places)} places")
        if places:
            findings[name] = places
    return findings


def waiting_page(data: mmap.mmap | bytes) -> int:
    """Where the page of the guest's hook is. Raises Fault unless there is exactly one, of the version we know."""
    first = data.find(hook.MAGIC)
    if first < 0 or first % PAGE or data.find(hook.MAGIC, first + 1) >= 0:
        raise Fault("TemplateRefused", "the template's memory holds no single page that waits")
    version, _ = hook.read_page(data[first : first + PAGE])
    if version != hook.VERSION:
        raise Fault("TemplateRefused", f"the template's hook is of version {version}, not {hook.VERSION}")
    return first


def exchanged(data: bytes, findings: Findings, identity: GuestIdentity) -> bytes:
    """`data` with the words of `identity` at the places in `findings`."""
    changed = bytearray(data)
    new = words(identity)
    for name, places in findings.items():
        for place in places:
            changed[place : place + len(new[name])] = new[name]
    return bytes(changed)


class GuestMemory:
    """The memory of a guest whose QEMU maps the file `file` for itself alone; closed by its context.

    Written from outside, through the process: the file stays as it is, the pages written become the guest's own.
    Raises OSError, and Fault for a process that maps no such file.
    """

    def __init__(self, pid: int, file: Path) -> None:
        self._spans = _mapped(pid, file)
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._memory)

    def read(self, place: int, size: int) -> bytes:
        """`size` bytes at `place` of the guest's memory."""
        return os.pread(self._memory, size, self._address(place, size))

    def write(self, place: int, data: bytes) -> None:
        """`data` at `place` of the guest's memory."""
        if os.pwrite(self._memory, data, self._address(place, len(data))) != len(data):
            raise OSError(f"{len(data)} bytes at {place:#x} of the guest's memory were not all written")

    def exchange(self, findings: Mapping[str, list[int]], identity: GuestIdentity) -> None:
        """The words of `identity` at the places in `findings`."""
        new = words(identity)
        for name, places in findings.items():
            for place in places:
                self.write(place, new[name])

    def _address(self, place: int, size: int) -> int:
        for offset, length, address in self._spans:
            if offset <= place and place + size <= offset + length:
                return address + place - offset
        raise Fault("TemplateRefused", f"place {place:#x} is in no memory of the guest")


def _mapped(pid: int, file: Path) -> list[tuple[int, int, int]]:
    """(offset in `file`, length, address) of each mapping of it in the process; see proc(5), maps."""
    wanted = file.stat()
    spans = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, _, offset, device, inode, *_ = line.split(maxsplit=5)
        major, minor = (int(part, 16) for part in device.split(":"))
        if int(inode) == wanted.st_ino and os.makedev(major, minor) == wanted.st_dev:
            start, end = (int(part, 16) for part in span.split("-"))
            spans.append((int(offset, 16), end - start, start))
    if not spans:
        raise Fault("TemplateRefused", f"process {pid} does not map {file}")
    return spans
