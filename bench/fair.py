"""The latency of one tenant while another, or somebody without credentials, loads the cloud fully; on the stub.

The peer is the latency on the quiet cloud, in rounds that take turns. Goal: twice as long at most. The rates are
off: this measures shares alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import msgspec

from bench.load import Client, Target
from bench.peers import ask, image, pileus
from pileus.faces.wire.signing import SigningCredential

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event

VERSION = "Version=2016-11-15"
CLIENTS = 32
"""Connections over which the load comes."""

PAUSE = 0.01
"""Seconds between two requests of the tenant that is measured."""


class Latency(msgspec.Struct):
    """Seconds that requests took."""

    quiet: list[float] = []
    loaded: list[float] = []

    def show(self, name: str) -> None:
        """Print the median and the 95th percentile."""
        for share in (50, 95):
            loaded, quiet = (
                statistics.quantiles(seconds, n=100)[share - 1] * 1000 for seconds in (self.loaded, self.quiet)
            )
            print(f"{name}-p{share} ratio={loaded / quiet:.2f} ours={loaded:.2f}ms peer={quiet:.2f}ms", flush=True)


def _tenant(target: Target, admin: dict[str, str], name: str) -> Target:
    """A user in a project of its own."""
    body = json.dumps({"name": name}).encode()
    url, headers = f"http://127.0.0.1:{target.port}/v1/users", {"authorization": f"Bearer {admin['token']}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        account = json.load(answer)
    credential = SigningCredential(account["access_key"], account["secret_key"].encode(), "us-east-1", "ec2")
    return Target(name, target.port, credential, target.pids)


def _load(target: Target, form: str, ends: Event) -> None:
    """Send this request again and again, over many connections."""

    def work() -> None:
        client, request = Client(target.port), target.request(form)
        while not ends.is_set():
            with contextlib.suppress(RuntimeError):  # a refusal is an answer, too
                client.ask(request)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def _loaded(target: Target, form: str) -> Iterator[None]:
    """That load inside the block."""
    context: Any = multiprocessing.get_context("fork")
    ends = context.Event()
    process = context.Process(target=_load, args=(target, form, ends))
    process.start()
    try:
        time.sleep(0.3)
        yield
    finally:
        ends.set()
        process.join()


def _measure(target: Target, form: str, seconds: float, into: list[float]) -> None:
    client, request = Client(target.port), target.request(form)
    client.ask(request)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        client.ask(request)
        into.append(time.perf_counter() - began)
        time.sleep(PAUSE)


def run(seconds: float, rounds: int) -> None:
    """Print the figures."""
    with pileus() as target:
        admin = json.loads((target.state / "admin.json").read_text())
        loud, mute = target, _tenant(target, admin, "mute")  # the administrator has no quota
        chosen = image(loud)
        launch = f"Action=RunInstances&{VERSION}&ImageId={chosen}&InstanceType=m1.tiny"
        ids = ask(loud, f"{launch}&MinCount=50&MaxCount=50").split("<instanceId>")[1:]
        ask(mute, f"{launch}&MinCount=1&MaxCount=1")
        time.sleep(3)
        nobody = msgspec.structs.replace(loud, credential=loud.credential._replace(secret=b"wrong"))
        tag = f"Action=CreateTags&{VERSION}&ResourceId.1={ids[0].partition('<')[0]}&Tag.1.Key=k&Tag.1.Value=v"
        loads = {
            "lists": (loud, f"Action=DescribeInstances&{VERSION}"),
            "tags": (loud, tag),
            "launches": (loud, f"{launch}&MinCount=1&MaxCount=1"),
            "strangers": (nobody, f"Action=DescribeInstances&{VERSION}"),
        }
        for name, (who, form) in loads.items():
            found = Latency()
            for _ in range(rounds):
                _measure(mute, f"Action=DescribeInstances&{VERSION}", seconds, found.quiet)
                with _loaded(who, form):
                    _measure(mute, f"Action=DescribeInstances&{VERSION}", seconds, found.loaded)
            found.show(f"fair-{name}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.fair", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one round of one side")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side, taken in turn")
    given = parser.parse_args()
    run(given.seconds, given.rounds)


if __name__ == "__main__":
    main()
