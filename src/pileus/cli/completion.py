"""Names for the completion of a shell: those of the nouns that the cloud has, where it answers quickly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import typer

TIMEOUT = 0.7
"""Seconds that the cloud has to answer."""

MOST = 200
"""How many nouns are asked for."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@/+-]{0,127}", re.ASCII)
"""Other names are left out: shells would have to quote them, and other users chose some of them."""


def names_of(nouns: str) -> Callable[[typer.Context, str], list[str]]:
    """The function by which Typer completes an argument that names one of `nouns`."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        from pileus.cli.client import choose  # noqa: PLC0415  (commands start quickly)

        # A completion runs no callback, which reads these options for a command.
        options = ctx.find_root().params
        choose(options.get("endpoint") or "", options.get("profile") or "")
        return names(nouns, ctx.params.get("state"), incomplete)

    return complete


def names(nouns: str, state: Any, incomplete: str) -> list[str]:
    """The names, or else the ids, of the cloud's `nouns` that begin so; none where the cloud does not answer."""
    from pileus.cli.client import connect  # noqa: PLC0415  (commands start quickly)
    from pileus.cli.options import state_of  # noqa: PLC0415  (commands start quickly)
    from pileus.cli.problem import Problem  # noqa: PLC0415  (commands start quickly)

    try:
        page = connect(state_of(state), timeout=TIMEOUT).get(nouns, limit=str(MOST))
    except (Problem, OSError):
        return []
    words = {
        word
        for noun in page.get(nouns, ())
        for word in (noun["name"], noun["id"])
        if word and word.startswith(incomplete)
    }
    return sorted(word for word in words if _PLAIN.fullmatch(word))


def kinds(incomplete: str) -> list[str]:
    """The nouns that begin so, in the plural."""
    from pileus.model.nouns import NOUNS  # noqa: PLC0415  (commands start quickly)

    return [f"{kind}s" for kind in NOUNS if kind.startswith(incomplete)]
