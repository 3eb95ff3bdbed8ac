"""`pileus host`: the machines of a cloud, for its administrators."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Annotated, Any, Optional

import typer

from pileus.cli.client import connect
from pileus.cli.options import Add, Json, Remove, StateOption, show_explanation, show_list, state_of
from pileus.cli.problem import Problem

hosts = typer.Typer(help="Hosts, the machines that run instances.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="HOST", help="Its name, or its id.")]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Ratio = Annotated[Optional[float], typer.Option(help="How many times over; left out: as the cloud's setting is.")]  # noqa: UP045  (typer reads it)


@hosts.command("list")
def list_(*, as_json: Json = False, state: StateOption = None) -> None:
    """List the hosts: their state, when they were heard last, and what is used of what they have."""
    show_list("hosts", state, as_json=as_json)


@hosts.command()
def show(host: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Show one host, its journal, and why it is as it is."""
    show_explanation("host", host, state, as_json=as_json)


@hosts.command()
def drain(host: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Give it no new instances; those that it has run on."""
    _show_state(connect(state_of(state)).post("hosts", host, "drain"), as_json=as_json)


@hosts.command()
def activate(host: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Give it new instances again."""
    _show_state(connect(state_of(state)).post("hosts", host, "activate"), as_json=as_json)


@hosts.command()
def maintenance(host: Name, *, as_json: Json = False, state: StateOption = None) -> None:
    """Drain it, and let it be silent: nobody complains. Its instances are not moved; stop them before it goes down."""
    _show_state(connect(state_of(state)).post("hosts", host, "maintenance"), as_json=as_json)


@hosts.command()
def overcommit(
    host: Name,
    *,
    vcpus: Ratio = None,
    memory: Ratio = None,
    disk: Ratio = None,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Set how many times over its processors, memory and disk are given away."""
    body = {"vcpus": vcpus, "memory": memory, "disk": disk}
    _show_state(connect(state_of(state)).post("hosts", host, "overcommit", body=body), as_json=as_json)


@hosts.command()
def traits(
    host: Name, *, add: Add = None, remove: Remove = None, as_json: Json = False, state: StateOption = None
) -> None:
    """Give it traits that flavors may demand (ssd, gpu:a100), or take some from it; prints all that it has."""
    document = connect(state_of(state)).post("hosts", host, "traits", body={"add": add or [], "remove": remove or []})
    _show(document, *document["traits"], as_json=as_json)


@hosts.command()
def remove(
    host: Name,
    *,
    forget: Annotated[bool, typer.Option("--forget", help="It is lost for good; its instances stay, faulted.")] = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Take a host that holds nothing out of the cloud."""
    gone = connect(state_of(state)).post("hosts", host, "remove", body={"forget": forget})
    _show(gone, "removed", as_json=as_json)


@hosts.command()
def admit(host: Annotated[str, typer.Argument(metavar="HOST")], *, state: StateOption = None) -> None:
    """Readmit a removed host, with the instances that it has."""
    connect(state_of(state)).post("hosts", host, "admit")


def _show(host: dict[str, Any], *words: str, as_json: bool) -> None:
    """Print a host's name and these words, or the whole of it as JSON."""
    print(json.dumps(host, indent=2) if as_json else "  ".join([host["name"], *words]))


def _show_state(host: dict[str, Any], *, as_json: bool) -> None:
    _show(host, host["state"], as_json=as_json)


@hosts.command()
def token(
    *,
    name: Annotated[str, typer.Option(help="Good for a host of this name alone.")] = "",
    valid: Annotated[str, typer.Option(help="For how long: 30m, 1h, 2d; a week at most.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state: StateOption = None,
) -> None:
    """Make a token by which one machine may join, once; it is shown here and nowhere later."""
    invitation = connect(state_of(state)).post("hosttokens", body={"host": name, "valid": seconds(valid)})
    if as_json:
        print(json.dumps(invitation, indent=2))
        return
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(invitation["until"]))
    named = f" --name {shlex.quote(invitation['host'])}" if invitation["host"] else ""
    print(f"pileus host join {invitation['url']} {invitation['token']}{named}")
    typer.echo(f"pileus: good until {until}, for one host; run this there, as root", err=True)


def seconds(text: str) -> float:
    """A span of time like 90s, 30m, 1h or 2d, in seconds. Raises Problem."""
    match = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    if match is None:
        raise Problem(f"'{text}' is no span of time: 30m, 1h or 2d, say.")
    return float(int(match[1]) * _UNITS[match[2]])
