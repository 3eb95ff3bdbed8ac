"""A cloud on several machines: guests of two hosts as one network, and what a lost host and dead processes change."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pileus.bus.rabbitmq import Accounts
from pileus.providers.local.layout import Layout
from pileus.providers.local.network.chassis import Chassis
from tests.cluster.__main__ import Console
from tests.cluster.guests import IMAGE, Guests, Reached, across
from tests.cluster.machines import HOSTS, Cluster
from tests.cluster.wires import MANAGEMENT, RANGES
from tests.live.cloud import until
from tests.live.sessions import COUNT, Counter, counting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1", f"{RANGES[MANAGEMENT]}.0/24"])]

PARTED = 120.0
"""Seconds that a host is cut off from the cloud."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    try:
        found.start()
        found.pileus("cloud", "image", "add", str(IMAGE), "--name", "tiny")
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def guests(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Guests:
    return Guests(cluster, tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def four(guests: Guests) -> list[str]:
    """Four guests that run."""
    made = guests.launch(4)
    guests.running(made)
    return made


@pytest.fixture(scope="module")
def pair(guests: Guests, four: list[str]) -> list[Reached]:
    """A guest on each host; the first one may log in to the second."""
    return guests.pair(four)


def well(cluster: Cluster, machine: str, words: str, **more: Any) -> str:
    """What the doctor says on a machine, as soon as he finds nothing amiss and says these words."""

    def said() -> str:
        with contextlib.suppress(AssertionError):
            found = cluster.pileus(machine, "doctor", **more)
            return found if words in found else ""
        return ""

    return str(until(f"the doctor is content on {machine}", said))


@pytest.mark.cost(180)
def test_guests_of_two_hosts_are_on_one_subnet(guests: Guests, pair: list[Reached]) -> None:
    assert all(guests.on(host, [one.ident for one in pair]) for host in HOSTS)
    for host, state in guests.cluster.hosts.items():
        well(guests.cluster, host, "the cloud's side", state=state)
    said = well(guests.cluster, "cloud", "What could be checked is well", settings=guests.cluster.northbound)
    assert "OVN's rows" not in said
    outside, other = (one.outside for one in pair)
    name = guests.told(other, "hostname")
    # What has its loopback address on another machine is reached over the API.
    until("the cloud's machine logs in to both", lambda: guests.by_api(pair[1].ident, "hostname") == name, 60)
    assert guests.by_api(pair[0].ident, "hostname") == guests.told(outside, "hostname")
    listed = guests.cluster.pileus("cloud", "list")
    assert all(f"on {host}" in listed for host in HOSTS)
    # What is between the guests is as their group says at the time, on both hosts.
    banner = [f"timeout 3 nc {one.private} 22 </dev/null | head -c 3" for one in reversed(pair)]
    until("they are strangers", lambda: guests.ask(outside, banner[0]) == "", 60)
    guests.admit(ssh=True)
    until("one logs in to the other", lambda: guests.ask(outside, across(pair[1], "hostname")) == name, 60)
    until("and is reached by it", lambda: guests.ask(other, banner[1]) == "SSH", 60)
    guests.admit(ssh=False)
    until("no more", lambda: guests.ask(outside, banner[0]) == "", 60)
    until("neither way", lambda: guests.ask(other, banner[1]) == "", 60)


@pytest.mark.cost(120)
def test_an_image_of_a_guest_on_a_joined_host_is_launched_on_every_host(
    cluster: Cluster, guests: Guests, pair: list[Reached]
) -> None:
    """Its bytes come from the host's machine to the cloud's, and from there to whoever has to run it."""
    source = pair[1]
    guests.told(source.outside, "echo kept >/root/file; sync; cat /root/file")
    image = guests.ec2.create_image(InstanceId=source.ident, Name="from afar", NoReboot=True)["ImageId"]

    def found() -> dict[str, Any]:
        listed: dict[str, Any] = guests.ec2.describe_images(ImageIds=[image])["Images"][0]
        return listed

    until(f"{image} is available", lambda: found()["State"] == "available")
    made = guests.launch(2, image)
    guests.running(made)
    assert {host: len(guests.on(host, made)) for host in HOSTS} == dict.fromkeys(HOSTS, 1)
    for ident in made:
        outside = guests.floating(ident)
        assert guests.told(outside, "cat /root/file") == "kept"
        assert guests.told(outside, "cat /var/lib/tiny/instance-id") == ident
    for host in HOSTS:
        until(f"{host} keeps nothing of it", lambda at=host: not list(cluster.layout(at).captures.glob("*")))  # type: ignore[misc]
    guests.ec2.terminate_instances(InstanceIds=made)
    until("they are gone", lambda: guests.states(made) == {"terminated": 2})
    guests.ec2.deregister_image(ImageId=image)


@pytest.fixture
def sessions() -> Iterator[Callable[[Counter], Counter]]:
    """Keeps one that is open, and ends it after the test."""
    with contextlib.ExitStack() as kept:

        def keep(session: Counter) -> Counter:
            kept.callback(session.end)
            return session

        yield keep


@pytest.fixture
def _admitted(guests: Guests) -> Iterator[None]:
    """Guests may log in to each other, during one test."""
    guests.admit(ssh=True)
    yield
    guests.admit(ssh=False)


@pytest.mark.cost(360)
@pytest.mark.usefixtures("_admitted")
def test_a_host_that_is_cut_off_is_lost_and_its_guests_go_on(
    cluster: Cluster,
    guests: Guests,
    four: list[str],
    pair: list[Reached],
    sessions: Callable[[Counter], Counter],
) -> None:
    outer = sessions(counting(guests.words(pair[1].outside)))
    inner = sessions(counting(guests.words(pair[0].outside), across(pair[1], COUNT)))
    lost = guests.on("host2", four)
    with cluster.wires.parted("host2"):
        begun = time.monotonic()
        until("host2 is lost", lambda: cluster.states()["host2"] == "lost", 90)
        assert cluster.states()["host1"] == "active"
        assert _impaired(guests, lost) == set(lost)
        assert all(guests.rows()[ident]["state"] == "running" for ident in lost)
        assert "host lost" in cluster.pileus("cloud", "list")
        # What is asked for meanwhile goes where it can, and what cannot be done waits.
        (another,) = guests.launch(1)
        guests.running([another])
        assert guests.on("host1", [another]) == [another]
        gone = next(ident for ident in lost if ident != pair[1].ident)
        guests.ec2.terminate_instances(InstanceIds=[gone])
        time.sleep(max(0.0, begun + PARTED - time.monotonic()))
        assert guests.states([gone]) == {"shutting-down": 1}
    until("host2 is back", lambda: cluster.states()["host2"] == "active")
    until("what it was to end is ended", lambda: guests.states([gone]) == {"terminated": 1})
    until("every instance has one body", guests.once)
    until("nothing is impaired", lambda: not _impaired(guests, [pair[1].ident]))
    healed = time.monotonic()
    # What was on its way is sent once more when TCP tries again: that long after two minutes as those were.
    for session in (outer, inner):
        until("the session goes on", lambda one=session: one.goes_on(healed) or not one.open, 180)  # type: ignore[misc]
        assert session.open
        assert session.whole()
    for host in HOSTS:
        until(f"all of {host} answers", lambda host=host: cluster.well(host))  # type: ignore[misc]


def _impaired(guests: Guests, idents: list[str]) -> set[str]:
    found = guests.ec2.describe_instance_status(InstanceIds=idents)["InstanceStatuses"]
    return {one["InstanceId"] for one in found if one["SystemStatus"]["Status"] == "impaired"}


@pytest.mark.cost(150)
def test_a_removed_host_is_nobody_until_it_is_readmitted(cluster: Cluster) -> None:
    """It is unknown to the listener for hosts, the broker and the network engine, and is told so when it comes back."""
    assert cluster.broker
    accounts = Accounts(cluster.broker.management, "admin", cluster.broker.password)
    chassis = Chassis(Layout(cluster.root / "x").northbound)
    try:
        cluster.more("host3")
        state = cluster.hosts["host3"]
        until("host3 is active", lambda: cluster.states().get("host3") == "active", 60)
        until("it is in the engine", lambda: "host3" in chassis.hosts(), 60)
        with cluster.wires.parted("host3"):
            cluster.pileus("cloud", "host", "remove", "host3")
            assert "host3" not in cluster.states()
            until("its account is gone", lambda: "host3" not in cluster.cloud.run(accounts.hosts), 60)
            until("its switch is forgotten", lambda: "host3" not in chassis.hosts(), 90)
        log = state.log("host")
        until("it reads why", lambda: "'host3' was removed from this cloud" in log.read_text(), 120)
        assert "pileus host admit host3" in cluster.up("host3")
        assert "host3" not in cluster.states()
        assert "host3" not in cluster.cloud.run(accounts.hosts)
        cluster.pileus("cloud", "host", "admit", "host3")
        until("host3 is back", lambda: cluster.states().get("host3") == "active", 120)
        assert f"a host of the cloud at https://{cluster.cloud.address()}" in cluster.up("host3")
    finally:
        chassis.close()
        accounts.close()
        cluster.leave("host3")


@pytest.mark.cost(240)
@pytest.mark.parametrize("part", ["loops-1", "api-1", "broker", "central", "database"])
def test_a_launch_outlives_the_death_of_a_part(cluster: Cluster, guests: Guests, part: str) -> None:
    made = guests.launch(2)
    console = Console(cluster)
    assert not console.onecmd(f"kill {part}")
    if part not in ("broker", "central"):
        assert cluster.parts.get(part) is None
    if part != "database":
        made += guests.launch(1)  # whoever is left takes requests
    assert not console.onecmd(f"start {part}")
    guests.running(made)
    until("every instance has one body", guests.once, 60)
    guests.ec2.terminate_instances(InstanceIds=made)
    until("all are gone", lambda: guests.states(made) == {"terminated": len(made)}, 120)
    until("with their bodies", guests.once, 60)


@pytest.mark.cost(420)
def test_twenty_guests_land_on_both_hosts(cluster: Cluster, guests: Guests) -> None:
    """Asked for by four callers at once, at whichever `api` the kernel chose."""
    with ThreadPoolExecutor(4) as callers:
        made = [ident for some in callers.map(guests.launch, [5] * 4) for ident in some]
    assert len(set(made)) == 20
    guests.running(made, 900)
    shares = {host: len(guests.on(host, made)) for host in HOSTS}
    assert min(shares.values()) >= 8, shares
    assert guests.once()
    assert len({guests.private(ident) for ident in made}) == 20
    guests.ec2.terminate_instances(InstanceIds=made)
    until("all are gone", lambda: guests.states(made) == {"terminated": 20}, 240)
    until("with their bodies", guests.once, 60)
