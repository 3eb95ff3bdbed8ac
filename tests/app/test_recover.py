"""A cloud whose database was replaced or deleted comes up with what its host holds, and says so."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.app import cloud, health, kits, processes, settings, up
from pileus.app.state import StateDirectory
from pileus.app.wiring import build
from pileus.cli.problem import Problem
from pileus.loops.recover import Recovery
from pileus.model.host import LOST_AFTER, Host, Seen
from pileus.model.ids import new_uuid
from pileus.posix.files import write_json
from pileus.rules.recover import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.app.stub import Stub


def database(cloud: Stub) -> Path:
    """Where it is."""
    return cloud.state.cloud / "pileus.db"


def launched(cloud: Stub, name: str) -> str:
    """The id of an instance that runs."""
    ident = str(cloud.client.post("instances", body={"image": "stub-machine", "name": name})["instances"][0]["id"])
    assert processes.until(lambda: cloud.client.get("instances", ident)["state"] == "running", 20)
    return ident


def named(cloud: Stub) -> dict[str, tuple[str, str]]:
    """Name and state of each instance."""
    return {instance["id"]: (instance["name"], instance["state"]) for instance in cloud.client.all("instances")}


def test_a_database_that_is_gone_is_made_again(own: Stub) -> None:
    own.up()
    ident, secret = launched(own, "one"), own.admin["secret_key"]
    account = own.admin["account_id"]
    own.down()
    for path in own.state.cloud.glob("pileus.db*"):
        path.unlink()
    stderr = own.pileus("up").stderr
    assert "recovering it from them" in stderr
    assert "recovered: " in stderr
    assert "credentials were lost with the database" in stderr
    assert named(own) == {ident: ("one", "running")}
    assert own.admin["secret_key"] != secret
    assert own.admin["account_id"] == account
    assert [image["name"] for image in own.client.all("images")] == ["stub-machine", "stub-container"]
    assert own.http("GET", "/healthz", token=False)[0] == 200
    launched(own, "two")
    assert "recovered" not in own.pileus("up").stderr


@pytest.mark.parametrize("requested", [False, True])
@pytest.mark.parametrize("announced_missing", [None, ["recovery", "host h1"]])
def test_a_recovery_is_told_of_once_also_when_it_is_over_before_it_is_seen(
    tmp_path: Path, announced_missing: list[str] | None, *, requested: bool
) -> None:
    state, messages = StateDirectory(tmp_path), list[str]()
    state.cloud.mkdir()
    write_json(state.recovery, {**msgspec.to_builtins(Outcome(adopted=["i-1"])), "credentials": "kept"})
    up._recovered(state, announced_missing, messages.append, requested=requested)
    assert len([line for line in messages if line.startswith("recovering the database")]) == (
        announced_missing is None and requested
    )
    assert len([line for line in messages if "recovering it from them" in line]) == (
        announced_missing is None and not requested
    )
    assert messages[-2] == "recovered: 1 rebuilt: i-1"
    assert messages[-1].startswith("users, keys, grants and projects are as in that copy")


def test_a_recovery_that_is_over_at_the_first_look_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, messages = StateDirectory(tmp_path), list[str]()
    for folder in (state.cloud, state.run):
        folder.mkdir()
    write_json(state.recovery, {**msgspec.to_builtins(Outcome(adopted=["i-1"])), "credentials": "kept"})
    write_json(state.ready, {"rest": "http://127.0.0.1:1/v1"})
    monkeypatch.setattr(processes, "owner", lambda _: 1)
    up._await(state, kits.load("stub"), messages.append, up._start(state), supervised=True, recovers=False)
    assert messages == [], "the cloud ran already"
    up._await(state, kits.load("stub"), messages.append, None, supervised=False, recovers=False)
    assert messages[-2] == "recovered: 1 rebuilt: i-1"
    assert messages[-1].startswith("users, keys, grants and projects are as in that copy")


def test_an_old_copy_is_brought_up_to_date(own: Stub) -> None:
    own.up()
    goes = launched(own, "goes")
    copy = own.state.root / "copy.db"
    with contextlib.closing(sqlite3.connect(database(own))) as now, contextlib.closing(sqlite3.connect(copy)) as aside:
        now.backup(aside)
    comes, admin = launched(own, "comes"), own.admin
    own.client.delete("instances", goes)
    assert processes.until(lambda: own.client.get("instances", goes)["state"] == "terminated", 20)
    own.down()
    for path in own.state.cloud.glob("pileus.db*"):
        path.unlink()
    shutil.copyfile(copy, database(own))
    stderr = own.pileus("up").stderr
    assert f"known to be gone: {goes}" in stderr
    assert comes in named(own)
    # The stub's network engine has forgotten what it let go of: it is told once more before the end is final.
    assert processes.until(lambda: own.client.get("instances", goes)["state"] == "terminated", 20)
    assert named(own) == {comes: ("comes", "running")}
    assert own.admin == admin


def test_a_recovery_may_be_asked_for(own: Stub) -> None:
    own.up()
    ident, before, admin = launched(own, "one"), own.pid, own.admin
    stderr = own.pileus("recover").stderr
    assert "ending the cloud" in stderr
    assert "older than" not in stderr
    assert own.pid != before
    assert not own.state.recover.exists()
    assert named(own) == {ident: ("one", "running")}
    assert own.admin == admin
    own.down()
    own.pileus("recover")
    assert named(own) == {ident: ("one", "running")}


@pytest.mark.parametrize("loss", ["deleted", "replaced", "log"])
def test_a_database_that_is_deleted_or_replaced_under_a_cloud_is_noticed_and_recovered(own: Stub, loss: str) -> None:
    own.up()
    copy = own.state.root / "copy.db"
    with contextlib.closing(sqlite3.connect(database(own))) as now, contextlib.closing(sqlite3.connect(copy)) as aside:
        now.backup(aside)
    ident, before = launched(own, "one"), own.pid
    if loss == "replaced":
        copy.rename(database(own))
    elif loss == "log":
        for suffix in ("-wal", "-shm"):
            database(own).with_name(f"{database(own).name}{suffix}").unlink()
    else:
        database(own).unlink()
    with pytest.raises(Problem, match="database"):
        own.client.post("keypairs", body={"name": "asked"})
    assert processes.until(lambda: own.state.ready.exists() and own.pid != before, 40)
    assert "was deleted or replaced" in own.state.log("cloud").read_text()
    own.pileus("up")
    assert named(own) == {ident: ("one", "running")}
    with contextlib.closing(sqlite3.connect(database(own))) as link:
        assert link.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    launched(own, "two")


def test_a_user_that_a_replaced_database_brings_back_is_said_until_it_is_confirmed(own: Stub) -> None:
    """No host knows of users: the process that noticed the other file has it recovered in any case."""
    own.up()
    bob = own.client.post("users", body={"name": "bob", "project": own.admin["project"]})
    copy = own.state.root / "copy.db"
    with contextlib.closing(sqlite3.connect(database(own))) as now, contextlib.closing(sqlite3.connect(copy)) as aside:
        now.backup(aside)
    own.client.delete("users", bob["user_id"])
    before = own.pid
    copy.rename(database(own))
    assert processes.until(lambda: own.state.ready.exists() and own.pid not in (None, before), 40)
    assert "bob" in {each["name"] for each in own.client.get("users")["users"]}
    assert "RightsUnconfirmed" in {finding["code"] for finding in own.client.get("doctor")["findings"]}
    assert "RightsUnconfirmed" not in own.pileus("doctor", "--confirm", "--json", check=False).stdout
    assert not own.state.recover.exists()


def test_a_cloud_whose_only_host_says_nothing_is_served_after_30_seconds(tmp_path: Path) -> None:
    state, time = StateDirectory(tmp_path), [1000.0]
    state.prepare()
    built_cloud = build(state, settings.read(), kits.load("stub"))
    try:
        built_cloud.core.store.now = lambda: time[0]
        with built_cloud.core.store.write(recovering=True) as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="away")), Seen(epoch=1, heard=tx.now))
        recovery = Recovery(built_cloud.core, built_cloud.core.hosts, built_cloud.core.networks)  # type: ignore[arg-type]
        built_cloud = dataclasses.replace(built_cloud, recovery=recovery)
        before = cloud.heard(built_cloud.core.store)
        recovery.tick()
        assert not cloud._open(built_cloud, state, kits.load("local"), before)
        time[0] += LOST_AFTER
        recovery.tick()
        assert cloud._open(built_cloud, state, kits.load("local"), before)
        assert health.look(built_cloud.core.store, recovery.missing, lambda: True).missing == {}
        assert "host" in health.look(built_cloud.core.store, recovery.missing, lambda: True).late
    finally:
        built_cloud.stop()
