"""The daemons of one cloud's network engine, as data: what to start, in which order, and when each is ready.

Three database servers (the switch's, OVN northbound, OVN southbound), northd, the switch and the controller.
Each runs in the foreground, in the cloud's network namespace and in a mount namespace of its own, with the engine
root as its file system and `layout.engine` at /srv. Each can be killed at any moment and started again by the
same command.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pileus.model import addresses
from pileus.model.kit import ProcessDeclaration
from pileus.posix import processes
from pileus.providers.local.engine import unixsocket
from pileus.providers.local.engine.fabric import Fabric, alone
from pileus.providers.local.engine.root import ROOT
from pileus.providers.local.layout import Layout

BRIDGE = "br-int"
"""The switch's bridge for guests, which the controller programs."""

OUTSIDE = "br-ex"
"""The bridge of the outside network; the interface of this name in the cloud's namespace is that network's gateway."""

TUNNELS = "br-tunnels"
"""The bridge of the interface that leads to other machines' switches; the interface of this name has its address."""

PHYSICAL = "outside"
"""OVN's name for the network behind that bridge."""

_VERSION = json.dumps({"id": 0, "method": "version", "params": []})
"""A question that every daemon's main loop answers at its control socket: JSON-RPC as ovs-appctl(8) speaks it."""

_PATIENCE = 2.0
"""Seconds that a daemon has to answer."""

_POLL = 0.005

_ENTER = Path(__file__).with_name("enter.sh")
_KERNEL = Path("/sys/module/openvswitch")

_DATABASE = """
db=$1 schema=$2; shift 2
if [ ! -e "$db" ]; then
    rm -f "$db.new"
    ovsdb-tool create "$db.new" "$schema"
    mv "$db.new" "$db"
elif [ "$(ovsdb-tool needs-conversion "$db" "$schema")" = yes ]; then
    ovsdb-tool convert "$db" "$schema"
fi
exec ovsdb-server "$@" "$db"
"""

# Segmentation offload counts only when it is set before the switch starts; without it TCP and UDP of guests
# with default offloads die in the user-space datapath. That datapath finds the way to other machines only through a
# bridge that has the interface as a port and the address itself.
_SWITCH = """
name=$1 datapath=$2 mappings=$3 mac=$4 remote=$5 encap=$6 outside=$7 tunnels=$8 tunnels_mac=$9; shift 9
vsctl() { ovs-vsctl --db=unix:/srv/run/db.sock --no-wait --timeout=10 "$@"; }
vsctl -- set Open_vSwitch . external_ids:system-id="$name" external_ids:hostname="$name" \\
       external_ids:ovn-remote='"'"$remote"'"' external_ids:ovn-encap-type=geneve \\
       external_ids:ovn-encap-ip="$encap" external_ids:ovn-monitor-all=false \\
       external_ids:ovn-bridge-datapath-type="$datapath" external_ids:ovn-bridge-mappings="$mappings" \\
    -- --may-exist add-br br-int \\
    -- set Bridge br-int datapath_type="$datapath" fail_mode=secure other_config:disable-in-band=true \\
    -- --may-exist add-br "${mappings#*:}" -- set Bridge "${mappings#*:}" datapath_type="$datapath" \\
       other_config:hwaddr='"'"$mac"'"'
[ -z "$outside" ] || vsctl --may-exist add-port "${mappings#*:}" "$outside"
if [ "$datapath" != system ]; then
    vsctl set Open_vSwitch . other_config:userspace-tso-enable=true
    [ -z "$tunnels" ] || vsctl -- --may-exist add-br br-tunnels \\
        -- set Bridge br-tunnels datapath_type="$datapath" other_config:hwaddr='"'"$tunnels_mac"'"' \\
        -- --may-exist add-port br-tunnels "$tunnels"
fi
exec ovs-vswitchd "$@"
"""

