"""What many commands take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from pileus.cli.client import default_state

StateOption = Annotated[
    Optional[Path],  # noqa: UP045  (typer reads it)
    typer.Option("--state", help="State directory of the cloud.", show_default=False),
]

Add = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--add", help="A trait; may be said again for more.", show_default=False),
]
Remove = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--remove", help="One that it has no longer; may be said again.", show_default=False),
]


def state_of(given: Path | None) -> Path:
    """The state directory that is meant, absolute."""
    return Path(os.path.abspath(given or default_state()))  # noqa: PTH100  (links stay as they are written)
