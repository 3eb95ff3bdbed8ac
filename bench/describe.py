"""DescribeInstances with 1, 50 and 500 instances on the stub, against moto's server; goal: three times its rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.load import compare
from bench.peers import ask, image, moto, pileus

if TYPE_CHECKING:
    from bench.load import Target

SIZES = (1, 50, 500)
DESCRIBE = "Action=DescribeInstances&Version=2016-11-15"


def run(seconds: float, rounds: int) -> None:
    """Print a line for each size."""
    with pileus() as ours, moto() as peer:
        images = {target.name: image(target) for target in (ours, peer)}
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


def _launch(target: Target, chosen: str, count: int) -> None:
    """Launch, and wait until they run: a list that changes meanwhile would be another figure."""
    form = f"Action=RunInstances&Version=2016-11-15&ImageId={chosen}&MinCount={count}&MaxCount={count}"
    ask(target, f"{form}&InstanceType=t2.micro")
    deadline = time.monotonic() + 120
    while "<name>pending</name>" in ask(target, DESCRIBE):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{target.name}: instances stay pending")
        time.sleep(0.2)
