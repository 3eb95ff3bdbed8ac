"""Recovering the store: an old copy, or an empty one, is brought up to what hosts and network engine hold.

One transaction. Where a host or the engine is ahead of a row, its order wins; what either was ordered to remove for
good is gone; what no order names is left alone. It may be done again at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from pileus.model import image as images
from pileus.model.caller import SYSTEM
from pileus.model.errors import InvalidValue
from pileus.model.floatingip import FloatingIp
from pileus.model.host import Host
from pileus.model.host import Wanted as HostWanted
from pileus.model.image import Image, on_host
from pileus.model.instance import LAUNCH, Instance, Power, merged
from pileus.model.network import Network
from pileus.model.noun import Noun, SeenFault, only
from pileus.model.nouns import ENGINE, NOUNS
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import InstanceSpec
from pileus.model.volume import Volume
from pileus.rules import adopt, carried, comparison, confirmation, contest, recount, securitygroup
from pileus.rules import port as port_rules
from pileus.rules.instance import number as number_rules
from pileus.store.store import TOMBSTONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.bus.messages import Order, Report
    from pileus.model.instance import PowerState, Wanted
    from pileus.model.provider import Recalled
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

N = TypeVar("N", bound=Noun)

ENDS = {"instance.terminate", "image.deregister", "securitygroup.delete", "floatingip.release"}
"""The verbs that are done when a row is gone."""


_POWER: Final[dict[str, PowerState]] = {"instance.start": "running", "instance.stop": "stopped"}


class Outcome(msgspec.Struct, kw_only=True):
    """The result of a recovery: EC2 ids, in `left` of claims that two rows have, in `unheard` of silent hosts."""

    adopted: list[str] = []
    advanced: list[str] = []
    removed: list[str] = []
    left: list[str] = []
    unheard: list[str] = []


def recover(tx: Writer, answers: Mapping[str, Report], engine: Iterable[Recalled]) -> Outcome:
    """Merge what hosts answered (full reports with orders, by host) and what the engine recalls into the store.

    The bodies of a host that did not answer stay as they are, in their rows and the engine, with their addresses.
    Afterwards every row that a loop looks after is due, and the next order for it is above all that were given before.
    """
    tx.limited = False
    return _Merge(tx, answers, list(engine)).run()


def placed(engine: Iterable[Recalled]) -> set[str]:
    """The hosts that have instances by what the engine recalls of their ports."""
    ports = (port for entry in engine if not entry.gone for port in only(Port, adopt.recalled(entry.record, "engine")))
    return {port.assigned.host for port in ports} - {""}


class _Merge:
    def __init__(self, tx: Writer, answers: Mapping[str, Report], engine: list[Recalled]) -> None:
        self.tx = tx
        self.answers = answers
        self.engine = engine
        self.done = Outcome()
        self.held: dict[str, list[tuple[Order, str]]] = {}
        self.captures: dict[str, list[tuple[Order, str]]] = {}
        self.made: list[Instance] = []
        self.ended: set[str] = set()
        for host, report in answers.items():
            for uuid, order in (report.orders or {}).items():
                if order.kind == Image.KIND:
                    self.captures.setdefault(uuid, []).append((order, host))
                    continue
                self.held.setdefault(uuid, []).append((order, host))
                if order.spec is None and order.why == "gone":
                    self.ended.add(uuid)
            self.ended |= {uuid for uuid, removed in report.removed.items() if removed.why == "gone"}
        self.fetched = {uuid for report in answers.values() for uuid in report.removed} - self.ended

    def run(self) -> Outcome:
        confirmation.recovered(self.tx)
        self._hosts()
        self._networks()
        self._forgotten()
        self._instances()
        self._tokens()
        self._images()
        self._ports()
        self._floating()
        self.done.removed += [noun.ec2_id for noun in carried.delete_uncarried(self.tx, self.engine)]
        for uuid in carried.unreadable_of_removed(self.tx, self.engine):
            self._drop(uuid)
        self._defaults()
        self._again()
        differences = recount.set_right(self.tx)
        if differences and self._yield():
            differences = recount.set_right(self.tx)
        self.done.left = differences
        known_hosts = {host.name for host in self.tx.list(Host)} | placed(self.engine)
        for report in self.answers.values():
            comparison.merged(self.tx, report)
        self.done.unheard = sorted(known_hosts - self.answers.keys())
        return self.done

    def _hosts(self) -> None:
        """Make the damaged rows of hosts that answered anew, under their ids, as of hosts that were never heard."""
        holders = self.tx.holders("host", self.answers)
        rows = self.tx.many(Host, holders.values())
        for name, uuid in holders.items():
            if uuid not in rows:
                self.tx.add(Host(uuid=uuid, name=name, wanted=HostWanted(zone=self.answers[name].zone)))

    # -- what the engine keeps -------------------------------------------------------------------------------------

    def _networks(self) -> None:
        tx = self.tx
        gone = {entry.uuid for entry in self.engine if entry.gone}
        nouns = [
            (noun, entry)
            for entry in sorted(self.engine, key=lambda entry: entry.revision)
            for noun in ([] if entry.gone or entry.uuid in gone else adopt.recalled(entry.record, "engine"))
        ]
        kinds = [kind for kind in NOUNS if kind != Port.KIND]
        for kind in kinds:
            for noun, entry in sorted(nouns, key=lambda pair: pair[0].created):
                if kind == noun.KIND:
                    self._network(noun, entry)
        for cls in (cls for cls in ENGINE if cls.KIND in kinds):
            for row in tx.many(cls, gone).values():
                if row.gone is None:
                    self._end(row)
        for row in tx.many(FloatingIp, gone).values():
            if row.gone is None:
                # Its address may be another's by now.
                tx.make_tombstone(row)
                self._settle(row.uuid)

    def _network(self, noun: Noun, entry: Recalled) -> None:
        """Make a noun of the engine's records, or bring an older row up to it."""
        tx = self.tx
        row = tx.get(type(noun), noun.uuid)
        if row is None:
            if not noun.wanted.gone:
                new_noun = tx.add(noun)
                tx.add_journal_line(SYSTEM, new_noun, f"{new_noun.KIND}.recover", outcome="done")
                self.done.adopted.append(new_noun.ec2_id)
            return
        # A noun that neither has the order nor belongs to that only came along.
        own = entry.uuid in (noun.uuid, noun.owner(entry.kind))
        ahead = (own and entry.revision > self._revision(entry)) or noun.is_ahead_of(row)
        if row.gone is None and not row.wanted.gone and ahead:
            adopt.put(tx, noun)
            tx.add_journal_line(SYSTEM, row, f"{row.KIND}.recover", outcome="done")
            self.done.advanced.append(row.ec2_id)

    def _revision(self, entry: Recalled) -> tuple[int, int]:
        """The revision that the store gave last to the noun of the order."""
        row = self.tx.get(NOUNS[entry.kind], entry.uuid)
        return row.revision if row is not None else entry.revision

    def _ports(self) -> None:
        """Ports are what the engine was told last; those of instances that no row has are judged by their hosts."""
        tx = self.tx
        gone = {entry.uuid for entry in self.engine if entry.gone}
        for row in tx.many(Port, gone).values():
            if row.gone is None and (row.wanted.index or not row.wanted.instance):
                # It was detached and deleted, or its instance ended: its addresses may be others' by now.
                tx.make_tombstone(row)
                self._settle(row.uuid)
        for entry in self.engine:
            if entry.uuid not in gone:
                for port in only(Port, adopt.recalled(entry.record, "engine")):
                    self._port(port, entry)
        self._let_go()
        self._drop_ended()
        for uuid in self._unreadable(gone, Router, Network, SecurityGroup, FloatingIp):
            if not tx.referrers(uuid):
                self._drop(uuid)
        for port in tx.list(Port):
            if self._orphan(port):
                self._outlive(port)

    def _outlive(self, port: Port) -> None:
        """Want a port gone whose instance has ended, or have it be nobody's if it is to stay."""
        if port.wanted.delete_on_termination:
            self.tx.want_gone(port)
        else:
            port_rules.detached(self.tx, port)

    def _port(self, noun: Port, entry: Recalled) -> None:
        """Make a port that the engine has, or bring one up to it whose instance's host knows less, or is silent."""
        row = self.tx.get(Port, noun.uuid)
        instance = noun.wanted.instance or ""
        if self.tx.get(Instance, instance) is not None or instance in self.tx.unreadable:
            noun = msgspec.structs.replace(noun, assigned=msgspec.structs.replace(noun.assigned, host="", loopback=""))
        if row is None:
            self.tx.add(noun)
            return
        order_revisions = (order.revision for order, _ in self.held.get(instance, ()))
        if row.gone is None and not row.wanted.gone and entry.revision > max((row.revision, *order_revisions)):
            adopt.put(self.tx, noun)

    def _let_go(self) -> None:
        """Instances whose ports the engine was told to remove were terminated, whatever their hosts hold.

        That is all of their ports, or the first one, which leaves at the end alone. Their addresses may be others' by
        now.
        """
        tx = self.tx
        gone = {entry.uuid for entry in self.engine if entry.gone}
        instance_uuids = {port.wanted.instance or "" for port in tx.many(Port, gone).values() if port.gone is None}
        unreadable = self._unreadable(gone, Port)
        if unreadable:
            instance_uuids |= {
                uuid for port, kind, uuid in tx.references() if port in unreadable and kind == Instance.KIND
            }
        for uuid in instance_uuids:
            row = tx.get(Instance, uuid)
            ports = tx.referring(Port, [uuid])
            owned = {source for kind, source, _ in tx.referrers(uuid) if kind == Port.KIND}
            if owned <= gone and row is None and uuid in tx.unreadable and uuid not in self.held:
                self.ended.add(uuid)
            first = {port.uuid for port in ports if not port.wanted.index}
            if row is None or row.gone is not None or not (owned <= gone or first & gone):
                continue
            for port_uuid in owned.intersection(unreadable):
                tx.drop(port_uuid)
            row = self._end(row)
            tx.make_tombstone(*(port for port in ports if port.uuid in gone))
            for port in ports:
                if port.uuid not in gone and not port.wanted.gone:
                    self._outlive(port)
            for volume in tx.referring(Volume, [uuid]):
                tx.want_gone(volume)
            tx.assign(row, msgspec.structs.replace(row.assigned, loopback=""))

    def _orphan(self, port: Port) -> bool:
        """Whether its instance is nowhere: its launch reached nobody, or it was removed; not if its host is silent."""
        uuid = port.wanted.instance
        if not uuid or port.wanted.gone:
            return False
        row = self.tx.get(Instance, uuid)
        if row is not None:
            return row.gone is not None
        return uuid in self.ended or (port.assigned.host in self.answers and uuid not in self.held)

    def _silent(self, row: Instance) -> set[str]:
        """The hosts that may have a body of it and did not answer."""
        return {host for host in (row.assigned.host, *row.assigned.clear) if host} - self.answers.keys()

    def _evidence(self, row: Instance, engine_uuids: set[str]) -> contest.Evidence:
        """How much of an instance was found, `engine_uuids` being the ports and other nouns that the engine has."""
        if self._silent(row):
            return contest.UNHEARD
        return (row.uuid in self.held) + any(port.uuid in engine_uuids for port in self.tx.referring(Port, [row.uuid]))

    def _defaults(self) -> None:
        """Every default router has its default group, should that have been nowhere."""
        for router in self.tx.list(Router):
            pool = f"securitygroup:{router.uuid}"
            group_names = {group.name for group in self.tx.referring(SecurityGroup, [router.uuid])}
            claimed = self.tx.claimed(pool, "default")
            group_names |= {"default"} if claimed and claimed[1] in self.tx.unreadable else set()
            if router.wanted.default and not router.wanted.gone and "default" not in group_names:
                if claimed:
                    self.tx.unclaim(pool, "default", claimed[1])
                securitygroup.default(self.tx, router.project, router.uuid, ipv6=bool(router.ipv6_cidrs))

    def _floating(self) -> None:
        """An address that a port has which nobody knows is nobody's."""
        for floating in self.tx.list(FloatingIp):
            port = self.tx.get(Port, floating.wanted.port) if floating.wanted.port else None
            if floating.wanted.port and (port is None or port.gone is not None or port.wanted.gone):
                unused = msgspec.structs.replace(floating.wanted, port=None, association="", private="")
                self.tx.want(floating, unused)

    def _forgotten(self) -> None:
        """Rows of what a host was ordered to remove, and was allowed to forget, after this copy was made.

        It held all that was placed there when the store vouched for that. A body that is there without an order was not
        removed: its order was lost.
        """
        tx = self.tx
        for host, report in self.answers.items():
            if comparison.forgotten(tx, report):
                continue
            there = {*self.held, *self.captures, *report.unknown}
            placed = tx.many(Instance, tx.taken(f"host:{host}")).values()
            self.ended |= {row.uuid for row in placed if row.assigned.host == host} - there
            captured = tx.many(Image, tx.taken(on_host(host))).values()
            self.fetched |= {row.uuid for row in captured if row.assigned and row.assigned.host == host} - there

    # -- what hosts hold -------------------------------------------------------------------------------------------

    def _instances(self) -> None:
        order: list[tuple[float, str]] = []
        for uuid, orders in self.held.items():
            spec = max(orders, key=lambda pair: pair[0].revision)[0].spec
            order.append((spec.launched if isinstance(spec, InstanceSpec) else 0.0, uuid))
        for _, uuid in sorted(order):
            self._instance(uuid, self.tx.get(Instance, uuid))
        for row in self.tx.many(Instance, self.ended - self.held.keys()).values():
            if row.gone is None:
                self._gone(row)
        self._drop_ended()

    def _instance(self, uuid: str, row: Instance | None) -> None:
        """One that hosts hold orders of."""
        if uuid in self.ended:
            if row is not None and row.gone is None:
                self._gone(row)
            return
        order, host = max(self.held[uuid], key=lambda pair: (pair[0].spec is not None, pair[0].revision))
        if not isinstance(order.spec, InstanceSpec) or (row is not None and row.gone is not None):
            return
        if row is None or (order.revision > row.revision and not row.wanted.gone):
            body, unreadable = self.answers[host].bodies[uuid], uuid in self.tx.unreadable
            try:
                instance = adopt.make(self.tx, order.spec, host, body)
            except InvalidValue:
                return
            if row is not None:
                self._since(row, instance)
            self.tx.add_journal_line(SYSTEM, instance, "instance.recover", outcome="done")
            (self.done.adopted if row is None else self.done.advanced).append(instance.ec2_id)
            if row is None:
                self.made.append(instance)
            if unreadable:
                self._replay(instance)

    def _replay(self, row: Instance) -> None:
        """The copy may have been ahead of the host: what was asked before the copy was made is in its journal."""
        wanted = _replayed(self.tx, row)
        if wanted != row.wanted:
            row = self.tx.want(row, wanted)
        if wanted.gone:
            self._gone(row)

    def _tokens(self) -> None:
        """Tokens lead to the instances that were made for them: those of a lost time are in the orders' records."""
        launches: dict[tuple[str, str], list[Instance]] = {}
        for row in self.made:
            if row.wanted.token and self.tx.now - row.created < TOMBSTONE:
                launches.setdefault((row.project, row.wanted.token), []).append(row)
        for (project, token), rows in launches.items():
            uuids = [row.uuid for row in sorted(rows, key=lambda row: row.wanted.launch_index)]
            digest, at = rows[0].wanted.asked, rows[0].created
            self.tx.restore_token(project, LAUNCH, token, digest, uuids, at)

    def _images(self) -> None:
        """Captures are as the hosts that have them say. A capture fetched in the lost time is not made anew."""
        tx = self.tx
        for uuid, orders in self.captures.items():
            order, host = max(orders, key=lambda pair: (pair[0].spec is not None, pair[0].revision))
            if order.spec is None and order.why == "gone":
                self.ended.add(uuid)
            for noun in only(Image, adopt.recalled(order.spec.record, "host") if order.spec is not None else []):
                is_known = tx.get(Image, uuid) is not None or uuid in self.ended
                if not is_known and tx.get(Project, noun.project) is not None:
                    assigned = images.Assigned(host=host)
                    image = tx.add(msgspec.structs.replace(noun, assigned=assigned, seen=images.Seen()))
                    tx.add_journal_line(SYSTEM, image, "image.recover", outcome="done")
                    self.done.adopted.append(image.ec2_id)
        images_met = tx.many(Image, self.ended | self.fetched)
        for uuid in self._unreadable(self.ended, Image):
            self._drop(uuid)
        for row in images_met.values():
            if row.gone is not None or row.wanted.gone or row.assigned is None:
                continue
            if row.uuid in self.ended:
                self._end(row)
            elif images.state(row) is images.State.PENDING and row.uuid not in self.captures:
                text = "The cloud had it, and forgot that when its database was restored."
                lost = SeenFault(code="CaptureLost", message=text, permanent=True, at=tx.now)
                tx.see(row, msgspec.structs.replace(row.seen or images.Seen(), fault=lost))
                tx.settle([line.id for line in tx.unsettled([row.uuid])], "failed", f"{lost.code}: {lost.message}")

    def _since(self, row: Instance, instance: Instance) -> None:
        """Apply the changes that were asked for since the store was recovered without the host: the newer one wins."""
        new = merged(row, instance)
        if new != instance:
            self.tx.want(instance, new.wanted, name=new.name, tags=new.tags)

    def _gone(self, row: Instance) -> None:
        """A host remembers that it was removed for good: a tombstone, or on the way to one where a body may be left."""
        tx = self.tx
        ports = tx.referring(Port, [row.uuid])
        owned = [*ports, *tx.referring(Volume, [row.uuid])]
        row = self._end(row)
        for noun in owned:
            tx.want_gone(noun)
        let_go = {entry.uuid for entry in self.engine if entry.gone}
        # Of a port that the engine never heard of, an order may be under way still: it has to be told to refuse that.
        refused = all(port.uuid in let_go for port in ports)
        if row.uuid not in self.held and not self._silent(row) and refused:
            self._finish_removal(row)

    def _end(self, row: N) -> N:
        """Want a row gone, which is a removal unless it was to go already."""
        if not row.wanted.gone:
            self.done.removed.append(row.ec2_id)
        return self.tx.want_gone(row)

    def _finish_removal(self, row: Instance) -> None:
        """The row and all it owns become tombstones; usage is counted anew afterwards."""
        tx = self.tx
        row = tx.want_gone(row)
        row = tx.assign(row, msgspec.structs.replace(row.assigned, host=None, clear={}))
        for port in tx.referring(Port, [row.uuid]):
            if port.wanted.delete_on_termination or port.wanted.gone:
                tx.make_tombstone(port)
            else:
                port_rules.detached(tx, port)
        tx.make_tombstone(*tx.referring(Volume, [row.uuid]), row)
        self._settle(row.uuid)

    def _settle(self, uuid: str) -> None:
        """Nothing that was asked of this is awaited any more, for it is gone."""
        for entry in self.tx.journal(uuid, open_only=True, limit=None):
            self.tx.settle([entry.id], "done" if entry.verb in ENDS else "superseded")

    def _unreadable(self, uuids: set[str], *classes: type[Noun]) -> list[str]:
        """Return the uuids that belong to unreadable rows of `classes` met so far, of these uuids."""
        kinds = {cls.KIND for cls in classes}
        return [row.uuid for row in self.tx.unreadable.values() if row.uuid in uuids and row.kind in kinds]

    def _drop_ended(self) -> None:
        """Drop the unreadable rows of instances that are gone, with those of what they own.

        A row stays where a host that did not answer may have a body of the instance.
        """
        tx = self.tx
        for uuid in self._unreadable(self.ended, Instance):
            hosts = {pool.partition(":")[2] for pool, _, _ in tx.claims(uuid) if pool.startswith("host:")}
            if hosts - self.answers.keys():
                continue
            tx.make_tombstone(*tx.referring(Volume, [uuid]))
            tx.referring(Port, [uuid])  # what the engine has of these is made anew, and removed
            for owned in self._unreadable({source for _, source, _ in tx.referrers(uuid)}, Port, Volume):
                tx.drop(owned)
            self._drop(uuid)

    def _drop(self, uuid: str) -> None:
        """Delete an unreadable row of what is gone, as if the copy lacked it: read again, it would live."""
        self.done.removed.append(self.tx.unreadable[uuid].ec2_id)
        self.tx.drop(uuid)
        self._settle(uuid)

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _again(self) -> None:
        """Have everything ordered again, above all earlier orders, but what may be of a host that did not answer."""
        tx = self.tx
        for row in tx.list(Instance):
            if self._silent(row):
                comparison.wait(tx, row)
                continue
            hosts = {*row.assigned.clear, *(host for _, host in self.held.get(row.uuid, ()))} - {row.assigned.host}
            fresh = tx.revise(row)
            clear = dict.fromkeys(sorted(hosts), fresh.revision)
            fresh = tx.assign(fresh, msgspec.structs.replace(fresh.assigned, content="", clear=clear, unheard=None))
            tx.wake(fresh)
        for image in tx.list(Image):
            capture_hosts = {host for _, host in self.captures.get(image.uuid, ())}
            assigned = image.assigned
            if assigned is not None and (capture_hosts or not images.converged(image)):
                image = tx.revise(image)  # noqa: PLW2901  (the row after the change)
                clear = dict.fromkeys(sorted({*assigned.clear, *capture_hosts} - {assigned.host}), image.revision)
                tx.wake(tx.assign(image, msgspec.structs.replace(assigned, content="", clear=clear)))
        for cls in ENGINE:
            for noun in tx.list(cls):
                tx.revise(noun, msgspec.structs.replace(noun.assigned, content=""))
                tx.wake(noun)

    def _renumber(self, losers: set[str]) -> bool:
        """Of two that had one number while they did not know of each other, one gets another at the next look."""
        for row in self.tx.many(Instance, losers).values():
            self.tx.assign(row, msgspec.structs.replace(row.assigned, number=0))
        return bool(losers)

    def _yield(self) -> bool:
        """Rows that lost what they claim to others, and of which nothing is left anywhere, were gone before.

        An instance that is half there has never been reached: it gets other addresses.
        """
        tx = self.tx
        lost = recount.claims(tx) - recount.held(tx)
        losers = {uuid for _, _, uuid in lost}
        engine_uuids = {entry.uuid for entry in self.engine if not entry.gone}
        changed = self._renumber({uuid for pool, _, uuid in lost if pool == number_rules.POOL})
        changed = carried.give_way(tx, losers) or changed
        for row, evidence in contest.losers(tx, lambda row: self._evidence(row, engine_uuids)):
            if evidence == contest.NOTHING:
                self._finish_removal(row)
                self.done.removed.append(row.ec2_id)
            else:
                contest.move(tx, row)
            changed = True
        for port in tx.many(Port, losers).values():
            if port.wanted.gone:
                contest.leave(tx, port)
                changed = True
        for floating in tx.many(FloatingIp, losers - engine_uuids).values():
            tx.make_tombstone(floating)
            self.done.removed.append(floating.ec2_id)
            changed = True
        for group in tx.many(SecurityGroup, losers).values():
            tx.want(group, name=f"{group.name}-{group.ec2_id}"[:255])
            changed = True
        for router in tx.many(Router, losers).values():
            tx.assign(router, msgspec.structs.replace(router.assigned, address=""))
            changed = True
        return changed


def _replayed(tx: Reader, row: Instance) -> Wanted:
    """The `wanted` of a row that was made of its host's order, brought up to the journal: power, reboots, its end.

    Tags and attributes that were changed after that order are not in the journal.
    """
    wanted = row.wanted
    for line in tx.journal(row.uuid, limit=None):
        if line.verb in _POWER and line.goal > wanted.power.n:
            state = _POWER[line.verb]
            since = wanted.power_since if state == wanted.power.state else line.goal
            wanted = msgspec.structs.replace(wanted, power=Power(state=state, n=line.goal), power_since=since)
        elif line.verb == "instance.reboot":
            wanted = msgspec.structs.replace(wanted, reboot=max(wanted.reboot, line.goal))
        elif line.verb == "instance.terminate":
            wanted = msgspec.structs.replace(wanted, gone=True)
    return wanted