# The interfaces come and go with the switch. Who waits for them is nobody's child, so that nobody has to reap it.
_ADDRESSES = """
netns=$1; shift
while [ "$1" != -- ]; do
    interface=$1 address=$2; shift 2
    ( (
        tries=0
        until ip -n "$netns" link set "$interface" up 2>/dev/null || [ $tries -ge 400 ]; do
            [ -e "/run/netns/$netns" ] || exit
            tries=$((tries + 1)); sleep 0.05
        done
        ip -n "$netns" address replace "$address" dev "$interface"
    ) </dev/null >/dev/null 2>&1 & )
done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Daemon:
    """One daemon: `argv` runs it in the foreground, `ready` says whether it serves.

    It keeps `pidfile` locked for life; `output` takes what it prints before its own log is open. As long as it does its
    work it answers `question` (text of Latin-1 characters, one for each byte) at the unix socket `at`, if it has one.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    pidfile: Path
    output: Path
    at: Path | None = None
    question: str = "\n"

    @property
    def declaration(self) -> ProcessDeclaration:
        """The daemon as its supervisor is told of it."""
        return ProcessDeclaration(
            self.name, self.argv, str(self.pidfile), str(self.output), at=str(self.at or ""), question=self.question
        )

    def answers(self) -> bool:
        """Whether it answers its question in time."""
        return self.at is not None and unixsocket.answers(self.at, self.question.encode("latin-1"), _PATIENCE)

    def start(self, patience: float) -> str:
        """Start it unless it runs; "" once it serves, else why it does not within `patience` seconds.

        One that is interrupted ends its child, which nobody could find before it holds its pid file.
        """
        child: int | None = None
        until = time.monotonic() + patience
        try:
            # A killed daemon lets go of its pid file moments before its socket: the answer must be the new one's.
            while (running := processes.owner(self.pidfile)) is None or not self.ready():
                if running is None and child is None:
                    # Or it ran when it was looked for first, and was about to end.
                    child = processes.spawn(list(self.argv), self.output)
                elif running is None and child is not None and processes.ended(child):
                    return f"{self.name} ended while starting: {self._last_lines()}"
                if time.monotonic() > until:
                    return f"{self.name} is not ready in {patience:.0f} s: {self._last_lines()}"
                time.sleep(_POLL)  # a daemon tells nobody when it serves
        except BaseException:
            if child is not None:
                processes.stop(child, 0.0)
            raise
        return ""

    def _last_lines(self) -> str:
        log_paths = [path for path in (self.output, self.output.with_suffix(".log")) if path.exists()]
        lines = [line for path in log_paths for line in path.read_text(errors="replace").splitlines()[-3:]]
        return " | ".join(lines) or "it said nothing"


def datapath() -> str:
    """The type of Open vSwitch's datapath here: the kernel's where it has one, else the user-space one."""
    return "system" if _KERNEL.exists() else "netdev"


def enter(layout: Layout, *command: str, here: bool = False) -> tuple[str, ...]:
    """The command that runs `command` as the daemons run: in their namespace and root, `layout.engine` at /srv.

    With `here` it keeps the network that it is called in: who speaks with other machines. Needs root.
    """
    network = () if here else ("nsenter", f"--net=/run/netns/{layout.netns}")
    return (
        *network,
        "unshare",
        "--mount",
        "--propagation=private",
        "/bin/sh",
        str(_ENTER),
        str(ROOT),
        str(layout.engine),
        *command,
    )


def daemons(layout: Layout, fabric: Fabric | None = None) -> list[Daemon]:
    """The daemons in the order in which they start; each needs those before it to be ready.

    `fabric` is this machine's part in the networks; without it the machine has all of them to itself.
    """
    fabric = fabric or alone(layout)
    central = _central(layout, fabric) if fabric.central else []
    switches = _switches(layout, fabric) if fabric.switches else []
    # The switch's database first, as it starts quickest.
    return [*switches[:1], *central, *switches[1:]]


def _central(layout: Layout, fabric: Fabric) -> list[Daemon]:
    """OVN's two databases, and what translates the one into the other."""
    run, share = layout.engine / "run", "/usr/share/ovn"
    listening = ("--remote=db:OVN_Southbound,SB_Global,connections",) if fabric.listen else ()
    return [
        _daemon(
            layout,
            "northbound",
            layout.engine / "nb" / "ovnnb_db.sock",
            *_database("ovnnb", f"{share}/ovn-nb.ovsschema", "/srv/nb/ovnnb_db.sock"),
        ),
        _daemon(
            layout,
            "southbound",
            run / "ovnsb_db.sock",
            *_database("ovnsb", f"{share}/ovn-sb.ovsschema", "/srv/run/ovnsb_db.sock"),
            *(_tls(fabric) if fabric.listen else ()),
            *listening,
            *(("--remote=punix:/srv/nb/ovnsb_db.sock",) if fabric.listen else ()),
            here=bool(fabric.listen),
        ),
        _daemon(
            layout,
            "northd",
            run / "northd.ctl",
            "ovn-northd",
            "--ovnnb-db=unix:/srv/nb/ovnnb_db.sock",
            "--ovnsb-db=unix:/srv/run/ovnsb_db.sock",
        ),
    ]


