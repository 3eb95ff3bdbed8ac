"""Only a guest that shut itself down is said to have done so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import ending

if TYPE_CHECKING:
    from pathlib import Path

START = "2026-01-02 03:04:05.678+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.22, hostname: vm\n"
ARGUMENTS = "LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=i-1,debug-threads=on\n"
BY_LIBVIRT = "2026-01-02T03:04:06Z qemu-system-x86_64: terminating on signal 15 from pid 9 (/usr/sbin/libvirtd)\n"
BY_OTHERS = "2026-01-02T03:04:06Z qemu-system-x86_64: terminating on signal 15 from pid 1 (/sbin/init)\n"
BY_UNKNOWN = "2026-01-02T03:04:06Z qemu-system-x86_64: terminating on signal 15\n"


def end(reason: str) -> str:
    return f"2026-01-02 03:04:07.000+0000: shutting down, reason={reason}\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ""),
        (START + ARGUMENTS + BY_LIBVIRT + end("shutdown"), "guest"),
        (START + ARGUMENTS + end("shutdown"), "guest"),
        (START + ARGUMENTS + BY_OTHERS + end("shutdown"), "other"),
        (START + ARGUMENTS + BY_UNKNOWN + end("shutdown"), "other"),
        (START + ARGUMENTS + BY_LIBVIRT + end("destroyed"), "other"),
        (START + ARGUMENTS + end("crashed"), "other"),
        (START + ARGUMENTS + end("failed"), "other"),
        (START + ARGUMENTS, "other"),
        (START + ARGUMENTS + BY_LIBVIRT + end("shutdown") + START + ARGUMENTS, "other"),
        (START + BY_OTHERS + end("shutdown") + START + ARGUMENTS + BY_LIBVIRT + end("shutdown"), "guest"),
        (START + "hostname says: shutting down, reason=shutdown for sure\n", "other"),
    ],
)
def test_the_last_run_decides(text: str, cause: str) -> None:
    assert ending.read_cause(text.encode()) == cause


def test_a_domain_that_never_ran_has_no_cause(tmp_path: Path) -> None:
    assert ending.cause(Layout(tmp_path), "i-1") == ""


def test_a_long_log_is_read_from_its_end_and_emptied_before_a_start(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = ending.domain_log(layout, "i-1")
    path.parent.mkdir(parents=True)
    path.write_text(START + "noise\n" * 100_000 + end("shutdown"))
    assert ending.cause(layout, "i-1") == "other"
    with path.open("a") as file:
        file.write(START + ARGUMENTS + BY_LIBVIRT + end("shutdown"))
    assert ending.cause(layout, "i-1") == "guest"
    ending.trim(layout, "i-1")
    assert ending.cause(layout, "i-1") == ""
    ending.forget(layout, "i-1")
    ending.forget(layout, "i-1")
    assert not path.exists()
