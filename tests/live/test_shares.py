"""Busy guests, the cloud's own processes and everything else on the machine: each gets CPU time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.machine import cgroups
from tests.live.cloud import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.cloud import LiveCloud

GUESTS = 4
HOGS = 3
"""Busy processes beside the guests, in a group that weighs as much as all guests together."""

WATCHED = 30.0
"""Seconds: for less, who happens to wake up more often gets more than its share."""

BUSY = "#!/bin/sh\necho guest is BUSY >/dev/console\nwhile :; do :; done\n"


@contextlib.contextmanager
def beside(group: Path) -> Iterator[Path]:
    """A group next to `group` and of its weight: what the test's own group weighs is the machine's affair."""
    folder = group.with_name(f"{group.name}.beside")
    folder.mkdir()
    try:
        for name in ("cpu.shares", "cpu.weight"):
            if (group / name).exists():
                (folder / name).write_text((group / name).read_text())
        yield folder
    finally:
        until("the group is empty", lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


@contextlib.contextmanager
def hogs(group: Path) -> Iterator[list[int]]:
    """Processes that would take every CPU there is."""
    running = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(HOGS)
    ]
    try:
        for each in running:
            (group / "cgroup.procs").write_text(str(each.pid))
        yield [each.pid for each in running]
    finally:
        for each in running:
            each.kill()
            each.wait()


def used(pid: int) -> float:
    """Seconds of CPU time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def says(cloud: LiveCloud, ident: str, word: str) -> bool:
    """Whether a guest's console has shown `word`."""
    return word in cloud.ec2.get_console_output(InstanceId=ident).get("Output", "")


@pytest.mark.cost(75)
def test_busy_guests_the_api_and_other_processes_all_get_their_share(cloud: LiveCloud) -> None:
    ec2 = cloud.ec2
    launched = ec2.run_instances(
        ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=GUESTS, MaxCount=GUESTS, UserData=BUSY
    )["Instances"]
    ids = [each["InstanceId"] for each in launched]
    until("all of them busy", lambda: all(says(cloud, ident, "BUSY") for ident in ids))
    guests = [int((cloud.layout.libvirt / "run" / "qemu" / f"{ident}.pid").read_text()) for ident in ids]
    group = cgroups.folder(cloud.layout)
    assert group is not None
    with beside(group) as folder, hogs(folder) as others:
        before, end = {pid: used(pid) for pid in (*guests, *others)}, time.monotonic() + WATCHED
        states = []
        while time.monotonic() < end:
            states += [cloud.instance(ident)["State"]["Name"] for ident in ids]
        spent = {pid: used(pid) - before[pid] for pid in before}
    assert set(states) == {"running"}
    inside, outside = [spent[pid] for pid in guests], [spent[pid] for pid in others]
    # By weight both are equal; one process's weight for all guests together would be a third.
    assert sum(inside) > sum(outside) / 2
    assert sum(outside) > sum(inside) / 4
    assert min(inside) > max(inside) / 4
    ec2.terminate_instances(InstanceIds=ids)
