"""Twelve attackers at once on a real cloud, beside a victim: `python -m tests.attack [--seconds S] [--only NAME]`.

Prints the victim's latencies on the quiet cloud and under attack, its refusals, the attackers' answers by status, and
the descriptors, memory, inodes and rows before and after. Ends with status 1 when something was refused to the victim,
or when more than a tenth is left.
Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from pileus.app.state import StateDirectory
from pileus.app.up import running as parts_of
from pileus.store.store import Store
from tests.attack import attackers
from tests.attack.victim import Victim
from tests.live.cloud import PILEUS, LiveCloud, logs, running, until

RUN = "import sys; from tests.attack.attackers import main; main(*sys.argv[1:])"
REST = 30.0
"""Seconds after which what the attackers used has to be back."""

SLACK = {"cloud, MiB": 8, "host, MiB": 8, "descriptors": 16, "inodes": 200, "rows": 20}
"""Amounts that may be left beside a tenth: the victim's own, and the noise of allocators."""


def account(cloud: LiveCloud, name: str) -> dict[str, str]:
    """Make a user in a project of its own."""
    made: dict[str, str] = json.loads(cloud.pileus("user", "create", name, "--project", name, "--json"))
    return made


def used(cloud: LiveCloud) -> dict[str, int]:
    """Return descriptors and memory of the cloud's two processes, inodes of its folders, and living rows."""
    pids = {
        name: pid for name, pid in parts_of(StateDirectory(cloud.state)).items() if name in ("cloud", "host") and pid
    }
    folders = (cloud.state, Path("/var/lib/pileus/cache"))
    store = Store(f"sqlite:///{cloud.state}/cloud/pileus.db")
    try:
        with store.read() as tx:
            rows = sum(tx.counts().values())
    finally:
        store.close()
    return {
        **{f"{name}, MiB": _resident(pid) for name, pid in pids.items()},
        "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids.values()),
        "inodes": sum(1 + len(names) + len(files) for folder in folders for _, names, files in os.walk(folder)),
        "rows": rows,
    }


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20


def strike(
    cloud: LiveCloud, tenants: dict[str, dict[str, str]], archive: Path, seconds: float
) -> list[subprocess.Popen[bytes]]:
    """Start the attackers, each in a process and as a tenant of its own."""
    endpoints = json.loads((cloud.state / "endpoints.json").read_text())
    container = cloud.image("tiny-container")
    end = time.monotonic() + seconds
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-c", RUN, name),
                attackers.described(
                    attackers.Target(endpoints["ec2"], endpoints["rest"], tenants[name], container, str(archive), end)
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in tenants
    ]


def answered(process: subprocess.Popen[bytes]) -> str:
    """Wait for an attacker's end; its answers and how often it got each, or its last words."""
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    if process.returncode != 0:
        return f"ended with {process.returncode}: {errors.decode(errors='replace')[-1500:]}"
    counts: dict[str, int] = json.loads(output)
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))


def clear(cloud: LiveCloud, tenants: dict[str, dict[str, str]]) -> None:
    """Take away all that the tenants made."""
    clients = {name: cloud.client("ec2", tenant, retries=10) for name, tenant in tenants.items()}
    for client in clients.values():
        rows = [row for each in client.describe_instances()["Reservations"] for row in each["Instances"]]
        idents = [row["InstanceId"] for row in rows if row["State"]["Name"] != "terminated"]
        if idents:
            client.terminate_instances(InstanceIds=idents)
    for client in clients.values():
        until("the tenants' instances are gone", partial(_empty, client), 240)
        for image in client.describe_images(Owners=["self"])["Images"]:
            client.deregister_image(ImageId=image["ImageId"])
        for address in client.describe_addresses()["Addresses"]:
            client.release_address(AllocationId=address["AllocationId"])
        for key in client.describe_key_pairs()["KeyPairs"]:
            client.delete_key_pair(KeyName=key["KeyName"])
        for group in client.describe_placement_groups()["PlacementGroups"]:
            client.delete_placement_group(GroupName=group["GroupName"])
        for group in client.describe_security_groups()["SecurityGroups"]:
            if group["GroupName"] != "default":
                client.delete_security_group(GroupId=group["GroupId"])


