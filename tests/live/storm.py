"""A storm over a cloud of several processes: users whose acknowledged requests are kept, and troubles from a seed."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pileus.cli.problem import Problem
from tests.live.processes import empty_disk, fill_disk, insist, token
from tests.services.postgresql import Postgresql

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.processes import Cloud
    from tests.services.relay import Relay

BOTH = ("api-1", "api-2")
ROLES = ("api-1", "api-2", "loops-1", "loops-2")
MOST = 24
"""Instances that the users have at once."""

AGAIN = 150.0
"""Seconds for which a user repeats a request that is not acknowledged."""


class Users(threading.Thread):
    """Launch, stop, start and terminate instances until `finish`; each request is repeated until it is acknowledged.

    `last_states` maps the id of each instance to the state that was acknowledged last. `launches` maps tokens to ids.
    """

    def __init__(self, cloud: Cloud, seed: str) -> None:
        super().__init__(name="users")
        self.last_states: dict[str, str] = {}
        self.launches: dict[str, list[str]] = {}
        self.acknowledged = self.repeated = 0
        self.trouble: BaseException | None = None
        self._cloud = cloud
        self._draw = random.Random(f"{seed} users")
        self._over = threading.Event()

    def run(self) -> None:
        """Ask until told to stop."""
        try:
            while not self._over.wait(self._draw.uniform(0.02, 0.4)):
                self._act()
        except BaseException as error:  # noqa: BLE001  (the test's own thread raises it)
            self.trouble = error

    def finish(self) -> None:
        """Stop after the request that is under way. Raises the error that ended the users early."""
        self._over.set()
        self.join(AGAIN + 60)
        assert not self.is_alive()
        if self.trouble is not None:
            raise self.trouble

    def living(self) -> list[str]:
        """Return the ids of all instances that are not to be terminated."""
        return [ident for ident, state in self.last_states.items() if state != "terminated"]

    def _act(self) -> None:
        living = self.living()
        verb = self._draw.choice(("launch", "stop", "start", "terminate"))
        if not living or (verb == "launch" and len(living) < MOST):
            self._launch(self._draw.randint(1, 3))
            return
        if verb != "launch":
            ident = self._draw.choice(living)
            self._ask(partial(self._change, verb, ident))
            self.last_states[ident] = {"stop": "stopped", "start": "running", "terminate": "terminated"}[verb]

    def _launch(self, count: int) -> None:
        client_token = token()
        idents = self._ask(lambda at: self._cloud.launched(at, count, client_token))
        self.launches[client_token] = idents
        self.last_states.update(dict.fromkeys(idents, "running"))

    def _change(self, verb: str, ident: str, at: str) -> None:
        client = self._cloud.client(at)
        if verb == "terminate":
            try:
                client.delete("instances", ident)
            except Problem as problem:
                # A repetition of a request whose answer was lost, when the instance is gone already.
                if "NotFound" not in str(problem) and "no instance" not in str(problem).lower():
                    raise
        else:
            client.post("instances", ident, verb)

    def _ask(self, call: Callable[[str], object]) -> list[str]:
        order = self._draw.sample(BOTH, 2)
        answer, again = insist([partial(call, at) for at in order], AGAIN)
        self.acknowledged += 1
        self.repeated += again
        return answer if isinstance(answer, list) else []


class Supervisor(threading.Thread):
    """Starts a process again, as systemd does, that ended by itself; it has said why, in a line of its log.

    `ended` are the names of those that did, `silent` the logs' ends of those that did not say why.
    """

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(name="supervisor")
        self.ended: list[str] = []
        self.silent: list[str] = []
        self._cloud = cloud
        self._over = threading.Event()

    def run(self) -> None:
        """Look after the processes until `finish`."""
        while not self._over.wait(1.0):
            for name, process in list(self._cloud.processes.items()):
                code = process.poll()
                if code is None or code == -signal.SIGKILL:
                    continue
                self.ended.append(name)
                last = self._cloud.last_words(name)
                if code < 0 or not last.rstrip().rpartition("\n")[2].startswith("pileus: "):
                    self.silent.append(f"{name} ended with {code}: {last}")
                self._cloud.again(name)

    def finish(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


@dataclass
class Troubles:
    """What befalls the cloud: each of `KINDS` at drawn moments; `counts` says how often."""

    cloud: Cloud
    relays: dict[str, Relay]
    seed: str
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"{self.seed} troubles")

    def rage(self, seconds: float) -> None:
        """Bring troubles, one after the other, for so long; all is mended at the end."""
        end = time.monotonic() + seconds
        kinds = (self.kill, self.kill, self.pause, self.partition, self.broker, self.database, self.disk)
        while time.monotonic() < end:
            trouble = self._draw.choice(kinds)
            self.counts[trouble.__name__] += 1
            trouble()
            time.sleep(self._draw.uniform(0.2, 3.0))

    def kill(self) -> None:
        """`kill -9` a process of the cloud, or a host's, and start it again after a moment."""
        name = self._draw.choice([*ROLES, *self.relays])
        self.cloud.kill(name)
        time.sleep(self._draw.uniform(0.0, 1.5))
        self.cloud.again(name)

    def pause(self) -> None:
        """Stop a process for some seconds."""
        name = self._draw.choice([*ROLES, *self.relays])
        self.cloud.pause(name)
        time.sleep(self._draw.uniform(0.5, 8.0))
        self.cloud.go_on(name)

    def partition(self) -> None:
        """Cut one or two hosts off from the broker."""
        relays = self._draw.sample(sorted(self.relays), self._draw.randint(1, 2))
        for name in relays:
            self.relays[name].cut()
        time.sleep(self._draw.uniform(1.0, 10.0))
        for name in relays:
            self.relays[name].mend()

    def broker(self) -> None:
        """Kill or stop the broker."""
        if self._draw.random() < 0.4:
            self.cloud.broker.kill()
            self.cloud.broker.start()
        else:
            self.cloud.broker.pause()
            time.sleep(self._draw.uniform(0.5, 6.0))
            self.cloud.broker.resume()

    def database(self) -> None:
        """Kill or stop the database's server."""
        assert self.cloud.database is not None
        if self._draw.random() < 0.5:
            self.cloud.database.kill()
            time.sleep(self._draw.uniform(0.0, 2.0))
            self.cloud.database.start()
        else:
            self.cloud.database.pause()
            time.sleep(self._draw.uniform(0.5, 6.0))
            self.cloud.database.resume()

    def disk(self) -> None:
        """Fill the disk of a process: nothing that it writes to a file, or to standard output, succeeds."""
        name = self._draw.choice([*ROLES, *self.relays])
        pid = self.cloud.processes[name].pid
        # The process may end by itself, as at a start without the database: the supervisor judges that.
        with contextlib.suppress(ProcessLookupError):
            fill_disk(pid)
            time.sleep(self._draw.uniform(1.0, 10.0))
            empty_disk(pid)

    def roll_back(self, copy: Path) -> None:
        """Have the database go on from an older copy of itself, and once more during the recovery that follows.

        In between hosts are killed while they answer.
        """
        assert isinstance(self.cloud.database, Postgresql)
        for _ in range(self._draw.randint(1, 3)):
            self.counts["roll_back"] += 1
            self.cloud.database.put_back(copy)
            time.sleep(self._draw.uniform(0.0, 4.0))
            if self._draw.random() < 0.7:
                self.counts["kill"] += 1
                host = self._draw.choice(list(self.relays))
                self.cloud.kill(host)
                time.sleep(self._draw.uniform(0.0, 4.0))
                self.cloud.again(host)
