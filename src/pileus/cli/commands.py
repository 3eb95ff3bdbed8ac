"""The commands that only talk to a cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pileus.cli import completion, nounwords, people
from pileus.cli.client import connect, remote
from pileus.cli.compute import ADDRESS, IMAGE, KEY
from pileus.cli.flavors import flavors
from pileus.cli.hosts import hosts
from pileus.cli.instances import instances
from pileus.cli.limits import limits
from pileus.cli.networking import NOUNS
from pileus.cli.nouncommands import app_of
from pileus.cli.options import Everything, Json, StateOption, show_explanation, show_list, show_named, state_of
from pileus.cli.problem import Problem
from pileus.cli.rules import rules
from pileus.cli.sessions import sessions
from pileus.cli.tags import tags

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
images = app_of(IMAGE)
keys = app_of(KEY)
cli.add_typer(instances)
cli.add_typer(sessions)
cli.add_typer(images, name="image")
addresses = app_of(ADDRESS)
cli.add_typer(keys, name="key")
cli.add_typer(addresses, name="address")
cli.add_typer(flavors, name="flavor")
cli.add_typer(hosts, name="host")
cli.add_typer(limits, name="quota")
cli.add_typer(limits, name="limits", hidden=True)  # its earlier name
cli.add_typer(rules, name="rule")
cli.add_typer(tags, name="tag")
cli.add_typer(people.users(), name="user")
cli.add_typer(people.credentials(), name="credential")
cli.add_typer(people.administration(), name="admin")
for noun_commands in (*people.NOUNS, *NOUNS):
    cli.add_typer(app_of(noun_commands), name=noun_commands.word or noun_commands.kind)


NounArgument = Annotated[
    str,
    typer.Argument(metavar="[NOUN]", help="A noun; by default instance.", autocompletion=completion.kinds),
]
InstanceArgument = Annotated[
    str, typer.Argument(help="An id or a name.", autocompletion=completion.names_of("instances"))
]


@cli.command("list")
def list_(
    noun: Annotated[
        str, typer.Argument(help="instances, images, keys, hosts …", autocompletion=completion.kinds)
    ] = "instances",
    *,
    everything: Everything = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """List the nouns of one kind."""
    show_list(noun, state, everything=everything, as_json=as_json)


@cli.command()
def stats(
    instance: Annotated[
        str,
        typer.Argument(
            help="An id or a name; by default all of the project's.", autocompletion=completion.names_of("instances")
        ),
    ] = "",
    *,
    everything: Everything = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Show what instances use now: processors, memory, disks, network."""
    from pileus.cli import statistics  # noqa: PLC0415  (commands start quickly)

    client = connect(state_of(state))
    if instance:
        figures = client.get("instances", instance, "stats")
        print(json.dumps(figures, indent=2) if as_json else statistics.sheet(figures))
        return
    all_figures = client.all("stats", **({"all": "1"} if everything else {}))
    print(json.dumps(all_figures, indent=2) if as_json else statistics.table(all_figures))


