"""The commands that lead into instances: ssh, exec, shell, cp, forward, console, connect."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from pileus.cli.client import Client, connect
from pileus.cli.instances import One
from pileus.cli.options import StateOption, state_of
from pileus.cli.problem import Problem

sessions = typer.Typer()

_AS_WRITTEN = {"allow_interspersed_args": False, "ignore_unknown_options": True}
"""The settings of a command that passes options behind the instance on, to ssh or to the command in the guest."""

Words = Annotated[
    Optional[list[str]],  # noqa: UP045  (typer reads it)
    typer.Argument(metavar="[--] [COMMAND]..."),
]

SHELL = "cd; command -v bash >/dev/null && exec bash -l; exec sh -l"
"""The shell of a container, by the line that starts it."""


@sessions.command(context_settings=_AS_WRITTEN)
def ssh(
    instance: One,
    words: Annotated[
        Optional[list[str]],  # noqa: UP045  (typer reads it)
        typer.Argument(metavar="[SSH OPTIONS] [--] [COMMAND]..."),
    ] = None,
    *,
    identity: Annotated[Optional[Path], typer.Option("-i", help="Private key.")] = None,  # noqa: UP045  (typer reads it)
    state: StateOption = None,
) -> None:
    """Log in to an instance by plain ssh, or run a command there. Options behind the instance are those of ssh."""
    from pileus.cli import ssh as ways  # noqa: PLC0415  (commands start quickly)

    login = ways.parse([*(("-i", str(identity)) if identity else ()), *(words or [])])
    where = state_of(state)
    client = connect(where)
    _by_ssh(client, where, client.get("instances", instance), login)


@sessions.command("exec", context_settings=_AS_WRITTEN)
def exec_(
    instance: One,
    words: Words = None,
    *,
    terminal: Annotated[
        Optional[bool],  # noqa: UP045  (typer reads it)
        typer.Option("--terminal/--no-terminal", "-t/-T", help="By default as standard input and output are."),
    ] = None,
    state: StateOption = None,
) -> None:
    """Run a command in an instance: in a container as root, without ssh; in a machine by ssh."""
    chosen = (words or [])[1:] if (words or [])[:1] == ["--"] else words or []
    if not chosen:
        raise Problem("Which command? 'pileus exec INSTANCE -- COMMAND'; 'pileus shell INSTANCE' starts a shell.", 2)
    _run(instance, chosen, terminal=terminal, state=state)


@sessions.command()
def shell(instance: One, *, state: StateOption = None) -> None:
    """Start a shell in an instance: in a container as root, without ssh; in a machine by ssh."""
    _run(instance, [], terminal=None, state=state)


def _run(instance: str, words: Sequence[str], *, terminal: bool | None, state: Path | None) -> None:
    from pileus.cli import execution, streams  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import ssh as ways  # noqa: PLC0415  (commands start quickly)

    where = state_of(state)
    client = connect(where)
    document = client.get("instances", instance)
    ways.check_running(document)
    with_terminal = execution.at_terminal() if terminal is None else terminal
    if with_terminal and not execution.at_terminal() and is_container(document):
        raise Problem("Standard input and output are no terminal: leave out -t.", 2)
    if is_container(document):
        command = words or ["sh", "-c", SHELL]
        status = streams.run(execution.execute(client, document["id"], command, terminal=with_terminal))
        raise typer.Exit(status)
    line = [shlex.join(words)] if words else []
    _by_ssh(client, where, document, ways.Login([], line), terminal=with_terminal and bool(words))


def _by_ssh(client: Client, where: Path, document: Mapping[str, Any], login: Any, *, terminal: bool = False) -> None:
    from pileus.cli import ssh as ways  # noqa: PLC0415  (commands start quickly)

    ways.check(client, document)
    words = ways.command(client, where, document, login, terminal=terminal)
    raise typer.Exit(ways.run(client, document, words, login))


def is_container(document: Mapping[str, Any]) -> bool:
    """Whether an instance is a container, by its document."""
    return bool(document["assigned"]["size"]["kind"] == "container")


@sessions.command()
def cp(
    paths: Annotated[list[str], typer.Argument(metavar="SOURCE... TARGET", help="PATH or INSTANCE:PATH.")],
    *,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Folders too.")] = False,
    state: StateOption = None,
) -> None:
    """Copy files to an instance, or from one: in a container without ssh; in a machine by ssh."""
    from pileus.cli import copying  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import ssh as ways  # noqa: PLC0415  (commands start quickly)

    *sources, target = map(copying.parse, paths)
    instances = {source.instance for source in sources}
    if not sources or len(instances) != 1 or bool(target.instance) == bool(instances - {""}):
        raise Problem("One side is this machine, the other INSTANCE:PATH: 'pileus cp FILE web:/tmp/'.", 2)
    where = state_of(state)
    client = connect(where)
    document = client.get("instances", target.instance or instances.pop())
    if is_container(document):

        def remote(words: Sequence[str]) -> list[str]:
            return ways.own_command(where, "exec", "--no-terminal", document["id"], "--", *words)

        home = "/root"
    else:
        ways.check(client, document)

        def remote(words: Sequence[str]) -> list[str]:
            return ways.command(client, where, document, ways.Login(["-q"], [shlex.join(words)]))

        home = "."
    inside = [f"{home}/{each.path}" if not each.path.startswith("/") else each.path for each in (*sources, target)]
    if target.instance:
        copying.upload(remote, [source.path for source in sources], inside[-1], recursive=recursive)
    else:
        copying.download(remote, inside[:-1], target.path, recursive=recursive)


@sessions.command()
def forward(
    instance: One,
    port: Annotated[str, typer.Argument(metavar="[LOCAL:]PORT", help="LOCAL is by default PORT; 0: any free one.")],
    *,
    state: StateOption = None,
) -> None:
    """Listen at a port of this machine and lead each connection to a TCP port of an instance; no rule is needed."""
    from pileus.cli import streams  # noqa: PLC0415  (commands start quickly)

    local, _, remote = port.rpartition(":")
    if not remote.isdecimal() or not (local or remote).isdecimal() or not 0 < int(remote) < 65536:
        raise Problem(f"'{port}' is no port: write PORT, or LOCAL:PORT.", 2)
    if int(local or remote) > 65535:
        raise Problem(f"'{port}' is no port: ports are at most 65535.", 2)
    client = connect(state_of(state))
    document = client.get("instances", instance)
    streams.run(streams.forward(client, document["id"], int(remote), int(local or remote)))


@sessions.command()
def console(instance: One, *, state: StateOption = None) -> None:
    """Join this terminal with the console of an instance; ^] leaves it."""
    from pileus.cli import execution, streams  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import ssh as ways  # noqa: PLC0415  (commands start quickly)

    client = connect(state_of(state))
    ways.check_running(client.get("instances", instance))
    streams.run(execution.console(client, instance))


@sessions.command("connect")
def connect_(instance: str, port: int, *, state: StateOption = None) -> None:
    """Join standard input and output with a TCP port of an instance; no rule is needed."""
    from pileus.cli import streams  # noqa: PLC0415  (commands start quickly)

    streams.run(streams.splice(connect(state_of(state)), instance, port))
