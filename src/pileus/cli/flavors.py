"""`pileus flavor`: the sizes that a cloud offers."""

from __future__ import annotations

import json
from typing import Annotated, Any, Optional

import typer

from pileus.cli.client import connect
from pileus.cli.compute import FLAVOR
from pileus.cli.nouncommands import app_of
from pileus.cli.options import Add, Json, Remove, StateOption, state_of

flavors = app_of(FLAVOR)

Name = Annotated[str, typer.Argument(metavar="FLAVOR", help="Its name, or its id.")]


@flavors.command()
def create(
    name: str,
    *,
    vcpus: Annotated[int, typer.Option(help="Processors.")],
    memory: Annotated[int, typer.Option(help="MiB.")],
    disk: Annotated[int, typer.Option(help="GiB.")],
    container: Annotated[bool, typer.Option("--container", help="Meant for containers.")] = False,
    trait: Annotated[
        Optional[list[str]],  # noqa: UP045  (typer reads it)
        typer.Option(help="What a host has to have; may be said again for more.", show_default=False),
    ] = None,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Make a flavor, for administrators; its name never means another size."""
    size = {"vcpus": vcpus, "memory": memory, "disk": disk, "kind": "container" if container else "machine"}
    _show(connect(state_of(state)).post("flavors", body={"name": name, **size, "traits": trait or []}), as_json=as_json)


@flavors.command()
def traits(
    flavor: Name, *, add: Add = None, remove: Remove = None, as_json: Json = False, state: StateOption = None
) -> None:
    """Change what it demands of hosts, from the next launch on; prints all that it demands."""
    body = {"add": add or [], "remove": remove or []}
    _show(connect(state_of(state)).post("flavors", flavor, "traits", body=body), as_json=as_json)


@flavors.command()
def retire(flavor: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Launch nothing in it any more; instances that have it keep it."""
    _show(connect(state_of(state)).post("flavors", flavor, "retire"), as_json=as_json)


@flavors.command()
def offer(flavor: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Offer it again."""
    _show(connect(state_of(state)).post("flavors", flavor, "offer"), as_json=as_json)


def _show(flavor: dict[str, Any], *, as_json: bool) -> None:
    words = [flavor["name"], *flavor["wanted"]["traits"], *["retired"] * flavor["wanted"]["retired"]]
    print(json.dumps(flavor, indent=2) if as_json else "  ".join(words))
