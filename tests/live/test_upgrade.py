"""Machines are upgraded one after the other, hosts first or the cloud first, while instances run.

Two pairs of versions are tried: this one with a later one, which is this code with what a later version may add to the
database and to messages; and an earlier commit with this one, where the checkout has one. That is
`PILEUS_UPGRADE_FROM`, or the oldest of the last twenty on the main line that promises to be understood, and that runs
with the packages of this one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from pileus.app.processes import until
from pileus.store.dialect import dialect_of
from pileus.store.migrate import newest
from tests.live import processes
from tests.live.processes import Cloud
from tests.services.postgresql import Postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MARK = "tests/bus/wire/1.json"
"""Who has this file says what later versions understand, and uses a database that these have added to."""

PACKAGES = "requirements/pileus.in"

HOSTS, CLOUD = ("east", "west"), ("loops-1", "loops-2", "api-1", "api-2")

MIGRATION = '''"""What a later version might add."""

from alembic import op
from sqlalchemy import Column, Integer

revision = "9000_pre_later"
down_revision = "{before}"


def upgrade() -> None:
    """Make it."""
    op.create_table("later", Column("id", Integer, primary_key=True))
    op.add_column("instance", Column("later", Integer))
'''

SPEECH = '''

_encode_earlier = encode


def encode(message: ToHost | ToCloud) -> bytes:
    """With what a later version might say besides."""
    said = msgspec.msgpack.decode(_encode_earlier(message))
    bodies, removed = said.get("bodies", {}), said.get("removed", {})
    for part in (said, said.get("spec") or {}, *bodies.values(), *removed.values()):
        part["later"] = {"colour": "green"}
    return msgspec.msgpack.encode(said)
'''


def git(*words: str, given: str = "") -> bytes:
    """What git says; nothing where there is no history, or no git."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *words]
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, check=False)
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def earlier() -> str:
    """The commit that this one is tried with; empty when there is none."""
    listed = git("rev-list", "--first-parent", "--skip=1", "--max-count=20", "HEAD").decode().split()
    found = git("cat-file", "--batch-check", given="".join(f"{commit}:{MARK}\n" for commit in listed)).splitlines()
    having = [commit for commit, said in zip(listed, found, strict=False) if b" blob " in said]
    # It runs with the packages that are installed for this one.
    # Earlier versions name what an extra needs by now with the others.
    here = needed("".join((ROOT / path).read_text() for path in (PACKAGES, "requirements/local.in")))
    runs = (commit for commit in reversed(having) if needed(git("show", f"{commit}:{PACKAGES}").decode()) <= here)
    return os.environ.get("PILEUS_UPGRADE_FROM", "") or next(runs, "")


def needed(requirements: str) -> set[str]:
    """The names of packages that a file of requirements names."""
    return set(re.findall(r"^[\w.-]+", requirements, re.MULTILINE))


EARLIER = earlier()
PAIRS = ["to-later", *(["from-earlier"] if EARLIER else [])]


def extract(commit: str, folder: Path) -> Path:
    """The commit's code, in `folder`."""
    subprocess.run(["tar", "-x", "-C", str(folder)], input=git("archive", commit, "src"), check=True)
    return folder / "src"


