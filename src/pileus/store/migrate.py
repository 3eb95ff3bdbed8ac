"""Brings a database to the newest schema. Numbered scripts; `pre` ones run before new code, `post` ones after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from pileus.store.engine import Engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Run every migration up to `revision` that this database has not had; safe to repeat."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
