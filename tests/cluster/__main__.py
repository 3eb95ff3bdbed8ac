"""`make cluster`: a cloud of three machines for a person, and what to do to it; all of it goes at the end."""

from __future__ import annotations

import cmd
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster.machines import HOSTS, PORT, ROLES, Cluster
from tests.cluster.wires import RANGES

IMAGES = Path("/var/lib/pileus/images")

HELP = f"""
  hosts                       what `pileus host list` says
  pileus WORDS...             a command of the cloud's administrator
  shell MACHINE               a shell on cloud, {", ".join(HOSTS)} or world; `exit` comes back
  kill PART                   SIGKILL; parts: central, {", ".join(ROLES)}, broker, database, HOST/NAME
  pause PART, resume PART     SIGSTOP, SIGCONT
  start PART                  what was killed; what HOST/NAME names comes back by itself
  cut MACHINE [WIRE...]       from all others; wires: {", ".join(RANGES)}
  mend MACHINE [WIRE...]      undo it
  slow MACHINE KILOBITS       a second at most, to its processes; 0: as fast as it goes
  quit                        take everything down
"""


class Console(cmd.Cmd):
    """Commands on one cluster."""

    prompt = "cluster> "

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def onecmd(self, line: str) -> bool:
        """Do a command; True to end. What cannot be done is said."""
        name, *words = line.split()
        does: dict[str, Callable[..., object]] = {
            "kill": self._cluster.kill,
            "pause": lambda part: self._cluster.kill(part, signal.SIGSTOP),
            "resume": lambda part: self._cluster.kill(part, signal.SIGCONT),
            "start": self._cluster.run,
            "cut": self._cluster.wires.cut,
            "mend": self._cluster.wires.mend,
            "slow": lambda machine, rate: self._cluster.wires.slow(machine, int(rate)),
            "hosts": lambda: self._say(self._cluster.pileus("cloud", "host", "list")),
            "pileus": lambda *words: self._say(self._cluster.pileus("cloud", *words)),
            "shell": self._shell,
        }
        if name in ("quit", "EOF"):
            return True
        try:
            does[name](*words)
        except (KeyError, TypeError, ValueError, AssertionError, subprocess.CalledProcessError) as error:
            self._say(f"{type(error).__name__}: {error}\n{HELP}")
        return False

    def emptyline(self) -> bool:
        """Nothing."""
        return False

    def _shell(self, machine: str) -> None:
        subprocess.run(self._cluster.wires.machines[machine].command("/bin/bash"), check=False)

    def _say(self, text: str) -> None:
        self.stdout.write(f"{text}\n")


def main() -> None:
    """Start, print how to use it, obey, and take everything down."""
    cluster = Cluster()
    try:
        print("starting the machines (about half a minute)", flush=True)  # noqa: T201
        cluster.start()
        tiny = IMAGES / "tiny.qcow2"
        if tiny.exists():
            cluster.pileus("cloud", "image", "add", str(tiny), "--name", "tiny", "--public")
        root, at = cluster.root, cluster.cloud.address()
        print(  # noqa: T201
            f"EC2 https://{at}:{PORT}, REST https://{at}:{PORT}/v1, certificate {cluster.state.ca}\n"
            f"administrator {cluster.state.admin}\n"
            f"in another terminal: {' '.join(cluster.world.command('bash'))}\n"
            f"and there: {shutil.which('pileus') or '.venv/bin/pileus'} list --state {cluster.state.root}\n"
            f"logs: {root}/*.log, {root}/host*/log/*.log\n{HELP}",
            flush=True,
        )
        Console(cluster).cmdloop()
    finally:
        print("taking it down", flush=True)  # noqa: T201
        cluster.end()


if __name__ == "__main__":
    main()
