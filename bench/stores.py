"""Transactions per second of each kind of database, beside SQLite in the same run; servers of its own, on this disk.

`python -m bench.stores`: of one writer and of eight (write transactions are one at a time on each), and snapshots that
look one claim up. A line each, as all benches print: NAME ratio=R ours=… peer=…
where ours is the server and peer is SQLite with the same durability.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable

from sqlalchemy import create_engine, text

from pileus.model.flavor import Flavor
from pileus.model.flavor import Wanted as FlavorWanted
from pileus.model.ids import new_uuid
from pileus.store.dialect import dialect_of
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

SECONDS = 3.0


def flavor() -> Flavor:
    """A row to write."""
    return Flavor(uuid=new_uuid(), name="f", project="", wanted=FlavorWanted(vcpus=1, memory=64, disk=1))


def rate(once: Callable[[], object], threads: int = 1) -> float:
    """How often in a second so many threads do it."""
    done, end = [0] * threads, time.monotonic() + SECONDS

    def go(number: int) -> None:
        while time.monotonic() < end:
            once()
            done[number] += 1

    workers = [threading.Thread(target=go, args=(number,)) for number in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.monotonic() - began)


def figures(url: str) -> dict[str, float]:
    """All figures of one database."""
    store = Store(url, sync="full")
    migrate(store.engine)
    known = flavor()
    with store.write() as tx:
        tx.add(known)

    def write() -> None:
        with store.write() as tx:
            tx.add(flavor())

    def read() -> None:
        with store.read() as tx:
            tx.claimed("mac", "a")

    found = {"write": rate(write), "write-of-8": rate(write, 8), "read": rate(read)}
    store.close()
    return found


def database(server: Postgresql | Mariadb) -> str:
    """A database of our own."""
    engine = create_engine(dialect_of(server.url, "normal").sql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE bench"))
    engine.dispose()
    return f"{server.url.rpartition('/')[0]}/bench"


def main() -> None:
    """Measure."""
    for kind in (Postgresql, Mariadb):
        server = kind(durable=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                peer = figures(f"sqlite:///{folder}/store.db")
            ours = figures(database(server))
        finally:
            server.remove()
        for name, value in ours.items():
            line = f"store-{name}-{kind.name} ratio={value / peer[name]:.2f} ours={value:.0f}/s peer={peer[name]:.0f}/s"
            print(line, flush=True)


if __name__ == "__main__":
    main()
