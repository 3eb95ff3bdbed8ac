"""Whether a cloud can do what it is asked: its store can be read and written, its loops run, and a host reports."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from pileus.loops.standing import stands
from pileus.model import threads
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Host, alive
from pileus.store.store import Store

log = structlog.get_logger()


class Health(msgspec.Struct, frozen=True):
    """What cannot be had, and why, by name.

    Without what is `missing` ("store", or what the opening of the store waits for) requests are refused. Without what
    is `late` ("broker", "loops", "host", "threads") they are taken, and done when it is back.
    `unanswered` are the hosts ("host NAME") that the store was opened without although they report: the rest goes on.
    """

    missing: dict[str, str] = {}
    late: dict[str, str] = {}
    unanswered: dict[str, str] = {}


def look(
    store: Store,
    opening: Callable[[], dict[str, str]],
    connected: Callable[[], bool],
    unanswered: Callable[[], dict[str, str]] = dict,
) -> Health:
    """Return the health of this process now.

    `opening` says what is waited for until the store was compared with its hosts, `unanswered` which hosts it was
    opened without although they report, `connected` whether messages pass to and from hosts. A host that was not heard
    of for as long as makes one count as lost is none.
    """
    try:
        waiting = opening()
        if waiting:
            return Health(missing=waiting)
        with store.read() as tx:
            hosts, looped = tx.list(Host), not store.shared or stands(tx, store.now())
        # A process with loops writes reports every few seconds: what came of the last one is never old news. Another
        # one is asked for nothing while it is not well.
        if store.trouble is not None and store.shared:
            store.prove()
        if store.trouble is not None:
            return Health(missing={"store": store.trouble.message})
    except Unavailable as error:
        return Health(missing={"store": error.message})
    except Exception as error:
        log.exception("the store does not answer")
        words = f"The cloud's database cannot be used: {type(error).__name__}; the cloud's log tells more."
        return Health(missing={"store": words})
    late = {
        "broker": "" if connected() else "The broker does not answer; the log tells why.",
        "loops": "" if looped else "No 'pileus loops' has said lately that it works.",
        "host": "" if any(alive(host, store.now()) for host in hosts) else _NO_HOST,
        "threads": "; ".join(f"{name}: {why}" for name, why in sorted(threads.failing().items())),
    }
    return Health(late={name: why for name, why in late.items() if why}, unanswered=unanswered())


_NO_HOST = f"No host has reported within the last {LOST_AFTER:.0f} s; 'pileus status' tells what runs."
