"""The process of the uplink: libslirp in a child, and the rules kept current while this machine's addresses change.

It runs in the machine's own network namespace. The child is killed by the kernel when this process ends, however it
ends; when the child ends, so does this process, and the supervisor starts both anew.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pileus.model import bounds
from pileus.posix import processes
from pileus.providers.local.uplink import rules

NEW_ADDRESSES = 0x10 | 0x100
"""Groups of rtnetlink(7): RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR."""

_EMPTY = 'set -e; for place in /etc /run; do mount -t tmpfs -o mode=755,size=1m tmpfs $place; done; exec "$@"'

_ENVIRONMENT = {"PATH": processes.PATH, "LC_ALL": "C.UTF-8"}
_TIMEOUT = 10.0
_SPARE = 256
"""Descriptors that the child has beside those of connections."""

_FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
_UDP_TIMEOUTS = (
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
)
# libslirp closes the socket of a UDP port after this time; the count of connections has to agree with that.
_UDP_TIMEOUT = 240


def inside(netns: str, *command: str, text: str = "") -> None:
    """Run a command in the namespace `netns`. Raises OSError with what it printed."""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{netns}", *command],
        input=text,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        env=_ENVIRONMENT,
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def forward(netns: str, *, on: bool) -> None:
    """Have the namespace `netns` pass packets on between its interfaces, or no longer. Raises OSError."""
    values = dict.fromkeys(_FORWARDING, int(on))
    if on:
        values |= dict.fromkeys(_UDP_TIMEOUTS, _UDP_TIMEOUT)
    # Kernels without IPv6, or with other names for the times, lack some of the files.
    script = "".join(f"[ ! -e {path} ] || echo {value} >{path}\n" for path, value in values.items())
    inside(netns, "/bin/sh", "-e", text=script)


def machine_addresses() -> list[rules.Address]:
    """The addresses of all interfaces of this process's network namespace. Raises OSError, ValueError."""
    command = ["ip", "-json", "address"]
    shown = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=True, env=_ENVIRONMENT).stdout
    return [ipaddress.ip_address(entry["local"]) for link in json.loads(shown) for entry in link.get("addr_info", [])]


def slirp_command(namespace: int, ready: int) -> list[str]:
    """The command that runs libslirp for a namespace (a descriptor of it); `ready` is written to when it serves.

    Its mounts are its own: the sandbox drops the old tree, and where mounts are shared (as those of /run/netns are)
    every other process would lose them too. The sandbox keeps /etc and /run, so both are empty here: /run has sockets,
    and names of other clouds' namespaces, which could not end while they are mounted here.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--propagation=private"),
        *("/bin/sh", "-c", _EMPTY, "sh"),
        *("slirp4netns", "--netns-type=path", "--disable-host-loopback", "--disable-dns"),
        *("--enable-sandbox", "--enable-seccomp", "--enable-ipv6"),
        *("--configure", f"--cidr={rules.IPV4}", "--mtu=1500", f"--ready-fd={ready}"),
        *(f"/proc/self/fd/{namespace}", rules.LINK),
    ]


@contextlib.contextmanager
def slirp(netns: str) -> Iterator[subprocess.Popen[bytes]]:
    """A libslirp that serves the namespace `netns`; killed at the end of the block. Raises OSError."""
    # A predecessor's interface may be there for a moment after it was killed.
    with contextlib.suppress(OSError):
        inside(netns, "ip", "link", "delete", rules.LINK)
    serves, ready = os.pipe()
    namespace = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        command = slirp_command(namespace, ready)
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[namespace, ready], env=_ENVIRONMENT)
    finally:
        os.close(namespace)
        os.close(ready)
    try:
        if not select.select([serves], [], [], _TIMEOUT)[0] or not os.read(serves, 1):
            raise OSError("slirp4netns does not serve")
        yield child
    finally:
        os.close(serves)
        child.kill()
        child.wait()


def serve(netns: str, outside: str, outside_ipv6: str, rate: int, pidfile: Path) -> None:
    """Be the uplink of the namespace `netns` until libslirp ends. The pid file is held once it serves. Raises OSError.

    `rate`: bytes a second each way.
    """
    connections = bounds.UPLINK_CONNECTIONS.most + _SPARE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = connections if most == resource.RLIM_INFINITY else min(connections, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as changes:
        # Bound before the first look, so that no change is between the two.
        changes.bind((0, NEW_ADDRESSES))
        # No packet passes before the rules are there.
        inside(netns, "nft", "-f", "-", text=rules.table(outside, outside_ipv6, rate, machine_addresses()))
        forward(netns, on=True)
        with slirp(netns) as child:
            route6 = f"route replace default via {rules.IPV6_GATEWAY} dev {rules.LINK}"
            # A machine without IPv6 has an uplink without it.
            with contextlib.suppress(OSError):
                inside(netns, *f"ip -6 address replace {rules.IPV6_ADDRESS}/64 dev {rules.LINK} nodad".split())
                inside(netns, "ip", "-6", *route6.split())
            if processes.hold(pidfile) is None:
                raise OSError("another uplink runs")
            _follow(netns, changes, child)


def _follow(netns: str, changes: socket.socket, child: subprocess.Popen[bytes]) -> None:
    """Keep the rules current until the child ends."""
    handle = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(changes, select.POLLIN)
        while handle not in dict(poll.poll()):
            # More than fits into the queue (ENOBUFS) is a change as well.
            with contextlib.suppress(OSError):
                while changes.recv(65536):
                    pass
            inside(netns, "nft", "-f", "-", text=rules.own_addresses(machine_addresses()))
    finally:
        os.close(handle)


def main(arguments: Sequence[str] | None = None) -> None:
    """The process. Its status is 1 when the uplink ends: it is meant to serve for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--netns", required=True)
    parser.add_argument("--outside", required=True)
    parser.add_argument("--outside-ipv6", required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--pidfile", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        serve(options.netns, options.outside, options.outside_ipv6, options.rate, options.pidfile)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.exit(f"uplink: {error}")
    sys.exit("uplink: slirp4netns ended")


if __name__ == "__main__":
    main()
