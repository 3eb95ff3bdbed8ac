"""Lists and explanations as a person reads them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pileus.cli.mcc.plain import plain
from pileus.model.within import WITHIN_CLOUD

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instance": ("id", "name", "state", "flavor", "image", "address", "loopback", "login_user", "trouble"),
    "image": (
        "id",
        "name",
        "state",
        "wanted.kind",
        "wanted.format",
        "virtual_size",
        "wanted.login_user",
        "wanted.public",
    ),
    "flavor": ("name", "wanted.vcpus", "wanted.memory", "wanted.disk", "wanted.traits", "wanted.retired"),
    "keypair": ("id", "name", "wanted.type", "wanted.fingerprint"),
    "volume": ("id", "wanted.size", "wanted.instance", "wanted.device"),
    "port": ("id", "assigned.address", "assigned.mac", "wanted.instance", "wanted.network_tags"),
    "subnet": ("id", "name", "wanted.cidr", "wanted.zone"),
    "router": ("id", "name", "wanted.cidr", "assigned.address", "wanted.default"),
    "network": ("id", "name", "wanted.router", "wanted.mtu"),
    "securitygroup": ("id", "name", "wanted.router", "wanted.description"),
    "internetgateway": ("id", "wanted.router", "created"),
    "egressgateway": ("id", "wanted.router", "created"),
    "transitgateway": ("id", "name", "wanted.description", "created"),
    "routerattachment": ("id", "wanted.gateway", "wanted.router", "created"),
    "natgateway": ("id", "assigned.address", "wanted.subnet", "wanted.floatingip"),
    "routetable": ("id", "wanted.router", "wanted.main", "created"),
    "networkacl": ("id", "wanted.router", "wanted.default", "created"),
    "peering": ("id", "wanted.status", "wanted.router", "wanted.peer"),
    "dhcpoptionset": ("id", "wanted.domain", "wanted.servers", "wanted.ntp"),
    "prefixlist": ("id", "name", "wanted.max_entries", "wanted.version"),
    "launchtemplate": ("id", "name", "wanted.default", "wanted.highest"),
    "floatingip": ("id", "address", "instance", "private"),
    "user": ("id", "name", "wanted.admin"),
    "credential": ("id", "wanted.type", "key", "user", "created"),
    "project": ("id", "name", "wanted.account_id"),
    "host": ("name", "state", "heard", "wanted.zone", "wanted.traits", "instances", "vcpus", "memory", "disk"),
}
"""The columns of each noun's table; others have `OTHERS`."""

OTHERS = ("id", "name", "created")
_TIMES = frozenset({"created", "heard", "at", "ended"})


def table(kind: str, nouns: Sequence[Mapping[str, Any]]) -> str:
    """Nouns of one kind, a line each under a heading."""
    columns = COLUMNS.get(kind, OTHERS)
    rows = [[column.rpartition(".")[2].upper() for column in columns]]
    rows += [[_cell(noun, column) for column in columns] for noun in nouns]
    return lined(rows)


def lined(rows: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each, in columns."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


JOURNAL = ("id", "at", "verb", "uuid", "user", "face", "request", "outcome", "detail")


def journal(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of the journal, a line each under a heading."""
    return lined([[column.upper() for column in JOURNAL], *([_cell(line, name) for name in JOURNAL] for line in lines)])


def explanation(document: Mapping[str, Any]) -> str:
    """One noun: what it waits for first, then its three parts and its journal."""
    title = f"{document['kind']} {document['id']}" + (f" ({plain(document['name'])})" if document["name"] else "")
    state = f", {document['state']}" if "state" in document else ""
    lines = [f"{title}{state}", "", "waits for"]
    lines += [f"  {plain(wait)}" for wait in document["waits_for"]]
    if document.get("due"):
        lines.append(f"  looked at next {_ago(document['due'])}")
    for part in ("wanted", "assigned", "seen"):
        if document[part]:
            shown = json.dumps(document[part], indent=2).splitlines()[1:-1]
            lines += ["", part, *shown]
    lines += ["", "journal"]
    for row in document["journal"]:
        detail = f" {plain(row['detail'])}" if row["detail"] else ""
        lines.append(
            f"  {_moment(row['at'])}  {row['verb']}  by {plain(row['user'])} ({row['face']})  {row['outcome']}{detail}"
        )
    return "\n".join(lines)


def _cell(noun: Mapping[str, Any], column: str) -> str:
    if column in noun.get("room", {}):
        most = noun["room"][column]
        return f"{noun['used'][column]}/{'-' if most is None else most}"
    if column == "loopback" and noun.get("host") not in (None, socket.gethostname(), WITHIN_CLOUD):
        return f"on {noun['host']}"  # from where this is read its address leads nowhere; 'pileus ssh' does
    value: Any = noun
    for name in column.split("."):
        value = (value or {}).get(name)
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if column.rpartition(".")[2] in _TIMES:
        return _moment(value)
    if column == "virtual_size":
        return f"{value / (1 << 30):.1f}G"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _ago(seconds: float) -> str:
    away = seconds - time.time()
    return f"in {away:.0f} s" if away > 0 else "now"
