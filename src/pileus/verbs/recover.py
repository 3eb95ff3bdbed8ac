"""Recovering the store: an old copy, or an empty one, is brought up to what hosts and network engine hold.

One transaction. Where a host or the engine is ahead of a row, its order wins; what either was ordered to remove for
good is gone; what no order names is left alone. It may be done again at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.caller import SYSTEM
from pileus.model.errors import InvalidValue
from pileus.model.floatingip import FloatingIp
from pileus.model.host import Host
from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume
from pileus.verbs import adopt, recount, securitygroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.bus.messages import Order, Report
    from pileus.model.noun import Noun
    from pileus.model.provider import Recalled
    from pileus.store.writer import Writer

ORDER: tuple[type[Noun], ...] = (Project, Router, Network, Subnet, SecurityGroup, FloatingIp)
"""What the engine's records hold, in the order of making."""

ENGINE: tuple[type[Noun], ...] = (Router, Network, SecurityGroup, FloatingIp, Port)
"""What the engine keeps."""


class Outcome(msgspec.Struct, kw_only=True):
    """What a recovery did: EC2 ids, and in `left` what two rows claim that only one can have."""

    adopted: list[str] = []
    advanced: list[str] = []
    removed: list[str] = []
    left: list[str] = []


def recover(tx: Writer, answers: Mapping[str, Report], engine: Iterable[Recalled]) -> Outcome:
    """Merge what hosts answered (full reports with orders, by host) and what the engine recalls into the store.

    Afterwards every row that a loop looks after is due, and the next order for it is above all that were given before.
    """
    return _Merge(tx, answers, list(engine)).run()


