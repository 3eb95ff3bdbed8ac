"""The daemons of one cloud's network engine, as data: what to start, in which order, and when each is ready.

Three database servers (the switch's, OVN northbound, OVN southbound), northd, the switch and the controller.
Each runs in the foreground, in the cloud's network namespace and in a mount namespace of its own, with the engine
root as its file system and `layout.engine` at /srv. Each can be killed at any moment and started again by the
same command.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pileus.model import addresses
from pileus.providers.local.engine import control, unixsocket
from pileus.providers.local.engine.root import ROOT
from pileus.providers.local.layout import Layout

BRIDGE = "br-int"
"""The switch's bridge for guests, which the controller programs."""

OUTSIDE = "br-ex"
"""The bridge of the outside network; the interface of this name in the cloud's namespace is that network's gateway."""

PHYSICAL = "outside"
"""What OVN calls the network behind that bridge."""

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
# with default offloads die in the user-space datapath.
_SWITCH = """
name=$1 datapath=$2 mappings=$3 mac=$4; shift 4
ovs-vsctl --db=unix:/srv/run/db.sock --no-wait --timeout=10 \\
    -- set Open_vSwitch . external_ids:system-id="$name" external_ids:hostname="$name" \\
       external_ids:ovn-remote=unix:/srv/run/ovnsb_db.sock external_ids:ovn-encap-type=geneve \\
       external_ids:ovn-encap-ip=127.0.0.1 external_ids:ovn-monitor-all=false \\
       external_ids:ovn-bridge-datapath-type="$datapath" external_ids:ovn-bridge-mappings="$mappings" \\
    -- --may-exist add-br br-int \\
    -- set Bridge br-int datapath_type="$datapath" fail_mode=secure other_config:disable-in-band=true \\
    -- --may-exist add-br "${mappings#*:}" -- set Bridge "${mappings#*:}" datapath_type="$datapath" \\
       other_config:hwaddr='"'"$mac"'"'
[ "$datapath" = system ] || ovs-vsctl --db=unix:/srv/run/db.sock --no-wait --timeout=10 \\
    set Open_vSwitch . other_config:userspace-tso-enable=true
exec ovs-vswitchd "$@"
"""

# The interface comes and goes with the switch. Who waits for it is nobody's child, so that nobody has to reap it.
_ADDRESS = """
netns=$1 interface=$2 address=$3; shift 3
( (
    tries=0
    until ip -n "$netns" link set "$interface" up 2>/dev/null || [ $tries -ge 400 ]; do
        tries=$((tries + 1)); sleep 0.05
    done
    ip -n "$netns" address replace "$address" dev "$interface"
) </dev/null >/dev/null 2>&1 & )
exec "$@"
"""


@dataclass(frozen=True)
class Daemon:
    """One daemon: `argv` runs it in the foreground, `ready` says whether it serves.

    It keeps `pidfile` locked for life; `output` takes what it prints before its own log is open. As long as it does its
    work it answers `question` (text of Latin-1 characters, one for each byte) at the unix socket `at`.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    pidfile: Path
    output: Path
    at: Path
    question: str


def datapath() -> str:
    """The type of Open vSwitch's datapath here: the kernel's where it has one, else the user-space one."""
    return "system" if _KERNEL.exists() else "netdev"


def enter(layout: Layout, *command: str, root: Path = ROOT) -> tuple[str, ...]:
    """The command that runs `command` as the daemons run: in their namespace and root, `layout.engine` at /srv.

    Needs root.
    """
    return (
        "nsenter",
        f"--net=/run/netns/{layout.netns}",
        "unshare",
        "--mount",
        "--propagation=private",
        "/bin/sh",
        str(_ENTER),
        str(root),
        str(layout.engine),
        *command,
    )


def daemons(layout: Layout, root: Path = ROOT, outside: str = addresses.OUTSIDE) -> list[Daemon]:
    """The daemons in the order in which they start; each needs those before it to be ready.

    `outside` is the range of the outside network, whose gateway the switch's machine is, in the cloud's namespace.
    """
    here = f"{addresses.gateway(outside)}/{ipaddress.IPv4Network(outside).prefixlen}"
    # Routers remember the gateway by its MAC, which would be another one after each start.
    mac = addresses.outside_mac(addresses.gateway(outside))
    run, north = layout.engine / "run", layout.engine / "nb"

    def daemon(name: str, socket: Path, *command: str, first: tuple[str, ...] = ()) -> Daemon:
        return Daemon(
            name=name,
            argv=first + enter(layout, *command, *_common(name), root=root),
            ready=lambda: unixsocket.answers(socket),
            pidfile=run / f"{name}.pid",
            output=layout.engine / "log" / f"{name}.out",
            at=run / f"{name}.ctl",
            question=control.VERSION,
        )

    vswitch, share = "/usr/share/openvswitch/vswitch.ovsschema", "/usr/share/ovn"
    return [
        daemon("switch-db", run / "db.sock", *_database("conf", vswitch, "/srv/run/db.sock")),
        daemon(
            "northbound",
            north / "ovnnb_db.sock",
            *_database("ovnnb", f"{share}/ovn-nb.ovsschema", "/srv/nb/ovnnb_db.sock"),
        ),
        daemon(
            "southbound",
            run / "ovnsb_db.sock",
            *_database("ovnsb", f"{share}/ovn-sb.ovsschema", "/srv/run/ovnsb_db.sock"),
        ),
        daemon(
            "northd",
            run / "northd.ctl",
            "ovn-northd",
            "--ovnnb-db=unix:/srv/nb/ovnnb_db.sock",
            "--ovnsb-db=unix:/srv/run/ovnsb_db.sock",
        ),
        # The bridge's management socket appears once the switch has made the bridge.
        daemon(
            "switch",
            run / f"{BRIDGE}.mgmt",
            *_shell(_SWITCH, layout.netns, datapath(), f"{PHYSICAL}:{OUTSIDE}", mac, "unix:/srv/run/db.sock"),
            first=("/bin/sh", "-c", _ADDRESS, "sh", layout.netns, OUTSIDE, here),
        ),
        daemon("controller", run / "controller.ctl", "ovn-controller", "unix:/srv/run/db.sock"),
    ]


def _common(name: str) -> tuple[str, ...]:
    return (
        "-vconsole:off",
        "-vsyslog:off",
        "-vfile:info",
        f"--pidfile=/srv/run/{name}.pid",
        f"--unixctl=/srv/run/{name}.ctl",
        f"--log-file=/srv/log/{name}.log",
    )


def _shell(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/bin/sh", "-ec", script, "sh", *arguments)


def _database(name: str, schema: str, socket: str) -> tuple[str, ...]:
    return _shell(_DATABASE, f"/srv/db/{name}.db", schema, f"--remote=punix:{socket}")
