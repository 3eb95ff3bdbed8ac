"""The options that many commands share, and the output of their results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from pileus.cli import nounwords
from pileus.cli.client import connect, default_state
from pileus.cli.mcc.plain import plain

StateOption = Annotated[
    Optional[Path],  # noqa: UP045  (typer reads it)
    typer.Option("--state", help="State directory of the cloud.", show_default=False),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Everything = Annotated[bool, typer.Option("--all", help="Of every project.")]

Add = Annotated[
    Optional[list[str]],  # noqa: UP045  (typer reads it)
    typer.Option("--add", help="A trait; may be said again for more.", show_default=False),
]
Remove = Annotated[
    Optional[list[str]],  # noqa: UP045  (typer reads it)
    typer.Option("--remove", help="One that it has no longer; may be said again.", show_default=False),
]


def state_of(state: Path | None) -> Path:
    """The state directory that is meant, absolute."""
    return Path(os.path.abspath(state or default_state()))  # noqa: PTH100  (links stay as they are written)


def show(fields: Mapping[str, str], *, as_json: bool) -> None:
    """Print named values, one a line, or as JSON."""
    width = max(map(len, fields))
    lines = [f"{key.ljust(width)}  {value}" for key, value in fields.items()]
    print(json.dumps(fields, indent=2) if as_json else "\n".join(lines))


def show_named(noun: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the id and the name of a noun, or the whole of it as JSON."""
    line = "  ".join(filter(None, [noun["id"], plain(noun["name"])]))
    print(json.dumps(noun, indent=2) if as_json else line)


def show_list(nouns: str, state: Path | None, *, everything: bool = False, as_json: bool = False) -> None:
    """Print all nouns of one kind, as a table or as JSON; with `everything` those of every project."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    plural = nounwords.plural(nouns)
    documents = connect(state_of(state)).all(plural, **({"all": "1"} if everything else {}))
    print(json.dumps(documents, indent=2) if as_json else tables.table(plural.removesuffix("s"), documents))


def show_explanation(kind: str, ident: str, state: Path | None, *, as_json: bool) -> None:
    """Print a noun, its journal and what it waits for, in words or as JSON."""
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    document = connect(state_of(state)).get("explain", nounwords.kind(kind), ident)
    print(json.dumps(document, indent=2) if as_json else tables.explanation(document))
