"""The kill matrix of several machines: each part of the cloud's side is killed at drawn moments of each operation.

All ends as asked, once; guests, and sessions into them, go on. Each result is kept for `make reliability`. What is
killed is started again at once, as an init system does; of two `api` or `loops` one is drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from collections import Counter as Count
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import ending
from pileus.providers.local.network.northbound import Northbound
from pileus.rules import recount
from pileus.store.store import Store
from tests import kills
from tests.cluster.guests import IMAGE, Guests, across
from tests.cluster.machines import HOSTS, PILEUS, Cluster
from tests.cluster.wires import MANAGEMENT, RANGES
from tests.live.cloud import until
from tests.live.operations import PING, repeated, retries
from tests.live.sessions import COUNT, Counter, Shell, counting, talking
from tests.live.trials import BECOMES, Measures, struck, until_so

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1", f"{RANGES[MANAGEMENT]}.0/24"])]

RETRIES = 40
"""How often a request that is refused, or not answered, is asked again: a broker or a database takes its time."""


@dataclass
class World:
    """A guest on each host, with sessions that go on, and others to do things to."""

    cluster: Cluster
    guests: Guests
    pair: list[str]
    counters: dict[str, Counter]
    shell: Shell
    spare: list[str] = field(default_factory=list)
    """Guests that things are done to, and that run."""
    off: list[str] = field(default_factory=list)
    """Those that were stopped."""
    doubled: set[str] = field(default_factory=set)
    """What OVN holds several times anyway: rules of different groups may say the same."""

    def __post_init__(self) -> None:
        self.doubled = {name for table in self.engine().values() for name, count in table.items() if count > 1}

    def running(self) -> str:
        """A guest that runs, and that nobody needs."""
        if not self.spare:
            self.spare = self.guests.launch(1)
        self.guests.running(self.spare)
        until(f"{self.spare[-1]} answers", lambda: self.answers(self.spare[-1]), 240)
        return self.spare[-1]

    def stopped(self) -> str:
        """A guest that is off."""
        if not self.off:
            self.off = [self.running()]
            self.spare.remove(self.off[0])
            self.guests.ec2.stop_instances(InstanceIds=self.off)
        until(f"{self.off[-1]} is off", lambda: self.guests.states(self.off) == {"stopped": len(self.off)})
        return self.off[-1]

    def trim(self) -> None:
        """Have those go that are more than are needed."""
        rest = [*self.spare[:-2], *self.off[:-1]]
        if rest:
            self.spare, self.off = self.spare[-2:], self.off[-1:]
            self.guests.ec2.terminate_instances(InstanceIds=rest)
            until(f"{rest} are gone", lambda: self.guests.states(rest) == {"terminated": len(rest)})

    def starts(self, ident: str) -> int:
        """How often its QEMU was started so far, on whichever host."""
        logs = [ending.domain_log(self.cluster.layout(host), ident) for host in HOSTS]
        return sum(log.read_bytes().count(b": starting up libvirt version") for log in logs if log.exists())

    def differences(self) -> list[str]:
        """Where claims and usage in the store are not what its rows say."""
        assert self.cluster.database
        url = self.cluster.database.url

        def look() -> list[str]:
            store = Store(url)
            try:
                with store.read() as tx:
                    return recount.differences(tx)
            finally:
                store.close()

        return self.cluster.cloud.run(look)

    def engine(self) -> dict[str, Count[str]]:
        """What OVN holds by table: the names of ports, the matches of rules, the addresses of translations."""
        northbound = Northbound(Layout(self.cluster.root / "x").northbound, 60.0)
        keys = {"Logical_Switch_Port": "name", "ACL": "match", "NAT": "external_ip"}
        try:
            with northbound.read() as tables:
                return {
                    table: Count(str(getattr(row, key)) for row in tables[table].rows.values())
                    for table, key in keys.items()
                }
        finally:
            northbound.close()

    def answers(self, ident: str) -> bool:
        """Whether a guest's ssh server speaks to the first one of the pair: it has booted, and heeds a power button."""
        heard = f"nc -w 2 {self.guests.private(ident)} 22 </dev/null 2>/dev/null | head -n 1 | grep -q SSH"
        return self._says(heard)

    def pings(self, ident: str) -> bool:
        """Whether a guest answers the first one of the pair."""
        return self._says(f"ping -c 1 -W 2 {self.guests.private(ident)} >/dev/null 2>&1")

    def _says(self, command: str) -> bool:
        said = self.shell.ask(f"{command} && echo yes || echo no")
        assert said, "the session of the first guest ended"
        return said == "yes"

    def permitted(self) -> int:
        """How many rules admit ping."""
        (group,) = self.guests.ec2.describe_security_groups(GroupIds=[self.guests.group])["SecurityGroups"]
        return [rule["IpProtocol"] for rule in group["IpPermissions"]].count("icmp")

    def permit(self, *, ping: bool) -> int:
        """Let guests answer pings, or no more; how often it was asked again."""
        if ping:
            call, done = self.guests.ec2.authorize_security_group_ingress, "InvalidPermission.Duplicate"
        else:
            call, done = self.guests.ec2.revoke_security_group_ingress, "InvalidPermission.NotFound"
        return repeated(call, done, GroupId=self.guests.group, IpPermissions=[PING])

    def findings(self) -> set[tuple[str, str, str]]:
        """What the doctor finds amiss on the cloud's side and on the hosts."""
        found = set()
        for name, state in {"cloud": self.cluster.state, **self.cluster.hosts}.items():
            command = [PILEUS, "doctor", "--json", "--state", str(state.root)]
            whole = self.cluster.wires.machines[name].command(*command)
            settings = {**os.environ, **self.cluster.northbound}
            said = json.loads(subprocess.run(whole, env=settings, capture_output=True, check=False).stdout)
            assert "the store" not in said["unchecked"] or name in HOSTS, said
            found |= {(one["code"], one["kind"], one["ident"]) for one in said["findings"]}
        return found

    def whole(self, since: float) -> list[str]:
        """Wait until each session was heard after `since`, and shown to have lost nothing; those that ended."""
        lost = []
        for via, counter in self.counters.items():
            until(f"the {via} session", lambda one=counter: one.goes_on(since) or not one.open, 60)  # type: ignore[misc]
            if not (counter.open and counter.whole()):
                lost.append(via)
        return lost


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Whose end shows that nothing is left of what was done, and that nothing is amiss."""
    cluster, sessions = Cluster(), contextlib.ExitStack()
    try:
        cluster.start()
        cluster.pileus("cloud", "image", "add", str(IMAGE), "--name", "tiny")
        guests = Guests(cluster, tmp_path_factory.mktemp("key"), RETRIES)
        made = _world(guests, sessions)
        before = made.engine(), made.findings()
        yield made
        assert made.shell.open
        _clear(made, keep=made.pair)
        if made.permitted():
            made.permit(ping=False)
        # A rule is taken back by a loop; the rest went before its instance was shown as gone.
        until("no rule is left", lambda: made.engine()["ACL"] <= before[0]["ACL"], 60)
        until("the doctor agrees", lambda: made.findings() <= before[1])
        left = {table: names - before[0][table] for table, names in made.engine().items()}
        assert not any(left.values()), left
        assert made.differences() == []
        _clear(made, keep=[])
    finally:
        sessions.close()
        cluster.end()


def _world(guests: Guests, sessions: contextlib.ExitStack) -> World:
    four = guests.launch(4)
    guests.running(four)
    pair = guests.pair(four)
    guests.admit(ssh=True)
    first, second = pair
    outer = counting(guests.words(second.outside))
    sessions.callback(outer.end)
    inner = counting(guests.words(first.outside), across(second, COUNT))
    sessions.callback(inner.end)
    shell = talking(guests.words(first.outside))
    sessions.callback(shell.end)
    kept = [one.ident for one in pair]
    spare = [ident for ident in four if ident not in kept]
    return World(guests.cluster, guests, kept, {"outer": outer, "inner": inner}, shell, spare)


def _clear(world: World, keep: list[str]) -> None:
    rest = [row["id"] for row in world.guests.rows().values() if row["state"] != "terminated"]
    rest = [ident for ident in rest if ident not in keep]
    if rest:
        world.guests.ec2.terminate_instances(InstanceIds=rest)
        until("all are gone", lambda: world.guests.states(rest) == {"terminated": len(rest)})
    until("every instance has one body", world.guests.once, 60)


@dataclass
class Operation:
    """One operation on one guest; of `name` `launch` and for rules it is a new one, and any."""

    world: World
    name: str
    ident: str = ""
    before: int = 0
    asked: bool = False

    @classmethod
    def prepared(cls, world: World, name: str) -> Operation:
        """With a guest to do it to, which is as it has to be."""
        world.trim()
        if name == "launch":
            return cls(world, name)
        ident = world.stopped() if name == "start" else world.running()
        if name in ("authorize", "revoke"):
            if world.permitted() != (name == "revoke"):
                world.permit(ping=name == "revoke")
            until("the rule as it is before", lambda: world.pings(ident) == (name == "revoke"))
        return cls(world, name, ident, world.starts(ident))

    def request(self) -> int:
        """Ask for it, until it is taken; how often it was asked again."""
        world, ec2 = self.world, self.world.guests.ec2
        if self.name in ("authorize", "revoke"):
            again = world.permit(ping=self.name == "authorize")
        elif self.name == "launch":
            asked = world.guests.asked(1)
            self.ident, again = str(asked["Instances"][0]["InstanceId"]), retries(asked)
            world.spare.append(self.ident)
        else:
            call = getattr(ec2, f"{self.name}_instances")
            again = retries(call(InstanceIds=[self.ident]))
        if self.name in ("stop", "terminate"):
            world.spare.remove(self.ident)
        if self.name == "stop":
            world.off.append(self.ident)
        if self.name == "start":
            world.off.remove(self.ident)
            world.spare.append(self.ident)
        self.asked = True
        return again

    def reached(self) -> bool:
        """Whether it was done."""
        if not self.asked:
            return False
        if self.name in ("authorize", "revoke"):
            return self.world.pings(self.ident) == (self.name == "authorize")
        there = self.world.guests.states([self.ident]) == {BECOMES[self.name]: 1}
        return there and (BECOMES[self.name] != "running" or self.world.answers(self.ident))

    def wrong(self) -> list[str]:
        """What is not as it is after it was done exactly once."""
        world = self.world
        found = world.differences()
        if not until_so(world.guests.once):
            found.append(f"bodies: {world.guests.bodies()}")
        known = {row["id"] for row in world.guests.rows().values() if row["state"] != "terminated"}
        if known != {*world.pair, *world.spare, *world.off}:
            found.append(f"rows: {known}")
        starts = world.starts(self.ident) - self.before
        # What says so goes with the guest.
        if self.name != "terminate" and starts != (self.name in ("launch", "start")):
            found.append(f"started {starts} times")
        if self.name in ("authorize", "revoke") and world.permitted() != (self.name == "authorize"):
            found.append(f"{world.permitted()} rules")
        doubled = {name for table in world.engine().values() for name, count in table.items() if count > 1}
        return found + [f"twice in OVN: {name}" for name in sorted(doubled - world.doubled)]


def length(world: World, name: str) -> float:
    """How long an operation takes undisturbed, in seconds."""
    operation = Operation.prepared(world, name)
    began = time.monotonic()
    operation.request()
    until(name, operation.reached)
    took = time.monotonic() - began
    assert operation.wrong() == []
    return took


@pytest.fixture(scope="module")
def lengths(world: World) -> Measures[float]:
    """Of each operation."""
    return Measures(partial(length, world))


# One alone takes as long as the machines need to begin; after that each takes a fifth.
@pytest.mark.cost(120)
@pytest.mark.parametrize("cell", [pytest.param(cell, id=str(cell)) for cell in kills.CLUSTER_CELLS])
def test_a_request_ends_as_asked_whichever_part_is_killed(
    world: World, lengths: Measures[float], cell: kills.Cell, request: pytest.FixtureRequest
) -> None:
    seed = int(request.config.getoption("randomly_seed"))
    number = random.Random(f"{seed} {cell} which").randint(1, 2)
    part = f"{cell.process}-{number}" if cell.process in ("api", "loops") else cell.process

    def strike() -> None:
        world.cluster.kill(part)
        world.cluster.run(part)

    expected = lengths[cell.operation]
    operation = Operation.prepared(world, cell.operation)
    trial = struck(operation, strike, cell, expected, seed)
    trial.wrong = operation.wrong() if trial.reached else trial.wrong
    trial.lost = world.whole(time.monotonic())
    trial.silence = {via: round(counter.silence(trial.began), 2) for via, counter in world.counters.items()}
    trial.keep(kills.CLUSTER_RESULTS)
    assert not trial.wrong, f"{trial}: {trial.wrong}"
    assert not trial.lost, f"{trial}: {trial.lost} ended"
