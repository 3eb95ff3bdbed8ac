"""`pileus tag`: the tags of any noun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from pileus.cli import nounwords
from pileus.cli.client import connect
from pileus.cli.nouncommands import tags_of
from pileus.cli.options import Json, StateOption, state_of
from pileus.cli.problem import Problem

tags = typer.Typer(help="Tags of instances, images, networks and all other nouns that have them.", no_args_is_help=True)

_WORDS = "The noun (image, volume …; left out: an instance), its id or name"


@tags.command("set")
def set_(
    words: Annotated[list[str], typer.Argument(metavar="[NOUN] ID KEY=VALUE...", help=f"{_WORDS}, and its tags.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Set tags of a noun; its other tags stay."""
    kind, rest = nounwords.of_words(words, 2)
    if len(rest) < 2:
        raise Problem("Say which tags: pileus tag set web env=prod, or pileus tag set image web env=prod.")
    ident, *pairs = rest
    document = connect(state_of(state)).post(f"{kind}s", ident, "tags", body={"add": tags_of(pairs)})
    _show(document["tags"], as_json=as_json)


@tags.command("list")
def list_(
    words: Annotated[list[str], typer.Argument(metavar="[NOUN] ID", help=f"{_WORDS}.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """List the tags of a noun."""
    kind, rest = nounwords.of_words(words, 1)
    if len(rest) != 1:
        raise Problem("Say one noun: pileus tag list web, or pileus tag list image web.")
    _show(connect(state_of(state)).get(f"{kind}s", rest[0])["tags"], as_json=as_json)


@tags.command()
def delete(
    words: Annotated[list[str], typer.Argument(metavar="[NOUN] ID KEY...", help=f"{_WORDS}, and keys of its tags.")],
    *,
    as_json: Json = False,
    state: StateOption = None,
) -> None:
    """Take tags of a noun away, by their keys."""
    kind, rest = nounwords.of_words(words, 2)
    if len(rest) < 2:
        raise Problem("Say which tags: pileus tag delete web env, or pileus tag delete image web env.")
    document = connect(state_of(state)).post(f"{kind}s", rest[0], "tags", body={"remove": rest[1:]})
    _show(document["tags"], as_json=as_json)


def _show(noun_tags: Mapping[str, str], *, as_json: bool) -> None:
    from pileus.cli import tables  # noqa: PLC0415  (commands start quickly)

    rows = [("KEY", "VALUE"), *sorted(noun_tags.items())]
    print(json.dumps(noun_tags, indent=2) if as_json else tables.lined(rows))
