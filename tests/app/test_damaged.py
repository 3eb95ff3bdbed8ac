"""A cloud starts whichever row of its database is damaged, and what does not need the row works."""

from __future__ import annotations

import contextlib
import http
import http.client
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pileus.app import processes
from tests.app.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator

DAMAGE = '{"account_id": 7'


@contextlib.contextmanager
def damaged(stub: Stub, table: str, where: str) -> Iterator[str]:
    """Within the block the rows that `where` names have a damaged column; the value is the first one's id."""
    query = f'FROM "{table}" WHERE {where}'
    with contextlib.closing(sqlite3.connect(stub.state.cloud / "pileus.db")) as link, link:
        rows = link.execute(f"SELECT uuid, ec2_id, wanted {query}").fetchall()
        link.execute(f'UPDATE "{table}" SET wanted = ? WHERE {where}', (DAMAGE,))  # noqa: S608  (a table of the test)
    yield str(rows[0][1])
    with contextlib.closing(sqlite3.connect(stub.state.cloud / "pileus.db")) as link, link:
        for uuid, _, wanted in rows:
            link.execute(f'UPDATE "{table}" SET wanted = ? WHERE uuid = ?', (wanted, uuid))  # noqa: S608  (a table of the test)


@pytest.mark.parametrize("table", ["user", "project", "credential"])
def test_a_cloud_starts_with_a_new_row_for_its_administrators(ended: Stub, table: str) -> None:
    """Nobody could ask the doctor otherwise; ids, and what the project has, stay."""
    before = ended.admin
    with damaged(ended, table, "project IN (SELECT uuid FROM project WHERE name = 'admin')"):
        ended.up()
        after = ended.admin
        assert (after["user"], after["account_id"]) == (before["user"], before["account_id"])
        assert after["token"] != before["token"]
        assert "mcc" in {group["name"] for group in ended.client.all("securitygroups")}
        findings = ended.pileus("doctor", check=False).stdout
        assert ("damaged" in findings) == (table == "credential")
        ended.down()


@pytest.mark.parametrize("table", ["network", "securitygroup"])
def test_a_cloud_starts_without_its_mcc_listener_while_a_row_behind_it_is_damaged(ended: Stub, table: str) -> None:
    with damaged(ended, table, "name = 'mcc'") as ident:
        urls = ended.up()
        link = http.client.HTTPConnection(urls["mcc"].removeprefix("http://"), timeout=10)
        link.request("POST", "/", b"")
        assert link.getresponse().status == http.HTTPStatus.SERVICE_UNAVAILABLE
        link.close()
        assert ident in ended.pileus("doctor", check=False).stdout
        assert ended.client.all("instances") == []
        ended.down()


def test_a_cloud_starts_without_a_host_whose_row_is_damaged_and_a_recovery_brings_it_back(ended: Stub) -> None:
    with damaged(ended, "host", "TRUE"):
        ended.up()
        assert ended.client.all("hosts") == []
        assert "RowUnreadable" in ended.pileus("doctor", "--json", check=False).stdout
        ended.pileus("recover")
        assert processes.until(lambda: [host["state"] for host in ended.client.all("hosts")] == ["active"], 10)
        ended.down()
