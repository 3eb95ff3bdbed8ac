"""Lists and explanations as a person reads them."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pileus.cli import colours
from pileus.cli.mcc.plain import plain
from pileus.model.within import WITHIN_CLOUD

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instance": ("id", "name", "state", "flavor", "image", "address", "loopback", "floating", "login_user", "trouble"),
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
    "routerattachment": ("id", "wanted.gateway", "wanted.router", "wanted.subnets"),
    "natgateway": ("id", "assigned.address", "wanted.subnet", "wanted.floatingip"),
    "routetable": ("id", "wanted.router", "wanted.main", "created"),
    "networkacl": ("id", "wanted.router", "wanted.default", "created"),
    "peering": ("id", "wanted.status", "wanted.router", "wanted.peer"),
    "dhcpoptionset": ("id", "wanted.domain", "wanted.servers", "wanted.ntp"),
    "prefixlist": ("id", "name", "wanted.max_entries", "wanted.version"),
    "launchtemplate": ("id", "name", "wanted.default", "wanted.highest"),
    "placementgroup": ("id", "name", "wanted.policy"),
    "transittable": ("id", "wanted.gateway", "created"),
    "floatingip": ("id", "address", "instance", "private", "loopback"),
    "user": ("id", "name", "wanted.enabled", "wanted.admin"),
    "usergroup": ("id", "name", "users"),
    "grant": ("id", "role", "user", "usergroup", "project_name"),
    "certificate": ("id", "name", "wanted.serial", "created"),
    "issuer": ("id", "created"),
    "credential": ("id", "wanted.type", "key", "user", "wanted.enabled", "created", "used", "service"),
    "project": ("id", "name", "wanted.account_id", "wanted.enabled"),
    "host": ("name", "state", "heard", "wanted.zone", "wanted.traits", "instances", "vcpus", "memory", "disk"),
}
"""The columns of each noun's table; others have `OTHERS`."""

OTHERS = ("id", "name", "created")
_TIMES = frozenset({"created", "used", "heard", "at", "ended"})


def table(kind: str, nouns: Sequence[Mapping[str, Any]]) -> str:
    """Nouns of one kind, a line each under a heading."""
    columns = COLUMNS.get(kind, OTHERS)
    rows = [[column.rpartition(".")[2].upper() for column in columns]]
    rows += [[_cell(noun, column) for column in columns] for noun in nouns]
    return lined(rows)


def lined(rows: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each, in columns; the first is the heading. A terminal has colours."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if colours.enabled():
            styles = [colours.style_of(rows[0][at], row[at]) if number else colours.HEADING for at in range(len(row))]
            cells = [colours.painted(cell, style) for cell, style in zip(cells, styles, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


JOURNAL = ("id", "at", "verb", "noun", "user", "face", "request", "outcome", "detail")


def journal(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of the journal, a line each under a heading."""
    return lined([[column.upper() for column in JOURNAL], *([_cell(line, name) for name in JOURNAL] for line in lines)])


def explanation(document: Mapping[str, Any]) -> str:
    """One noun: what it waits for first, then its tags, its three parts and its journal."""
    title = f"{document['kind']} {document['id']}" + (f" ({plain(document['name'])})" if document["name"] else "")
    state = f", {document['state']}" if "state" in document else ""
    lines = [f"{title}{state}", "", "waits for"]
    lines += [f"  {plain(wait)}" for wait in document["waits_for"]]
    if document.get("due"):
        lines.append(f"  looked at next {_ago(document['due'])}")
    for part in ("tags", "wanted", "assigned", "seen"):
        if document.get(part):
            lines += ["", part, *outlined(document[part], "  ")]
    lines += ["", "journal"]
    lines += [f"  {journal_line(line)}" for line in document["journal"]]
    return "\n".join(lines)


def outlined(value: Mapping[str, Any] | Sequence[Any], indent: str = "") -> list[str]:
    """A document as lines: a field a line, and what has parts in lines below it.

    Fields that are empty share one line at the end. Lists of plain values are one line; of others each item begins
    with a dash.
    """
    if not isinstance(value, Mapping):
        lines: list[str] = []
        for item in value:
            first, *more = outlined(item, f"{indent}  ") if _has_parts(item) else [f"{indent}  {_plain_value(item)}"]
            lines += [f"{indent}- {first.strip()}", *more]
        return lines
    flat = {key: part for key, part in value.items() if not _has_parts(part) and not _empty(part)}
    width = max((len(plain(key)) for key in flat), default=0)
    lines = [f"{indent}{plain(key).ljust(width)}  {_plain_value(part)}" for key, part in flat.items()]
    for key, part in value.items():
        if _has_parts(part):
            lines += [f"{indent}{plain(key)}", *outlined(part, f"{indent}  ")]
    empty = [plain(key) for key, part in value.items() if _empty(part)]
    return [*lines, *([f"{indent}empty: {', '.join(empty)}"] if empty else [])] or [f"{indent}-"]


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _has_parts(value: Any) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    nested = any(isinstance(item, Mapping | list) for item in items)
    return bool(value) and (isinstance(value, Mapping) or nested)


def _plain_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain_value, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "-" if _empty(value) else plain(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters; --json shows all)"


_LONGEST = 200


def journal_line(line: Mapping[str, Any], noun: str = "") -> str:
    """One line of the journal as a sentence: when, which change, of which `noun`, by whom, and its outcome."""
    detail = f" {plain(line['detail'])}" if line["detail"] else ""
    outcome = line["outcome"]
    if colours.enabled():
        outcome = colours.painted(outcome, colours.style_of("OUTCOME", outcome))
    change = "  ".join(filter(None, [moment(line["at"]), line["verb"], noun]))
    return f"{change}  by {plain(line['user'])} ({line['face']})  {outcome}{detail}"


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
        return moment(value)
    if column == "virtual_size":
        return f"{value / (1 << 30):.1f}G"
    return str(value).lower() if isinstance(value, bool) else str(value)


def moment(seconds: float) -> str:
    """A time as people read it here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _ago(seconds: float) -> str:
    away = seconds - time.time()
    return f"in {away:.0f} s" if away > 0 else "now"
