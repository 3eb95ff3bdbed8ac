"""What a template's memory holds of who it was is found and exchanged, and nothing else is touched."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.images import hook
from pileus.providers.local.machine.restore.identity import (
    PAGE,
    GuestIdentity,
    GuestMemory,
    exchanged,
    search,
    waiting_page,
    words,
)

if TYPE_CHECKING:
    from pathlib import Path

OLD = GuestIdentity("ec2fffff-ffff-4fff-8fff-0123456789ab", "11111111-2222-4333-8444-555555555555", "06:01:23:45:67:89")
NEW = GuestIdentity("ec2aaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "99999999-8888-4777-8666-555555555544", "02:aa:bb:cc:dd:ee")
FORMS = sorted(words(OLD))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_exchanged_where_it_stands_and_nowhere_else(form: str) -> None:
    data = b"before" + words(OLD)[form] + b"between" + words(OLD)[form] + b"after"
    found = search(data, OLD)
    assert found == {form: [6, 6 + len(words(OLD)[form]) + 7]}
    assert exchanged(data, found, NEW) == b"before" + words(NEW)[form] + b"between" + words(NEW)[form] + b"after"


def test_forms_are_those_of_smbios_systemd_and_people() -> None:
    assert words(NEW)["uuid text"] == b"ec2aaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    assert words(NEW)["uuid digits"] == b"ec2aaaaabbbb4ccc8dddeeeeeeeeeeee"
    assert words(NEW)["uuid bytes"].hex() == "ec2aaaaabbbb4ccc8dddeeeeeeeeeeee"
    assert words(NEW)["uuid little-endian"].hex() == "aaaa2aecbbbbcc4c8dddeeeeeeeeeeee"
    assert words(NEW)["mac bytes"].hex() == "02aabbccddee"
    assert {name: len(word) for name, word in words(NEW).items()} == {k: len(w) for k, w in words(OLD).items()}
    assert "mac bytes" not in words(GuestIdentity(OLD.uuid, OLD.boot_id))


def test_a_value_that_stands_everywhere_is_no_identity() -> None:
    with pytest.raises(Fault, match="places"):
        search(b"\0" * 100_000, GuestIdentity("00000000-0000-0000-0000-000000000000", OLD.boot_id))


def page(version: int = hook.VERSION) -> bytes:
    return (hook.MAGIC + version.to_bytes(8, "little") + OLD.boot_id.encode()).ljust(PAGE, b"\0")


def test_the_waiting_page_is_found_and_read() -> None:
    memory = bytes(3 * PAGE) + page() + b"pileus: an identity belongs here"
    assert waiting_page(memory) == 3 * PAGE
    assert hook.read_page(page()) == (hook.VERSION, OLD.boot_id)


@pytest.mark.parametrize("memory", [b"", page() + page(), b"x" + page(), page(version=99)])
def test_no_page_two_pages_and_those_of_others_are_refused(memory: bytes) -> None:
    with pytest.raises(Fault) as caught:
        waiting_page(memory)
    assert caught.value.code == "TemplateRefused"


def test_a_gift_is_what_the_program_reads() -> None:
    place, gift = hook.given(1_700_000_000_123_456_789, bytes(range(hook.SEED)))
    assert place == 80
    assert gift.hex() == ("010000000000000000f153650000000015cd5b0700000000" + bytes(range(64)).hex())


def test_a_guests_memory_is_written_and_its_file_is_not(tmp_path: Path) -> None:
    file = tmp_path / "ram"
    file.write_bytes(bytes(PAGE) + words(OLD)["mac bytes"].ljust(PAGE, b"\0"))
    found = search(file.read_bytes(), OLD)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE) as ours:
        with GuestMemory(os.getpid(), file) as memory:
            memory.exchange(found, NEW)
            assert memory.read(PAGE, 6).hex() == "02aabbccddee"
            with pytest.raises(Fault):
                memory.write(2 * PAGE, b"beyond")
        assert ours[PAGE : PAGE + 6].hex() == "02aabbccddee"
    assert search(file.read_bytes(), OLD) == found
    with pytest.raises(Fault, match="does not map"):
        GuestMemory(os.getpid(), file)