def _empty(client: Any) -> bool:
    rows = [row for each in client.describe_instances()["Reservations"] for row in each["Instances"]]
    return all(row["State"]["Name"] == "terminated" for row in rows)


def show(title: str, quiet: dict[str, list[float]], stormy: dict[str, list[float]]) -> None:
    """Print the median and the longest latency of each action, on the quiet cloud and under attack."""
    print(f"\n{title:16} {'quiet p50':>10} {'max':>8} {'storm p50':>10} {'max':>8} {'ratio':>7}  (ms)")
    for name in sorted(quiet):
        before, after = quiet[name], stormy.get(name) or [float("nan")]
        medians = statistics.median(before), statistics.median(after)
        numbers = medians[0], max(before), medians[1], max(after)
        row = " ".join(f"{1000 * number:>{width}.0f}" for number, width in zip(numbers, (10, 8, 10, 8), strict=True))
        print(f"{name:16} {row} {medians[1] / medians[0]:7.1f}")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=attackers.ATTACKERS, action="append")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        archive = folder / "many-files.tar.gz"
        archive.write_bytes(attackers.archive(attackers.MANY_FILES, ends=False))
        cloud = open_.enter_context(running())
        victim = Victim(cloud, account(cloud, "victim"), folder)
        victim.act(chosen.seconds / 3)
        quiet = victim.take()
        tenants = {name: account(cloud, name.replace("_", "-")) for name in chosen.only or list(attackers.ATTACKERS)}
        # A first storm fills caches and starts threads: what the second one leaves is lost.
        storm(cloud, victim, tenants, archive, chosen.seconds)
        clear(cloud, tenants)
        victim.take()
        time.sleep(REST)
        before = used(cloud)
        answers = storm(cloud, victim, tenants, archive, chosen.seconds)
        show("victim", quiet, victim.take())
        print()
        for name, text in zip(tenants, answers, strict=True):
            print(f"{name:18} {text}")
        return settle(cloud, victim, tenants, before)


def storm(
    cloud: LiveCloud, victim: Victim, tenants: dict[str, dict[str, str]], archive: Path, seconds: float
) -> list[str]:
    """Let the attackers strike while the victim acts; the attackers' answers."""
    processes = strike(cloud, tenants, archive, seconds)
    try:
        victim.act(seconds)
    finally:
        answers = [answered(process) for process in processes]
    return answers


def settle(cloud: LiveCloud, victim: Victim, tenants: dict[str, dict[str, str]], before: dict[str, int]) -> int:
    """Clear up, compare what is used with `before`, and print it; the status."""
    clear(cloud, tenants)

    def left() -> dict[str, int]:
        now = used(cloud)
        return {name: now[name] for name in before if now[name] > before[name] * 1.1 + SLACK[name]}

    with contextlib.suppress(AssertionError):
        until("all is back", lambda: not left(), REST)
    now, over = used(cloud), left()
    print(f"\n{'':16} {'before':>10} {'after':>10}")
    for name, amount in before.items():
        print(f"{name:16} {amount:>10} {now[name]:>10}{'  LEFT' if name in over else ''}")
    findings = subprocess.run(
        [PILEUS, "doctor", "--state", str(cloud.state)], capture_output=True, text=True, check=False
    )
    print(f"\ndoctor ({findings.returncode}): {findings.stdout.strip()[:2000]}")
    print(f"\nrefused to the victim: {len(victim.refusals)}", *victim.refusals[:10], sep="\n  ")
    if victim.refusals:
        print(logs(cloud.state)[-6000:])
    return 1 if victim.refusals or over else 0


if __name__ == "__main__":
    sys.exit(main())
