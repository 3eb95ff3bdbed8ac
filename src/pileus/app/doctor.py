"""`pileus doctor`: looks at the machine, and at store, host, libvirt, OVN and disk; says where they disagree.

Looks twice: what is on its way is in one look and not in the other. Destroys nothing that is not known to be gone.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from pileus.app import kits, processes, settings
from pileus.app.condition import condition, described
from pileus.app.state import StateDirectory
from pileus.cli.client import connect
from pileus.cli.findings import Diagnosis
from pileus.cli.problem import Problem
from pileus.host.book import DAMAGED
from pileus.host.view import read as read_book
from pileus.model import agreement
from pileus.model.errors import Fault, NotFound
from pileus.model.finding import Finding
from pileus.model.kit import Kit, Machine
from pileus.model.views import BookView, Held, StoreView
from pileus.model.within import WITHIN_CLOUD
from pileus.objects.files import listed, place
from pileus.posix.files import read_json
from pileus.rules import doctor
from pileus.store.store import Store

STORE = "the store"
_OF_THE_STORE = frozenset({"ClaimLeaked", "ClaimMissing", "UsageWrong", "WakeLeaked"})
"""The codes of what the cloud sets right in its own store."""

_OF_TOMBSTONES = frozenset({"OvnLeaked", "OrderLeaked"})
"""The codes of what the cloud has others forget, once it finds that they are gone."""

Say = Callable[[str], None]


class _Look(msgspec.Struct):
    """One look at everything."""

    host: BookView
    store: StoreView | None
    strays: dict[str, Held]
    """The orders and bodies of guests that no row has, by uuid: as ordered, else as the guests say of themselves."""

    findings: dict[tuple[str, str, str], Finding]
    unchecked: dict[str, str]


def examine(state: StateDirectory, *, pause: float) -> Diagnosis:
    """Examine the cloud of `state`; two looks, `pause` seconds apart, where the first one finds anything.

    Raises Problem when there is no cloud.
    """
    report, _ = _examine(state, pause)
    return report


def repair(state: StateDirectory, say: Say, *, pause: float) -> Diagnosis:
    """Examine, mend what can be mended safely, and examine again. Raises Problem."""
    before, look = _examine(state, pause)
    wanted = [finding for finding in before.findings if finding.meaning.mend == "repair"]
    if not wanted:
        return before
    # Who mends logs what it does, and standard output is for the report alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    mended_store = False
    for finding in wanted:
        try:
            if finding.code in _OF_THE_STORE:
                if not mended_store:
                    connect(state.root).post("doctor", "mend")
                mended_store = True
            elif finding.code in _OF_TOMBSTONES:
                connect(state.root).delete("doctor", finding.kind, finding.ident)
            else:
                _machine(state).repair(finding, look.host, look.store)
        except (Problem, Fault, OSError) as error:
            say(f"{finding.code} {finding.ident} is not mended: {getattr(error, 'message', error)}")
    return _examined_again(state, wanted, pause)


def confirm(state: StateDirectory) -> None:
    """Confirm users, keys, grants and projects of a recovered store as they are now. Raises Problem."""
    connect(state.root).post("doctor", "confirm")


def adopt(state: StateDirectory, ident: str, *, pause: float) -> Diagnosis:
    """Take the instance `ident` (uuid or EC2 id), which no row names, into the store; then examine. Raises Problem."""
    before, look = _examine(state, pause)
    matching_strays = {
        uuid: stray for uuid, stray in look.strays.items() if ident in (uuid, stray.spec.ec2_id if stray.spec else "")
    }
    wanted = [
        finding for finding in before.findings if finding.meaning.mend == "adopt" and finding.ident in matching_strays
    ]
    if not wanted:
        raise Problem(f"No guest without a row is called {ident}; 'pileus doctor --state {state.root}' names them.")
    stray = matching_strays[wanted[0].ident]
    body = {"spec": stray.spec, "host": _host(state), "body": stray.body}
    connect(state.root).post("doctor", "adopt", body=msgspec.to_builtins(body))
    return _examined_again(state, wanted, pause)


def _examined_again(state: StateDirectory, wanted: list[Finding], pause: float) -> Diagnosis:
    """Examine, and report those findings as mended that are not there any more."""
    after, _ = _examine(state, pause)
    remaining_keys = {finding.key for finding in after.findings}
    mended = tuple(finding for finding in wanted if finding.key not in remaining_keys)
    return msgspec.structs.replace(after, mended=mended)


def _examine(state: StateDirectory, pause: float) -> tuple[Diagnosis, _Look]:
    kit = kits.of(state)
    if kit is None and not state.endpoints.exists():
        raise Problem(f"There is no cloud in {state.root}: pileus up makes one.")
    see = functools.partial(_side, state) if kit is None else functools.partial(_look, state, kit)
    look = see()
    if look.findings:
        time.sleep(pause)
        again = see()
        again.findings = {key: finding for key, finding in again.findings.items() if key in look.findings}
        look = again
    facts = {"cloud": f"several processes, at {next(iter((read_json(state.endpoints) or {}).values()), None)}"}
    if kit is not None:
        facts = {**described(state), **_machine(state).facts()}
    facts |= _unneeded(state, look.store)
    findings = tuple(sorted(look.findings.values(), key=lambda finding: (finding.meaning.severity, finding)))
    return Diagnosis(facts=facts, findings=findings, unchecked=look.unchecked), look


def _side(state: StateDirectory) -> _Look:
    """One look at the cloud's side of several machines; the network engine first, as below."""
    unchecked = {"the hosts": "pileus doctor says on each of them what is there"}
    findings: list[Finding] = []
    engine = _machine(state).look_at_engine()
    unchecked |= engine.unchecked if engine is not None else {}
    try:
        store = msgspec.convert(connect(state.root).get("doctor"), StoreView)
    except Problem as problem:
        store, unchecked[STORE] = None, problem.message
    if store is not None:
        findings += [*store.findings, *_objects(state, store)]
    if store is not None and engine is not None:
        findings += engine.agree(store)
    return _Look(BookView(), store, {}, {finding.key: finding for finding in findings}, unchecked)


