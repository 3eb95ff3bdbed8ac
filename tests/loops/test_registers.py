"""Broker and engine know the hosts that the store knows, whatever they missed; unknown hosts are left alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pileus.loops.registers import reconcile
from pileus.model.caller import SYSTEM
from pileus.model.errors import Unavailable
from pileus.verbs import host, join

if TYPE_CHECKING:
    from pileus.model.host import Host
    from pileus.rules.core import Core
    from tests.site import Site


@dataclass
class Memory:
    """Who is known, in memory; `refuses` does not answer for one."""

    admits: bool = True
    known: set[str] = field(default_factory=set)
    refuses: str = ""

    def hosts(self) -> set[str]:
        if self.refuses == "all":
            raise Unavailable("nobody answers")
        return set(self.known)

    def add(self, host: str) -> None:
        if host == self.refuses:
            raise Unavailable("it does not answer")
        self.known.add(host)

    def remove(self, host: str) -> None:
        self.known.discard(host)

    def close(self) -> None: ...


@pytest.fixture
def core(site: Site) -> Core:
    place = dataclasses.replace(site.core.place, join="https://127.0.0.1:8774", fingerprint="f" * 64)
    return dataclasses.replace(site.core, place=place)


def joined(core: Core, name: str) -> Host:
    token = join.invite(SYSTEM, core).token
    return join.redeem(core, token, name, "", lambda name: (b"", f"5e{name}"))[0]


def test_who_joined_is_added_and_who_was_removed_is_removed(core: Core) -> None:
    accounts, chassis = Memory(), Memory(admits=False, known={"alpha", "beta", "elsewhere"})
    for name in ("alpha", "beta"):
        joined(core, name)
    reconcile(core, [accounts, chassis])
    # One on the cloud's own machine has no certificate, and needs no account.
    assert accounts.known == {"alpha", "beta"}
    host.remove(SYSTEM, core, "alpha")
    accounts.known.add("elsewhere")
    for _ in range(2):
        reconcile(core, [accounts, chassis])
    assert accounts.known == chassis.known == {"beta", "elsewhere"}
    host.admit(SYSTEM, core, "alpha")
    reconcile(core, [accounts, chassis])
    assert accounts.known == {"alpha", "beta", "elsewhere"}


def test_a_register_that_lost_what_it_had_gets_it_again(core: Core) -> None:
    accounts = Memory()
    joined(core, "alpha")
    reconcile(core, [accounts])
    accounts.known.clear()
    reconcile(core, [accounts])
    assert accounts.known == {"alpha"}


def test_one_that_does_not_answer_holds_up_no_other(core: Core) -> None:
    silent, wary, well = Memory(refuses="all"), Memory(refuses="alpha"), Memory()
    for name in ("alpha", "beta"):
        joined(core, name)
    reconcile(core, [silent, wary, well])
    assert (silent.known, wary.known, well.known) == (set(), {"beta"}, {"alpha", "beta"})


def test_a_host_that_joins_anew_while_it_is_looked_at_keeps_its_account(core: Core) -> None:
    class Late(Memory):
        """Whose answer takes so long that somebody joins meanwhile."""

        def hosts(self) -> set[str]:
            joined(core, "alpha")
            return super().hosts()

    joined_host = joined(core, "alpha")
    host.remove(SYSTEM, core, joined_host.name)
    accounts = Late(known={"alpha"})
    reconcile(core, [accounts])
    assert accounts.known == {"alpha"}


def test_nothing_is_done_while_the_store_is_closed(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Memory()
    joined(core, "alpha")
    monkeypatch.setattr(core.store, "closed", True)
    reconcile(core, [accounts])
    assert accounts.known == set()
