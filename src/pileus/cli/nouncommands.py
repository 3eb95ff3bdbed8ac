"""Commands that follow from a table: one for each path of a noun that makes it, changes it or takes it away."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, MutableMapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from pileus.cli.client import connect
from pileus.cli.options import Everything, Json, StateOption, show_explanation, show_list, state_of
from pileus.cli.problem import Problem


class Field(NamedTuple):
    """One field of a body: an option, or for a required one an argument.

    `option` is the option's name if that is not the field's. `members`: each value is put in a member of that name.
    """

    name: str
    help: str
    kind: Any = str
    required: bool = False
    members: str = ""
    option: str = ""


class NounCommand(NamedTuple):
    """One command: its words in the path after the noun's id, and the fields of the body."""

    name: str
    says: str
    fields: Sequence[Field] = ()
    path: str = ""


class NounCommands(NamedTuple):
    """All commands of a noun beside `list`, `show` and `delete`; the one named `create` makes it."""

    kind: str
    says: str
    commands: Sequence[NounCommand] = ()
    word: str = ""


TAGS = Field("tags", "A tag, KEY=VALUE; may be said again for more.", list, option="tag")


def app_of(noun: NounCommands) -> typer.Typer:
    """The commands of a noun, which are made when one of them is used: other commands start quickly."""

    class LateGroup(TyperGroup):
        """A group whose commands are looked up late."""

        @functools.cached_property
        def _made(self) -> dict[str, Any]:
            return dict(typer.main.get_group(_app(noun)).commands)

        @property
        def commands(self) -> MutableMapping[str, Any]:
            return self._made

        @commands.setter
        def commands(self, commands: MutableMapping[str, Any]) -> None:
            """Nothing is known when the group is made."""

    return typer.Typer(cls=LateGroup, help=noun.says, no_args_is_help=True)


def _app(noun: NounCommands) -> typer.Typer:
    app, plural = typer.Typer(), f"{noun.kind}s"

    @app.command("list")
    def list_(*, everything: Everything = False, as_json: Json = False, state: StateOption = None) -> None:
        """List them."""
        show_list(plural, state, everything=everything, as_json=as_json)

    @app.command("show")
    def show_(
        ident: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name.")],
        *,
        as_json: Json = False,
        state: StateOption = None,
    ) -> None:
        """Show one, its journal, and what it waits for."""
        show_explanation(noun.kind, ident, state, as_json=as_json)

    @app.command("delete")
    def delete_(
        ident: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name.")], *, state: StateOption = None
    ) -> None:
        """Delete one that nothing uses."""
        connect(state_of(state)).delete(plural, ident)
        print(f"{ident}  deleted")

    for command in noun.commands:
        app.command(command.name, help=command.says)(_function(plural, command))
    return app


def _function(plural: str, command: NounCommand) -> Callable[..., None]:
    """The function of a command, with the signature that Typer makes options and arguments of."""
    makes = command.name == "create"
    words = [word for word in (command.path or command.name).split("/") if word != "-"]

    def run(**values: Any) -> None:
        state, as_json, ident = values.pop("state"), values.pop("as_json"), values.pop("ident", "")
        body = {field.name: _value(field, values[field.name]) for field in command.fields}
        body = {name: value for name, value in body.items() if value is not None}
        path = [plural] if makes else [plural, ident, *words]
        document = connect(state_of(state)).post(*path, body=body)
        line = "  ".join(filter(None, [document["id"], document["name"]]))
        print(json.dumps(document, indent=2) if as_json else line)

    keyword, positional = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = typer.Argument(metavar="ID", help="Its id, or its name.")
    parameters = [] if makes else [inspect.Parameter("ident", positional, annotation=Annotated[str, named])]
    for field in command.fields:
        if field.required:
            hint: Any = Annotated[field.kind, typer.Argument(help=field.help, show_default=False)]
            parameters.append(inspect.Parameter(field.name, positional, annotation=hint))
    for field in command.fields:
        if not field.required:
            # Typer reads the annotations at run time.
            kind: Any = list[str] if field.kind is list else field.kind
            flag = f"--{field.option or field.name.replace('_', '-')}"
            names = [f"{flag}/--no-{flag[2:]}"] if field.kind is bool else [flag]
            hint = Annotated[kind | None, typer.Option(*names, help=field.help, show_default=False)]
            parameters.append(inspect.Parameter(field.name, keyword, annotation=hint, default=None))
    parameters.append(inspect.Parameter("as_json", keyword, annotation=Json, default=False))
    parameters.append(inspect.Parameter("state", keyword, annotation=StateOption, default=None))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _value(field: Field, value: Any) -> Any:
    """The value of a body's field by its option. Raises Problem."""
    if field is TAGS:
        pairs = [each.partition("=") for each in value or ()]
        if any(not sign for _, sign, _ in pairs):
            raise Problem("A tag is written KEY=VALUE.")
        return {key: text for key, _, text in pairs} or None
    if field.members and value is not None:
        return [{field.members: each} for each in value]
    return value or None if field.kind is list else value
