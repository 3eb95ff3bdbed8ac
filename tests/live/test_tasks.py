"""Forty daily tasks of docs/clients.md: the column of Pileus, from top to bottom, on real guests.

Commands that a person ends, such as `pileus events --follow`, have a terminal of their own, and are ended as a person
would once they have shown something.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.cloud import PILEUS

if TYPE_CHECKING:
    from tests.live.cloud import LiveCloud

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
LONGEST = 180.0
"""Seconds that one task may take."""

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBfnFyP6V8Y6b5kAp1lAHdmVRm/eAC3KjINkJ7ki607x ada@desk\n"

ENDED_BY = {
    "pileus shell web": b"exit\r",
    "pileus forward web 2222:22": b"\x03",
    "pileus console db": b"\x1d",
    "pileus top": b"q",
    "pileus events --follow": b"\x03",
}
"""The keys by which a person ends the commands that go on."""

SHOWN = {
    "pileus image list": "tiny-container",
    "pileus flavor list": "m1.tiny",
    "pileus rule list web": "80/tcp",
    "pileus list": "running",
    "pileus explain web": "waits for",
    "pileus exec web -- uname -s": "Linux",
    "pileus ssh web -- uname -s": "Linux",
    "pileus rename web www": "www",
    "pileus tag set www stage=prod": "prod",
    "pileus top": "running",
    "pileus events --follow": "instance.launch",
    "pileus map": "www",
    "pileus address associate 198.51.100.20 www": "198.51.100.20",
    "pileus limits set ada instances=3": "instances",
}
"""Words that the output of some commands has."""


def tasks() -> list[tuple[str, str]]:
    """Each task with our command."""
    section = PAGE.read_text().partition("\n## Forty daily tasks\n")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")][2:]
    return [(row[0], row[-1].strip("`")) for row in rows]


def test_there_are_forty_and_none_is_missing() -> None:
    commands = [command for _, command in tasks()]
    assert len(commands) == len(set(commands)) == 40
    assert all(command.startswith("pileus ") for command in commands)
    assert ENDED_BY.keys() | SHOWN.keys() <= set(commands)


@pytest.mark.cost(150)
def test_our_column_does_the_forty_tasks(cloud: LiveCloud, tmp_path: Path) -> None:
    (tmp_path / "laptop.pub").write_text(PUBLIC)
    (tmp_path / "setup.sh").write_text("#!/bin/sh\necho ready > /root/ready\n")
    environment = {
        "PATH": f"{Path(PILEUS).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(tmp_path),
        "PILEUS_STATE": str(cloud.state),
        "PILEUS_RESOLV_CONF": os.devnull,
        "TERM": "xterm",
    }
    failed = []
    for task, command in tasks():
        begin = time.monotonic()
        status, output = _done(command, tmp_path, environment)
        print(f"{time.monotonic() - begin:6.1f} s  {status:3}  {command}")
        well = status == 0 or (status == 130 and command in ENDED_BY)
        if not well or SHOWN.get(command, "") not in output:
            failed.append(f"{task}: {command}: status {status}: {output[-600:]}")
    assert not failed, "\n".join(failed)
    assert (tmp_path / "copy.sh").read_bytes() == (tmp_path / "setup.sh").read_bytes()
    states = {instance["state"] for instance in json.loads(cloud.pileus("list", "--json"))}
    assert states <= {"shutting-down", "terminated"}


def _done(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """The status and the output of a command, which a person ends if it goes on."""
    if command in ENDED_BY:
        return _ended(command, ENDED_BY[command], folder, environment)
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def _ended(command: str, keys: bytes, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal, and press the keys each second from its first output on, until it ends."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", f"exec {command}"], environment)  # noqa: S606  (a line of the page)
    said, deadline, pressed = b"", time.monotonic() + LONGEST, 0.0
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([terminal], [], [], 0.5)
            if ready:
                said += os.read(terminal, 65536)
            elif said and time.monotonic() - pressed > 1.0:
                os.write(terminal, keys)
                pressed = time.monotonic()
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(terminal)
    ended, status = os.waitpid(child, os.WNOHANG if time.monotonic() >= deadline else 0)
    if not ended:
        os.kill(child, 9)
        os.waitpid(child, 0)
        return 124, f"it did not end: {said.decode(errors='replace')}"
    return os.waitstatus_to_exitcode(status), said.decode(errors="replace")
