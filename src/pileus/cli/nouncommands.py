"""Commands that follow from a table: one for each path of a noun that makes it, changes it or takes it away."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from pileus.cli.client import connect
from pileus.cli.completion import names_of
from pileus.cli.options import Everything, Json, StateOption, show, show_explanation, show_list, show_named, state_of
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
    """One command: its words in the path after the noun's id, and the fields of the body, some `fixed`.

    With `shown` the whole answer is printed, for values that are readable once.
    """

    name: str
    says: str
    fields: Sequence[Field] = ()
    path: str = ""
    fixed: Mapping[str, object] = {}
    shown: bool = False


class NounCommands(NamedTuple):
    """All commands of a noun beside `list`, `show`, `rename` and `delete`; the one named `create` makes it.

    A noun that `stays` has no `delete`.
    """

    kind: str
    says: str
    commands: Sequence[NounCommand] = ()
    word: str = ""
    stays: bool = False


TAGS = Field("tags", "A tag, KEY=VALUE; may be said again for more.", list, option="tag")


def app_of(noun: NounCommands) -> typer.Typer:
    """The commands of a noun, which are made when one of them is used: other commands start quickly.

    Commands that are added to it, and are not rows of a table, take the place of those of the same name.
    """

    class LateGroup(TyperGroup):
        """A group whose commands are looked up late."""

        @functools.cached_property
        def _made(self) -> dict[str, Any]:
            return {**typer.main.get_group(_app(noun)).commands, **self._added}

        @property
        def commands(self) -> MutableMapping[str, Any]:
            return self._made

        @commands.setter
        def commands(self, commands: MutableMapping[str, Any]) -> None:
            """The others are not known when the group is made."""
            self._added = dict(commands)

    return typer.Typer(cls=LateGroup, help=noun.says, no_args_is_help=True)


def _app(noun: NounCommands) -> typer.Typer:
    from pileus.model.nouns import NOUNS  # noqa: PLC0415  (commands start quickly)

    app, plural = typer.Typer(), f"{noun.kind}s"

    @app.command("list")
    def list_(*, everything: Everything = False, as_json: Json = False, state: StateOption = None) -> None:
        """List them."""
        show_list(plural, state, everything=everything, as_json=as_json)

    def show_(ident: str, *, as_json: bool, state: Path | None) -> None:
        """Show one, its journal, and what it waits for."""
        show_explanation(noun.kind, ident, state, as_json=as_json)

    def rename_(ident: str, name: str, *, as_json: bool, state: Path | None) -> None:
        """Give it another name."""
        show_named(connect(state_of(state)).patch(plural, ident, body={"name": name}), as_json=as_json)

    def delete_(idents: list[str], *, as_json: bool, state: Path | None) -> None:
        """Delete one that nothing uses, or several."""
        client = connect(state_of(state))
        for ident in idents:
            client.delete(plural, ident)
            print(json.dumps({"id": ident, "deleted": True}) if as_json else f"{ident}  deleted")

    app.command("show")(_signed(show_, [_ident(plural)]))
    for command in noun.commands:
        app.command(command.name, help=command.says)(_function(plural, command))
    if NOUNS[noun.kind].RENAMED:
        app.command("rename")(_signed(rename_, [_ident(plural), _argument(Field("name", "The new name."))]))
    if not noun.stays:
        app.command("delete")(_signed(delete_, [_ident(plural, several=True)]))
    return app


def _function(plural: str, command: NounCommand) -> Callable[..., None]:
    """The function of a command, with the signature that Typer makes options and arguments of."""
    makes = command.name == "create"
    words = [word for word in (command.path or command.name).split("/") if word != "-"]

    def run(**values: Any) -> None:
        state, as_json, ident = values.pop("state"), values.pop("as_json"), values.pop("ident", "")
        body = {field.name: _value(field, values[field.name]) for field in command.fields}
        body = {**command.fixed, **{name: value for name, value in body.items() if value is not None}}
        path = [plural] if makes else [plural, ident, *words]
        document = connect(state_of(state)).post(*path, body=body)
        if command.shown:
            show({name: str(value) for name, value in document.items() if value}, as_json=as_json)
        else:
            show_named(document, as_json=as_json)

    parameters = [] if makes else [_ident(plural)]
    parameters += [_argument(field) for field in command.fields if field.required]
    parameters += [_option(field) for field in command.fields if not field.required]
    return _signed(run, parameters)


def _signed(run: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """The function with these parameters, `--json` and `--state`, as Typer reads them."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("as_json", keyword, annotation=Json, default=False),
        inspect.Parameter("state", keyword, annotation=StateOption, default=None),
    ]
    run.__signature__ = inspect.Signature([*parameters, *shared])  # type: ignore[attr-defined]  # functions may have one
    run.__annotations__ = {each.name: each.annotation for each in (*parameters, *shared)}
    return run


def _ident(plural: str, *, several: bool = False) -> inspect.Parameter:
    """The argument that names one of the nouns, or `several` of them."""
    named = typer.Argument(metavar="ID", help="Its id, or its name.", autocompletion=names_of(plural))
    hint: Any = Annotated[list[str], named] if several else Annotated[str, named]
    return inspect.Parameter("idents" if several else "ident", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=hint)


def _argument(field: Field) -> inspect.Parameter:
    """The argument for a field that a body must have."""
    kind: Any = list[str] if field.kind is list else field.kind
    hint = Annotated[kind, typer.Argument(help=field.help, show_default=False)]
    return inspect.Parameter(field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=hint)


def _option(field: Field) -> inspect.Parameter:
    """The option for a field that a body may have."""
    kind: Any = list[str] if field.kind is list else field.kind
    flag = f"--{field.option or field.name.replace('_', '-')}"
    names = [f"{flag}/--no-{flag[2:]}"] if field.kind is bool else [flag]
    hint = Annotated[kind | None, typer.Option(*names, help=field.help, show_default=False)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=None)


def _value(field: Field, value: Any) -> Any:
    """The value of a body's field by its option. Raises Problem."""
    if field is TAGS:
        return tags_of(value or ()) or None
    if field.members and value is not None:
        return [{field.members: each} for each in value]
    return value or None if field.kind is list else value


def tags_of(words: Iterable[str]) -> dict[str, str]:
    """The tags that words like KEY=VALUE say. Raises Problem."""
    pairs = [word.partition("=") for word in words]
    if any(not sign for _, sign, _ in pairs):
        raise Problem("A tag is written KEY=VALUE.")
    return {key: text for key, _, text in pairs}
