"""`pileus image build`: builds an image for all clouds of this machine, and gives it to one that runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import typer

from pileus.cli import progress
from pileus.cli.client import connect
from pileus.cli.images import add_built
from pileus.cli.problem import Problem

BUILT = Path("/var/lib/pileus/images")
"""Built images, shared between clouds: NAME.qcow2 or NAME.tar.zst, and NAME.json."""


def build(name: str, state: Path, say: Callable[[str], None], *, if_changed: bool = False) -> None:
    """Build `name`, or keep the one that today's recipe made; if a cloud runs in `state`, register it there."""
    from pileus.providers.local.images import BUILDERS, ImageBuildError, current  # noqa: PLC0415  (builds alone do)
    from pileus.providers.local.images import build as make  # noqa: PLC0415  (builds alone do)

    recipe = next((candidate for candidate in BUILDERS if candidate == name), None)
    if recipe is None:
        raise Problem(f"There is no recipe '{name}'; there are {', '.join(BUILDERS)}.")
    if if_changed and current(recipe, BUILT):
        return
    if os.geteuid() != 0:
        raise Problem("Building an image needs root: use sudo.")
    try:
        with progress.steps(say) as begun:
            built = make(recipe, BUILT, begun)
    except ImageBuildError as error:
        raise Problem(f"The image {name} was not built: {error}") from error
    typer.echo(built)
    if (state / "endpoints.json").exists():
        add_all(state, say)


def add_all(state: Path, say: Callable[[str], None]) -> None:
    """Register every built image in the cloud in `state`, as public ones, unless they are there."""
    add_built(connect(state), BUILT, say)
