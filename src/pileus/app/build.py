"""`pileus image build`: builds an image for all clouds of this machine, and gives it to one that runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import typer

from pileus.app import kits
from pileus.app.rollback import ended_by_signals
from pileus.cli import progress
from pileus.cli.client import connect
from pileus.cli.images import add_built
from pileus.cli.problem import Problem

BUILT = Path("/var/lib/pileus/images")
"""Built images, shared between clouds: NAME.qcow2 or NAME.tar.zst, and NAME.json."""


def build(name: str, state: Path, say: Callable[[str], None], *, if_changed: bool = False) -> None:
    """Build `name`, or keep the one that today's recipe made; if a cloud runs in `state`, register it there."""
    builders = [builder for kit in kits.every() if (builder := kit.builder()) is not None]
    builder = next((builder for builder in builders if name in builder.recipes), None)
    if builder is None:
        recipes = ", ".join(recipe for builder in builders for recipe in builder.recipes)
        raise Problem(f"There is no recipe '{name}'; there are {recipes or 'none'}.")
    with kits.as_problems():
        if if_changed and builder.current(name, BUILT):
            return
        if os.geteuid() != 0:
            raise Problem("Building an image needs root: use sudo.")
        with ended_by_signals(), progress.steps(say) as begun:
            built = builder.build(name, BUILT, begun)
    typer.echo(built)
    if (state / "endpoints.json").exists():
        add_built(connect(state), BUILT, say)


def add_all(state: Path, say: Callable[[str], None]) -> None:
    """Register every built image in the cloud in `state`, as public ones, unless they are there."""
    add_built(connect(state), BUILT, say)
