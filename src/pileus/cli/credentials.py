"""`pileus credential`: access keys and tokens, made, listed and revoked."""

from __future__ import annotations

from typing import Annotated

import typer

from pileus.cli.client import connect
from pileus.cli.options import Everything, Json, StateOption, show, show_list, state_of

credentials = typer.Typer(help="Access keys and tokens.", no_args_is_help=True)


@credentials.command("list")
def list_(*, everything: Everything = False, as_json: Json = False, state: StateOption = None) -> None:
    """List access keys and tokens, and whose they are; what proves them is not kept."""
    show_list("credentials", state, everything=everything, as_json=as_json)


@credentials.command()
def create(
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


@credentials.command()
def delete(
    credential: Annotated[str, typer.Argument(metavar="CREDENTIAL", help="Its id, or an access key's.")],
    *,
    state: StateOption = None,
) -> None:
    """Make an access key or a token worthless: whoever comes with it is refused from now on."""
    connect(state_of(state)).delete("credentials", credential)
    print(f"{credential}  deleted")
