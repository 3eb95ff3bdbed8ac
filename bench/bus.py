"""The bus over RabbitMQ against the unix socket: questions answered and reports taken in a second (a minute)."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.bus import unix
from pileus.bus.messages import Ask, Open, Opened, Report
from pileus.bus.rabbitmq import Broker, CloudEnd, HostEnd
from pileus.bus.tls import TlsFiles
from tests.services import rabbitmq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.bus.messages import ToHost

ROUNDS = 5
QUESTIONS = 400
REPORTS = 5000
CALLERS = 8
HOST = "h1"

_calls = itertools.count(1)


def _unix(path: str) -> unix.HostEnd:
    return unix.HostEnd(Path(path), HOST)


def _rabbitmq(url: str, tls: TlsFiles | None) -> HostEnd:
    return HostEnd(Broker(url, tls), HOST)


def host(make: Callable[..., unix.HostEnd | HostEnd], *given: object) -> None:
    """A host's process: it answers what is asked, and reports as often as an Ask says."""
    end = make(*given)
    numbers = itertools.count(1)

    def message(said: ToHost) -> None:
        if isinstance(said, Open):
            end.send(Opened(call=said.call, address="tcp://127.0.0.1:9", ticket="t"))
        elif isinstance(said, Ask) and said.call:
            for number in itertools.islice(numbers, int(said.call)):
                end.send(Report(host=HOST, epoch=1, sequence=number))

    end.listen(message)
    threading.Event().wait()


class Side:
    """One bus, with its host in a process of its own."""

    def __init__(self, end: unix.CloudEnd | CloudEnd) -> None:
        self._end = end
        self._heard = 0
        self._enough = threading.Event()
        self._wanted = 0
        end.listen(self._report)
        end.start()

    def _report(self, _report: Report) -> None:
        self._heard += 1
        if self._heard >= self._wanted:
            self._enough.set()

    def ready(self) -> None:
        """Return once the host answers."""
        while True:
            with contextlib.suppress(Exception):
                self._question()
                return
            self._end.send(HOST, Ask())
            time.sleep(0.1)

    def _question(self) -> None:
        self._end.open(HOST, Open(call=f"c{next(_calls)}", uuid="u", channel="log"))

    def questions(self, callers: int) -> float:
        """Questions answered per second."""
        began = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(lambda _: self._question(), range(QUESTIONS)))
        return QUESTIONS / (time.perf_counter() - began)

    def reports(self) -> float:
        """Reports taken in per second."""
        self._enough.clear()
        self._wanted = self._heard + REPORTS
        began = time.perf_counter()
        self._end.send(HOST, Ask(call=str(REPORTS)))
        if not self._enough.wait(60):
            raise RuntimeError(f"{self._wanted - self._heard} reports did not come")
        return REPORTS / (time.perf_counter() - began)


@contextlib.contextmanager
def _side(end: unix.CloudEnd | CloudEnd, make: Callable[..., unix.HostEnd | HostEnd], *given: object) -> Iterator[Side]:
    process = multiprocessing.get_context("spawn").Process(target=host, args=(make, *given), daemon=True)
    side = Side(end)
    process.start()
    try:
        side.ready()
        yield side
    finally:
        end.stop()
        process.kill()
        process.join()


FIGURES: dict[str, Callable[[Side], float]] = {
    "bus-questions-1": lambda side: side.questions(1),
    f"bus-questions-{CALLERS}": lambda side: side.questions(CALLERS),
    "bus-reports": Side.reports,
}


def run() -> None:
    """Print a line for each figure: without TLS, and with it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bus-")))
        broker = stack.enter_context(rabbitmq.running(folder / "rabbitmq"))
        local = str(folder / "bus")
        peer = stack.enter_context(_side(unix.CloudEnd(Path(local)), _unix, local))
        for suffix, url, tls in (("", broker.plain, None), ("-tls", broker.url, broker.cloud)):
            with _side(CloudEnd(Broker(url, tls)), _rabbitmq, url, tls) as ours:
                _print(ours, peer, suffix)


def _print(ours: Side, peer: Side, suffix: str) -> None:
    for name, measure in FIGURES.items():
        rates = [(measure(ours), measure(peer)) for _ in range(ROUNDS)]
        our_rate, peer_rate = (statistics.median(column) for column in zip(*rates, strict=True))
        print(
            f"{name}{suffix} ratio={our_rate / peer_rate:.2f} ours={our_rate:.0f}/s peer={peer_rate:.0f}/s", flush=True
        )


if __name__ == "__main__":
    run()
