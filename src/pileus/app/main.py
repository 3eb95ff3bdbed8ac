"""`pileus`: every command, those of the CLI and those that run the cloud's own processes."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand, TyperOption

from pileus.app.state import StateDirectory, opened
from pileus.cli import panels
from pileus.cli.client import choose
from pileus.cli.commands import cli, images
from pileus.cli.hosts import hosts
from pileus.cli.options import Json, StateOption, state_of
from pileus.cli.problem import Problem, spoken

cli.add_typer(hosts, name="host")


def _say(text: str) -> None:
    typer.echo(f"pileus: {text}", err=True)


class _ProviderCommand(TyperCommand):
    """A command with the option --provider, whose help names the providers that are installed."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Add their names, which take a look at every installed package."""
        from pileus.app.kits import installed  # noqa: PLC0415  (commands start quickly)

        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.name == "provider":
                parameter.help = f"{', '.join(installed())}. {parameter.help}"
        super().format_help(ctx, formatter)


ProviderOption = Annotated[
    str, typer.Option(help="By default that of the last start here, or else the usual one.", show_default=False)
]


def _version(*, requested: bool) -> None:
    if requested:
        from importlib.metadata import version  # noqa: PLC0415  (dear)

        typer.echo(f"pileus {version('pileus')}")
        raise typer.Exit


@cli.callback()
def everything(
    context: typer.Context,
    *,
    endpoint: Annotated[
        str,
        typer.Option(metavar="URL", help="A cloud elsewhere, by the token in PILEUS_TOKEN; or PILEUS_ENDPOINT."),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(metavar="NAME", help="A cloud as 'pileus profile NAME' wrote it; or PILEUS_PROFILE."),
    ] = "",
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda requested: _version(requested=requested),
            is_eager=True,
            help="Say which it is.",
        ),
    ] = False,
) -> None:
    """A cloud in one command."""
    del version
    choose(endpoint, profile)
    elsewhere = os.environ.get("PILEUS_ENDPOINT") or os.environ.get("PILEUS_PROFILE")
    if elsewhere and context.invoked_subcommand in panels.LOCAL:
        text = f"'pileus {context.invoked_subcommand}' is about a state directory of this machine:"
        raise Problem(f"{text} leave out --endpoint and --profile, and unset their variables.")


@cli.command(cls=_ProviderCommand)
def up(
    *,
    state: StateOption = None,
    provider: ProviderOption = "",
    port: Annotated[
        Optional[int],  # noqa: UP045  (typer reads it)
        typer.Option(help="By default a free one.", min=0, max=65535),
    ] = None,
    internet: Annotated[
        Optional[bool],  # noqa: UP045  (typer reads it)
        typer.Option(
            "--internet/--no-internet",
            help="Guests reach what this machine reaches. By default as at the last start, at first not.",
            show_default=False,
        ),
    ] = None,
    outside: Annotated[
        str,
        typer.Option(
            metavar="IFACE",
            help="The interface to the outside network, for the cloud alone; none: it ends in this machine. By default "
            "as at the last start, at first none.",
            show_default=False,
        ),
    ] = "",
    face_port: Annotated[
        str, typer.Option(metavar="FACE=PORT", help="One more port, of a face with a listener; 8773 for old clients.")
    ] = "",
) -> None:
    """Start a cloud, or a host that joined one, or what of it does not run; returns when everything answers."""
    from pileus.app import kits  # noqa: PLC0415  (commands start quickly)
    from pileus.app.up import up as run_up  # noqa: PLC0415  (commands start quickly)

    where = opened(state_of(state))
    options = {} if internet is None else {"internet": "yes" if internet else "no"}
    options |= {"outside_interface": outside} if outside else {}
    if where.joined.exists():
        from pileus.app import member  # noqa: PLC0415  (commands start quickly)

        if port is not None or face_port:
            raise Problem(f"{where.root} is a host's: it has no faces of its own.")
        if options:
            raise Problem(f"{where.root} is a host's: PILEUS_OUTSIDE_INTERFACE names its interface, and leads out.")
        typer.echo(member.up(where, provider, _say))
        return
    face, _, own_port = face_port.partition("=")
    if face_port:
        from pileus.app import faceports  # noqa: PLC0415  (commands start quickly)

        faceports.choose(face, own_port)
    endpoints = run_up(where, provider, port, _say, options=options)
    if face_port and not any(url.rpartition(":")[2] == own_port for url in endpoints.values()):
        raise Problem(f"The cloud runs already, without port {own_port}: pileus down first.")
    if kits.builds_images(where):
        from pileus.app.build import add_all  # noqa: PLC0415  (commands start quickly)

        add_all(where.root, _say)
    typer.echo("\n".join(f"{name}  {url}" for name, url in endpoints.items()))


