"""What befalls a cloud of several processes: broker, database, loops and hosts away, hung, or late.

All that was acknowledged arrives, once; clients are told what is the matter while it is.
"""

from __future__ import annotations

import collections
import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ClientError

from pileus.app.processes import until
from pileus.cli.problem import Problem
from pileus.model.host import LOST_AFTER
from pileus.store.store import LEASE
from tests.live import processes
from tests.live.processes import draw, insist, token
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.processes import Cloud

MINUTE = 60.0
HELP = "ask again"


@pytest.fixture(scope="module", params=[Postgresql])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """Two `api`, two `loops`, two hosts, RabbitMQ and a database of the network."""
    with processes.running(request.param, PILEUS_STUB_LATENCY="0.02") as made:
        yield made


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What the test's moments are drawn from."""
    return int(request.config.getoption("randomly_seed"))


@pytest.fixture(autouse=True)
def _whole(cloud: Cloud) -> Iterator[None]:
    """Whatever was done, nothing is doubled and nothing lost; instances of one test are none of the next's."""
    yield
    for name in cloud.processes:
        cloud.go_on(name)
    assert until(lambda: all(map(cloud.healthy, cloud.ports)), 90, 0.5), cloud.why()
    assert cloud.settles(90) == []
    client = cloud.client("api-1")
    rest = [ident for ident, state in cloud.states().items() if state != "terminated"]
    for ident in rest:
        client.delete("instances", ident)
    assert until(lambda: cloud.all_in("terminated", rest), 90, 0.2)
    assert cloud.settles(90) == []


class Users(threading.Thread):
    """Launch instances until told to stop, each with a token, until acknowledged; `refused` are all other answers."""

    def __init__(self, cloud: Cloud, seed: int) -> None:
        super().__init__()
        self.made: dict[str, list[str]] = {}
        self.refused: list[Exception] = []
        self.slowest = 0.0
        self._cloud = cloud
        self._draw = draw(seed, "users")
        self._over = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self._over.wait(self._draw.uniform(0.1, 1.0)):
            this, turn = token(), turn + 1
            count = self._draw.randint(1, 3)
            while True:
                began = time.monotonic()
                try:
                    self.made[this] = self._cloud.launched(f"api-{1 + turn % 2}", count, this)
                    break
                except Problem as error:
                    self.refused.append(error)
                    turn += 1
                    time.sleep(0.2)
                finally:
                    self.slowest = max(self.slowest, time.monotonic() - began)

    def finish(self) -> list[str]:
        """Stop; what was acknowledged."""
        self._over.set()
        self.join(120)
        assert not self.is_alive()
        return [ident for idents in self.made.values() for ident in idents]

    def repeat(self) -> None:
        """Asked once more with the same tokens, nothing new is made."""
        for this, idents in self.made.items():
            assert self._cloud.launched("api-1", len(idents), this) == idents


