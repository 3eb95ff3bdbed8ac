"""Bytes of captures on their way into the object store: whole and verified, or not at all, with the reason told."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.bus.channels import ChannelServer
from pileus.loops import fetch
from pileus.loops.fetch import Fetcher
from pileus.model.errors import Fault, Unavailable
from pileus.objects import ObjectStore
from tests.providers.contract import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.bus.messages import Ask, Open, Order
    from pileus.model.provider import Access, Stream

DATA = b"a disk" * 300_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Host:
    """One host, which gives what `serve` sends over a real channel."""

    def __init__(self, folder: Path) -> None:
        self.channels = ChannelServer(folder / "channels.sock")
        self.serve: Callable[[Stream], None] = lambda link: link.sendall(DATA)
        self.asked: list[Open] = []
        self.refuses: Exception | None = None

    def send(self, host: str, order: Order | Ask) -> None:
        """Take an order."""

    def open(self, host: str, request: Open) -> Access:
        """Offer the bytes."""
        self.asked.append(request)
        if self.refuses is not None:
            raise self.refuses
        return self.channels.offer(self.serve)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Give a host that is there."""
    running_host = Host(tmp_path)
    running_host.channels.start()
    yield running_host
    running_host.channels.stop()


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    """Give an empty object store."""
    return ObjectStore(tmp_path / "objects")


def brought(fetcher: Fetcher, digest: str = DIGEST, size: int = len(DATA)) -> None:
    until("the bytes", lambda: fetcher.fetch("h1", "image-1", digest, size))


def left(objects: ObjectStore) -> list[Path]:
    return list((objects.root / "incoming").iterdir())


def test_what_was_captured_is_kept_once(host: Host, objects: ObjectStore) -> None:
    fetcher = Fetcher(host, objects)
    brought(fetcher)
    assert objects.path(DIGEST).read_bytes() == DATA
    assert (host.asked[0].uuid, host.asked[0].channel, host.asked[0].kind) == ("image-1", "bytes", "image")
    assert fetcher.fetch("h1", "image-2", DIGEST, len(DATA))
    assert len(host.asked) == 1, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("sent", "code"),
    [(DATA[:-1], "CaptureUnavailable"), (b"", "CaptureUnavailable"), (DATA[:-1] + b"x", "CaptureCorrupt")],
)
def test_other_bytes_are_not_kept(host: Host, objects: ObjectStore, sent: bytes, code: str) -> None:
    fetcher = Fetcher(host, objects)
    host.serve = lambda link: link.sendall(sent)
    with pytest.raises(Fault) as caught:
        brought(fetcher)
    assert (caught.value.code, caught.value.permanent) == (code, False)
    assert not objects.has(DIGEST)
    assert left(objects) == []
    host.serve = lambda link: link.sendall(DATA)
    brought(fetcher)


def test_one_who_gives_without_end_is_cut_off(host: Host, objects: ObjectStore) -> None:
    def endless(link: Stream) -> None:
        while True:
            link.sendall(DATA)

    host.serve = endless
    with pytest.raises(Fault, match="CaptureCorrupt"):
        brought(Fetcher(host, objects))
    assert left(objects) == []


@pytest.mark.parametrize("why", [Unavailable("It does not answer.", noun="host"), Fault("CaptureMissing", "none here")])
def test_a_host_that_gives_nothing_is_asked_again(host: Host, objects: ObjectStore, why: Exception) -> None:
    fetcher = Fetcher(host, objects)
    host.refuses = why
    for _ in range(2):
        with pytest.raises(Fault, match="CaptureUnavailable"):
            brought(fetcher)
    host.refuses = None
    brought(fetcher)


def test_a_host_that_is_gone(host: Host, objects: ObjectStore) -> None:
    host.channels.stop()
    with pytest.raises(Fault, match="CaptureUnavailable"):
        brought(Fetcher(host, objects))


def test_a_full_store_is_said_before_anything_is_fetched(
    host: Host, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SPARE", 1 << 60)
    with pytest.raises(Fault, match="CloudDiskFull"):
        brought(Fetcher(host, objects))
    assert host.asked == []
    monkeypatch.undo()
    with pytest.raises(Fault, match="CloudDiskFull"):
        brought(Fetcher(host, objects), size=1 << 60)


def test_a_step_does_not_wait_for_what_is_large(host: Host, objects: ObjectStore) -> None:
    go_on = threading.Event()

    def slowly(link: Stream) -> None:
        link.sendall(DATA[:10])
        go_on.wait(60)
        link.sendall(DATA[10:])

    host.serve = slowly
    fetcher = Fetcher(host, objects)
    assert not fetcher.fetch("h1", "image-1", DIGEST, len(DATA))
    assert not fetcher.fetch("h1", "image-1", DIGEST, len(DATA))
    assert len(host.asked) == 1, "it is under way"
    assert not objects.has(DIGEST)
    go_on.set()
    brought(fetcher)
