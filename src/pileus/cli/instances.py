"""The commands of instances' life: launch, power, end, wait, and what they write to their consoles."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Optional

import typer

from pileus.cli import completion
from pileus.cli.client import Client, connect
from pileus.cli.options import Json, StateOption, state_of
from pileus.cli.problem import Problem

instances = typer.Typer()

Many = Annotated[list[str], typer.Argument(metavar="INSTANCE...", help="Ids or names.")]
One = Annotated[
    str,
    typer.Argument(metavar="INSTANCE", help="An id or a name.", autocompletion=completion.names_of("instances")),
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is done.")]
Several = Optional[list[str]]  # noqa: UP045  (typer reads it)


@instances.command()
def launch(  # noqa: PLR0913  (one parameter for each option)
    image: Annotated[str, typer.Argument(help="An id or a name; 'pileus list images' shows them.")],
    *,
    name: Annotated[str, typer.Option(help="With --count, NAME-1 and so on.")] = "",
    flavor: Annotated[str, typer.Option(help="By default the cloud's.")] = "",
    key: Annotated[str, typer.Option(help="A key pair, made when missing; by default 'default'.")] = "",
    user_data: Annotated[str, typer.Option(help="A script or cloud-config; @FILE: its contents.")] = "",
    network: Annotated[str, typer.Option(help="A subnet or network; by default the project's.")] = "",
    rule: Annotated[
        Several,
        typer.Option(help="PORT[-PORT][/udp][@CIDR], icmp, none; repeatable. 22 is open to this machine."),
    ] = None,
    tag: Annotated[Several, typer.Option(help="KEY=VALUE, repeatable.")] = None,
    count: Annotated[int, typer.Option(help="How many.", min=1)] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Return when ssh answers.")] = False,
    ssh: Annotated[bool, typer.Option("--ssh", help="Wait, and log in.")] = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Launch an instance of an image, with a key pair and a rule for ssh: from nothing to a shell."""
    from pileus.cli import launch as ways  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import waiting  # noqa: PLC0415  (commands start quickly)

    if ssh and (count > 1 or as_json):
        raise Problem("--ssh logs in to one instance, and prints no JSON: leave out --count and --json.", 2)
    where = state_of(state)
    client = connect(where)
    wish = ways.Wish(image, name, flavor, key, user_data, network, rule or (), tag or (), count)
    documents: Sequence[Any] = ways.launch(client, wish)
    if wait or ssh:
        documents = waiting.wait(client, [each["id"] for each in documents], "up")
    print(json.dumps(documents, indent=2)) if as_json else _print(documents)
    if ssh:
        from pileus.cli import ssh as login  # noqa: PLC0415  (commands start quickly)

        sys.stdout.flush()
        login.check(client, documents[0])
        plain = login.Login([], [])
        words = login.command(client, where, documents[0], plain)
        raise typer.Exit(login.run(client, documents[0], words, plain))


@instances.command()
def start(instance: Many, *, wait: Wait = False, as_json: Json = False, state: StateOption = None) -> None:
    """Start instances that are stopped."""
    _change(connect(state_of(state)), instance, "start", "up" if wait else "", as_json=as_json)


@instances.command()
def stop(instance: Many, *, wait: Wait = False, as_json: Json = False, state: StateOption = None) -> None:
    """Shut instances down; their disks stay."""
    _change(connect(state_of(state)), instance, "stop", "stopped" if wait else "", as_json=as_json)


@instances.command()
def restart(instance: Many, *, wait: Wait = False, as_json: Json = False, state: StateOption = None) -> None:
    """Have instances shut down and start again."""
    _change(connect(state_of(state)), instance, "reboot", "restarted" if wait else "", as_json=as_json)


@instances.command()
def delete(instance: Many, *, wait: Wait = False, as_json: Json = False, state: StateOption = None) -> None:
    """End instances, and remove their disks."""
    _change(connect(state_of(state)), instance, "terminate", "terminated" if wait else "", as_json=as_json)


@instances.command("wait")
def wait_(
    instance: Many,
    *,
    goal: Annotated[str, typer.Option("--for", help="up (ssh answers), running, stopped or terminated.")] = "up",
    timeout: Annotated[float, typer.Option(help="Seconds.", min=0)] = 600.0,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Wait until instances are in a state."""
    from pileus.cli import waiting  # noqa: PLC0415  (commands start quickly)

    chosen = next((each for each in waiting.STATES if each == goal), None)
    if chosen is None:
        raise Problem(f"'{goal}' is no state to wait for: {', '.join(waiting.STATES)}.", 2)
    client = connect(state_of(state))
    documents = waiting.wait(client, _ids(client, instance), chosen, timeout)
    print(json.dumps(documents, indent=2)) if as_json else _print(documents)


@instances.command()
def logs(
    instance: One,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, until ^C.")] = False,
    state: StateOption = None,
) -> None:
    """Print the end of what an instance wrote to its console."""
    client = connect(state_of(state))
    if follow:
        from pileus.cli import streams  # noqa: PLC0415  (commands start quickly)

        streams.run(streams.follow(client, instance))
        return
    output = client.get("instances", instance, "console")["output"]
    os.write(sys.stdout.fileno(), output.encode(errors="replace"))


def _ids(client: Client, idents: Sequence[str]) -> list[str]:
    """The ids of instances by id or name, each once: nothing is done while one of them is wrong. Raises Problem."""
    return list(dict.fromkeys(client.get("instances", ident)["id"] for ident in idents))


def _change(client: Client, idents: Sequence[str], verb: str, goal: Any, *, as_json: bool) -> None:
    """Do `verb` to each instance, and wait for `goal` where there is one. Raises Problem after all were tried."""
    problems, changed = [], []
    for ident in _ids(client, idents):
        try:
            changed.append(client.post("instances", ident, verb))
        except Problem as problem:
            problems.append(f"{ident}: {problem.message}")
    documents: Sequence[Any] = changed
    if goal:
        from pileus.cli import waiting  # noqa: PLC0415  (commands start quickly)

        documents = waiting.wait(client, [each["id"] for each in changed], goal)
    print(json.dumps(documents, indent=2)) if as_json else _print(documents)
    if problems:
        raise Problem(" ".join(problems))


def _print(documents: Sequence[Any]) -> None:
    from pileus.cli.mcc.plain import plain  # noqa: PLC0415  (commands start quickly)

    for each in documents:
        print("  ".join(filter(None, [each["id"], plain(each["name"]), each["state"]])), flush=True)