def _switches(layout: Layout, fabric: Fabric) -> list[Daemon]:
    """The switch, its database, and what programs it."""
    run = layout.engine / "run"
    remote = fabric.southbound
    return [
        _daemon(
            layout,
            "switch-db",
            run / "db.sock",
            *_database("conf", "/usr/share/openvswitch/vswitch.ovsschema", "/srv/run/db.sock"),
        ),
        # The bridge's management socket appears once the switch has made the bridge.
        _daemon(
            layout,
            "switch",
            run / f"{BRIDGE}.mgmt",
            *_shell(_SWITCH, *_switch_arguments(fabric), "unix:/srv/run/db.sock"),
            first=("/bin/sh", "-c", _ADDRESSES, "sh", layout.netns, *_addresses(fabric), "--"),
        ),
        _daemon(
            layout,
            "controller",
            run / "controller.ctl",
            "ovn-controller",
            *(_tls(fabric) if remote else ()),
            "unix:/srv/run/db.sock",
            here=bool(remote),
        ),
    ]


def _switch_arguments(fabric: Fabric) -> tuple[str, ...]:
    tunnels = fabric.tunnels
    gateway = addresses.gateway(fabric.outside)
    # Routers remember the gateway by its MAC, which would be another one after each start; where the gateway is
    # elsewhere, no two machines may have the same.
    mac = addresses.derived_mac(fabric.chassis, OUTSIDE) if fabric.outside_interface else addresses.outside_mac(gateway)
    return (
        fabric.chassis,
        datapath(),
        f"{PHYSICAL}:{OUTSIDE}",
        mac,
        fabric.southbound or "unix:/srv/run/ovnsb_db.sock",
        tunnels.ip if tunnels else "127.0.0.1",
        fabric.outside_interface,
        tunnels.interface if tunnels else "",
        addresses.derived_mac(fabric.chassis, TUNNELS),
    )


def _addresses(fabric: Fabric) -> list[str]:
    """Interfaces that get an address as soon as they are there, each followed by that."""
    interface_addresses = []
    if not fabric.outside_interface:
        for cidr in (fabric.outside, fabric.outside_ipv6):
            prefix = ipaddress.ip_network(cidr).prefixlen
            interface_addresses += [OUTSIDE, f"{addresses.gateway(cidr)}/{prefix}"]
    if fabric.tunnels is not None:
        interface_addresses += [fabric.tunnels.interface if datapath() == "system" else TUNNELS, fabric.tunnels.address]
    return interface_addresses


def _daemon(
    layout: Layout, name: str, socket: Path, *command: str, first: tuple[str, ...] = (), here: bool = False
) -> Daemon:
    run = layout.engine / "run"
    return Daemon(
        name=name,
        argv=first + enter(layout, *command, *_common(name), here=here),
        ready=lambda: unixsocket.answers(socket),
        pidfile=run / f"{name}.pid",
        output=layout.engine / "log" / f"{name}.out",
        at=run / f"{name}.ctl",
        question=_VERSION,
    )


def _common(name: str) -> tuple[str, ...]:
    return (
        "-vconsole:off",
        "-vsyslog:off",
        "-vfile:info",
        f"--pidfile=/srv/run/{name}.pid",
        f"--unixctl=/srv/run/{name}.ctl",
        f"--log-file=/srv/log/{name}.log",
    )


def _tls(fabric: Fabric) -> tuple[str, ...]:
    """Return the options that give a daemon its key and certificates, by the paths that it sees; () without TLS."""
    if fabric.tls is None:
        return ()
    return ("--private-key=/srv/tls/key.pem", "--certificate=/srv/tls/certificate.pem", "--ca-cert=/srv/tls/ca.pem")


def _shell(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/bin/sh", "-ec", script, "sh", *arguments)


def _database(name: str, schema: str, socket: str) -> tuple[str, ...]:
    return _shell(_DATABASE, f"/srv/db/{name}.db", schema, f"--remote=punix:{socket}")
