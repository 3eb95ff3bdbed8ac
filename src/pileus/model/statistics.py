"""The resource use of one instance, measured by its host on request and never stored."""

from __future__ import annotations

import msgspec


class NicStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic of one port since the guest started, as the guest sees it; `id` is the port's public one."""

    id: str
    received_bytes: int = 0
    received_packets: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """One instance at one moment; counters begin anew with each start of the guest, and stopped ones are zero.

    `cpu_seconds` is the time of all processors together. `memory_bytes` is what the guest occupies of this machine, at
    most `memory_limit_bytes`: a machine's memory; a container's processes and what they keep in memory, without the
    cache of files that can be dropped. `overhead_bytes` is what a machine's QEMU occupies beyond that limit. The disks'
    size (`disk_allocated_bytes`) is there while it is stopped, too. None:
    the backend cannot say just now. `fault` says why nothing is known; else it is empty.
    """

    uuid: str
    id: str
    project: str
    running: bool = False
    vcpus: int = 0
    cpu_seconds: float = 0.0
    memory_bytes: int | None = 0
    memory_limit_bytes: int = 0
    overhead_bytes: int = 0
    disk_read_bytes: int | None = 0
    disk_written_bytes: int | None = 0
    disk_allocated_bytes: int = 0
    disk_size_bytes: int = 0
    nics: tuple[NicStatistics, ...] = ()
    fault: str = ""


_DECODER = msgspec.json.Decoder(tuple[Statistics, ...])


def encode(measured: tuple[Statistics, ...]) -> bytes:
    """As bytes of the channel `stats`."""
    return msgspec.json.encode(measured)


def decode(data: bytes) -> tuple[Statistics, ...]:
    """Decode the bytes that `encode` returned. Raises msgspec.DecodeError."""
    return _DECODER.decode(data)
