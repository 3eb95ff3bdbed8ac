"""Brings a database to the newest schema. Numbered scripts; `pre` ones run before new code, `post` ones after it.

Alembic is loaded for an older database alone: to load it takes longer than to open the store. A new database is made
whole, of the tables that the code knows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, inspect

from pileus.store.tables import FIRST_META, meta, metadata

if TYPE_CHECKING:
    from pileus.store.engine import Engine

_SCRIPTS = Path(__file__).parent / "migrations"
_REVISION = re.compile(r'^(down_revision|revision) = (?:"(\w+)"|None)$', re.MULTILINE)
_DONE = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table of the one revision that a database is at."""


def migrate(engine: Engine, revision: str = "head") -> None:
    """Run every migration up to `revision` that this database has not had; safe to repeat."""
    if revision == "head" and _newest(engine):
        return
    from alembic import command  # noqa: PLC0415  (seldom needed)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    with engine.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def newest() -> str:
    """The revision that no other script follows, as the scripts' text says; empty when that is not just one."""
    found = [dict(_REVISION.findall(script.read_text())) for script in (_SCRIPTS / "versions").glob("[0-9]*.py")]
    heads = {one.get("revision", "") for one in found} - {one.get("down_revision", "") for one in found}
    return heads.pop() if len(heads) == 1 and all(len(one) == 2 for one in found) else ""


def _newest(engine: Engine) -> bool:
    """Whether this database needs no migration any more; a new one is made here."""
    head = newest()
    if not head:
        return False
    with engine.read() as connection:
        there = inspect(connection).get_table_names()
        if _DONE.name in there:
            return connection.execute(_DONE.select()).scalars().all() == [head]
    return not there and _make(engine, head)


def _make(engine: Engine, head: str) -> bool:
    with engine.write() as connection:
        if inspect(connection).get_table_names():
            return False  # somebody else was quicker
        metadata.create_all(connection, checkfirst=False)
        connection.execute(meta.insert(), FIRST_META)
        _DONE.create(connection)
        connection.execute(_DONE.insert().values(version_num=head))
    return True
