"""RunInstances on the stub, against moto's server: one instance a request, and fifty; goal: twice its rate.

Three figures, medians of paired rounds. `rate`: requests answered per second, while our loops work beside. `running`:
instances per second until all of them run. `cpu`: server CPU per instance, read only when all of the round run and the
processes are idle again, so what loops, host and reports do after the answer is counted too. Ours is on disk before it
answers and outlives `kill -9`; moto keeps a dict in memory.
"""

from __future__ import annotations

import re
import statistics
import time
from typing import TYPE_CHECKING

import msgspec

from bench.load import Client
from bench.peers import ask, image, moto, pileus
from bench.server import cpu

if TYPE_CHECKING:
    from bench.load import Target

LATER = 2.5
"""Seconds after which our loops have had their last look at a new instance, two seconds after its order."""

MOST = 900
"""Instances that one figure makes on each side, all its rounds together."""

_ID = re.compile(rb"<instanceId>(i-[0-9a-f]+)<")


class _Round(msgspec.Struct, frozen=True):
    """Requests per second, instances running per second, and CPU milliseconds per instance."""

    rate: float
    running: float
    cpu: float


def run(rounds: int) -> None:
    """Print three lines for one instance a request, and three for fifty."""
    with pileus() as ours, moto() as peer:
        for size, requests in ((1, 60), (50, 3)):
            bounded = max(1, min(requests, MOST // (size * (rounds + 1))))
            _compare(ours, peer, size, bounded, rounds)


def _compare(ours: Target, peer: Target, size: int, requests: int, rounds: int) -> None:
    images = {target.name: image(target) for target in (ours, peer)}
    found: dict[str, list[_Round]] = {ours.name: [], peer.name: []}
    for number in range(rounds + 1):
        for target in (ours, peer):
            figure = _round(target, images[target.name], size, requests)
            if number:  # the first round warms up
                found[target.name].append(figure)
    for name, unit in (("rate", "/s"), ("running", "/s"), ("cpu", "ms")):
        mine, other = (statistics.median(getattr(one, name) for one in found[t.name]) for t in (ours, peer))
        shown = f"run-instances-{size}" + ("" if name == "rate" else f"-{name}")
        print(f"{shown} ratio={mine / other:.2f} ours={mine:.2f}{unit} peer={other:.2f}{unit}", flush=True)


def _round(target: Target, chosen: str, size: int, requests: int) -> _Round:
    form = f"Action=RunInstances&Version=2016-11-15&ImageId={chosen}&MinCount={size}&MaxCount={size}"
    client, request = Client(target.port), target.request(f"{form}&InstanceType=t2.micro")
    before, begin = cpu(target.pids), time.perf_counter()
    ids: list[str] = []
    for _ in range(requests):
        ids += [found.decode() for found in _ID.findall(client.ask(request))]
    answered = time.perf_counter() - begin
    if len(ids) != size * requests:
        raise RuntimeError(f"{target.name} launched {len(ids)} instances")
    _until_running(target, ids[-1:])
    running = time.perf_counter() - begin
    spent = _when_idle(target)
    _until_running(target, ids)
    return _Round(requests / answered, len(ids) / running, (spent - before) * 1000 / len(ids))


def _until_running(target: Target, ids: list[str]) -> None:
    """Wait until these run; they are taken in turn, so the last one tells of all without a costly question."""
    form = "Action=DescribeInstances&Version=2016-11-15&" + "&".join(
        f"InstanceId.{number}={ident}" for number, ident in enumerate(ids, 1)
    )
    deadline = time.monotonic() + 120
    while "<name>pending</name>" in ask(target, form):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{target.name}: instances stay pending")
        time.sleep(0.05)


def _when_idle(target: Target) -> float:
    """Seconds of CPU that were used up to the first quarter of a second in which next to nothing was."""
    time.sleep(LATER)
    spent = cpu(target.pids)
    for _ in range(240):
        time.sleep(0.25)
        now = cpu(target.pids)
        if now - spent <= 0.02:
            return now
        spent = now
    raise RuntimeError(f"{target.name} does not come to rest")
