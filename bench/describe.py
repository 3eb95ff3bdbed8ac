"""DescribeInstances with 1, 50 and 500 instances on the stub, against moto's server; goal: three times its rate."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load import Client, Target, compare
from bench.server import free_port, running
from pileus.faces.wire.signing import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1, 50, 500)
DESCRIBE = "Action=DescribeInstances&Version=2016-11-15"


def run(seconds: float, rounds: int) -> None:
    """Print a line for each size."""
    with _pileus() as ours, _moto() as peer:
        images = {target.name: _image(target) for target in (ours, peer)}
        held = 0
        for size in SIZES:
            for target in (ours, peer):
                _launch(target, images[target.name], size - held)
            held = size
            _compare(ours, peer, size, seconds, rounds)


def _compare(ours: Target, peer: Target, size: int, seconds: float, rounds: int) -> None:
    figures = compare([ours, peer], DESCRIBE, lambda body: body.count(b"<instanceId>") >= size, seconds, rounds)
    (our_rate, our_cpu), (peer_rate, peer_cpu) = figures[0].median(), figures[1].median()
    print(f"describe-instances-{size} ratio={our_rate / peer_rate:.1f} ours={our_rate:.0f}/s peer={peer_rate:.0f}/s")
    print(
        f"describe-instances-{size}-cpu ratio={our_cpu / peer_cpu:.3f} ours={our_cpu:.2f}ms peer={peer_cpu:.2f}ms",
        flush=True,
    )


@contextlib.contextmanager
def _pileus() -> Iterator[Target]:
    """A cloud on the stub, in a folder of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        state, port = Path(folder) / "state", free_port()
        pileus = str(Path(sys.executable).parent / "pileus")
        up = [pileus, "up", "--state", str(state), "--provider", "stub", "--port", str(port)]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        try:
            admin = json.loads((state / "admin.json").read_text())
            credential = Credential(admin["access_key"], admin["secret_key"].encode(), "us-east-1", "ec2")
            yield Target("pileus", port, credential, _pids(state))
        finally:
            subprocess.run([pileus, "down", "--state", str(state)], check=True, stdout=subprocess.DEVNULL)


def _pids(state: Path) -> tuple[int, ...]:
    """Every process whose command line names the state directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(state) in (entry / "cmdline").read_bytes().decode():
                    found.append(int(entry.name))
    return tuple(found)


@contextlib.contextmanager
def _moto() -> Iterator[Target]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port) as process:
        credential = Credential("AKIAIOSFODNN7EXAMPLE", b"x" * 40, "us-east-1", "ec2")
        yield Target("moto", port, credential, (process.pid,))


def _ask(target: Target, form: str) -> str:
    return Client(target.port).ask(target.request(form)).decode()


def _image(target: Target) -> str:
    """The first image that the server offers."""
    text = _ask(target, "Action=DescribeImages&Version=2016-11-15")
    return text.partition("<imageId>")[2].partition("<")[0]


def _launch(target: Target, image: str, count: int) -> None:
    """Launch, and wait until they run: a list that changes meanwhile would be another figure."""
    form = f"Action=RunInstances&Version=2016-11-15&ImageId={image}&MinCount={count}&MaxCount={count}"
    _ask(target, f"{form}&InstanceType=t2.micro")
    deadline = time.monotonic() + 120
    while "<name>pending</name>" in _ask(target, DESCRIBE):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{target.name}: instances stay pending")
        time.sleep(0.2)
