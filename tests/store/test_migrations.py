"""The migrations make exactly the tables that the code knows, and may run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pileus.store import migrations, tables
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.store.clock import flavor

if TYPE_CHECKING:
    from pathlib import Path


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.engine.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_repeating_changes_nothing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/x.db")
    migrate(store.engine)
    with store.write() as tx:
        made = tx.add(flavor())
    migrate(store.engine)
    with store.read() as tx:
        assert tx.get(type(made), made.uuid) == made
    store.close()


def test_revisions_are_numbered_and_say_when_they_run() -> None:
    scripts = ScriptDirectory(str(next(iter(migrations.__path__))))
    names = [script.revision for script in scripts.walk_revisions()]
    assert len(scripts.get_heads()) == 1
    for name, script in zip(names, scripts.walk_revisions(), strict=True):
        stem = script.path.rpartition("/")[2]
        number, when = stem.split("_")[:2]
        assert number.isdecimal(), (name, stem)
        assert when in ("pre", "post")