@cli.command()
def down(
    *,
    instances: Annotated[
        bool, typer.Option("--instances", help="End the instances too; up starts them again.")
    ] = False,
    state: StateOption = None,
) -> None:
    """End a cloud's processes; its instances run on."""
    from pileus.app.up import down as run_down  # noqa: PLC0415  (commands start quickly)

    run_down(opened(state_of(state)), instances=instances, say=_say)


@cli.command()
def recover(*, state: StateOption = None) -> None:
    """Bring the database up to what the hosts hold, and start the cloud; up does it by itself when it is needed."""
    from pileus.app.up import recover as run_recover  # noqa: PLC0415  (commands start quickly)

    run_recover(opened(state_of(state)), _say)


@cli.command()
def purge(
    *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, state: StateOption = None
) -> None:
    """End a cloud with its instances, and remove its state directory."""
    from pileus.app.purge import purge as run_purge  # noqa: PLC0415  (commands start quickly)

    run_purge(StateDirectory(state_of(state)), yes=yes, say=_say)


@cli.command()
def status(*, state: StateOption = None) -> None:
    """Show which processes run, and where the faces are; status 1 when something does not run or answer."""
    from pileus.app.supervise import restarts, silent  # noqa: PLC0415  (commands start quickly)
    from pileus.app.up import running  # noqa: PLC0415  (commands start quickly)
    from pileus.posix.files import read_json  # noqa: PLC0415  (commands start quickly)

    where = opened(state_of(state))
    pids, again, hung = running(where), restarts(where), silent(where)
    width = max(map(len, pids))
    for name, pid in pids.items():
        times = f", started again {again[name]} times" if name in again else ""
        mute = f", has not answered for {time.time() - hung[name]:.0f} s" if pid and name in hung else ""
        typer.echo(f"{name.ljust(width)}  {f'pid {pid}' if pid else 'does not run'}{mute}{times}")
    for name, url in (read_json(where.endpoints) or {}).items():
        typer.echo(f"{name.ljust(width)}  {url}")
    if not all(pids.values()):
        raise Problem(f"Not everything runs: 'pileus up --state {where.root}' starts what does not.")
    if hung:
        raise Problem(f"Not everything answers: {', '.join(hung)}. What stays silent for a minute is started again.")


@cli.command()
def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended safely.")] = False,
    adopt: Annotated[str, typer.Option("--adopt", metavar="ID", help="Take in a guest that no row names.")] = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm users, keys, grants and projects after a recovery.")
    ] = False,
    as_json: Json = False,
    pause: Annotated[float, typer.Option(help="Seconds between two looks: what is on its way is no finding.")] = 3.0,
    state: StateOption = None,
) -> None:
    """Examine the machine, and whether store, host, libvirt, OVN and disk agree; status 1 with findings."""
    from pileus.app import doctor as doctors  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import findings  # noqa: PLC0415  (commands start quickly)

    where = opened(state_of(state))
    if adopt and repair:
        raise Problem("Adopt first, then repair: one of the two at a time.")
    if confirm:
        doctors.confirm(where)
    if adopt:
        report = doctors.adopt(where, adopt, pause=pause)
    elif repair:
        report = doctors.repair(where, _say, pause=pause)
    else:
        report = doctors.examine(where, pause=pause)
    findings.show(report, as_json=as_json)
    if report.findings:
        raise typer.Exit(1)


@cli.command("run", cls=_ProviderCommand, context_settings={"allow_interspersed_args": False})
def run_(command: Annotated[list[str], typer.Argument(metavar="-- CMD...")], *, provider: ProviderOption = "") -> None:
    """Run a command against a throwaway cloud; its exit status is passed on."""
    from pileus.app.throwaway import run as run_throwaway  # noqa: PLC0415  (commands start quickly)

    raise typer.Exit(run_throwaway(provider, command, _say))


@images.command("build")
def image_build(
    name: Annotated[str, typer.Argument(help="debian-12, tiny, debian-12-container or tiny-container.")],
    *,
    if_changed: Annotated[bool, typer.Option("--if-changed", help="Unless today's recipe made the one there.")] = False,
    state: StateOption = None,
) -> None:
    """Build an image from Debian packages; a cloud that runs gets it at once."""
    from pileus.app.build import build  # noqa: PLC0415  (commands start quickly)

    build(name, state_of(state), _say, if_changed=if_changed)


