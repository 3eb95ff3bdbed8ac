"""Brings a database to the newest schema. Numbered scripts; `pre` ones run before new code, `post` ones after it.

Alembic is loaded for an older database alone: to load it takes longer than to open the store. A new database is made
whole, of the tables that the code knows. Of processes that start at once one does it, and the others wait.

Processes are upgraded one after the other: one that is a version behind may find its database brought forward by a
later one. It uses it as it is, for `pre` scripts only add.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Column, MetaData, String, Table, inspect

from pileus.model.errors import Unavailable
from pileus.store.tables import FIRST_META, OPTIONS, meta, metadata, nouns

if TYPE_CHECKING:
    from sqlalchemy import Connection, Index

    from pileus.store.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"
_LATER = re.compile(r"\d+_pre_\w+", re.ASCII)
_REVISION = re.compile(r'^(down_revision|revision) = (?:"(\w+)"|None)$', re.MULTILINE)
_DONE = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True), **OPTIONS)
"""Alembic's own table of the one revision that a database is at."""

log = structlog.get_logger()


def migrate(engine: Database, revision: str = "head") -> None:
    """Run every migration up to `revision` that this database has not had; safe to repeat.

    Raises Unavailable, when the database's user lacks rights too, when its server forgets what it confirmed, and when
    a later version has taken away from it.
    """
    engine.check()
    if revision == "head" and _newest(engine):
        _add_nouns(engine)
        return
    from alembic import command  # noqa: PLC0415  (seldom needed)
    from alembic.config import Config  # noqa: PLC0415  (seldom needed)

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    with engine.making() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    if revision == "head":
        _add_nouns(engine)


def newest() -> str:
    """The revision that no other script follows, as the scripts' text says; empty when that is not just one."""
    revisions = [dict(_REVISION.findall(script.read_text())) for script in (_SCRIPTS / "versions").glob("[0-9]*.py")]
    heads = {revision.get("revision", "") for revision in revisions} - {
        revision.get("down_revision", "") for revision in revisions
    }
    return heads.pop() if len(heads) == 1 and all(len(revision) == 2 for revision in revisions) else ""


def _newest(engine: Database) -> bool:
    """Whether this database needs no migration any more; a new one is made here."""
    head = newest()
    if not head:
        return False
    with engine.read() as connection:
        done = _done(connection)
    if done > head:
        return _usable(done)
    return done == head if done else _make(engine, head)


def _usable(done: str) -> bool:
    """Whether a database that a later version has brought to `done` can be used all the same."""
    if _LATER.fullmatch(done):
        log.warning("the database is a later version's", revision=done)
        return True
    text = (
        f"The cloud's database was changed by a later Pileus ({done}), and this one cannot use it any more: upgrade it."
    )
    raise Unavailable(text, noun="store", reason="later")


def _done(connection: Connection) -> str:
    """The revision that the database is at; empty for a new one, also when somebody ended while making it."""
    there = set(inspect(connection).get_table_names())
    if _DONE.name in there:
        return connection.execute(_DONE.select()).scalar() or ""
    if there & metadata.tables.keys():
        text = "The database that PILEUS_STORE names holds tables that Pileus did not make: give Pileus one of its own."
        raise Unavailable(text, noun="store", reason="foreign")
    return ""


def _add_nouns(engine: Database) -> None:
    """Make the tables of nouns that the database lacks. They are all alike: a new noun needs no script."""
    with engine.read() as connection:
        look = inspect(connection)
        missing = nouns.keys() - look.get_table_names()
        indexes: list[Index] = []
        if connection.dialect.name == "mariadb":
            # Each statement is kept at once there: somebody may have ended between a table and its indexes.
            names = {index["name"] for of_table in look.get_multi_indexes().values() for index in of_table}
            indexes = [
                index
                for kind in sorted(nouns.keys() - missing)
                for index in nouns[kind].indexes
                if index.name not in names
            ]
    if missing or indexes:
        with engine.making() as connection:
            metadata.create_all(connection, [nouns[kind] for kind in sorted(missing)])
            for index in indexes:
                index.create(connection, checkfirst=True)


def _make(engine: Database, head: str) -> bool:
    with engine.making() as connection:
        if done := _done(connection):
            return done == head  # somebody else was quicker
        # Where a table cannot be taken back, this one first: without a row it says that the others are being made.
        _DONE.create(connection, checkfirst=True)
        metadata.create_all(connection)
        connection.execute(meta.insert(), FIRST_META)
        connection.execute(_DONE.insert().values(version_num=head))
    return True
