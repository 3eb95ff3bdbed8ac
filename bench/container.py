"""RunInstances to the first answer of a container over ssh, against `lxc-start` by hand: goal at most 100 ms more.

Both sides are asked in the same way, in turns; the figure is the median of the rounds' own differences. The peer has
the same configuration, root file system, network, metadata and CPU share, in the place of an instance that is stopped;
its disk is made and mounted before the clock starts, and it is reached straight from its network's namespace. Then how
long it takes until all of 1 to 50 that are launched in one call answer, and what a new root costs by its image's size.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench import cloud
from bench.answer import SshEndpoint, answered
from pileus.host.book import BookEntry
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import disk, identity, kernel, ranges
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.container.idmap import Maps
from pileus.providers.local.container.monitor import Monitor
from pileus.providers.local.container.provider import hand_out
from pileus.providers.local.doctor.folders import no_fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

TOGETHER = (1, 5, 10, 25, 50)
SIZES = (1, 64, 1024)
"""MiB of the images that roots are made from."""

FILES = 20
"""Files of an image for each MiB of it: as many as a Debian has."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.container", description=__doc__)
    parser.add_argument("--images", nargs="*", default=["tiny-container"], choices=list(cloud.CONTAINERS))
    parser.add_argument("--rounds", type=int, default=8, help="rounds of each side, taken in turn")
    parser.add_argument("--together", nargs="*", type=int, default=list(TOGETHER), help="how many in one call")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no cloud behind
    with cloud.running({"PILEUS_OVERCOMMIT_CPU": "64"}) as ours:
        for image in given.images:
            compare(ours, image, given.rounds)
        for count in given.together:
            together(ours, count)
    clones()


def compare(ours: cloud.LocalCloud, image: str, rounds: int) -> None:
    """Print the line of the launches of one at a time. Raises RuntimeError and TimeoutError."""
    with launching(ours, image, 1) as made:
        ours.answered(made)
    pairs = []
    with by_hand(ours, image) as hand:
        for _ in range(rounds):
            begun = time.monotonic()
            with launching(ours, image, 1) as made:
                mine = ours.answered(made)[0] - begun
            pairs.append((mine, hand.run()))
    more = statistics.median(mine - other for mine, other in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(
        f"container-{image} ratio={ratio:.2f} ours={mine * 1000:.0f}ms peer={other * 1000:.0f}ms "
        f"more={more * 1000:.0f}ms rounds={len(pairs)}",
        flush=True,
    )


def together(ours: cloud.LocalCloud, count: int) -> None:
    """Print when the first, the middle and the last of `count` answered that were asked for in one call."""
    begun = time.monotonic()
    with launching(ours, "tiny-container", count) as made:
        asked = time.monotonic() - begun
        found = sorted(moment - begun for moment in ours.arrivals(made) if moment is not None)
    late = count - len(found)
    print(
        f"container-together-{count} call={asked:.2f}s first={found[0]:.2f}s "
        f"median={statistics.median(found):.2f}s last={found[-1]:.2f}s late={late}",
        flush=True,
    )


@contextlib.contextmanager
def launching(ours: cloud.LocalCloud, image: str, count: int) -> Iterator[list[tuple[str, SshEndpoint]]]:
    """`count` instances, asked for at once, and terminated at the end."""
    made = ours.launch(image, count)
    try:
        yield made
    finally:
        ours.end("TerminateInstances", [ident for ident, _ in made], "terminated")


class Hand:
    """A stopped instance's container, to be started by hand any number of times, each time with a new disk."""

    def __init__(self, ours: cloud.LocalCloud, ident: str, folder: Path) -> None:
        uuid = ours.uuid(ident)
        kept = (ours.state / "host" / "orders" / f"{uuid}.json").read_bytes()
        spec = msgspec.json.decode(kept, type=BookEntry).spec
        if not isinstance(spec, InstanceSpec):
            raise TypeError(f"{ident} is on its way out")
        self._layout, self._spec, self._folder = ours.layout, spec, folder
        nic = spec.nics[0]
        self._endpoint = SshEndpoint(
            spec.login_user, ours.key, nic.address, ours.layout.network_netns(nic.network), nic.localport
        )
        self._config = (ours.folder(ident) / "config").read_text().replace(str(ours.folder(ident)), str(folder))
        self._base = ranges.base(ours.layout, spec.project)
        self._maps = Maps()

    def run(self) -> float:
        """Seconds from the start to the answer; it has ended then. Raises Fault and TimeoutError."""
        file, stage, begun = self._folder / disk.NAME, disk.Stage(), [0.0]
        file.unlink(missing_ok=True)
        disk.make(file, self._spec.disks[0].size, self._folder / "blanks")
        (self._folder / "config").write_text(self._config)
        (self._folder / "seccomp").write_text((self._layout.containers / self._spec.uuid / "seccomp").read_text())
        image = Bases(self._layout.bases, no_fetch).root(self._spec.disks[0].digest)
        users = self._maps.namespace(self._base)

        def mount() -> None:
            disk.assemble(file, image, self._base, users, stage)
            identity.write(stage.root, self._spec, self._base)
            hand_out(self._base, stage)
            begun[0] = time.monotonic()

        monitor = Monitor(self._folder, self._spec.ec2_id)
        monitor.start(self._layout.netns, mount, [self._folder, image, stage.at], stage.at)
        try:
            return answered([self._endpoint])[0] - begun[0]
        finally:
            monitor.cut()
            if not monitor.wait(10):
                raise RuntimeError("what was started by hand does not end")


@contextlib.contextmanager
def by_hand(ours: cloud.LocalCloud, image: str) -> Iterator[Hand]:
    """The same container, in the place of an instance that was started once and is stopped."""
    with launching(ours, image, 1) as made, tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        ours.answered(made)
        ours.end("StopInstances", [made[0][0]], "stopped")
        yield Hand(ours, made[0][0], Path(folder))


def clones() -> None:
    """Print what a new root costs, from images of several sizes: disk made, and all of it mounted."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as name:
        maps = Maps()
        users = maps.namespace(ranges.FIRST)
        for size in SIZES:
            image = Path(name) / "image"
            fill(image, size)
            times = [clone(Path(name) / "c" / disk.NAME, image, users) for _ in range(8)]
            print(
                f"container-clone-{size}MiB ms={statistics.median(times) * 1000:.0f} files={size * FILES}", flush=True
            )
        maps.close()


def fill(image: Path, size: int) -> None:
    """A root of `size` MiB."""
    for number in range(size):
        folder = image / f"{size}-{number}"
        folder.mkdir(parents=True)
        for file in range(FILES):
            (folder / str(file)).write_bytes(bytes([number % 255 + 1]) * ((1 << 20) // FILES))


def clone(file: Path, image: Path, users: int) -> float:
    """Seconds to make and mount a new root."""
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    begun = time.monotonic()
    disk.make(file, 4, file.parent / "blanks")

    def mount() -> int:
        kernel.leave_mounts()
        disk.assemble(file, image, ranges.FIRST, users, disk.Stage())
        return 0

    kernel.apart(mount)
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
