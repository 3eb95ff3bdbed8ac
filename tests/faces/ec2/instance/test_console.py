"""GetConsoleOutput and GetConsoleScreenshot, through a real unix socket."""

import base64
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from pileus.model.errors import Fault
from pileus.model.provider import Access
from tests.faces.ec2.cloud import Account, Cloud, refused


@contextmanager
def channel(output: bytes) -> Iterator[Access]:
    """Serve `output` once to whoever brings the ticket."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder) / "log")
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                if link.recv(100) == b"ticket\n":
                    link.sendall(output)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Access(address=path, ticket="ticket")
        thread.join()


def test_output_is_what_the_guest_wrote(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    text = "booted \u00e4\n" * 3
    with channel(text.encode()) as access:
        cloud.hosts.access = access
        found = account.ec2.get_console_output(InstanceId=ident)
    cloud.hosts.access = None
    assert found["Output"] == text
    assert found["InstanceId"] == ident
    assert found["Timestamp"].year > 2000
    assert cloud.hosts.opened[-1].channel == "log"


def test_long_output_is_cut_at_its_beginning(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    with channel(b"a" * 1000 + b"b" * 65536) as access:
        cloud.hosts.access = access
        found = account.ec2.get_console_output(InstanceId=ident)
    cloud.hosts.access = None
    assert found["Output"] == "b" * 65536


def test_of_ended_instances_nothing_is_left(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    cloud.end(ident)
    assert account.ec2.get_console_output(InstanceId=ident)["Output"] == ""


def test_silent_hosts_and_bad_ids(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    with refused("Unavailable", 503):
        account.ec2.get_console_output(InstanceId=ident)
    with refused("InvalidInstanceID.NotFound"):
        cloud.account().ec2.get_console_output(InstanceId=ident)
    with refused("InvalidInstanceID.Malformed"):
        account.ec2.get_console_output(InstanceId="mine")


def test_a_running_machine_has_a_screen(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    with refused("IncorrectInstanceState", match=ident):
        account.ec2.get_console_screenshot(InstanceId=ident)
    cloud.observe(ident)
    with channel(b"\x89PNG and more") as access:
        cloud.hosts.access = access
        found = account.ec2.get_console_screenshot(InstanceId=ident)
    cloud.hosts.access = None
    assert (found["InstanceId"], base64.b64decode(found["ImageData"])) == (ident, b"\x89PNG and more")
    assert cloud.hosts.opened[-1].channel == "screenshot"
    with refused("UnsupportedOperation", match="WakeUp"):
        account.ec2.get_console_screenshot(InstanceId=ident, WakeUp=True)
    with refused("Unavailable", 503):
        account.ec2.get_console_screenshot(InstanceId=ident)


def test_a_container_and_a_host_of_another_kind_have_none(
    cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = account.launch()[0]
    row = cloud.observe(ident)

    def unable(*_: object) -> Access:
        raise Fault("Unsupported", "There is no such channel.")

    monkeypatch.setattr(cloud.hosts, "open", unable)
    with refused("UnsupportedOperation", match="channel"):
        account.ec2.get_console_screenshot(InstanceId=ident)
    size = msgspec.structs.replace(row.assigned.size, kind="container")
    with cloud.core.store.write() as tx:
        tx.assign(row, msgspec.structs.replace(row.assigned, size=size))
    with refused("UnsupportedOperation", match=f"{ident} is a container"):
        account.ec2.get_console_screenshot(InstanceId=ident)
