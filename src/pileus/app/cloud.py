"""The cloud process: API and loops, with the store to itself. On our own hosts it runs as an unprivileged user."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal

import msgspec
import structlog
import uvloop

from pileus.app import faceports, faces, listeners, logs, settings
from pileus.app.http import Edge
from pileus.app.internal import ObjectServer
from pileus.app.listeners import Listeners
from pileus.app.state import ACCOUNT_KEYS, StateDirectory
from pileus.app.wiring import Cloud, build
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import DamagedRow, Duplicate, Unavailable
from pileus.model.host import Host
from pileus.model.kit import Kit
from pileus.posix.files import read_json, write_json
from pileus.rules.instance.session import credentials
from pileus.store.reader import Reader
from pileus.store.store import Store
from pileus.verbs import flavor, grant, network, user
from pileus.verbs.imageupload import Disk, ImageUpload, register

ADMIN = "admin"
Heard = dict[str, tuple[int, int]]

RETRY = 0.5
"""Seconds before a cloud that could not begin tries again: each try writes a line to the log."""

REPLACED = 0.5
"""Seconds between looks at whether the database's file is still the one that was opened."""

log = structlog.get_logger()


def serve(state: StateDirectory, kit: Kit, listener: socket.socket) -> None:
    """Run the cloud of `state` behind `listener` until SIGTERM or SIGINT. Writes the endpoints last of all."""
    state.ready.unlink(missing_ok=True)
    state.recovery.unlink(missing_ok=True)
    # Requests hand the interpreter over at every answer: waiting 5 ms for it would be most of their time.
    sys.setswitchinterval(0.0001)
    chosen = settings.read(kit=kit)
    logs.configure(chosen.log_level)
    cloud_listeners = listeners.prepare(state, chosen, listener, faceports.listen_all(state, kit))
    cloud = build(state, chosen, kit, join=cloud_listeners.join, fingerprint=cloud_listeners.fingerprint)
    try:
        # The process that leased wakes before is dead: this process has the pid file.
        cloud.core.store.release_wakes()
        before = heard(cloud.core.store)
        cloud.start()
        _tune_collector()
        with contextlib.closing(Edge(cloud)) as edge, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            is_open = functools.partial(_open, cloud, state, kit, before, frozenset(cloud_listeners.own))
            runner.run(_serve(edge, cloud, state, cloud_listeners, is_open))
    finally:
        state.ready.unlink(missing_ok=True)
        cloud.stop()


