"""The same suites, and the same promises, on PostgreSQL and on MariaDB; and what these servers can do to a cloud."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from pileus.app.processes import until
from pileus.app.settings import Settings
from pileus.model.errors import Duplicate, Unavailable
from pileus.model.flavor import Flavor
from pileus.model.user import User
from pileus.store import mariadb, postgresql
from pileus.store.dialect import STOPPED, TURN, dialect_of
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql
from tests.store.clock import flavor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Server = Postgresql | Mariadb

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=[Postgresql, Mariadb], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made: Server = request.param()
    yield made
    made.remove()


def say(server: Server, *words: str) -> None:
    """Have the administrator say something."""
    engine = create_engine(dialect_of(server.url, "normal").sql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for each in words:
            connection.execute(text(each))
    engine.dispose()


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    name = f"own_{abs(hash(request.node.name))}"
    return server.new(name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url)
    migrate(made.engine)
    yield made
    made.close()


@pytest.fixture
def patient(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """One whose connections would wait an hour for an answer: who is told sooner did not wait for that."""
    for dialect in (postgresql, mariadb):
        monkeypatch.setattr(dialect, "ANSWER", 3600)
    made = Store(url)
    migrate(made.engine)
    yield made
    made.close()


def together(count: int, what: Callable[[int], None]) -> None:
    """Run it in so many threads at once."""
    start = threading.Barrier(count)
    failed: list[BaseException] = []

    def one(number: int) -> None:
        start.wait()
        try:
            what(number)
        except BaseException as error:  # noqa: BLE001  (told by the thread that asked)
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def keep(store: Store, name: str) -> None:
    with store.write() as tx:
        tx.add(flavor(name))


def names(store: Store) -> set[str]:
    with store.read() as tx:
        return {one.name for one in tx.list(Flavor)}


SUITES = {
    "store": ["tests/store"],
    "loops": ["tests/loops/test_loops.py", "tests/loops/test_recover.py", "tests/loops/test_runner.py"],
    "worlds": [
        f"tests/loops/test_promises.py::test_every_promise_holds[{kind}]" for kind in ("forgetful", "copy", "gone")
    ],
    "verbs": [
        *(
            f"tests/verbs/test_{which}.py"
            for which in ("launch", "number", "view", "crowded", "placementgroup", "host")
        ),
        *(f"tests/rules/test_{which}.py" for which in ("place", "recenthosts", "recount")),
    ],
}


@pytest.mark.cost(120)
@pytest.mark.parametrize("suite", SUITES)
def test_the_suites_are_green(server: Server, suite: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--allow-hosts=127.0.0.1", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--timeout=300", *SUITES[suite]],
        cwd=ROOT,
        env={**os.environ, "PILEUS_TEST_STORE": server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.cost(20)
def test_of_64_threads_none_gets_what_another_has(store: Store) -> None:
    got: list[str] = []
    tokens: list[str] = []

    def ask(number: int) -> None:
        for turn in range(4):
            try:
                with store.write() as tx:
                    value = str(min(set(range(100)) - {int(taken) for taken in tx.taken("pool")}))
                    tx.claim("pool", value, flavor())
                    tx.count({("project:p", "ports"): 1})
                got.append(value)
            except ValueError:
                pass
            with store.write() as tx:
                if tx.repeated("p", "launch", f"token-{turn}", {}) is None:
                    made = tx.add(flavor(f"token-{turn}"))
                    tx.remember("p", "launch", f"token-{turn}", {}, [made.uuid])
                    tokens.append(made.uuid)

    together(64, ask)
    assert sorted(map(int, got)) == list(range(100))
    assert len(tokens) == 4
    with store.read() as tx:
        assert tx.usage() == {("project:p", "ports"): 100}
        assert len(tx.taken("pool")) == 100


def test_two_that_claim_the_same_value(store: Store) -> None:
    won: list[int] = []

    def ask(number: int) -> None:
        try:
            with store.write() as tx:
                tx.claim("mac", "a", flavor(str(number)))
            won.append(number)
        except Duplicate:
            pass

    together(16, ask)
    assert len(won) == 1


STARTS = """
import sys
from pileus.store.migrate import migrate
from pileus.store.store import Store
migrate(Store(sys.argv[1]).engine)
"""


@pytest.mark.cost(20)
def test_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    path = os.pathsep.join(sys.path)
    started = [
        subprocess.Popen([sys.executable, "-c", STARTS, url], env={"PYTHONPATH": path}, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(one.communicate()[1], one.returncode) for one in started] == [(b"", 0)] * 3
    store = Store(url)
    keep(store, "a")
    assert names(store) == {"a"}
    store.close()


HOLDS = """
import sys, time
from pileus.store.store import Store
from tests.store.clock import flavor
with Store(sys.argv[1]).write() as tx:
    tx.add(flavor("held"))
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.cost(30)
def test_a_process_that_is_stopped_while_it_writes_holds_nobody_up_for_long(store: Store, url: str) -> None:
    path = os.pathsep.join(sys.path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, url], env={"PYTHONPATH": path}, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        # Refused after a turn's time, if the server had not ended the other's transaction before.
        assert STOPPED < TURN
        keep(store, "after")
        assert holder.poll() is None
    finally:
        holder.kill()
        holder.communicate()
    assert names(store) == {"after"}


