"""`pileus user`, `project`, `usergroup`, `grant` and `credential`: people and their rights."""

from __future__ import annotations

import base64
import getpass
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pileus.cli.client import connect
from pileus.cli.nouncommands import Field, NounCommand, NounCommands, app_of
from pileus.cli.options import Json, StateOption, show, state_of
from pileus.cli.problem import Problem

_ENABLE, _DISABLE = {"enabled": True}, {"enabled": False}
_USER = Field("user", "A user, by id or name.", required=True)
_NAME = Field("name", "Its name.", required=True)


def users() -> typer.Typer:
    """The commands of users."""
    app = app_of(_USER_COMMANDS)
    app.command("password")(_password)
    app.command("revoke-tokens")(_revoke_tokens)
    app.command("creds")(_creds)
    return app


def _password(
    user: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name.")],
    *,
    own: Annotated[bool, typer.Option("--own", help="Say the old password first, as users do for their own.")] = False,
    state: StateOption = None,
) -> None:
    """Set a user's password, which is read from the terminal, or from standard input."""
    body = {"old": _secret("Old password: ")} if own else {}
    connect(state_of(state)).post("users", user, "password", body={**body, "password": _secret("New password: ")})
    print(f"{user}  password set")


def _secret(prompt: str) -> str:
    """A line that no terminal shows."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _revoke_tokens(
    user: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name.")], *, state: StateOption = None
) -> None:
    """End all signed tokens of a user; its access keys stay good."""
    connect(state_of(state)).post("users", user, "tokens", "revoke")
    print(f"{user}  tokens revoked")


def _creds(
    user: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name.")],
    file: Annotated[Path | None, typer.Argument(help="The zip to write; by default USER.zip here.")] = None,
    *,
    url: Annotated[str, typer.Option(help="How the user reaches the cloud; by default as this command does.")] = "",
    state: StateOption = None,
) -> None:
    """Write a zip with an rc file (novarc), a new access key, and a new certificate with its key and authority."""
    client = connect(state_of(state))
    target = file or Path(f"{user}.zip")
    root = url or client.url.rstrip("/").removesuffix("/v1")
    try:
        # Before anything is made: the answer's secrets are readable once.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as archive:
            try:
                answer = client.post("users", user, "creds", body={"url": root})
                archive.write(base64.b64decode(answer["file"]))
            except BaseException:
                target.unlink()
                raise
    except FileExistsError as error:
        raise Problem(f"{target} exists: name another file.") from error
    except OSError as error:
        raise Problem(f"{target} cannot be written: {error.strerror}.") from error
    print(target)


def credentials() -> typer.Typer:
    """The commands of credentials."""
    app = app_of(_CREDENTIAL_COMMANDS)
    app.command("create")(_credential_create)
    return app


def _credential_create(
    *,
    user: Annotated[str, typer.Option(help="Whose; by default the administrator's.")] = "",
    token: Annotated[bool, typer.Option("--token", help="A token of the REST API in place of an access key.")] = False,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Make one more access key, or token; it is shown once, and those that there are stay good."""
    body = {"user": user, "type": "token" if token else "aws"}
    credential = connect(state_of(state)).post("credentials", body=body)
    show({name: value for name, value in credential.items() if value}, as_json=as_json)


def administration() -> typer.Typer:
    """The commands of administration that belong to no noun."""
    app = typer.Typer(help="The directory of users.", no_args_is_help=True)
    ldap = typer.Typer(help="The LDAP directory, which PILEUS_LDAP_URL names.", no_args_is_help=True)
    ldap.command("sync")(_sync)
    app.add_typer(ldap, name="ldap")
    return app


def _sync(*, as_json: Json = False, state: StateOption = None) -> None:
    """Make, change and disable users as the directory has them now."""
    outcome = connect(state_of(state), timeout=_SYNC).post("directory", "sync")
    if as_json:
        print(json.dumps(outcome, indent=2))
        return
    for word in ("created", "changed", "disabled"):
        print("\n".join(f"{name}  {word}" for name in outcome[word]), end="\n" if outcome[word] else "")
    for skipped in outcome["skipped"]:
        print(f"{skipped['name']}  skipped: {skipped['reason']}")
    print(f"{outcome['current']} users were as the directory has them")


_SYNC = 600.0
"""Seconds that a synchronisation of thousands of users may take."""

_USER_COMMANDS = NounCommands(
    "user",
    "Users.",
    (
        NounCommand(
            "create",
            "Make a user with an access key and a token; they are shown once.",
            (
                _NAME,
                Field("project", "Its project, made when missing; by default one of its name."),
                Field("role", "reader, member or admin; by default admin of a new project, else member."),
                Field("admin", "May act on every project.", bool),
            ),
            shown=True,
        ),
        NounCommand("enable", "Let a user in again.", (), "-", _ENABLE),
        NounCommand("disable", "Refuse a user, with all of its keys and tokens.", (), "-", _DISABLE),
    ),
)

_CREDENTIAL_COMMANDS = NounCommands(
    "credential",
    "Access keys and tokens.",
    (
        NounCommand("enable", "Let an access key or a token in again.", (), "-", _ENABLE),
        NounCommand("disable", "Refuse an access key or a token until it is enabled.", (), "-", _DISABLE),
        NounCommand("rotate", "Replace one: the new one is shown once, the old one is worthless.", shown=True),
    ),
)

NOUNS = (
    NounCommands(
        "project",
        "Projects, the accounts that own things.",
        (
            NounCommand("create", "Make a project with a default network.", (_NAME,)),
            NounCommand("enable", "Let its users act in it again.", (), "-", _ENABLE),
            NounCommand("disable", "Have nobody act in it; what it holds goes on.", (), "-", _DISABLE),
        ),
    ),
    NounCommands(
        "certificate",
        "X.509 certificates of users.",
        (
            NounCommand(
                "create",
                "Make a certificate with a new key; the key is shown once.",
                (Field("user", "Whose, by id or name; by default the own one."),),
                shown=True,
            ),
        ),
        word="user-certificate",
    ),
    NounCommands(
        "usergroup",
        "Groups of users, which are granted roles together.",
        (
            NounCommand("create", "Make a group without users.", (_NAME,)),
            NounCommand("add", "Put a user into a group.", (_USER,)),
            NounCommand("remove", "Take a user out of a group.", (_USER,)),
        ),
    ),
    NounCommands(
        "grant",
        "Grants, the roles of users and groups of users in projects.",
        (
            NounCommand(
                "create",
                "Give a user, or a group of users, a role in a project, in the place of another role.",
                (
                    Field("role", "reader, member or admin.", required=True),
                    Field("user", "A user, by id or name."),
                    Field("usergroup", "A group of users, by id or name."),
                    Field("project", "A project, by id or name; by default the own one."),
                ),
            ),
        ),
    ),
)
"""The commands of the other nouns of people."""