def _tune_collector() -> None:
    """Leave what lives as long as the process out of every collection, and look less often: lists make many values.

    Without a collection first: of all that was loaded it would find a thousand values, in a tenth of the start.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 20)


Credentials = Literal["kept", "renewed", "new"]


def begin(cloud: Cloud, state: StateDirectory, kit: Kit) -> Credentials:
    """Make what every cloud has from its first start on: flavors, an administrator, and the kit's public images.

    Returns what became of the administrator's credentials: kept, renewed for those that the store does not know (any
    more), or new with a user that had been lost with its store. Safe to repeat.
    """
    flavor.seed(SYSTEM, cloud.core)
    network.complete(SYSTEM, cloud.core)
    grant.complete(SYSTEM, cloud.core)
    admin, credentials = _administrator(cloud, state)
    for image in kit.images():
        stored = cloud.objects.put([image.content])
        upload = ImageUpload(
            name=image.name, kind=image.kind, login_user=image.login_user, public=True, description=image.description
        )
        register(admin, cloud.core, upload, Disk(image.format, image.virtual_size), stored.digest, stored.size)
    return credentials


def _administrator(cloud: Cloud, state: StateDirectory) -> tuple[Caller, Credentials]:
    account = read_json(state.account)
    caller = _known(cloud, str(account.get("token"))) if account else None
    if caller is not None:
        return caller, "kept"
    new_account, existed = _account(cloud)
    write_json(state.account, new_account, 0o600)
    caller = cloud.authority.by_token(new_account["token"], "app")
    if caller is None:
        raise RuntimeError(f"{state.account}: its token is unknown, though it was made just now")
    return caller, "kept" if account is None else "renewed" if existed else "new"


def _known(cloud: Cloud, token: str) -> Caller | None:
    """The caller with this token; None when the store does not know the token, or cannot read a row behind it."""
    try:
        return cloud.authority.by_token(token, "app")
    except DamagedRow:
        return None


def _account(cloud: Cloud) -> tuple[dict[str, str], bool]:
    """The administrator's account, made now, and whether it had one.

    Its token was revoked, or a start ended before it could say it.
    """
    try:
        account, existed = _renewed(cloud)
    except DamagedRow as error:
        log.warning("the administrator is made anew", reason=error.message)
        account, existed = user.remake(SYSTEM, cloud.core, ADMIN), True
    return {name: getattr(account, name) for name in ACCOUNT_KEYS}, existed


def _renewed(cloud: Cloud) -> tuple[user.Account, bool]:
    try:
        return user.create(SYSTEM, cloud.core, ADMIN, ADMIN, admin=True, limits={}), False
    except Duplicate:
        return user.renew(SYSTEM, cloud.core, ADMIN), True


async def _serve(
    edge: Edge, cloud: Cloud, state: StateDirectory, cloud_listeners: Listeners, is_open: Callable[[], bool]
) -> None:
    objects = ObjectServer(cloud.objects, state.internal, functools.partial(credentials, cloud.core, ""))
    await objects.start()
    try:
        async with cloud_listeners.serving(edge, cloud) as ended, _ending_when_replaced(cloud.core.store, state):
            while not ended.done() and not await asyncio.to_thread(is_open):  # noqa: ASYNC110  (once, at the start)
                await asyncio.sleep(0.02)
            if not ended.done():
                urls = cloud_listeners.endpoints(cloud.settings, faces.declared())
                write_json(state.ready, urls)
                log.info("ready", url=cloud_listeners.root(cloud.settings))
            await asyncio.wait([ended])
    finally:
        await objects.stop()


@contextlib.asynccontextmanager
async def _ending_when_replaced(store: Store, state: StateDirectory) -> AsyncIterator[None]:
    """Within the block, end this process at once when the database's file, or its log, is not the one that it opened.

    The supervisor starts it anew: it then compares the file that is there with its hosts, and recovers what is missing.
    It recovers a file that may lack something in any case: of users and their rights no host knows anything.
    Nothing is closed: SQLite would delete the log of the new file.
    """

    async def watch() -> None:
        while not store.replaced:  # noqa: ASYNC110  (threads find it out)
            await asyncio.sleep(REPLACED)
        complete = False
        with contextlib.suppress(OSError):
            complete = await asyncio.to_thread(store.abandon)
        if not complete:
            with contextlib.suppress(OSError):
                state.recover.touch()
        log.critical(
            "the database's file or log was deleted or replaced: this process ends, to begin anew with what is there",
            complete=complete,
        )
        sys.stdout.flush()
        os._exit(1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def heard(store: Store) -> Heard:
    """The order of the last report of each host, by the host's name."""
    with store.read() as tx:
        return _orders(tx)


def _orders(tx: Reader) -> Heard:
    return {host.name: (host.seen.epoch, host.seen.sequence) for host in tx.list(Host)}


def _is_heard(store: Store, before: Heard) -> bool:
    """Whether a host has reported since `before`; True also where that cannot be seen, for a host's row is damaged."""
    with store.read() as tx:
        return _orders(tx) != before or any(row.kind == Host.KIND for row in tx.unreadable.values())


def _open(
    cloud: Cloud, state: StateDirectory, kit: Kit, before: Heard, listening: frozenset[str] = frozenset()
) -> bool:
    """Whether requests can be served: the store was compared, and recovered if need be, and a host has reported.

    Without a report they are served once all hosts were waited for in vain. The administrator and the credentials are
    made then, and what faces need: all but those whose own listeners are not among `listening`.
    """
    try:
        if not cloud.recovery.opened:
            missing = list(cloud.recovery.missing())
            if "recovery" in missing and (read_json(state.recovery) or {}).get("missing") != missing:
                write_json(state.recovery, {"missing": missing})
            return False
        # A store that was opened without any host is served without one.
        if not (cloud.recovery.deserted or _is_heard(cloud.core.store, before)):
            return False
        credentials = begin(cloud, state, kit)
        faces.open_all(
            cloud.faces, lambda face: face.declaration.listener is None or face.declaration.name in listening
        )
    except Unavailable as error:
        log.warning("the cloud cannot begin yet", reason=error.message)
        # Within the store a try waits for the database; where the disk is full it fails at once.
        time.sleep(RETRY)
        return False
    outcome = cloud.recovery.outcome
    if outcome is not None:
        state.recover.unlink(missing_ok=True)
    if outcome is not None or credentials != "kept":
        done = msgspec.to_builtins(outcome) if outcome is not None else {}
        write_json(state.recovery, {**done, "credentials": credentials})
    return True
