"""System calls that containers are refused: what reaches beyond a namespace, or has mostly been a way out of one.

As LXC's own common profile, and more: see docs/security.md. Everything else that root in a container may not do is
refused by the kernel, for the container's root is nobody outside.
"""

from __future__ import annotations

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

_EPERM = 1


def profile() -> str:
    """The profile, in LXC's format version 2; `all` is every way of calling that the kernel has."""
    calls = "".join(f"{name} errno {_EPERM}\n" for name in REFUSED)
    return f"2\ndenylist\nreject_force_umount\n[all]\n{calls}"
