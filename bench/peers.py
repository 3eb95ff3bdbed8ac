"""The servers that are compared: ours on the stub, and moto's; each with an image to launch."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load import Client, Target
from bench.server import UNBOUNDED, free_port, running
from pileus.faces.wire.signing import SigningCredential

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def pileus(**settings: str) -> Iterator[Target]:
    """A cloud on the stub with these settings, in a folder of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        state, port = Path(folder) / "state", free_port()
        command = str(Path(sys.executable).parent / "pileus")
        up = [command, "up", "--state", str(state), "--provider", "stub", "--port", str(port)]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **UNBOUNDED, **settings})
        try:
            admin = json.loads((state / "admin.json").read_text())
            credential = SigningCredential(admin["access_key"], admin["secret_key"].encode(), "us-east-1", "ec2")
            yield Target("pileus", port, credential, _pids(state), state)
        finally:
            subprocess.run([command, "down", "--state", str(state)], check=True, stdout=subprocess.DEVNULL)


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
def moto() -> Iterator[Target]:
    """moto's server, which keeps everything in memory."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port) as process:
        credential = SigningCredential("AKIAIOSFODNN7EXAMPLE", b"x" * 40, "us-east-1", "ec2")
        yield Target("moto", port, credential, (process.pid,))


def ask(target: Target, form: str) -> str:
    """The answer to one request on a connection of its own."""
    return Client(target.port).ask(target.request(form)).decode()


def image(target: Target) -> str:
    """The first image that the server offers."""
    text = ask(target, "Action=DescribeImages&Version=2016-11-15")
    return text.partition("<imageId>")[2].partition("<")[0]
