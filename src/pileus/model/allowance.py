"""Allowances: what an instance may use of things that a host's instances share, beside processors, memory and disk."""

from __future__ import annotations

import msgspec

from pileus.model import bounds

_FEWEST = 256
"""Processes that the smallest container may have."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Amounts that one instance may use; 0 stands for no bound, and in a flavor for the default of its size.

    `bandwidth` is what each network interface sends, in Mbit/s, `packets` its packets a second; `iops` and `throughput`
    (MiB/s) are reads and writes of each disk; `processes` are processes and threads of a container, `files` open files
    of each of these processes.
    """

    bandwidth: int = 0
    packets: int = 0
    iops: int = 0
    throughput: int = 0
    processes: int = 0
    files: int = 0


def default(vcpus: int, memory: int) -> Allowance:
    """The allowance of an instance with so many processors and MiB of memory: more than most of that size ever use."""
    return Allowance(
        bandwidth=bounds.BANDWIDTH.most * vcpus,
        packets=bounds.PACKETS.most * vcpus,
        iops=bounds.DISK_OPERATIONS.most * vcpus,
        throughput=bounds.DISK_THROUGHPUT.most * vcpus,
        processes=max(_FEWEST, min(memory, bounds.CONTAINER_PROCESSES.most)),
        files=bounds.CONTAINER_FILES.most,
    )


def whole(allowance: Allowance, vcpus: int, memory: int) -> Allowance:
    """The allowance, with the default of this size for what it does not say."""
    stated = {name: value for name in Allowance.__struct_fields__ if (value := getattr(allowance, name))}
    return msgspec.structs.replace(default(vcpus, memory), **stated)
