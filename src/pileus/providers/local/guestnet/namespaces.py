"""One network namespace per network: the host's foot in it, with the metadata service's address.

A veth joins the namespace to the switch's namespace, where it is the network's OVN localport: frames between
it and the network's ports on this host never leave the host.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pileus.model.addresses import METADATA, METADATA6, gateway
from pileus.model.errors import Fault
from pileus.model.spec import NicSpec
from pileus.providers.local.container import kernel
from pileus.providers.local.engine import switch
from pileus.providers.local.layout import Layout, localport_name

NETNS = Path("/run/netns")
"""Where `ip netns` keeps namespaces by name."""

INSIDE = "metadata"
"""The localport's name in its network's namespace."""

Attach = Callable[[Layout, str, str], None]
"""(layout, link in the switch's namespace, logical port): see `switch.attach`."""

Detach = Callable[[Layout, str], None]
"""(layout, link in the switch's namespace): see `switch.detach`."""

T = TypeVar("T")

_TIMEOUT = 5.0
_ANY_PORT = 9


def ensure_network(layout: Layout, nic: NicSpec, *, attach: Attach = switch.attach) -> None:
    """Make the namespace of `nic`'s network, its localport with its addresses, and the port on the bridge.

    Idempotent: what is there already costs about a millisecond. Raises Fault when the switch or `ip` fails.
    """
    namespace = layout.network_netns(nic.network)
    if not _complete(namespace, nic):
        _make_namespace(namespace)
        if not _has_link(namespace):
            _make_veth(layout, nic)
        prefix = nic.cidr.partition("/")[2]
        _ip(
            namespace,
            "link set lo up",
            f"link set {INSIDE} address {nic.localport_mac} mtu {nic.mtu} addrgenmode none up",
            f"addr replace {nic.localport}/{prefix} dev {INSIDE}",
            f"addr replace {METADATA}/32 dev {INSIDE}",
        )
        if nic.ipv6_cidr:
            run_in(namespace, _hear_no_router)
            _ip(
                namespace,
                f"addr replace {METADATA6}/128 dev {INSIDE} nodad",
                f"route replace {nic.ipv6_cidr} dev {INSIDE}",
            )
    attach(layout, outside(nic.network), localport_name(nic.network))


def set_neighbours(layout: Layout, network: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Tell a network's namespace the MACs of its guests' addresses, where `new` differs from what `old` told it.

    The kernel would find them out, but goes on sending to the guest that had an address last for up to a minute.
    Raises Fault.
    """
    neighbours = {address: (mac, "stale") for address, mac in old.items() if address not in new}
    neighbours |= {address: (mac, "permanent") for address, mac in new.items() if old.get(address) != mac}
    if neighbours:
        _ip(
            layout.network_netns(network),
            *(f"neigh replace {at} lladdr {mac} dev {INSIDE} nud {state}" for at, (mac, state) in neighbours.items()),
        )


def remove_network(layout: Layout, network: str, *, detach: Detach = switch.detach) -> None:
    """Remove what `ensure_network` made for the network with the uuid `network`. Idempotent.

    A switch that does not answer keeps nothing else from going; raises Fault for it at the end, and when `ip`
    fails. Sockets still open in the namespace keep its remains alive, unreachable, until they are closed.
    """
    namespace, device = layout.network_netns(network), outside(network)
    try:
        detach(layout, device)
    finally:
        if (NETNS / layout.netns).exists():
            _ip(layout.netns, f"link del {device}", absent_is_fine=True)
        if (NETNS / namespace).exists():
            _run(["ip", "netns", "del", namespace])


def remove_networks(
    layout: Layout, keep: frozenset[str] = frozenset(), *, detach: Detach = switch.detach
) -> list[Fault]:
    """Remove all of this cloud's network namespaces but those of the networks (uuids) in `keep`.

    Returns what could not be removed, or not completely; never raises Fault.
    """
    kept_names = {layout.network_netns(network) for network in keep}
    faults = []
    for entry in sorted(NETNS.glob(layout.network_netns("") + "*")):
        if entry.name not in kept_names:
            try:
                # The names follow from the uuid's first eight digits alone.
                remove_network(layout, entry.name.rpartition("-")[2], detach=detach)
            except Fault as fault:
                faults.append(fault)
    return faults


def outside(network: str) -> str:
    """The localport's name in the switch's namespace, as unique as its own namespace's name."""
    return f"md-{network[:8]}"


def run_in(namespace: str, function: Callable[[], T]) -> T:
    """Call `function` in a network namespace and return what it returns, or raise what it raises.

    It runs in a thread of its own that ends there: no other thread is ever in the wrong namespace, whatever
    goes wrong. A socket made so belongs to that namespace for life and may be used from any thread. Raises
    OSError (FileNotFoundError when there is no such namespace).
    """

    def work() -> T:
        kernel.enter_network(NETNS / namespace)
        return function()

    return kernel.apart(work)


def open_socket(
    namespace: str,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    family: socket.AddressFamily = socket.AF_INET,
) -> socket.socket:
    """A socket of the network namespace `namespace`, neither bound nor connected. Raises OSError."""
    return run_in(namespace, lambda: socket.socket(family, kind))


def identity(namespace: str) -> int | None:
    """A number that tells this namespace from one that later has the same name; None when there is none."""
    try:
        namespace_stat = (NETNS / namespace).stat()
    except FileNotFoundError:
        return None
    # Before it is bound to a namespace, and after a crash in between, the name is an ordinary empty file.
    return namespace_stat.st_ino if namespace_stat.st_dev == Path("/proc/self/ns/net").stat().st_dev else None


def _complete(namespace: str, nic: NicSpec) -> bool:
    """Whether the link is there with its addresses: an address that can be bound is configured."""

    def check() -> bool:
        socket.if_nametoindex(INSIDE)
        for address in (nic.localport, METADATA):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        if nic.ipv6_cidr:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind((METADATA6, 0))
                # Of a datagram socket this looks for a route alone; nothing is sent.
                probe.connect((gateway(nic.ipv6_cidr), _ANY_PORT))
        return True

    try:
        return identity(namespace) is not None and run_in(namespace, check)
    except OSError:
        return False


def _hear_no_router() -> None:
    """Have the kernel take no routes from advertisements: the localport answers its own guests, and nobody else."""
    # Where the machine's own container has this file read-only, the routes stay unused: nothing else is sent from here.
    with contextlib.suppress(OSError):
        Path(f"/proc/sys/net/ipv6/conf/{INSIDE}/accept_ra").write_text("0", encoding="ascii")


def _has_link(namespace: str) -> bool:
    try:
        return run_in(namespace, lambda: socket.if_nametoindex(INSIDE)) > 0
    except OSError:
        return False


def _make_namespace(namespace: str) -> None:
    if identity(namespace) is not None:
        return
    with contextlib.suppress(FileNotFoundError):
        (NETNS / namespace).unlink()
    _run(["ip", "netns", "add", namespace])


def _make_veth(layout: Layout, nic: NicSpec) -> None:
    device, namespace = outside(nic.network), layout.network_netns(nic.network)
    _ip(layout.netns, f"link del {device}", absent_is_fine=True)
    _ip(
        layout.netns,
        f"link add {device} mtu {nic.mtu} type veth peer name {INSIDE} mtu {nic.mtu} netns {namespace}",
        # Neither end needs IPv6 addresses of its own, and their discovery would only be noise on the network.
        f"link set {device} addrgenmode none up",
    )


def _ip(namespace: str, *commands: str, absent_is_fine: bool = False) -> None:
    """Run `ip` commands in a namespace, in order. Raises Fault NamespaceFailed."""
    batch = "".join(f"{command}\n" for command in commands)
    _run(["ip", "-n", namespace, "-batch", "-"], batch, absent_is_fine=absent_is_fine)


def _run(command: list[str], text: str = "", *, absent_is_fine: bool = False) -> None:
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Fault("NamespaceFailed", f"{' '.join(command)}: {error}") from error
    if done.returncode and not (absent_is_fine and "Cannot find device" in done.stderr):
        raise Fault("NamespaceFailed", f"{' '.join(command)}: {text.strip()}: {done.stderr.strip()}")