def refused(cloud: Cloud, at: str) -> tuple[dict[str, Any], Any, float]:
    """What a launch is answered by EC2 and by REST while it cannot be taken, and how long that took."""
    began = time.monotonic()
    with pytest.raises(ClientError) as caught:
        cloud.ec2(at).run_instances(ImageId="ami-00000000", InstanceType="m1.tiny", MinCount=1, MaxCount=1)
    answer = httpx.post(
        f"https://127.0.0.1:{cloud.ports[at]}/v1/instances",
        json=processes.LAUNCH,
        headers={"authorization": f"Bearer {cloud.admin['token']}"},
        verify=cloud.client(at).tls() or False,
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 503, answer.text
    return dict(caught.value.response), answer.json()["error"], time.monotonic() - began


def shown(cloud: Cloud, name: str) -> str:
    """A process's health: the status, and the names of what it lacks."""
    status, text = cloud.health(name)
    lacking = [] if text == "ok\n" else json.loads(text)["missing"] if status else [text]
    return " ".join([str(status), *lacking])


@pytest.mark.cost(110)
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_without_its_broker_a_cloud_accepts_and_later_does_everything(cloud: Cloud, seed: int, how: str) -> None:
    users = Users(cloud, seed)
    users.start()
    time.sleep(2.0)
    getattr(cloud.broker, "kill" if how == "killed" else "pause")()
    began, seen = time.monotonic(), set[str]()
    while time.monotonic() - began < MINUTE:
        seen.add(shown(cloud, "api-1"))
        time.sleep(1.0)
    # A balancer goes on sending requests there: they are taken. (On a slow machine the store may be slow, too.)
    assert {"200 broker", "200 broker host"} <= seen
    assert {one for one in seen if one.startswith("503")} <= {"503 store"}
    assert until(lambda: shown(cloud, "loops-1") == "503 broker host", 30, 0.5), cloud.why()
    asked = sum(map(len, users.made.values()))
    getattr(cloud.broker, "start" if how == "killed" else "resume")()
    made = users.finish()
    assert asked > 5
    assert users.refused == []
    assert users.slowest < MINUTE / 2
    assert until(lambda: cloud.all_in("running", made), 90, 0.5), cloud.states()
    users.repeat()
    assert [ident for ident in made if cloud.starts(ident) != 1] == []


@pytest.mark.cost(70)
@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("cloud", [Postgresql, Mariadb], indirect=True)
def test_without_its_database_a_cloud_says_so_and_goes_on_by_itself(cloud: Cloud, seed: int, how: str) -> None:
    assert cloud.database is not None
    users = Users(cloud, seed)
    users.start()
    time.sleep(2.0)
    if how == "killed":
        cloud.database.kill()
    else:
        cloud.database.pause()
    began = time.monotonic()
    for at in ("api-1", "api-2"):
        ec2, rest, took = refused(cloud, at)
        assert ec2["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert ec2["Error"]["Code"] in ("Unavailable", "ServiceUnavailable")
        assert HELP in ec2["Error"]["Message"]
        assert rest["code"] == "Unavailable"
        assert HELP in rest["message"]
        print(f"{at}: refused after {took:.1f} s")
        assert took < MINUTE / 2
    assert until(lambda: {shown(cloud, name) for name in cloud.ports} == {"503 store"}, 30, 0.5), cloud.why()
    time.sleep(max(0.0, MINUTE / 2 - (time.monotonic() - began)))
    if how == "killed":
        cloud.database.start()
    else:
        cloud.database.resume()
    assert until(lambda: all(map(cloud.healthy, cloud.ports)), 90, 0.5), cloud.why()
    more = insist([lambda: cloud.launched("api-1", 1), lambda: cloud.launched("api-2", 1)])[0]
    made = [*users.finish(), *more]
    assert users.refused
    assert [str(error) for error in users.refused if HELP not in str(error).lower()] == []
    assert until(lambda: cloud.all_in("running", made), 90, 0.5), cloud.states()
    users.repeat()
    assert sorted(made) == sorted(ident for ident, state in cloud.states().items() if state != "terminated")
    assert [ident for ident in made if cloud.starts(ident) != 1] == []


def sent(cloud: Cloud, names: list[str], idents: list[str]) -> collections.Counter[tuple[str, str]]:
    """How often each revision of these instances was decided, by what the processes with loops logged."""
    return collections.Counter(
        (line["instance"], str(line["revision"]))
        for name in names
        for line in cloud.log(name)
        if line.get("event") == "order sent" and line["instance"] in idents
    )


def decided(cloud: Cloud, names: list[str], idents: list[str]) -> collections.Counter[str]:
    """How many revisions of each of these instances were decided."""
    return collections.Counter(ident for ident, _ in sent(cloud, names, idents))


@pytest.mark.cost(60)
def test_of_many_loops_one_takes_each_piece_of_work(cloud: Cloud) -> None:
    more = [f"loops-{number}" for number in range(3, 7)]
    for name in more:
        cloud.role(name, "loops")
    assert until(lambda: all(map(cloud.healthy, more)), 120, 0.2)
    made = cloud.launched("api-1", 20) + cloud.launched("api-2", 20)
    assert until(lambda: cloud.all_in("running", made), 120, 0.2)
    for ident in made[::2]:
        cloud.client("api-2").post("instances", ident, "stop")
    assert until(lambda: cloud.all_in("stopped", made[::2]), 120, 0.2)
    # One revision for the start, one more for the stop: each was decided by one process, which says so once it is sent.
    expected = {ident: 2 if ident in made[::2] else 1 for ident in made}
    names = ["loops-1", "loops-2", *more]
    until(lambda: decided(cloud, names, made) == expected, 30, 0.5)
    assert decided(cloud, names, made) == expected
    assert set(sent(cloud, names, made).values()) == {1}
    assert [ident for ident in made[1::2] if cloud.starts(ident) != 1] == []
    working = {name for name in ("loops-1", "loops-2", *more) if sent(cloud, [name], made)}
    assert len(working) > 1
    for name in more:
        cloud.stop(name)
        del cloud.ports[name]


@pytest.mark.cost(120)
def test_a_loops_process_that_was_stopped_for_longer_than_its_lease_changes_nothing(cloud: Cloud, seed: int) -> None:
    moments = draw(seed, "pause")
    made = cloud.launched("api-1", 30)
    time.sleep(moments.uniform(0.02, 0.3))
    cloud.pause("loops-1")
    began = time.monotonic()
    # What it holds waits for its lease; all else is done by the other one.
    assert until(lambda: cloud.all_in("running", made), LEASE + 60, 0.5), cloud.states()
    print(f"running after {time.monotonic() - began:.1f} s")
    for ident in made[:10]:
        cloud.client("api-2").post("instances", ident, "stop")
        cloud.client("api-2").delete("instances", made[10 + made.index(ident)])
    time.sleep(max(0.0, LEASE + 5 - (time.monotonic() - began)))
    assert until(lambda: cloud.all_in("stopped", made[:10]) and cloud.all_in("terminated", made[10:20]), 120, 0.5)
    before = {one["id"]: one for one in cloud.client("api-2").all("instances") if one["id"] in made}
    cloud.go_on("loops-1")
    time.sleep(5.0)
    assert {one["id"]: one for one in cloud.client("api-2").all("instances") if one["id"] in made} == before
    assert set(sent(cloud, ["loops-1", "loops-2"], made).values()) == {1}
    assert [ident for ident in made[20:] if cloud.starts(ident) != 1] == []
    assert cloud.healthy("loops-1")


@pytest.mark.cost(90)
def test_a_host_that_was_stopped_is_shown_lost_and_comes_back_without_a_quarrel(cloud: Cloud) -> None:
    made = cloud.launched("api-1", 6)
    assert until(lambda: cloud.all_in("running", made), 120, 0.2)
    on_east = [one["id"] for one in cloud.client("api-1").all("instances")
               if one["id"] in made and one["host"] == "east"]  # fmt: skip
    assert on_east
    cloud.pause("east")
    began = time.monotonic()
    assert until(lambda: cloud.hosts()["east"] == "lost", LOST_AFTER + 30, 0.5)
    print(f"lost after {time.monotonic() - began:.1f} s")
    assert cloud.hosts()["west"] == "active"
    words = ["host", "list", "--state", str(cloud.state.root)]
    listed = subprocess.run(processes.pileus(*words), capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in listed.splitlines() if "east" in line.split()]
    assert "lost" in line
    status = cloud.ec2("api-1").describe_instance_status(InstanceIds=made, IncludeAllInstances=True)
    shown = {one["InstanceId"]: one["SystemStatus"]["Status"] for one in status["InstanceStatuses"]}
    assert {shown[ident] for ident in on_east} == {"impaired"}
    assert {shown[ident] for ident in made if ident not in on_east} == {"ok"}
    # What is asked meanwhile waits for it; what is new goes elsewhere.
    cloud.client("api-1").post("instances", on_east[0], "stop")
    new = cloud.launched("api-2", 4)
    assert until(lambda: cloud.all_in("running", new), 120, 0.2)
    placed = {one["id"]: one["host"] for one in cloud.client("api-1").all("instances")}
    assert {placed[ident] for ident in new} == {"west"}
    cloud.go_on("east")
    assert until(lambda: cloud.hosts()["east"] == "active", 120, 0.5)
    assert until(lambda: cloud.all_in("stopped", on_east[:1]), 120, 0.5)
    rest = [ident for ident in (*made, *new) if ident != on_east[0]]
    assert until(lambda: cloud.all_in("running", rest), 120, 0.5), cloud.states()
    assert [ident for ident in rest if cloud.starts(ident) != 1] == []


def test_loops_that_start_on_a_full_disk_do_their_work(cloud: Cloud) -> None:
    """They write what is there already: nothing; a host that cannot say that it runs ends with a line that says why."""
    for name in ("loops-1", "loops-2"):
        cloud.kill(name)
        cloud.again(name)
        processes.fill_disk(cloud.processes[name].pid)
    try:
        assert until(lambda: cloud.healthy("loops-1") and cloud.healthy("loops-2"), 60, 0.5), cloud.why()
        idents, _ = insist([lambda: cloud.launched("api-1", 2, token())])
        assert until(lambda: cloud.all_in("running", idents), 60, 0.2)
    finally:
        for name in ("loops-1", "loops-2"):
            processes.empty_disk(cloud.processes[name].pid)
    cloud.kill("east")
    cloud.again("east")
    process = cloud.processes["east"]
    processes.fill_disk(process.pid)
    assert process.wait(30) == 1
    assert cloud.last_words("east").endswith("pileus: the disk is full. Mend that, and repeat the command.\n")
    cloud.again("east")
