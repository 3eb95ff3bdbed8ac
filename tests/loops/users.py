"""The users of the world: what they ask, and what they have a right to expect since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import PileusError, Unavailable
from pileus.model.securitygroup import Rule
from pileus.verbs import securitygroup, tag
from pileus.verbs.instance import launch, power
from tests.loops.addresses import Addresses
from tests.loops.captures import Captures
from tests.loops.interfaces import Interfaces
from tests.loops.layouts import Layouts
from tests.loops.promises import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.model.instance import Instance
    from pileus.model.noun import Noun
    from tests.loops.world import World


class StoreDown(Exception):
    """A transaction that could not be committed, as when the disk is full."""


def is_down(error: Exception) -> bool:
    """Whether an error says that the whole database cannot be used now; threads of the cloud then try again."""
    return isinstance(error, StoreDown) or (isinstance(error, Unavailable) and error.noun == "store")


class Expectation(msgspec.Struct):
    """What was asked last of one instance, `asked` since the last recovery.

    `unsure`: the answer was that it may have been done, or not.

    `ended`: its guest went down by itself since the last start; `ended_n` is the power number that it ran for then.
    """

    uuid: str
    ec2_id: str
    terminate_on_shutdown: bool = False
    running: bool = True
    gone: bool = False
    ended: bool = False
    ended_n: int = 0
    asked: bool = False
    unsure: bool = False


class Users:
    """They ask for a while, and repeat what got no answer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.expectations: dict[str, Expectation] = {}
        self.tokens: dict[str, list[str]] = {}
        self.forgotten: set[str] = set()
        self.remembered: dict[str, set[str]] = {}
        self._asked: dict[str, launch.Launch] = {}
        self._count = 0
        self._recovered = False
        self._unknown = self._unsure = False
        self.addresses = Addresses(world, self._try)
        self.captures = Captures(world, self._try)
        self.interfaces = Interfaces(world, self._try)
        self.layouts = Layouts(world, self._try)

    def relearn(self, rows: Mapping[str, Instance], away: set[str]) -> None:
        """After a recovery: what the users see now is what they expect; tokens may have been forgotten.

        What they asked since an earlier recovery holds. `away` are those that hosts hold which are silent.
        """
        for uuid, expectation in list(self.expectations.items()):
            row, asked_since = rows.get(uuid), expectation.asked and self._recovered
            expectation.asked = False
            if row is None:
                if uuid not in away:
                    del self.expectations[uuid]
                continue
            gone = row.wanted.gone or row.gone is not None
            if not asked_since or gone:  # terminated in the time that was lost, which nobody saw when asking
                expectation.running, expectation.gone = row.wanted.power.state == "running", gone
            # A later start may be lost with the database; its host may not have noticed yet that the guest ended.
            expectation.ended = expectation.ended or row.wanted.power.n in (row.seen.satisfied, expectation.ended_n)
        self._recovered = True
        self.remembered.clear()
        for row in rows.values():
            if row.gone is None:
                self.remembered.setdefault(row.wanted.token, set()).add(row.uuid)
        for lost in list(self._asked.values())[-5:]:
            self._world.after(self._world.soon(3), lambda lost=lost: self._launch_once(lost))  # type: ignore[misc]
        self.forgotten = {f"token-{number}" for number in range(self._count + 1)}
        self.tokens.clear()
        self.addresses.relearn()
        self.captures.relearn()
        self.interfaces.relearn()
        self.layouts.relearn()

    def lose(self) -> None:
        """The database is replaced: what was asked until now may be lost with it."""
        for expectation in self.expectations.values():
            expectation.asked = False

    def look(self, rows: Mapping[str, Instance]) -> None:
        """Look what became of that which was answered with "it may be done, or not"."""
        for expectation in self.expectations.values():
            if expectation.unsure:
                row = rows[expectation.uuid]
                expectation.running, expectation.gone = (
                    row.wanted.power.state == "running",
                    row.wanted.gone or row.gone is not None,
                )
                expectation.unsure = False
        if self._unsure:
            self.addresses.relearn()
            self.captures.relearn()
            self.interfaces.relearn()
            self.layouts.relearn()

    def begin(self) -> None:
        """The first one launches; others follow for as long as the storm lasts."""
        self._launch()
        self._next()

    def _next(self) -> None:
        def go() -> None:
            if self._world.storm:
                self._ask(self._world.random.choice(self._world.temper.verbs))
                self._next()

        self._world.after(self._world.soon(1.3), go)

    def _try(self, verb: Callable[[], object]) -> bool:
        """Whether it was answered with yes."""
        try:
            verb()
        except (PileusError, StoreDown) as error:
            self._world.log("refused:", error)
            self._unknown = isinstance(error, Unavailable) and error.reason == "unknown"
            self._unsure = self._unsure or self._unknown
            return False
        self._unknown = False
        return True

    def _ask(self, verb: str) -> None:
        world, random = self._world, self._world.random
        living = [expectation for expectation in self.expectations.values() if not expectation.gone]
        if verb == "launch":
            self._launch()
        elif verb == "group":
            self._group()
        elif verb == "rules":
            self._rules()
        elif verb == "address":
            self.addresses.ask(living)
        elif verb == "capture":
            self.captures.ask(living)
        elif verb == "port":
            self.interfaces.ask(living)
        elif verb == "layout":
            self.layouts.ask()
        elif verb == "terminate-again":
            dead = [expectation for expectation in self.expectations.values() if expectation.gone]
            if dead:
                self._try(lambda: power.terminate(world.cloud.caller, world.core, [random.choice(dead).uuid]))
        elif living:
            self._change(verb, random.choice(living))
        if random.random() < 0.25:
            self._world.promises.counts()

    def _change(self, verb: str, expectation: Expectation) -> None:
        caller, core = self._world.cloud.caller, self._world.core
        self._world.log("user:", verb, expectation.uuid)
        if verb == "start":
            if self._try(lambda: power.start(caller, core, [expectation.uuid])):
                expectation.running, expectation.ended, expectation.asked = True, False, True
        elif verb == "stop":
            if self._try(lambda: power.stop(caller, core, [expectation.uuid])):
                expectation.running, expectation.asked = False, True
        elif verb == "reboot":
            self._try(lambda: power.reboot(caller, core, [expectation.uuid]))
        elif verb == "terminate":
            if self._try(lambda: power.terminate(caller, core, [expectation.uuid])):
                expectation.gone = expectation.asked = True
                self.addresses.left(expectation.uuid)
        elif verb == "tag":
            self._try(
                lambda: tag.put(caller, core, [("instance", expectation.uuid)], {"n": str(self._world.random.random())})
            )
        expectation.unsure = expectation.unsure or self._unknown

    def _launch(self) -> None:
        random = self._world.random
        self._count += 1
        groups = random.sample([group.uuid for group in self._world.cloud.groups], random.choice((0, 1, 2)))
        request = launch.Launch(
            image=self._world.cloud.image.uuid,
            least=1,
            most=random.choice((1, 1, 1, 2)),
            groups=tuple(groups),
            token=f"token-{self._count}",
            on_shutdown=random.choice(("stop", "stop", "terminate")),
        )
        self._asked[request.token] = request
        for _ in range(random.choice((1, 1, 2))):
            self._world.after(self._world.soon(1), lambda: self._launch_once(request))

    def _launch_once(self, request: launch.Launch) -> None:
        uuids: list[str] = []
        caller, core = self._world.cloud.caller, self._world.core
        self._world.log("user: launch", request.token, request.most)
        if not self._try(lambda: uuids.extend(launch.launch(caller, core, request))):
            return
        answered = {*self.tokens}
        if not self.remembered.get(request.token, set(uuids)) & set(uuids):
            self._world.promises.broken(TOKEN, f"{request.token} led to {uuids}, though its instances had come back")
        if request.token not in self.forgotten:
            self.tokens.setdefault(request.token, uuids)
            self._world.promises.same_token(request.token, self.tokens[request.token], uuids)
        rows = self._world.promises.instances(uuids)
        for row in rows:
            terminate = request.on_shutdown == "terminate"
            self.expectations.setdefault(row.uuid, Expectation(row.uuid, row.ec2_id, terminate))
        if request.token not in answered | self.remembered.keys():
            self._world.operators.placed(rows)

    def _rules(self) -> None:
        world, random = self._world, self._world.random
        group = random.choice(world.cloud.groups)
        port = random.choice((22, 80))
        rule = Rule(id="", protocol="tcp", port_min=port, port_max=port, cidr="0.0.0.0/0")
        if random.random() < 0.3:
            rule = Rule(id="", group=random.choice(world.cloud.groups).uuid)
        verb = random.choice((securitygroup.authorize, securitygroup.revoke))
        world.log("user:", verb.__name__, group.uuid)
        self._try(lambda: verb(world.cloud.caller, world.core, [rule], uuid=group.uuid))

    def _group(self) -> None:
        world, random = self._world, self._world.random
        there: list[Noun] = []
        if not self._try(lambda: there.extend(securitygroup.listing(world.cloud.caller, world.core))):
            return
        extra = [group for group in there if group.name.startswith("extra")]
        if extra and random.random() < 0.6:
            self._try(lambda: securitygroup.delete(world.cloud.caller, world.core, extra[0].uuid))
        else:
            self._count += 1
            name = f"extra-{self._count}"
            self._try(lambda: securitygroup.create(world.cloud.caller, world.core, name, ""))
