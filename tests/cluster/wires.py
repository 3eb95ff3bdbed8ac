"""Machines without hardware: network namespaces on common wires, each of which can be cut, slowed and mended."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from tests.live.veth import ip, within

T = TypeVar("T")

MANAGEMENT, TUNNELS, OUTSIDE = "mgmt", "tunnels", "outside"
"""The three networks of a data centre: of its processes, of the tunnels between its switches, and what is outside."""

RANGES = {MANAGEMENT: "10.90.0", TUNNELS: "10.91.0", OUTSIDE: "198.51.100"}
"""The first three bytes of the addresses on each; machines count from 11, the outside has a gateway, number 1."""


@dataclass(frozen=True)
class Machine:
    """A namespace with one interface on each wire, named as the wire; only that of the processes has an address."""

    name: str
    namespace: str
    number: int

    def address(self, wire: str = MANAGEMENT) -> str:
        """Its address on a wire, which for the others than the processes' own is the switch's to set."""
        return f"{RANGES[wire]}.{self.number}"

    def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in this machine's network."""
        return within(self.namespace, work)

    def command(self, *argv: str) -> list[str]:
        """`argv` as run on this machine."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *argv]


@dataclass
class Wires:
    """The wires, which are bridges in a namespace of their own, and the machines on them."""

    namespace: str = field(default_factory=lambda: f"w{secrets.token_hex(3)}")
    machines: dict[str, Machine] = field(default_factory=dict)

    def begin(self) -> None:
        """Make the wires, and the outside's gateway."""
        ip("netns", "add", self.namespace)
        for wire in RANGES:
            ip("-n", self.namespace, "link", "add", wire, "type", "bridge")
            ip("-n", self.namespace, "link", "set", wire, "addrgenmode", "none", "up")
        self.machine("world", number=1)
        world = self.machines["world"].namespace
        ip("-n", world, "address", "add", f"{RANGES[OUTSIDE]}.1/24", "dev", OUTSIDE)

    def machine(self, name: str, number: int = 0) -> Machine:
        """A new machine; on the wire of the processes it can be reached at once."""
        made = Machine(name, f"{self.namespace}-{name}", number or 10 + len(self.machines))
        ip("netns", "add", made.namespace)
        ip("-n", made.namespace, "link", "set", "lo", "up")
        for wire in RANGES:
            end = _end(wire, made)
            ip(
                *("-n", self.namespace, "link", "add", end, "type", "veth"),
                *("peer", "name", wire, "netns", made.namespace),
            )
            ip("-n", self.namespace, "link", "set", end, "master", wire, "addrgenmode", "none", "up")
            ip("-n", made.namespace, "link", "set", wire, "addrgenmode", "none", "up")
        ip("-n", made.namespace, "address", "add", f"{made.address()}/24", "dev", MANAGEMENT)
        self.machines[name] = made
        return made

    def remove(self, name: str) -> None:
        """Take a machine away, and its ends of the wires with it."""
        ip("netns", "delete", self.machines.pop(name).namespace)

    def known(self, name: str) -> Machine:
        """The machine of this name; ValueError says which there are."""
        if name not in self.machines:
            raise ValueError(f"there is no machine '{name}'; there are {', '.join(self.machines)}")
        return self.machines[name]

    def cut(self, name: str, *wires: str) -> None:
        """Part a machine from everybody else on `wires`, or on all: nothing is refused, nothing arrives."""
        for wire in _named(wires):
            ip("-n", self.namespace, "link", "set", _end(wire, self.known(name)), "nomaster")

    def mend(self, name: str, *wires: str) -> None:
        """Undo `cut`."""
        for wire in _named(wires):
            ip("-n", self.namespace, "link", "set", _end(wire, self.known(name)), "master", wire)

    @contextlib.contextmanager
    def parted(self, name: str, *wires: str) -> Iterator[None]:
        """A partition for as long as the block lasts."""
        self.cut(name, *wires)
        try:
            yield
        finally:
            self.mend(name, *wires)

    def slow(self, name: str, kilobits: int) -> None:
        """Let what a machine's processes are sent come at `kilobits` a second at most; 0 for no bound."""
        end = _end(MANAGEMENT, self.known(name))
        subprocess.run(
            ["tc", "-n", self.namespace, "qdisc", "delete", "dev", end, "root"], check=False, capture_output=True
        )
        if kilobits:
            rate = ("tbf", "rate", f"{kilobits}kbit", "burst", "4kb", "latency", "400ms")
            subprocess.run(
                ["tc", "-n", self.namespace, "qdisc", "add", "dev", end, "root", *rate], check=True, capture_output=True
            )

    def end(self) -> None:
        """Take everything down."""
        for namespace in (*(machine.namespace for machine in self.machines.values()), self.namespace):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _named(wires: tuple[str, ...]) -> tuple[str, ...]:
    for wire in wires:
        if wire not in RANGES:
            raise ValueError(f"there is no wire '{wire}'; there are {', '.join(RANGES)}")
    return wires or tuple(RANGES)


def _end(wire: str, machine: Machine) -> str:
    """The wire's end of a machine's interface."""
    return f"{wire[:4]}-{machine.name}"[:15]