@cli.command()
def explain(
    noun: Annotated[str, typer.Argument(help="instance, which may be left out, image, project, host …")],
    ident: Annotated[str, typer.Argument(metavar="ID", help="An id or a name.")] = "",
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Show what is wanted, assigned and seen of one noun, its journal, what it waits for, and why it is where it is."""
    kind, ident = (noun, ident) if ident else ("instance", noun)
    show_explanation(kind, ident, state, as_json=as_json)


@cli.command()
def rename(
    words: Annotated[list[str], typer.Argument(metavar="[NOUN] ID NAME", help="An instance, or another noun.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Give a noun another name."""
    kind, rest = nounwords.of_words(words, 2)
    if len(rest) != 2:
        raise Problem("Say the present name and the new one: pileus rename web www, or pileus rename image web www.")
    show_named(connect(state_of(state)).patch(f"{kind}s", rest[0], body={"name": rest[1]}), as_json=as_json)


@cli.command("journal", hidden=True)
@cli.command()
def events(
    noun: NounArgument = "",
    ident: Annotated[str, typer.Argument(metavar="ID", help="An id or a name; by default the whole project.")] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print further lines as they come.")] = False,
    request: Annotated[str, typer.Option(help="Of the request with this id alone.")] = "",
    most: Annotated[int, typer.Option("--most", "-n", min=0, max=1000, help="How many of the newest lines.")] = 50,
    everything: Everything = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow an object a line.")] = False,
    state: StateOption = None,
) -> None:
    """Show the journal: the changes that were asked for, and what became of them, the oldest first."""
    from pileus.cli import events as ways  # noqa: PLC0415  (commands start quickly)
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    kind, ident = (nounwords.kind(noun), ident) if ident else ("instance", noun)
    query = {"request": request, "all": "1" if everything else "", **({"kind": kind, "id": ident} if ident else {})}
    query = {key: text for key, text in query.items() if text}
    client = connect(state_of(state))
    if follow:
        for line in ways.follow(client, query, most):
            print(json.dumps(line) if as_json else tables.journal_line(line, line["noun"]), flush=True)
        return
    lines = ways.JournalFeed(client, query).begin(most)
    print(json.dumps(lines, indent=2) if as_json else tables.journal(lines))


@cli.command()
def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one frame, as without a terminal.")] = False,
    everything: Everything = False,
    state: StateOption = None,
) -> None:
    """Show the instances that use most, drawn anew every two seconds, until q."""
    from pileus.cli import top as ways  # noqa: PLC0415  (commands start quickly)

    ways.show(connect(state_of(state)), {"all": "1"} if everything else {}, once=once)


@cli.command("map")
def map_(*, everything: Everything = False, as_json: Json = False, state: StateOption = None) -> None:
    """Show routers, networks, subnets and instances as a tree."""
    from pileus.cli import map as ways  # noqa: PLC0415  (commands start quickly)

    entries = ways.tree(ways.lists(connect(state_of(state)), {"all": "1"} if everything else {}))
    print(json.dumps(list(map(ways.document, entries)), indent=2) if as_json else "\n".join(ways.drawn(entries)))


@cli.command()
def audit(
    *,
    since: Annotated[str, typer.Option(help="30m, 2h, 7d ago, or a time: 2026-01-31T12:00.")] = "",
    user: Annotated[str, typer.Option(help="Of this user alone.")] = "",
    action: Annotated[str, typer.Option(help="Whose action has this in its name.")] = "",
    refused: Annotated[bool, typer.Option("--refused", help="That were refused alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each line as it is.")] = False,
    state: StateOption = None,
) -> None:
    """Show the calls that were refused, and those that changed something, the oldest first."""
    from datetime import UTC, datetime  # noqa: PLC0415  (commands start quickly)

    from pileus.cli import audit as ways  # noqa: PLC0415  (commands start quickly)

    begin = ways.moment(since, datetime.now(UTC)) if since else ""
    audit_lines = ways.lines(state_of(state), ways.Choice(since=begin, user=user, action=action, refused=refused))
    if not as_json:
        print(ways.table(audit_lines))
        return
    for line in audit_lines:
        print(json.dumps(line))


@cli.command()
def profile(
    name: Annotated[str, typer.Argument(help="The profile's name.")] = "pileus",
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the profile away.")] = False,
    state: StateOption = None,
) -> None:
    """Write a profile into ~/.aws/config and credentials, for AWS clients and for `pileus --profile NAME`."""
    from pileus.cli import profiles, shells  # noqa: PLC0415  (commands start quickly)

    where, cloud_elsewhere = state_of(state), remote()
    if remove:
        profiles.remove(name, cloud_elsewhere.url if cloud_elsewhere else str(where))
        print(f"{name}  removed")
        return
    written = shells.profile(name, where, cloud_elsewhere)
    print("\n".join(map(str, profiles.write(written))))
    typer.echo(f"pileus: aws --profile {name} ec2 describe-instances, pileus --profile {name} list", err=True)


@cli.command()
def env(*, as_json: Json = False, state: StateOption = None) -> None:
    """Print what a shell needs for AWS clients: eval "$(pileus env)"."""
    from pileus.cli import shells  # noqa: PLC0415  (commands start quickly)

    where = state_of(state)
    print(json.dumps(shells.environment(where), indent=2) if as_json else shells.exports(where))


