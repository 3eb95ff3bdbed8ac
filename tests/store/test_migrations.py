"""The migrations make exactly the tables that the code knows, and may run again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnClause, column, event, inspect, select, table, text

from pileus.model.errors import Unavailable
from pileus.model.flavor import Flavor
from pileus.model.ids import new_uuid
from pileus.model.image import PUBLIC, Image, shared_with
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance, Size
from pileus.model.instance import Wanted as InstanceWanted
from pileus.model.keypair import KeyPair
from pileus.model.project import Project
from pileus.model.project import Wanted as ProjectWanted
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.securitygroup import Wanted as GroupWanted
from pileus.model.volume import Volume
from pileus.model.volume import Wanted as VolumeWanted
from pileus.store import migrations, tables
from pileus.store.migrate import migrate, newest
from pileus.store.store import Store
from tests.store.clock import flavor, instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _shape(store: Store) -> dict[str, object]:
    """Every table's columns, keys, indexes and rows; the order of columns is nobody's business."""
    look, found = inspect(store.engine.sql), dict[str, object]()
    with store.engine.read() as connection:
        for name in look.get_table_names():
            columns = {
                one["name"]: (repr(one["type"]), one["nullable"], one["default"]) for one in look.get_columns(name)
            }
            keys = (look.get_unique_constraints(name), look.get_indexes(name), look.get_foreign_keys(name))
            sets = [sorted(repr(sorted(one.items(), key=str)) for one in some) for some in keys]
            primary = sorted(look.get_pk_constraint(name)["constrained_columns"])
            rows = connection.execute(select(text("*")).select_from(table(name))).all()
            found[name] = (columns, sets, primary, rows)
    return found


@pytest.fixture
def migrated(url: Callable[[str], str]) -> Iterator[Store]:
    """A store whose database went through every script."""
    made = Store(url("migrated"))
    migrate(made.engine, "0001_pre_first")
    migrate(made.engine)
    yield made
    made.close()


def test_the_migrations_make_the_tables_that_the_code_knows(migrated: Store) -> None:
    with migrated.engine.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_a_new_database_is_as_one_that_went_through_every_migration(migrated: Store, url: Callable[[str], str]) -> None:
    new = Store(url("new"))
    migrate(new.engine)
    assert _shape(new) == _shape(migrated)
    new.close()


def test_an_older_database_is_brought_to_the_newest_revision_and_keeps_its_rows(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine, "0001_pre_first")
    with store.engine.write() as connection:
        columns: list[ColumnClause[Any]] = [column(name) for name in ("kind", "uuid", "due", "until", "wakes", "tries")]
        connection.execute(table("wake", *columns).insert().values(("instance", "a", 1, 2, 3, 4)))
    migrate(store.engine)
    with store.engine.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [newest()]
        assert connection.exec_driver_sql("SELECT uuid, request FROM wake").all() == [("a", "")]
        assert connection.exec_driver_sql("SELECT count(*) FROM floatingip").scalar() == 0
    store.close()


def test_what_projects_of_an_older_database_use_is_counted(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    project = Project(uuid="p", project="p", name="p", wanted=ProjectWanted(account_id="1", canonical_id="2"))
    rules = (Rule(id="sgr-1", cidr="0.0.0.0/0"), Rule(id="sgr-2", direction="egress", cidr="0.0.0.0/0"))
    group = SecurityGroup(uuid="g", project="p", name="g", wanted=GroupWanted(router="r", rules=rules))
    images = [
        Image(uuid="i", project="p", name="i", wanted=ImageWanted(size=(3 << 30) + 1)),
        Image(uuid="j", project="p", name="j", wanted=ImageWanted(instance="n", min_disk=8)),
    ]
    with store.write() as tx:
        tx.insert([project], [group], images)
        used = tx.usage()
    with store.engine.write() as connection:
        connection.execute(tables.usage.delete().where(tables.usage.c.resource != "securitygroups"))
        connection.execute(
            table("alembic_version", column("version_num")).update().values(version_num="0004_pre_placementgroup")
        )
    migrate(store.engine)
    with store.read() as tx:
        assert tx.usage() == used
        assert used["project:p", "imagespace"] == 12
        assert used["project:p", "rules"] == 2
    store.close()


def test_instances_of_an_older_database_get_their_size(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    machine, container, gone = (instance(flavor("m")) for _ in range(3))
    with store.write() as tx:
        size = tx.add(flavor("m1"))
        rows = [
            msgspec.structs.replace(row, wanted=InstanceWanted(flavor=size.uuid, image="i"))
            for row in (machine, container, gone)
        ]
        tx.insert(rows, [volume(machine, 4, "qcow2"), volume(container, 2, "tar")])
        tx.make_tombstone(rows[2])
    for _ in range(2):
        with store.engine.write() as connection:
            connection.execute(
                table("alembic_version", column("version_num")).update().values(version_num="0005_pre_usage")
            )
        migrate(store.engine)
    with store.read() as tx:
        assert tx.need(Instance, machine.uuid).assigned.size == Size(vcpus=1, memory=64, disk=4)
        assert tx.need(Instance, container.uuid).assigned.size == Size(vcpus=1, memory=64, disk=2, kind="container")
        assert tx.many(Instance, [gone.uuid])[gone.uuid].assigned.size == Size()
    store.close()


def volume(of: Instance, size: int, image_format: Literal["qcow2", "tar"]) -> Volume:
    """A disk of an instance."""
    return Volume(uuid=new_uuid(), wanted=VolumeWanted(size=size, instance=of.uuid, format=image_format))


def test_nouns_of_an_older_database_were_changed_when_they_ended_or_were_made(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    with store.write() as tx:
        living, ended = tx.add_all([flavor("a"), flavor("b")])
        tx.make_tombstone(ended)
    with store.engine.write() as connection:
        connection.execute(tables.nouns["flavor"].update().values(changed=0.0, created=5.0))
        connection.execute(table("alembic_version", column("version_num")).update().values(version_num="0006_pre_size"))
    migrate(store.engine)
    with store.read() as tx:
        nouns = tx.many(Flavor, [living.uuid, ended.uuid])
    assert nouns[living.uuid].changed == 5.0
    assert nouns[ended.uuid].changed == nouns[ended.uuid].gone
    store.close()


def test_public_and_shared_images_of_an_older_database_claim_their_audience(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    with store.write() as tx:
        audiences: list[dict[str, Any]] = [{}, {"public": True}, {"accounts": ("1", "2")}, {"public": True}]
        images = tx.add_all(
            [Image(uuid=new_uuid(), project="p", name="i", wanted=ImageWanted(**audience)) for audience in audiences]
        )
        tx.make_tombstone(images[3])
    with store.read() as tx:
        claims = sorted(tx.claims())
    assert len(claims) == 3
    for _ in range(2):
        with store.engine.write() as connection:
            connection.execute(tables.claim.delete().where(tables.claim.c.pool != shared_with("1")))
            connection.execute(
                table("alembic_version", column("version_num")).update().values(version_num="0007_pre_changed")
            )
        migrate(store.engine)
        with store.read() as tx:
            assert sorted(tx.claims()) == claims
            assert [image.uuid for image in tx.shared(Image, "q", (PUBLIC, shared_with("2")))] == [
                images[1].uuid,
                images[2].uuid,
            ]
    store.close()


def test_the_table_of_a_new_noun_is_made_without_a_script(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    with store.engine.making() as connection:
        tables.nouns["keypair"].drop(connection)
    for _ in range(2):
        migrate(store.engine)
    with store.read() as tx:
        assert tx.list(KeyPair) == []
    store.close()


@pytest.mark.parametrize("name", ["9999_pre_later", "9999_post_later"])
def test_a_database_of_a_later_pileus_is_used_unless_that_took_something_away(
    url: Callable[[str], str], name: str
) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    with store.engine.write() as connection:
        connection.execute(table("alembic_version", column("version_num")).update().values(version_num=name))
    if "post" in name:
        with pytest.raises(Unavailable, match="upgrade"):
            migrate(store.engine)
    else:
        migrate(store.engine)
        with store.write() as tx:
            tx.add(flavor())
    with store.engine.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == name
    store.close()


def test_what_needs_no_migration_does_without_alembic(url: Callable[[str], str]) -> None:
    program = (
        "import sys; from pileus.store.migrate import migrate; from pileus.store.store import Store;"
        f"store = Store('{url('x')}'); migrate(store.engine); migrate(store.engine);"
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_repeating_changes_nothing(url: Callable[[str], str]) -> None:
    store = Store(url("x"))
    migrate(store.engine)
    with store.write() as tx:
        made = tx.add(flavor())
    migrate(store.engine)
    with store.read() as tx:
        assert tx.get(type(made), made.uuid) == made
    store.close()


class Interrupted(Exception):
    """As if the process had ended."""


def statements(store: Store, most: int) -> list[str]:
    """Bring it to the newest revision, but end after `most` statements that change the schema; those that were made."""
    made: list[str] = []

    def after(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")):
            made.append(statement)
            if len(made) > most:
                raise Interrupted

    event.listen(store.engine.sql, "after_cursor_execute", after)
    try:
        with contextlib.suppress(Interrupted):
            migrate(store.engine)
    finally:
        event.remove(store.engine.sql, "after_cursor_execute", after)
    return made


def test_a_migration_that_is_interrupted_anywhere_is_made_whole_by_the_next_start(
    migrated: Store, url: Callable[[str], str]
) -> None:
    whole = Store(url("whole"))
    migrate(whole.engine, "0001_pre_first")
    steps = len(statements(whole, 1000))
    whole.close()
    assert steps > 3
    # Scripts say the same of each table: a stride of this length meets every one of their statements, in some table.
    for most in range(0, steps, max(1, steps // 30)):
        store = Store(url(f"interrupted-{most}"))
        migrate(store.engine, "0001_pre_first")
        assert len(statements(store, most)) == most + 1
        statements(store, 1000)
        assert _shape(store) == _shape(migrated)
        store.close()


def test_revisions_are_numbered_and_say_when_they_run() -> None:
    scripts = ScriptDirectory(str(next(iter(migrations.__path__))))
    assert scripts.get_heads() == [newest()]
    names = [script.revision for script in scripts.walk_revisions()]
    for name, script in zip(names, scripts.walk_revisions(), strict=True):
        stem = script.path.rpartition("/")[2]
        number, when = stem.split("_")[:2]
        assert number.isdecimal(), (name, stem)
        assert when in ("pre", "post")
