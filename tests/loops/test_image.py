"""The image loop: what becomes of captures when their host, their source, the bytes or the request for them go away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.faces.rest.explain import waits_for
from pileus.host.book import Book
from pileus.model.errors import Conflict, Fault, NotFound
from pileus.model.image import Image, State, content, converged, state
from pileus.model.instance import Instance
from pileus.model.instance import State as Power
from pileus.model.instance import state as power_of
from pileus.rules import recount
from pileus.verbs import doctor, host, image
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.providers.stub.provider import StubProvider
    from tests.site import Site


class Inbox:
    """Where bytes come in; `why` they do not."""

    def __init__(self) -> None:
        self.why: Fault | None = None
        self.fetched: list[str] = []

    def fetch(self, host: str, image: str, digest: str, size: int, owner: str = "") -> bool:
        """Have them, or not."""
        assert (host, size > 0, owner != "") == ("h1", True, True)
        if self.why is not None:
            raise self.why
        self.fetched.append(digest)
        return True


@pytest.fixture
def inbox(site: Site) -> Inbox:
    """Give the way into the object store."""
    object_inbox = Inbox()
    site.core = dataclasses.replace(site.core, captures=object_inbox)
    return object_inbox


@pytest.fixture
def source(site: Site, ann: Caller, tiny: Image) -> Instance:
    """Give an instance that runs."""
    instance = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    assert power_of(site.row(instance.uuid)) is Power.RUNNING
    return instance


def captured(site: Site, ann: Caller, source: Instance, *, reboot: bool = False) -> str:
    return image.capture(ann, site.core, image.CaptureRequest(instance=source.uuid, name="kept", reboot=reboot)).uuid


def row(site: Site, uuid: str) -> Image:
    with site.store.read() as tx:
        image_row = tx.get(Image, uuid)
        assert recount.differences(tx) == []
    assert image_row is not None
    return image_row


def outcomes(site: Site, uuid: str) -> dict[str, str]:
    with site.store.read() as tx:
        return {line.verb: line.outcome for line in tx.journal(uuid)}


def stub_of(site: Site) -> StubProvider:
    provider: StubProvider = site.agents["h1"].provider  # type: ignore[assignment]
    return provider


@pytest.mark.parametrize("reboot", [False, True])
def test_captured_fetched_and_forgotten_by_its_host(
    site: Site,
    ann: Caller,
    source: Instance,
    inbox: Inbox,
    reboot: bool,  # noqa: FBT001
) -> None:
    uuid = captured(site, ann, source, reboot=reboot)
    assert state(row(site, uuid)) is State.PENDING
    site.settle()
    image_row = row(site, uuid)
    assert (state(image_row), converged(image_row), inbox.fetched) == (
        State.AVAILABLE,
        True,
        [content(image_row).digest],
    )
    assert stub_of(site).captures == {}
    assert uuid not in site.agents["h1"].book.entries
    assert power_of(site.row(source.uuid)) is Power.RUNNING
    assert outcomes(site, uuid) == {"image.capture": "done"}


def test_a_terminate_waits_for_captures_that_were_asked_for_before(
    site: Site, ann: Caller, source: Instance, inbox: Inbox
) -> None:
    uuid = captured(site, ann, source)
    power.terminate(ann, site.core, [source.uuid])
    site.work()
    named, waiting = row(site, uuid).ec2_id, site.row(source.uuid)
    with site.store.read() as tx:
        assert waits_for(tx, waiting, site.now) == [f"the image {named} to be made of it"]
    site.settle()
    assert site.row(source.uuid).gone is not None
    assert state(row(site, uuid)) is State.AVAILABLE


def test_a_fault_ends_the_capture_and_not_the_wait(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    uuid = captured(site, ann, source)
    site.work()
    site.agents["h1"].take(site.sent[-1][1])
    stub_of(site)._faults = _broken
    with pytest.raises(Fault):
        site.agents["h1"].step(uuid)
    stub_of(site)._faults = None
    power.terminate(ann, site.core, [source.uuid])
    site.hear("h1")
    site.settle()
    image_row = row(site, uuid)
    assert site.row(source.uuid).gone is not None
    assert (state(image_row), image_row.seen.fault.code if image_row.seen and image_row.seen.fault else "") == (
        State.FAILED,
        "Broken",
    )
    assert outcomes(site, uuid) == {"image.capture": "failed"}
    assert converged(image_row)


def _broken(call: str, uuid: str) -> None:
    if call == "ensure":
        raise Fault("Broken", f"{call} of {uuid}")


def test_with_a_reboot_a_fault_puts_the_guest_down_once(
    site: Site, ann: Caller, source: Instance, inbox: Inbox
) -> None:
    uuid = captured(site, ann, source, reboot=True)
    broken = stub_of(site)
    broken._faults = lambda call, ident: _broken(call, ident) if ident == uuid else None
    site.settle()
    assert state(row(site, uuid)) is State.FAILED
    assert power_of(site.row(source.uuid)) is Power.RUNNING
    assert [line.split()[1] for line in broken.logs[source.uuid]] == ["starts", "stops", "starts"]


def test_given_up_while_it_is_pending(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    inbox.why = Fault("CaptureUnavailable", "later")
    uuid = captured(site, ann, source)
    site.settle()
    image_row = row(site, uuid)
    assert (state(image_row), image_row.seen is not None and image_row.seen.captured) == (State.PENDING, True)
    with site.store.read() as tx:
        assert "CaptureUnavailable to end: later" in waits_for(tx, image_row, site.now)
    with pytest.raises(Conflict):
        site.launch(ann, Launch(image=image_row.uuid))
    image.deregister(ann, site.core, image_row.uuid)
    with pytest.raises(NotFound):
        image.deregister(ann, site.core, image_row.uuid)
    site.settle()
    assert row(site, uuid).gone is not None
    assert stub_of(site).captures == {}
    assert outcomes(site, uuid) == {"image.capture": "superseded", "image.deregister": "done"}


def test_bytes_that_do_not_come_in_are_asked_for_again(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    inbox.why = Fault("CloudDiskFull", "full")
    uuid = captured(site, ann, source)
    site.settle()
    image_row = row(site, uuid)
    assert image_row.seen is not None
    assert image_row.seen.fault is not None
    assert (image_row.seen.fault.code, state(image_row)) == ("CloudDiskFull", State.PENDING)
    inbox.why = None
    site.settle(40)
    image_row = row(site, uuid)
    assert (state(image_row), image_row.seen is not None and image_row.seen.fault) == (State.AVAILABLE, None)


def test_a_host_that_lost_its_book_finds_what_it_had_captured(
    site: Site, ann: Caller, source: Instance, inbox: Inbox
) -> None:
    inbox.why = Fault("CaptureUnavailable", "later")
    uuid = captured(site, ann, source)
    site.settle()
    before = content_seen(row(site, uuid))
    power.terminate(ann, site.core, [source.uuid])
    site.settle()
    assert site.row(source.uuid).gone is not None
    agent = site.agents["h1"]
    book = Book()
    book.start = msgspec.structs.replace(agent.book.start, epoch=agent.book.start.epoch + 1)
    site.agents["h1"] = type(agent)("h1", agent.provider, book, zone="us-east-1a", now=lambda: site.now)
    inbox.why = None
    site.settle(40)
    image_row = row(site, uuid)
    assert (state(image_row), content(image_row).digest) == (State.AVAILABLE, before)


def content_seen(image_row: Image) -> str:
    assert image_row.seen is not None
    return image_row.seen.digest


def test_a_source_that_is_gone_was_not_captured(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    uuid = captured(site, ann, source)
    with site.store.write() as tx:
        gone = tx.need(Instance, source.uuid)
        tx.make_tombstone(tx.want(gone, msgspec.structs.replace(gone.wanted, gone=True)))
    site.work()
    image_row = row_only(site, uuid)
    assert (state(image_row), image_row.seen.fault.code if image_row.seen and image_row.seen.fault else "") == (
        State.FAILED,
        "SourceGone",
    )


def row_only(site: Site, uuid: str) -> Image:
    with site.store.read() as tx:
        image_row = tx.get(Image, uuid)
    assert image_row is not None
    return image_row


def test_a_host_with_captures_is_not_removed(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    inbox.why = Fault("CaptureUnavailable", "later")
    uuid = captured(site, ann, source)
    site.settle()
    power.terminate(ann, site.core, [source.uuid])
    site.settle()
    admin = site.caller("blue", admin=True)
    with pytest.raises(Conflict, match="captures"):
        host.remove(admin, site.core, "h1")
    image.deregister(ann, site.core, row(site, uuid).uuid)
    site.settle()
    host.remove(admin, site.core, "h1")


def test_what_is_launched_from_one_names_its_bytes(site: Site, ann: Caller, source: Instance, inbox: Inbox) -> None:
    uuid = captured(site, ann, source)
    site.settle()
    image_row = row(site, uuid)
    instance = site.launch(ann, Launch(image=image_row.uuid))[0]
    site.settle()
    assert power_of(site.row(instance.uuid)) is Power.RUNNING
    spec = site.agents["h1"].specs()[instance.uuid]
    assert spec.disks[0].digest == content(image_row).digest
    assert (
        doctor.look(site.caller("blue", admin=True), site.core).images[content(image_row).digest]
        == content(image_row).size
    )
