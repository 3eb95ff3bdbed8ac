"""The doctor's part of the store: what rows say there should be, where they disagree, and what of it is set right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pileus.bus.messages import BodyReport, Order
from pileus.model.errors import NotFound
from pileus.model.finding import Finding
from pileus.model.host import Host
from pileus.model.instance import Instance
from pileus.model.noun import Noun
from pileus.model.nouns import ENGINE
from pileus.model.provider import BodyRef
from pileus.model.views import StoreView
from pileus.rules import confirmation, recount
from pileus.rules.doctor import count_findings, living_rows, view, wake_findings
from pileus.rules.rights import requires
from pileus.verbs import adopt as adoption

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.instance import Body
    from pileus.model.spec import InstanceSpec
    from pileus.rules.core import Core

log = structlog.get_logger()


@requires("administrator", "examines a cloud")
def look(caller: Caller, core: Core) -> StoreView:
    """Return the store's wanted state, and its contradictions with itself. For administrators. Raises Forbidden."""
    del caller
    with core.store.read() as tx:
        return view(tx, core.store.now())


@requires("administrator", "examines a cloud")
def mend(caller: Caller, core: Core) -> list[Finding]:
    """Set claims, usage and wakes right, by what the rows say; what of it is still wrong. Raises Forbidden."""
    del caller
    with core.store.write() as tx:
        for finding in wake_findings(tx, living_rows(tx), core.store.now()):
            if finding.code == "WakeLeaked":
                tx.unwake(finding.kind, finding.ident)
        recount.set_right(tx)
        return list(count_findings(tx))


@requires("administrator", "examines a cloud")
def confirm(caller: Caller, core: Core) -> None:
    """Confirm the users, keys, grants and projects of a recovered store as they are now. Raises Forbidden."""
    with core.store.write() as tx:
        confirmation.confirm(tx)
    log.info("the rights of a recovered database are confirmed", user=caller.user_name)


@requires("administrator", "examines a cloud")
def sweep(caller: Caller, core: Core, kind: str, uuid: str) -> None:
    """Have the network engine, or for an instance every host, forget a noun that is gone.

    Raises Forbidden, NotFound unless it is a tombstone (what has no row is not known to be gone), Fault.
    """
    del caller
    bodied: tuple[type[Noun], ...] = (Instance, *ENGINE)
    cls = next((cls for cls in bodied if kind == cls.KIND), None)
    with core.store.write() as tx:
        row = tx.get(cls, uuid) if cls is not None else None
        if row is None or row.gone is None:
            raise NotFound(f"No {kind} '{uuid}' was confirmed to be gone.", noun=kind, ident=uuid)
        # Above every order that it was ever given.
        revision, opening = tx.bump(), tx.opening
        hosts = [host.name for host in tx.list(Host)]
    if row.KEEPER == "host":
        for host in hosts:
            core.hosts.send(host, Order(uuid=uuid, revision=revision, why="gone", opening=opening))
    else:
        core.networks.remove(BodyRef(kind=kind, uuid=uuid, revision=revision))


@requires("administrator", "examines a cloud")
def adopt(caller: Caller, core: Core, spec: InstanceSpec, host: str, body: Body) -> Instance:
    """Take an instance that no row knows into the store, as the order or guest on `host` says that it was made.

    Its body goes on as it is. Raises Forbidden, and what `adopt.adopt` raises.
    """
    report = BodyReport(running=body.running, n=body.n, reboot=body.reboot, satisfied=body.satisfied, ever=True)
    return adoption.adopt(caller, core, spec, host, report)