@cli.command(hidden=True)
def cloud(
    *,
    state: Annotated[Path, typer.Option()],
    provider: Annotated[str, typer.Option()],
    fd: Annotated[int, typer.Option(help="The listening socket.")],
    user: Annotated[str, typer.Option(help="Who to be from then on.")] = "",
) -> None:
    """The cloud process; `up` starts it."""
    from pileus.app.entry import cloud as run_cloud  # noqa: PLC0415  (gives up root before it loads the rest)

    run_cloud(state, provider, fd, user)


@cli.command(cls=_ProviderCommand)
def api(
    *,
    listen: Annotated[str, typer.Option(metavar="ADDR:PORT", help="Where clients reach it.")] = "127.0.0.1:8770",
    provider: ProviderOption = "",
    state: StateOption = None,
) -> None:
    """One of a cloud's processes that answer requests; PILEUS_STORE and PILEUS_BUS say what they share."""
    from pileus.app.entry import role as run_role  # noqa: PLC0415  (commands start quickly)

    run_role("api", state_of(state), provider, listen)


@cli.command(cls=_ProviderCommand)
def loops(
    *,
    listen: Annotated[str, typer.Option(metavar="ADDR:PORT", help="For /healthz and /metrics.")] = "127.0.0.1:8771",
    provider: ProviderOption = "",
    state: StateOption = None,
) -> None:
    """One of a cloud's processes that do the work; PILEUS_STORE and PILEUS_BUS say what they share."""
    from pileus.app.entry import role as run_role  # noqa: PLC0415  (commands start quickly)

    run_role("loops", state_of(state), provider, listen)


@cli.command()
def central(*, state: StateOption = None) -> None:
    """OVN's databases for hosts on machines of their own; PILEUS_SOUTHBOUND_LISTEN says where they find them."""
    from pileus.app import central as databases  # noqa: PLC0415  (commands start quickly)

    databases.serve(StateDirectory(state_of(state)))


@hosts.command("run", cls=_ProviderCommand)
def host(
    *,
    state: StateOption = None,
    group: Annotated[str, typer.Option(help="Who may open channels beside root; on the cloud's machine.")] = "pileus",
    provider: ProviderOption = "",
) -> None:
    """The host process: `up` starts it where the cloud is, a service (see packaging/systemd) where a machine joined."""
    from pileus.app.entry import host as run_host  # noqa: PLC0415  (commands start quickly)

    run_host(state_of(state), group, provider)


@cli.command()
def certificate(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names and addresses that it is for.")],
    *,
    make_authority: Annotated[
        bool, typer.Option("--make-authority", help="Make the authority, if there is none yet: for a new cloud.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Print a new key and its certificate, by the cloud's authority, for a server of the cloud's: a broker, OVN's."""
    from pileus.app import certificates  # noqa: PLC0415  (commands start quickly)
    from pileus.model.errors import InvalidValue  # noqa: PLC0415  (commands start quickly)

    where = StateDirectory(state_of(state)).cloud
    try:
        if make_authority:
            StateDirectory(where.parent).prepare()
        elif not (where / "ca.key").exists():
            hint = "PILEUS_TLS=own or PILEUS_INTERNAL has 'up' make one, --make-authority this command."
            raise Problem(f"There is no authority in {where}: {hint}")
        typer.echo(certificates.authority(where).server(names).decode(), nl=False)
    except PermissionError as error:
        raise Problem(f"{error.filename} is not yours to read: use sudo.") from error
    except InvalidValue as error:
        raise Problem(error.message) from error


@hosts.command("join")
def host_join(
    url: Annotated[str, typer.Argument(help="As 'pileus host token' printed it.")],
    token: str,
    *,
    name: Annotated[str, typer.Option(help="What the cloud calls this machine; by default its own name.")] = "",
    zone: Annotated[str, typer.Option(help="By default the cloud's.")] = "",
    state: StateOption = None,
) -> None:
    """Make this machine one of a cloud's hosts."""
    from pileus.app import joining  # noqa: PLC0415  (commands start quickly)

    where = opened(state_of(state))
    cloud = joining.join(where, url, token, name or joining.hostname(), zone, _say)
    typer.echo(f"{cloud.name} belongs to {cloud.url}: 'pileus up --state {where.root}' starts it.")


@functools.cache
def commands() -> Callable[[], object]:
    """All of them, put together: much of what a short one takes."""
    program = typer.main.get_command(cli)
    panels.arrange(program)
    return program


def run() -> None:
    """The executable."""
    spoken(commands())


if __name__ == "__main__":
    run()
