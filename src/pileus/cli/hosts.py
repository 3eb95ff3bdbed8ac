"""`pileus host`: the machines of a cloud, for its administrators."""

from __future__ import annotations

import json
from typing import Annotated, Any, Optional

import typer

from pileus.cli.client import connect
from pileus.cli.options import StateOption, state_of

hosts = typer.Typer(help="Hosts, the machines that run instances.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="HOST", help="Its name, or its id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ratio = Annotated[Optional[float], typer.Option(help="How many times over; left out: as the cloud's setting is.")]  # noqa: UP045


@hosts.command("list")
def list_(*, as_json: Json = False, state: StateOption = None) -> None:
    """List the hosts: their state, when they were heard last, and what is used of what they have."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    found = connect(state_of(state)).all("hosts")
    print(json.dumps(found, indent=2) if as_json else tables.table("host", found))


@hosts.command()
def show(host: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Show one host, its journal, and why it is as it is."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    found = connect(state_of(state)).get("explain", "host", host)
    print(json.dumps(found, indent=2) if as_json else tables.explanation(found))


@hosts.command()
def drain(host: Name, *, state: StateOption = None) -> None:
    """Give it no new instances; those that it has run on."""
    _told(connect(state_of(state)).post("hosts", host, "drain"))


@hosts.command()
def activate(host: Name, *, state: StateOption = None) -> None:
    """Give it new instances again."""
    _told(connect(state_of(state)).post("hosts", host, "activate"))


@hosts.command()
def maintenance(host: Name, *, state: StateOption = None) -> None:
    """Drain it, and let it be silent: nobody complains. Its instances are not moved; stop them before it goes down."""
    _told(connect(state_of(state)).post("hosts", host, "maintenance"))


@hosts.command()
def overcommit(
    host: Name, *, vcpus: Ratio = None, memory: Ratio = None, disk: Ratio = None, state: StateOption = None
) -> None:
    """Set how many times over its processors, memory and disk are given away."""
    body = {"vcpus": vcpus, "memory": memory, "disk": disk}
    _told(connect(state_of(state)).post("hosts", host, "overcommit", body=body))


@hosts.command()
def remove(
    host: Name,
    *,
    forget: Annotated[bool, typer.Option("--forget", help="It is lost for good; its instances stay, faulted.")] = False,
    state: StateOption = None,
) -> None:
    """Take a host that holds nothing out of the cloud."""
    gone = connect(state_of(state)).post("hosts", host, "remove", body={"forget": forget})
    print(f"{gone['name']}  removed")


@hosts.command()
def admit(host: Annotated[str, typer.Argument(metavar="HOST")], *, state: StateOption = None) -> None:
    """Let a removed host in again, with the instances that it has."""
    connect(state_of(state)).post("hosts", host, "admit")


def _told(host: dict[str, Any]) -> None:
    print(f"{host['name']}  {host['state']}")
