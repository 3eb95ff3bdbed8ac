"""`pileus host`: the machines of a cloud, for its administrators."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Annotated

import typer

from pileus.cli.client import connect
from pileus.cli.commands import StateOption, state_of
from pileus.cli.problem import Problem

hosts = typer.Typer(help="Hosts, the machines that run instances.", no_args_is_help=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@hosts.command()
def token(
    *,
    name: Annotated[str, typer.Option(help="Good for a host of this name alone.")] = "",
    valid: Annotated[str, typer.Option(help="For how long: 30m, 1h, 2d; a week at most.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state: StateOption = None,
) -> None:
    """Make a token by which one machine may join, once; it is shown here and nowhere later."""
    made = connect(state_of(state)).post("hosttokens", body={"host": name, "valid": seconds(valid)})
    if as_json:
        print(json.dumps(made, indent=2))
        return
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made["until"]))
    named = f" --name {shlex.quote(made['host'])}" if made["host"] else ""
    print(f"pileus host join {made['url']} {made['token']}{named}")
    typer.echo(f"pileus: good until {until}, for one host; run this there, as root", err=True)


def seconds(text: str) -> float:
    """A span of time like 90s, 30m, 1h or 2d, in seconds. Raises Problem."""
    match = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    if match is None:
        raise Problem(f"'{text}' is no span of time: 30m, 1h or 2d, say.")
    return float(int(match[1]) * _UNITS[match[2]])
