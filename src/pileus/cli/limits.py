"""`pileus quota`: what a project may use and uses, the cloud's bounds, and other limits for a project."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pileus.cli.client import connect
from pileus.cli.options import Json, StateOption, state_of
from pileus.cli.problem import Problem

limits = typer.Typer(help="Quotas and bounds.", invoke_without_command=True)


@limits.callback()
def limits_(context: typer.Context, *, as_json: Json = False, state: StateOption = None) -> None:
    """Show what the administrator's project may use, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        show_(as_json=as_json, state=state)


@limits.command("show")
def show_(
    project: Annotated[str, typer.Argument(help="By default the administrator's.")] = "",
    *,
    bounds: Annotated[bool, typer.Option("--bounds", help="Of the cloud's bounds, which hold for everybody.")] = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Show what a project may use, and uses; or the cloud's bounds."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    document = connect(state_of(state)).get("limits", **({"project": project} if project else {}))
    if as_json:
        print(json.dumps(document, indent=2))
    elif bounds:
        rows = [
            (name, str(each["most"]), each["per"], each["what"]) for name, each in sorted(document["bounds"].items())
        ]
        print(tables.lined([("BOUND", "MOST", "PER", "OF"), *rows]))
    else:
        print(tables.lined([("RESOURCE", "USED", "LIMIT"), *_rows(document["resources"])]))


def _rows(resources: dict[str, dict[str, int | None]]) -> list[tuple[str, str, str]]:
    return [
        (name, str(each["used"]), "none" if each["limit"] is None else str(each["limit"]))
        for name, each in sorted(resources.items())
    ]


@limits.command("set")
def set_(
    project: str,
    amounts: Annotated[list[str], typer.Argument(metavar="RESOURCE=N...", help="N may be `none`: any amount.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Give a project other limits; what it uses already stays."""
    changed: dict[str, int | None] = {}
    for each in amounts:
        resource, sign, amount = each.partition("=")
        if not sign or not (amount == "none" or (amount.isascii() and amount.isdecimal())):
            raise Problem(f"'{each}' is not RESOURCE=N, as in images=20 or images=none.")
        changed[resource] = None if amount == "none" else int(amount)
    connect(state_of(state)).post("projects", project, "limits", body={"limits": changed})
    show_(project, as_json=as_json, state=state)