@keys.command("create")
def key_create(name: str, *, as_json: Json = False, state: StateOption = None) -> None:
    """Make a key pair and keep its private key where `pileus ssh` looks for it."""
    from pileus.cli import keys as ways  # noqa: PLC0415  (commands start quickly)

    keypair = ways.create(connect(state_of(state)), name)
    file = ways.path_of(keypair)
    print(json.dumps({"id": keypair["id"], "name": name, "file": str(file)}, indent=2) if as_json else file)


@keys.command("import")
def key_import(
    name: str,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A public key; `-` is standard input.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Register a public key: of OpenSSH's form, or PEM."""
    from pileus.cli import keys as ways  # noqa: PLC0415  (commands start quickly)

    body = {"name": name, "public_key": ways.public_key(file)}
    show_named(connect(state_of(state)).post("keypairs", body=body), as_json=as_json)


@images.command("add")
def image_add(
    source: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    name: Annotated[str, typer.Option(help="By default the file's.")] = "",
    login_user: Annotated[str, typer.Option(help="Who logs in by ssh.")] = "root",
    public: Annotated[bool, typer.Option("--public", help="Every project may start from it.")] = False,
    form: Annotated[str, typer.Option("--format", help="qcow2, raw or tar; by default as found in the bytes.")] = "",
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Add an image: a machine's disk (qcow2, raw), or a container's files (tar, OCI layout, docker archive, LXC)."""
    from pileus.cli import images as ways  # noqa: PLC0415  (commands start quickly)

    chosen = name or source.rstrip("/").rpartition("/")[2].partition(".")[0]
    flags = {**({"public": "true"} if public else {}), **({"format": form} if form else {})}
    show_named(ways.add(connect(state_of(state)), source, name=chosen, login_user=login_user, **flags), as_json=as_json)


@images.command("create")
def image_create(
    instance: Annotated[str, typer.Argument(help="An id or a name.")],
    name: str,
    *,
    description: str = "",
    no_reboot: Annotated[bool, typer.Option("--no-reboot", help="Leave it running: as after a power cut.")] = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Make an image of an instance's root disk; it is pending until its bytes are in the cloud."""
    body = {"instance": instance, "name": name, "description": description, "reboot": not no_reboot}
    show_named(connect(state_of(state)).post("images", "capture", body=body), as_json=as_json)


@addresses.command("allocate")
def address_allocate(
    address: Annotated[str, typer.Argument(help="By default the lowest free one.")] = "",
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Keep an address of the outside network; it is printed."""
    floating = connect(state_of(state)).post("floatingips", body={"address": address})
    _show_address(floating, "id", "address", as_json=as_json)


AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address, or its id.")]


@addresses.command("associate")
def address_associate(
    address: AddressArgument, instance: InstanceArgument, *, as_json: Json = False, state: StateOption = None
) -> None:
    """Give an address to an instance; from another one if that has it."""
    client = connect(state_of(state))
    floating = client.post("floatingips", address, "associate", body={"instance": instance})
    _show_address(floating, "address", "instance", "private", as_json=as_json)


@addresses.command("disassociate")
def address_disassociate(address: AddressArgument, *, as_json: Json = False, state: StateOption = None) -> None:
    """Take an address from the instance that has it; it stays the project's."""
    floating = connect(state_of(state)).post("floatingips", address, "disassociate")
    _show_address(floating, "id", "address", as_json=as_json)


@addresses.command("release")
def address_release(address: AddressArgument, *, as_json: Json = False, state: StateOption = None) -> None:
    """Give an address back to the cloud."""
    connect(state_of(state)).delete("floatingips", address)
    print(json.dumps({"id": address, "deleted": True}) if as_json else f"{address}  released")


def _show_address(floating: Mapping[str, Any], *fields: str, as_json: bool) -> None:
    words = (floating[field] for field in fields)
    print(json.dumps(floating, indent=2) if as_json else "  ".join(words))
