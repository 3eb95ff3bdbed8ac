"""What can be known of libvirtd without starting it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import daemon, kvm


def test_a_state_directory_too_deep_for_sockets_is_refused_with_the_limit() -> None:
    with pytest.raises(Fault) as caught:
        daemon.prepare(Layout(Path("/tmp") / ("x" * 60)))
    assert caught.value.code == "StatePathTooLong"
    assert caught.value.permanent


def test_nothing_that_was_never_started_answers_or_runs(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert daemon.pid(layout) is None
    assert daemon.guests(layout) == []
    assert not daemon.answers(layout)
    daemon.end_guests(layout)
    daemon.down(layout)
    assert list(tmp_path.iterdir()) == []


def test_the_command_enters_this_clouds_namespace(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    found = daemon.libvirtd(layout)
    assert f"--net=/run/netns/{layout.netns}" in found.argv
    assert found.argv[-1] == kvm.accelerator()
    assert Path(found.argv[-2]).is_dir()


def test_guests_are_found_by_their_process_and_not_by_a_number_used_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.libvirt / "run" / "qemu"
    folder.mkdir(parents=True)
    # A process that lives, and is called like QEMU running the guest i-1.
    with subprocess.Popen(
        ["sh", "-c", "read -r _", "qemu", "guest=i-1,debug-threads=on"], stdin=subprocess.PIPE
    ) as qemu:
        (folder / "i-1.pid").write_text(str(qemu.pid))
        (folder / "i-2.pid").write_text(str(os.getpid()))
        (folder / "i-3.pid").write_text("")
        while daemon.guests(layout) != ["i-1"]:
            assert qemu.poll() is None  # its command line comes a moment after it
        daemon.end_guests(layout)
        assert daemon.guests(layout) == []