def later(folder: Path) -> Path:
    """The code of a later version, in `folder`: its messages say more, and it adds to the database."""
    made = folder / "later"
    shutil.copytree(ROOT / "src", made, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    scripts = made / "pileus" / "store" / "migrations" / "versions"
    (scripts / "9000_pre_later.py").write_text(MIGRATION.format(before=newest()))
    with (made / "pileus" / "bus" / "messages.py").open("a") as file:
        file.write(SPEECH)
    return made


@pytest.fixture
def empty() -> Iterator[Cloud]:
    """A cloud of which nothing runs but broker and database."""
    root, database = processes.folder(), Postgresql()
    made = Cloud(root, database)
    try:
        made.broker.start()
        yield made
    finally:
        made.end()
        database.remove()
        shutil.rmtree(root, ignore_errors=True)


def works(cloud: Cloud, at: str) -> None:
    """Launch, stop, start, look, drain and terminate, as users and operators do."""
    client = cloud.client(at)
    made = cloud.launched(at, 6)
    assert until(lambda: cloud.all_in("running", made, at), 120, 0.2)
    shown = {one["id"]: one["host"] for one in client.all("instances")}
    assert {shown[ident] for ident in made} == {"east", "west"}
    assert cloud.starts(made[0], at) == 1
    client.post("instances", made[0], "stop")
    assert until(lambda: cloud.all_in("stopped", made[:1], at), 120, 0.2)
    client.post("instances", made[0], "start")
    assert until(lambda: cloud.all_in("running", made[:1], at), 120, 0.2)
    client.post("hosts", "east", "drain")
    more = cloud.launched(at, 3)
    assert until(lambda: cloud.all_in("running", more, at), 120, 0.2)
    shown = {one["id"]: one["host"] for one in client.all("instances")}
    assert {shown[ident] for ident in more} == {"west"}
    client.post("hosts", "east", "activate")
    for ident in (*made, *more):
        client.delete("instances", ident)
    assert until(lambda: cloud.all_in("terminated", [*made, *more], at), 120, 0.2)


@pytest.mark.cost(120)
@pytest.mark.parametrize("first", ["hosts", "cloud"])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_side_is_upgraded_and_then_the_other(empty: Cloud, tmp_path: Path, pair: str, first: str) -> None:
    if pair == "to-later":
        before, after = None, later(tmp_path)
    else:
        before, after = extract(EARLIER, tmp_path), None
        print(f"from {EARLIER}")
    become(empty, before, HOSTS + CLOUD)
    processes.begin(empty)
    kept = empty.launched("api-1", 4)
    assert until(lambda: empty.all_in("running", kept, "api-1"), 120, 0.2), empty.why()
    for names in (HOSTS, CLOUD) if first == "hosts" else (CLOUD, HOSTS):
        become(empty, after, names)
        for name in names:
            empty.stop(name)
            empty.again(name)
        assert until(lambda: all(map(empty.healthy, empty.ports)), 90, 0.5), empty.why()
        assert until(lambda: set(empty.hosts().values()) == {"active"}, 120, 0.5), empty.hosts()
        assert until(lambda: empty.all_in("running", kept, "api-1"), 120, 0.2)
        works(empty, "api-2")
    assert empty.settles(90) == []


def become(cloud: Cloud, source: Path | None, names: tuple[str, ...]) -> None:
    """Processes of these names run the code of `source` from their next start on; None: this one."""
    for name in names:
        cloud.sources.pop(name, None)
        if source is not None:
            cloud.sources[name] = source
    assert of(cloud, names[0]) == (source or ROOT / "src")


def of(cloud: Cloud, name: str) -> Path:
    """Whose code a process of this name runs."""
    command = [sys.executable, "-c", "import pileus; print(pileus.__path__[0])"]
    done = subprocess.run(command, env=cloud.environment(name), capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).parent


def revision(cloud: Cloud) -> str:
    """Where the database's schema is."""
    engine = create_engine(dialect_of(cloud.url, "normal").sql)
    with engine.connect() as connection:
        found = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    engine.dispose()
    return found


@pytest.mark.cost(140)
def test_the_database_is_of_a_later_version_while_earlier_processes_run(empty: Cloud, tmp_path: Path) -> None:
    """As when the first of several is upgraded: all others go on, and can be started again, until it is their turn."""
    processes.begin(empty)
    source = later(tmp_path)
    made = empty.launched("api-1", 3)
    assert until(lambda: empty.all_in("running", made, "api-1"), 120, 0.2)
    for name in ("loops-3", "api-3"):
        become(empty, source, (name,))
        empty.role(name, name.partition("-")[0])
    assert until(lambda: empty.healthy("loops-3") and empty.healthy("api-3"), 120, 0.2), empty.why()
    assert revision(empty) == "9000_pre_later"
    works_with(empty, "api-1", made)
    works_with(empty, "api-3", made)
    for name in ("loops-1", "loops-2", "api-1"):
        empty.kill(name)
        empty.again(name)
    empty.kill("loops-3")
    assert until(lambda: empty.healthy("loops-1") and empty.healthy("api-1"), 120, 0.2), empty.why()
    works_with(empty, "api-1", made)
    assert revision(empty) == "9000_pre_later"
    del empty.ports["loops-3"]


def works_with(cloud: Cloud, at: str, kept: list[str]) -> None:
    """All goes as ever, and those that ran before run on, started once."""
    works(cloud, at)
    assert until(lambda: cloud.all_in("running", kept, at), 120, 0.2)
    assert [ident for ident in kept if cloud.starts(ident, at) != 1] == []
    assert cloud.settles(90) == []
