"""System calls that containers are refused: what reaches beyond a namespace, or has mostly been a way out of one.

As LXC's own common profile, and more: see docs/security.md. Everything else that root in a container may not do is
refused by the kernel, for the container's root is nobody outside.
"""

from __future__ import annotations

import errno
import socket

REFUSED = (
    # the kernel's own code
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf", "perf_event_open"),
    # files by number, whoever's they are
    *("open_by_handle_at",),
    # parts that give a container little, and attackers much
    *("userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "lookup_dcookie", "vhangup"),
    # keys, which no namespace holds apart
    *("keyctl", "add_key", "request_key"),
    # what is the whole machine's
    *("swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "settimeofday", "clock_settime", "clock_adjtime"),
    *("adjtimex", "syslog", "iopl", "ioperm", "nfsservctl", "fanotify_init"),
)

ABSENT = ("io_setup",)
"""Refused as if the kernel had no such call: no namespace and no cgroup divides the machine's asynchronous I/O events
(fs.aio-max-nr). Programs take it for a kernel that was built without."""

FAMILIES = (*(socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET),)
"""Families of sockets that a container has: those that its network namespace holds apart. Others lead past it
(AF_VSOCK: to what the machine itself runs on, and to its guests), or are seldom used code of the kernel."""


def profile() -> str:
    """The profile, in LXC's format version 2; `all` is every way of calling that the kernel has."""
    calls = [f"{name} errno {errno.EPERM}" for name in REFUSED]
    calls += [f"{name} errno {errno.ENOSYS}" for name in ABSENT]
    for name in ("socket", "socketpair"):
        others = [family for family in range(max(FAMILIES)) if family not in FAMILIES]
        calls += [f"{name} errno {errno.EAFNOSUPPORT} [0,{family},SCMP_CMP_EQ]" for family in others]
        calls.append(f"{name} errno {errno.EAFNOSUPPORT} [0,{max(FAMILIES)},SCMP_CMP_GT]")
    # The older call of 32-bit programs hides its arguments from filters.
    lines = ["2", "denylist", "reject_force_umount", "[all]", *calls, "[x86]", f"socketcall errno {errno.ENOSYS}"]
    return "".join(f"{line}\n" for line in lines)
