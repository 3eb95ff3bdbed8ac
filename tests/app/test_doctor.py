"""`pileus doctor` as users run it, over the stub: its exit status, its words, and the store's leaks mended."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from pileus.app import doctor as doctor_module
from pileus.app import processes
from pileus.app.doctor import examine
from pileus.model.finding import MEANINGS
from pileus.model.ids import new_uuid
from pileus.model.port import Port
from pileus.model.port import Wanted as PortWanted
from pileus.objects import ObjectStore
from pileus.providers.local.doctor import examination
from pileus.store.store import Store

if TYPE_CHECKING:
    from tests.app.stub import Stub


def doctor(stub: Stub, *words: str) -> dict[str, Any]:
    done = stub.pileus("doctor", "--pause", "0.3", "--json", *words, check=False)
    diagnosis: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if diagnosis["findings"] else 0), done.stdout + done.stderr
    return diagnosis


def codes(diagnosis: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in diagnosis["findings"]]


def leak(stub: Stub) -> None:
    """Have a claim that nobody has a right to."""
    store = Store(stub.state.database)
    with store.write() as tx:
        tx.claim("mac", "02:50:00:00:00:99", Port(uuid=new_uuid(), wanted=PortWanted(network="", subnet="")))
    store.close()


def test_a_cloud_is_well_a_leak_is_found_explained_and_mended(own: Stub) -> None:
    own.up()
    own.client.post("instances", body={"image": own.client.all("images")[0]["id"], "flavor": "m1.tiny"})
    diagnosis = doctor(own)
    assert (diagnosis["well"], diagnosis["findings"], diagnosis["unchecked"]) == (True, [], {})
    assert diagnosis["facts"]["cloud"] == "up: 2 of 2 processes run"
    leak(own)
    done = own.pileus("doctor", "--pause", "0.3", check=False)
    assert done.returncode == 1
    assert "warning  ClaimLeaked" in done.stdout
    assert "pileus doctor --repair" in done.stdout
    diagnosis = doctor(own, "--repair")
    assert diagnosis["findings"] == []
    assert [finding["ident"] for finding in diagnosis["mended"]] == ["mac 02:50:00:00:00:99"]
    assert "All is well." in own.pileus("doctor", "--pause", "0.3").stdout


def test_a_cloud_that_is_down_is_examined_from_a_copy_of_its_database(own: Stub) -> None:
    own.up()
    supervisor = processes.owner(own.state.pidfile("supervisor"))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    os.kill(own.pid, signal.SIGKILL)
    leak(own)
    assert processes.until(lambda: processes.owner(own.state.pidfile("cloud")) is None, 10)
    ObjectStore(own.state.objects).put([b"named by nothing"])
    report = examine(own.state, pause=0.0)
    assert report.facts["objects"].startswith("1, of 0.0 GiB, are named by nothing any more")
    finding_codes = {finding.code for finding in report.findings}
    assert {"ClaimLeaked", "PartDown"} <= finding_codes, report
    own.down()
    assert codes(doctor(own)) == ["ClaimLeaked"], "a cloud that was ended is not one that died"


def test_a_damaged_and_a_missing_database_are_findings(ended: Stub) -> None:
    database = ended.state.cloud / "pileus.db"
    database.write_bytes(b"no database" * 1000)
    assert codes(doctor(ended)) == ["StoreUnreadable"]
    database.unlink()
    diagnosis = doctor(ended)
    assert codes(diagnosis) == ["StoreUnreadable"]
    assert "there is no" in diagnosis["unchecked"]["the store"]


def test_a_damaged_order_is_a_finding_and_makes_no_other_thing_a_leftover(ended: Stub) -> None:
    (ended.state.host / "orders" / "x.json").write_bytes(b'{"uuid"')
    diagnosis = doctor(ended)
    assert codes(diagnosis) == ["BookUnreadable"]
    assert list(diagnosis["unchecked"]) == ["what this machine's host holds"]


def test_a_damaged_order_is_set_aside_given_again_and_said_until_it_is_removed(own: Stub) -> None:
    own.up()
    own.client.post("instances", body={"image": own.client.all("images")[0]["id"], "flavor": "m1.tiny"})
    orders = own.state.host / "orders"
    assert processes.until(lambda: any(orders.glob("*.json")), 30)
    own.down()
    (order,) = orders.glob("*.json")
    order.write_bytes(b"damaged")
    own.up()
    assert processes.until(order.exists, 30)
    diagnosis = doctor(own)
    assert [(finding["code"], finding["ident"]) for finding in diagnosis["findings"]] == [
        ("BookUnreadable", order.stem)
    ]
    (aside,) = (own.state.host / "damaged").iterdir()
    assert str(aside) in diagnosis["findings"][0]["detail"]
    assert aside.read_bytes() == b"damaged"
    aside.unlink()
    assert doctor(own)["findings"] == []


def test_a_host_starts_though_its_count_of_starts_is_damaged(own: Stub) -> None:
    """What it ran runs on, requests are answered, and the doctor says it until the file is removed."""
    own.up()
    own.client.post("instances", body={"image": own.client.all("images")[0]["id"], "flavor": "m1.tiny"})
    assert processes.until(lambda: any((own.state.host / "orders").glob("*.json")), 30)
    own.down()
    (own.state.host / "start.json").write_bytes(b"damaged")
    own.up()
    assert processes.until(lambda: [instance["state"] for instance in own.client.all("instances")] == ["running"], 30)
    diagnosis = doctor(own)
    assert [(finding["code"], finding["kind"]) for finding in diagnosis["findings"]] == [("BookUnreadable", "host")]
    (aside,) = (own.state.host / "damaged").iterdir()
    assert aside.read_bytes() == b"damaged"
    aside.unlink()
    assert doctor(own)["findings"] == []


def test_whatever_is_said_to_be_mended_has_somebody_who_mends_it() -> None:
    repairable_codes = {code for code, meaning in MEANINGS.items() if meaning.mend == "repair"}
    here = set(examination._REMOVE) | {"DomainLeaked"}
    assert repairable_codes == doctor_module._OF_THE_STORE | doctor_module._OF_TOMBSTONES | here


def test_there_is_nothing_to_examine_without_a_cloud(own: Stub) -> None:
    done = own.pileus("doctor", "--pause", "0.3", check=False)
    assert done.returncode == 1
    assert "There is no cloud in" in done.stderr