def _look(state: StateDirectory, kit: Kit) -> _Look:
    """Bodies first, then orders, then rows: whatever is made meanwhile is known to who is asked later."""
    bodies = _machine(state).look(processes.owner(state.pidfile("host")))
    unchecked = dict(bodies.unchecked) if bodies is not None else {}
    findings: list[Finding] = []
    host = _book(state, unchecked, findings)
    store = _store(state, unchecked, findings)
    findings += condition(state, kit, silent=() if STORE not in unchecked else ("cloud",))
    findings += agreement.clocks(store, host, time.time())
    if store is not None:
        findings += store.findings
    if store is not None and host is not None:
        findings += agreement.orders(store, host, _host(state))
    # Without the orders everything on this machine would look like a leftover.
    if bodies is not None and host is not None:
        findings += bodies.compare(host, store)
        findings += _objects(state, store) if store is not None else ()
    host = host or BookView()
    strays = {**(bodies.strays() if bodies is not None else {}), **host.orders}
    return _Look(host, store, strays, {finding.key: finding for finding in findings}, unchecked)


def _book(state: StateDirectory, unchecked: dict[str, str], findings: list[Finding]) -> BookView | None:
    try:
        view = read_book(state.host)
    except (OSError, msgspec.MsgspecError) as error:
        unchecked["what this machine's host holds"] = str(error)
        findings.append(Finding(code="BookUnreadable", kind="host", ident=_host(state), detail=str(error)))
        return None
    for name in view.damaged:
        detail = f"set aside as {state.host / DAMAGED / name}"
        what = name.partition(".")[0]
        kind, ident = ("host", _host(state)) if what == "start" else ("instance", what)
        findings.append(Finding(code="BookUnreadable", kind=kind, ident=ident, detail=detail))
    return view


def _host(state: StateDirectory) -> str:
    """Return the name of this machine's host."""
    if state.joined.exists():
        return str((read_json(state.joined) or {}).get("name", ""))
    kit = kits.of(state)
    return WITHIN_CLOUD if kit is not None and not kit.own_process else socket.gethostname()


def _objects(state: StateDirectory, store: StoreView) -> Iterator[Finding]:
    for digest in store.images:
        try:
            there = place(state.objects, digest).is_file()
        except NotFound:
            there = False
        if not there:
            yield Finding(code="ObjectMissing", kind="image", ident=digest)


def _unneeded(state: StateDirectory, store: StoreView | None) -> dict[str, str]:
    """Return the size of the objects in the store that nothing names any more, in words."""
    if store is None or store.objects is None:
        return {}
    needed = frozenset(store.objects)
    sizes = [stored.size for stored in listed(state.objects) if stored.digest not in needed]
    if not sizes:
        return {}
    days = settings.read().keep_objects
    when = f"they go {days} days after they were named last" if days else "they stay"
    return {"objects": f"{len(sizes)}, of {sum(sizes) / (1 << 30):.1f} GiB, are named by nothing any more: {when}"}


def _store(state: StateDirectory, unchecked: dict[str, str], findings: list[Finding]) -> StoreView | None:
    """The store's view: asked of the cloud, or read from a copy of the database while nobody has it open."""
    if state.joined.exists():
        unchecked[STORE] = "it is the cloud's: this machine is one of its hosts"
        return None
    try:
        if processes.owner(state.pidfile("cloud")) is not None:
            return msgspec.convert(connect(state.root).get("doctor"), StoreView)
        view = _from_copy(state)
    except Problem as problem:
        unchecked[STORE] = problem.message
        return None
    except Exception as error:  # noqa: BLE001  (a damaged database raises what it likes: that is what is said)
        unchecked[STORE] = str(error).partition("\n")[0]
        findings.append(Finding(code="StoreUnreadable", kind="store", ident="database", detail=unchecked[STORE]))
        return None
    # A host that is not heard, and a wake that is late, are no findings of a cloud that does not run.
    relevant_findings = tuple(finding for finding in view.findings if finding.code not in ("HostSilent", "WakeLate"))
    return msgspec.structs.replace(view, findings=relevant_findings)


def _from_copy(state: StateDirectory) -> StoreView:
    """Return the view of a copy of the database: files beside the original would not be writable for its own user."""
    elsewhere = settings.read().database("")
    if elsewhere:
        return _read(elsewhere)
    database = Path(state.database.removeprefix("sqlite:///"))
    if not database.exists():
        raise FileNotFoundError(f"there is no {database}")
    with tempfile.TemporaryDirectory(prefix="pileus-doctor-") as folder:
        for suffix in ("", "-wal"):
            _copy(database.with_name(database.name + suffix), Path(folder))
        if processes.owner(state.pidfile("cloud")) is not None:
            raise Problem("the cloud is just starting")
        return _read(f"sqlite:///{folder}/{database.name}")


def _read(url: str) -> StoreView:
    store = Store(url)
    try:
        with store.read() as tx:
            return doctor.view(tx, store.now())
    finally:
        store.close()


def _copy(file: Path, folder: Path) -> None:
    """Copy a plain file that is there; what else the cloud's user may have laid there is passed over."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as source:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with (folder / file.name).open("xb") as target:
                shutil.copyfileobj(source, target)


def _machine(state: StateDirectory) -> Machine:
    """The machine's part of the cloud: of the default provider, where this is a side without a host."""
    return kits.machine(kits.of(state) or kits.load(), state)