@pytest.mark.cost(30)
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_comes_back_is_used_again(server: Server, patient: Store, how: str) -> None:
    store = patient
    together(8, lambda number: keep(store, f"before-{number}"))
    getattr(server, how)()
    server.start()
    # Every connection of the pool is dead, and nobody notices.
    together(8, lambda number: keep(store, f"after-{number}"))
    assert len(names(store)) == 16
    with pytest.raises(Unavailable) as caught, store.write() as tx:  # noqa: PT012  (it is the middle that fails)
        tx.add(flavor("never"))
        getattr(server, how)()
        tx.add(flavor("never, too"))
    assert (caught.value.noun, caught.value.reason) == ("store", "unreachable")
    # Nobody waits for it to come back: that is only now.
    with pytest.raises(Unavailable) as caught:
        names(store)
    assert caught.value.reason == "unreachable"
    server.start()
    assert len(names(store)) == 16
    keep(store, "again")
    assert store.trouble is None


@pytest.mark.cost(30)
def test_nobody_waits_long_for_a_server_that_says_nothing(patient: Store, server: Server) -> None:
    """Those who ask are answered while it is still silent, however long each of them would wait for it by itself."""
    store = patient
    keep(store, "before")

    def ask(number: int) -> None:
        with pytest.raises(Unavailable) as caught:
            keep(store, f"never-{number}") if number % 2 else names(store)
        # A commit that nobody confirmed is kept, or not.
        assert caught.value.reason in ("unreachable", "unknown")

    server.pause()
    try:
        together(8, ask)
        # Who comes while it is known to say nothing is sent away, and does not wait at all.
        with pytest.raises(Unavailable) as caught:
            names(store)
        assert "the server does not answer" in str(caught.value.__cause__)
    finally:
        server.resume()
    assert until(lambda: "before" in answered(store), 30, 0.2)
    keep(store, "after")
    assert {"before", "after"} <= names(store)
    assert store.trouble is None


def answered(store: Store) -> set[str]:
    """The names that there are, if the server answers."""
    try:
        return names(store)
    except Unavailable:
        return set()


def test_a_user_without_rights_is_told_what_to_give(server: Server, url: str) -> None:
    database = url.rpartition("/")[2]
    if isinstance(server, Postgresql):
        say(server, "DROP ROLE IF EXISTS weak", "CREATE ROLE weak LOGIN PASSWORD 'hush'")
        weak = url.replace("pileus:secret", "weak:hush")
    else:
        say(server, "CREATE OR REPLACE USER weak@'127.0.0.1' IDENTIFIED BY 'hush'")
        say(server, f"GRANT SELECT ON {database}.* TO weak@'127.0.0.1'")
        weak = url.replace("root@", "weak:hush@")
    store = Store(weak)
    with pytest.raises(Unavailable) as caught:
        migrate(store.engine)
    store.close()
    assert caught.value.reason == "rights"
    assert "all rights" in caught.value.message


def test_no_error_tells_the_password(server: Server, url: str) -> None:
    told = []
    for wrong in (url.replace("pileus:secret", "nobody:hush").replace("root@", "nobody:hush@"), f"{url}x"):
        store = Store(wrong)
        with pytest.raises(Unavailable) as caught:
            migrate(store.engine)
        store.close()
        told.append(caught.value.reason)
        assert "hush" not in f"{caught.value} {caught.value.__cause__!r}"
        assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
    assert told[1] == "missing"
    assert "secret" not in repr(Settings(store="postgresql://u:secret@h/d"))


def test_a_server_that_forgets_is_refused(server: Server, url: str) -> None:
    store = Store(url, sync="full")  # this server syncs nothing
    with pytest.raises(Unavailable) as caught:
        migrate(store.engine)
    store.close()
    assert caught.value.reason == "not-durable"


@pytest.mark.cost(30)
def test_a_cloud_keeps_what_it_knows_on_a_server(url: str) -> None:
    state = Path(tempfile.mkdtemp(prefix="pileus-st-"))
    words = [sys.executable, "-m", "pileus.app.main"]
    environment = {**os.environ, "PILEUS_STORE": url}

    def pileus(*more: str) -> str:
        done = subprocess.run(
            [*words, *more, "--state", str(state)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        pileus("up", "--provider", "stub")
        pileus("user", "create", "ann", "--json")
        pileus("down")
        assert not (state / "cloud" / "pileus.db").exists()
        pileus("up", "--provider", "stub")
        logs = "".join(path.read_text(errors="replace") for path in state.rglob("*.log"))
        assert "secret@" not in logs
    finally:
        pileus("purge", "--yes")
    store = Store(url)
    with store.read() as tx:
        assert "ann" in {one.name for one in tx.list(User)}
    store.close()