class _Merge:
    def __init__(self, tx: Writer, answers: Mapping[str, Report], engine: list[Recalled]) -> None:
        self.tx = tx
        self.answers = answers
        self.engine = engine
        self.done = Outcome()
        self.held: dict[str, list[tuple[Order, str]]] = {}
        self.ended: set[str] = set()
        for host, report in answers.items():
            for uuid, order in (report.orders or {}).items():
                self.held.setdefault(uuid, []).append((order, host))
                if order.spec is None and order.why == "gone":
                    self.ended.add(uuid)
            self.ended |= {uuid for uuid, removed in report.removed.items() if removed.why == "gone"}

    def run(self) -> Outcome:
        self._networks()
        self._instances()
        self._ports()
        self._floating()
        self._defaults()
        self._again()
        left = recount.set_right(self.tx)
        if left and self._yield():
            left = recount.set_right(self.tx)
        self.done.left = left
        return self.done

    # -- what the engine keeps -------------------------------------------------------------------------------------

    def _networks(self) -> None:
        tx = self.tx
        gone = {told.uuid for told in self.engine if told.gone}
        nouns = [
            (noun, told)
            for told in sorted(self.engine, key=lambda told: told.revision)
            for noun in ([] if told.gone or told.uuid in gone else adopt.recalled(told.record))
        ]
        for cls in ORDER:
            for noun, told in sorted(nouns, key=lambda pair: pair[0].created):
                if isinstance(noun, cls):
                    self._network(noun, told)
        for cls in ENGINE:
            for row in tx.many(cls, gone).values():
                if row.gone is None and not row.wanted.gone and not isinstance(row, Port):
                    tx.want(row, msgspec.structs.replace(row.wanted, gone=True))
                    self.done.removed.append(row.ec2_id)

    def _network(self, noun: Noun, told: Recalled) -> None:
        """Make a noun of the engine's records, or bring an older row up to it."""
        tx = self.tx
        row = tx.get(type(noun), noun.uuid)
        if row is None:
            if not noun.wanted.gone:
                made = tx.add(noun)
                for pool, value in adopt.claimed_by_name(made):
                    tx.claim(pool, value, made)
                tx.record(SYSTEM, made, f"{made.KIND}.recover", outcome="done")
                self.done.adopted.append(made.ec2_id)
            return
        ahead = isinstance(noun, Project) or told.revision <= self._revision(noun, told)
        if row.gone is None and not row.wanted.gone and not ahead:
            adopt.put(tx, noun)
            tx.record(SYSTEM, row, f"{row.KIND}.recover", outcome="done")
            self.done.advanced.append(row.ec2_id)

    def _revision(self, noun: Noun, told: Recalled) -> tuple[int, int]:
        """The revision that the store gave last to what the record is of; a subnet's is its network's."""
        row = self.tx.get(Network if isinstance(noun, Subnet) else type(noun), told.uuid)
        return row.revision if row is not None else told.revision

    def _ports(self) -> None:
        """Ports whose instance no host knows: its launch reached nobody, and what it had in the engine goes."""
        tx = self.tx
        if {host.name for host in tx.list(Host)} - self.answers.keys():
            return
        gone = {told.uuid for told in self.engine if told.gone}
        for told in self.engine:
            for noun in adopt.recalled(told.record) if told.kind == Port.KIND and told.uuid not in gone else []:
                if isinstance(noun, Port) and tx.get(Port, noun.uuid) is None:
                    tx.add(msgspec.structs.replace(noun, wanted=msgspec.structs.replace(noun.wanted, gone=True)))

    def _defaults(self) -> None:
        """Every default router has its default group, should that have been nowhere."""
        for router in self.tx.list(Router):
            pool = f"securitygroup:{router.uuid}"
            held = {group.name for group in self.tx.referring(SecurityGroup, [router.uuid])}
            if router.wanted.default and not router.wanted.gone and "default" not in held:
                self.tx.unclaim(pool, "default")
                securitygroup.default(self.tx, router.project, router.uuid)

    def _floating(self) -> None:
        """An address that a port has which nobody knows is nobody's."""
        for floating in self.tx.list(FloatingIp):
            port = self.tx.get(Port, floating.wanted.port) if floating.wanted.port else None
            if floating.wanted.port and (port is None or port.gone is not None or port.wanted.gone):
                self.tx.want(floating, msgspec.structs.replace(floating.wanted, port=None, association=""))

    # -- what hosts hold -------------------------------------------------------------------------------------------

    def _instances(self) -> None:
        order: list[tuple[float, str]] = []
        for uuid, orders in self.held.items():
            spec = max(orders, key=lambda pair: pair[0].revision)[0].spec
            order.append((spec.launched if spec else 0.0, uuid))
        for _, uuid in sorted(order):
            self._instance(uuid, self.tx.get(Instance, uuid))
        for row in self.tx.many(Instance, self.ended - self.held.keys()).values():
            if row.gone is None:
                self._gone(row)

    def _instance(self, uuid: str, row: Instance | None) -> None:
        """One that hosts hold orders of."""
        if uuid in self.ended:
            if row is not None and row.gone is None:
                self._gone(row)
            return
        order, host = max(self.held[uuid], key=lambda pair: (pair[0].spec is not None, pair[0].revision))
        if order.spec is None or (row is not None and row.gone is not None):
            return
        if row is None or (order.revision > row.revision and not row.wanted.gone):
            body = self.answers[host].bodies[uuid]
            try:
                made = adopt.make(self.tx, order.spec, host, body)
            except InvalidValue:
                return
            self.tx.record(SYSTEM, made, "instance.recover", outcome="done")
            (self.done.adopted if row is None else self.done.advanced).append(made.ec2_id)

    def _gone(self, row: Instance) -> None:
        """A host remembers that it was removed for good: a tombstone, or on the way to one where a body may be left."""
        tx = self.tx
        owned = [*tx.referring(Port, [row.uuid]), *tx.referring(Volume, [row.uuid])]
        wanted = msgspec.structs.replace(row.wanted, gone=True)
        if not row.wanted.gone:
            row = tx.want(row, wanted)
            self.done.removed.append(row.ec2_id)
        for noun in owned:
            if not noun.wanted.gone:
                tx.want(noun, msgspec.structs.replace(noun.wanted, gone=True))
        kept = {told.uuid for told in self.engine if not told.gone}
        if row.uuid not in self.held and not any(noun.uuid in kept for noun in owned):
            self._bury(row)

    def _bury(self, row: Instance) -> None:
        """The row and all it owns become tombstones; usage is counted anew afterwards."""
        tx = self.tx
        row = tx.assign(row, msgspec.structs.replace(row.assigned, host=None, clear={}))
        for noun in (*tx.referring(Port, [row.uuid]), *tx.referring(Volume, [row.uuid]), row):
            tx.bury(noun)
        entries = tx.journal(row.uuid, open_only=True, limit=None)
        tx.settle([entry.id for entry in entries if entry.verb == "instance.terminate"], "done")
        tx.settle([entry.id for entry in entries if entry.verb != "instance.terminate"], "superseded")

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _again(self) -> None:
        """Have everything ordered again, above all earlier orders; hosts that did not answer keep theirs."""
        tx = self.tx
        for row in tx.list(Instance):
            silent = {row.assigned.host, *row.assigned.clear} - self.answers.keys() - {None}
            if silent:
                tx.wake(row)
                continue
            hosts = {*row.assigned.clear, *(host for _, host in self.held.get(row.uuid, ()))} - {row.assigned.host}
            fresh = tx.revise(row)
            clear = dict.fromkeys(sorted(hosts), fresh.revision)
            fresh = tx.assign(fresh, msgspec.structs.replace(fresh.assigned, content="", clear=clear))
            tx.wake(fresh)
        for cls in ENGINE:
            for noun in tx.list(cls):
                tx.revise(noun, msgspec.structs.replace(noun.assigned, content=""))
                tx.wake(noun)

    def _yield(self) -> bool:
        """Rows that lost what they claim to others, and of which nothing is left anywhere, were gone before."""
        tx = self.tx
        kept = {claim for claim in tx.claims() if claim[0].startswith(recount.POOLS)}
        losers = {uuid for _, _, uuid in recount.claims(tx) - kept}
        known = {told.uuid for told in self.engine if not told.gone}
        found = False
        instances = {*losers, *(port.wanted.instance or "" for port in tx.many(Port, losers).values())}
        for row in tx.many(Instance, instances).values():
            hosts = {row.assigned.host, *row.assigned.clear} - {None}
            if row.gone is None and row.uuid not in self.held and hosts <= self.answers.keys():
                self._bury(row)
                self.done.removed.append(row.ec2_id)
                found = True
        for floating in tx.many(FloatingIp, losers - known).values():
            tx.bury(floating)
            self.done.removed.append(floating.ec2_id)
            found = True
        for group in tx.many(SecurityGroup, losers).values():
            tx.want(group, name=f"{group.name}-{group.ec2_id}"[:255])
            found = True
        for router in tx.many(Router, losers).values():
            tx.assign(router, msgspec.structs.replace(router.assigned, address=""))
            found = True
        return found
