"""Each filter refuses what it is for and nothing else; weights order; the choice is the same each time."""

from __future__ import annotations

import pytest

from pileus.model import placement
from pileus.model.host import Capacity, Overcommit, ProviderLimits, Wanted, room
from pileus.model.placement import FILTERS, Candidate, Facts, Need, Policy, choose, explanation, facts, refusal

NEED = Need(vcpus=1, memory=512, disk=4)


def host(name: str = "h", *, memory: int = 0, members: int = 0, alive: bool = True, **known: object) -> Candidate:
    return Candidate(name, Facts(**known), alive, [0, memory, 0], members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("who", "need", "by", "why"),
    [
        (host(), NEED, "", ""),
        (host(alive=False), NEED, "alive", "not heard of lately"),
        (host(state="drained"), NEED, "state", "drained"),
        (host(state="maintenance"), NEED, "state", "maintenance"),
        (host(zone="b"), Need(1, 512, 4, zone="a"), "zone", "in zone b"),
        (host(zone="a"), Need(1, 512, 4, zone="a"), "", ""),
        (host(kinds=("container",)), NEED, "kind", "does not run machines"),
        (host(traits=frozenset({"kvm"})), Need(1, 512, 4, traits=frozenset({"kvm"})), "", ""),
        (host(), Need(1, 512, 4, traits=frozenset({"kvm", "cpu:avx2"})), "traits", "without cpu:avx2, kvm"),
        (host(members=1), Need(1, 512, 4, affinity="anti-affinity"), "affinity", "has an instance of the group"),
        (host(members=1), Need(1, 512, 4, affinity="soft-anti-affinity"), "", ""),
        (host(memory=600, room=(4, 1024, 9)), NEED, "capacity", "memory: 424 left, 512 needed"),
        (host(room=(0, 0, None)), NEED, "capacity", "vcpus: 0 left, 1 needed, memory: 0 left, 512 needed"),
    ],
)
def test_a_filter_refuses_what_it_is_for(who: Candidate, need: Need, by: str, why: str) -> None:
    assert refusal(who, need, grouped=bool(who.members)) == (by, why)


def test_a_group_that_is_elsewhere_refuses_a_host_without_it() -> None:
    need = Need(1, 512, 4, affinity="affinity")
    assert refusal(host(), need, grouped=True) == ("affinity", "the group is elsewhere")
    assert refusal(host(), need, grouped=False) == ("", "")


def test_every_filter_has_a_name_of_its_own_that_explanations_show() -> None:
    names = [each.__name__ for each in FILTERS]
    assert names == ["alive", "state", "zone", "kind", "traits", "affinity", "capacity"]


def test_overcommit_is_the_clouds_unless_the_host_has_its_own() -> None:
    default = Overcommit(vcpus=16.0, memory=1.5, disk=None)
    there = Capacity(vcpus=2, memory=1001, disk=10)
    assert room(Wanted(), there, default) == {"vcpus": 32, "memory": 1501, "disk": 10}
    own = Wanted(overcommit=Overcommit(vcpus=1.0))
    assert room(own, there, default) == {"vcpus": 2, "memory": 1501, "disk": 10}
    assert facts(own, Capacity(memory=8), ProviderLimits(), ("kvm",), default).room == (None, 12, None)


@pytest.mark.parametrize(("strategy", "order"), [("spread", "aab"), ("stack", "ccb")])
def test_hosts_fill_evenly_or_one_after_another(strategy: placement.Strategy, order: str) -> None:
    hosts = [host("c", memory=1024, room=(9, 2048, 99)), host("b", memory=512), host("a")]
    assert "".join(choose(hosts, NEED, 3, Policy(strategy=strategy)).hosts) == order


def test_equal_hosts_are_taken_by_name() -> None:
    for names in (("a", "b", "c"), ("c", "a", "b")):
        assert choose([host(name) for name in names], NEED, 4, Policy()).hosts == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        ("affinity", ["a", "a"]),
        ("soft-affinity", ["a", "a", "b", "b"]),
        ("anti-affinity", ["a", "b"]),
        ("soft-anti-affinity", ["a", "b", "a", "b"]),
    ],
)
def test_a_group_keeps_together_or_apart(rule: placement.Affinity, got: list[str]) -> None:
    hosts = [host(name, room=(None, 1024, None)) for name in ("a", "b")]
    assert choose(hosts, Need(1, 512, 4, affinity=rule), 9, Policy()).hosts == got


def test_an_explanation_is_as_long_with_a_thousand_hosts_as_with_ten() -> None:
    few, many = (
        [host(f"h{number}", room=(1, 100 if number % 2 else 1, 1)) for number in range(count)] for count in (10, 1000)
    )
    said = [explanation(choose(hosts, NEED, 1, Policy())) for hosts in (few, many)]
    assert said[1].startswith("no host can take it: 1000 hosts known, refused 1000 by capacity. Nearest: h0: ")
    assert len(said[1]) - len(said[0]) < 30
    told = choose([host("a"), host("b", state="drained")], NEED, 1, Policy())
    assert explanation(told, "a") == "a by spread: 2 hosts known, 1 fit, refused 1 by state. Best: a: 0 MiB given away"
    assert explanation(choose([], NEED, 1, Policy())) == "no host is known"
