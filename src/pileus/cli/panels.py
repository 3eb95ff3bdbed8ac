"""The groups of commands in the help: daily work, nouns, administration, and the processes of a cloud."""

from __future__ import annotations

from typing import Any

DAILY, NOUNS, ADMINISTRATION, PROCESSES = "Daily work", "Nouns", "Administration", "Processes of a cloud"

PANELS: dict[str, tuple[str, ...]] = {
    DAILY: (
        *("launch", "list", "ssh", "shell", "exec", "cp", "forward", "console", "logs", "connect"),
        *("start", "stop", "restart", "delete", "wait", "rename", "tag", "rule"),
        *("top", "stats", "map", "explain", "events", "env", "profile", "run"),
    ),
    NOUNS: (),
    ADMINISTRATION: (
        *(
            "user",
            "project",
            "usergroup",
            "grant",
            "credential",
            "user-certificate",
            "admin",
            "token",
            "role",
            "quota",
            "limits",
            "host",
        ),
        *("doctor", "audit", "status"),
    ),
    PROCESSES: ("up", "down", "purge", "recover", "api", "loops", "central", "certificate", "cloud"),
}
"""Which commands each group has, in their order; those that no other group has are of nouns."""

LOCAL = frozenset({*PANELS[PROCESSES], "status", "doctor", "audit", "run"})
"""The commands that are about a state directory of this machine, and no cloud elsewhere."""


def arrange(group: Any) -> None:
    """Give each command of the program its group, and order the groups' commands; the program's own group of Typer."""
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    order = {name: number for number, name in enumerate(panel_of)}
    panels = list(PANELS)
    for name, command in group.commands.items():
        command.rich_help_panel = panel_of.get(name, NOUNS)
    group.commands = dict(
        sorted(
            group.commands.items(),
            key=lambda item: (panels.index(item[1].rich_help_panel), order.get(item[0], 0), item[0]),
        )
    )
