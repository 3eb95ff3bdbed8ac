"""`make cluster`: a cloud of three machines for a person, and what to do to it; all of it goes at the end."""

from __future__ import annotations

import cmd
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.guests import IMAGE, Guests
from tests.cluster.machines import HOSTS, PARTS, PILEUS, PORT, Cluster
from tests.cluster.wires import RANGES

USAGE = {
    "launch": ("launch [COUNT]", "guests, each with an address outside"),
    "list": ("list", "what `pileus list` says"),
    "ssh": ("ssh INSTANCE [COMMAND...]", "from outside"),
    "hosts": ("hosts", "what `pileus host list` says"),
    "pileus": ("pileus WORDS...", "a command of the cloud's administrator"),
    "shell": ("shell MACHINE", f"a shell on cloud, {', '.join(HOSTS)} or world; `exit` comes back"),
    "parts": ("parts", "which of the cloud's side run"),
    "log": ("log PART", "the end of what it says"),
    "kill": ("kill PART", f"SIGKILL; parts: {', '.join(PARTS)}, HOST/NAME"),
    "start": ("start PART", "what was killed; what HOST/NAME names comes back by itself"),
    "pause": ("pause PART", "SIGSTOP"),
    "resume": ("resume PART", "SIGCONT"),
    "cut": ("cut MACHINE [WIRE...]", f"from all others; wires: {', '.join(RANGES)}; all when none is named"),
    "mend": ("mend MACHINE [WIRE...]", "undo it"),
    "slow": ("slow MACHINE KILOBITS", "a second at most, to its processes; 0: as fast as it goes"),
    "quit": ("quit", "take everything down"),
}
"""How each command is given, and what it does."""

HELP = "\n".join(f"  {words:27} {does}" for words, does in USAGE.values())


class Console(cmd.Cmd):
    """Commands on one cluster."""

    prompt = "cluster> "

    def __init__(self, cluster: Cluster, folder: Path | None = None) -> None:
        super().__init__()
        self._cluster = cluster
        self._folder = folder
        self._guests: Guests | None = None
        self._does: dict[str, Callable[..., object]] = {
            "launch": self._launch,
            "list": lambda: self._say(self._cluster.pileus("cloud", "list")),
            "ssh": self._ssh,
            "hosts": lambda: self._say(self._cluster.pileus("cloud", "host", "list")),
            "pileus": lambda first, *words: self._say(self._cluster.pileus("cloud", first, *words)),
            "shell": self._shell,
            "parts": self._parts,
            "log": lambda part: self._say(self._cluster.said(part) or f"{part} has said nothing"),
            "kill": self._cluster.kill,
            "start": self._cluster.run,
            "pause": lambda part: self._cluster.kill(part, signal.SIGSTOP),
            "resume": lambda part: self._cluster.kill(part, signal.SIGCONT),
            "cut": self._cluster.wires.cut,
            "mend": self._cluster.wires.mend,
            "slow": lambda machine, rate: self._cluster.wires.slow(machine, int(rate)),
            "help": lambda *_: self._say(HELP),
        }

    def onecmd(self, line: str) -> bool:
        """Do a command; True to end. What cannot be done is said in a line."""
        try:
            name, *words = shlex.split(line)
        except ValueError as error:
            self._say(f"{error}")
            return False
        if name in ("quit", "exit", "EOF"):
            return True
        if name not in self._does:
            self._say(f"there is no command '{name}'; `help` lists them")
            return False
        try:
            self._does[name](*words)
        except TypeError:
            self._say(f"usage: {USAGE[name][0]}")
        except subprocess.CalledProcessError as error:
            self._say(f"{shlex.join(error.cmd)}: {error.stderr or error.returncode}")
        except (LookupError, ValueError, AssertionError, BotoCoreError, ClientError) as error:
            self._say(str(error.args[0] if error.args else error).strip())
        except KeyboardInterrupt:
            self._say("")
        return False

    def cmdloop(self, intro: str | None = None) -> None:
        """Until `quit`, or the end of the input; Ctrl-C begins a new line."""
        while True:
            try:
                super().cmdloop(intro)
            except KeyboardInterrupt:
                self._say("\n`quit` takes everything down")
            else:
                return

    def emptyline(self) -> bool:
        """Nothing."""
        return False

    def completenames(self, text: str, *_: object) -> list[str]:
        """Commands that begin so."""
        return [f"{name} " for name in (*USAGE, "help") if name.startswith(text)]

    def completedefault(self, text: str, *_: object) -> list[str]:
        """Parts, machines and wires that begin so."""
        return [f"{name} " for name in (*PARTS, *self._cluster.wires.machines, *RANGES) if name.startswith(text)]

    def _known(self) -> Guests:
        if self._guests is None:
            assert self._folder
            self._guests = Guests(self._cluster, self._folder)
        return self._guests

    def _launch(self, count: str = "1") -> None:
        guests = self._known()
        for ident in guests.launch(int(count)):
            self._say(f"{ident}: `ssh {ident}`, once it runs, at {guests.floating(ident)}")

    def _ssh(self, ident: str, *command: str) -> None:
        guests = self._known()
        found = guests.ec2.describe_addresses(Filters=[{"Name": "instance-id", "Values": [ident]}])["Addresses"]
        if not found:
            raise LookupError(f"{ident} has no address outside; `launch` gives one")
        words = guests.words(found[0]["PublicIp"])
        if not command:
            words[words.index("-T")] = "-t"
        status = subprocess.run([*words, *command], check=False).returncode
        if status:
            self._say(f"ssh ended with {status}: 255 is its own, the guest may not have booted yet")

    def _parts(self) -> None:
        for part in PARTS:
            self._say(f"{part:9} {'runs' if self._cluster.runs(part) else 'does not run'}")

    def _shell(self, machine: str) -> None:
        found = self._cluster.wires.known(machine)
        state = self._cluster.hosts.get(machine, self._cluster.state)
        environment = {
            **os.environ,
            "PS1": f"{machine}$ ",
            "PILEUS_STATE": str(state.root),
            "PATH": f"{Path(PILEUS).parent}:{os.environ['PATH']}",
        }
        subprocess.run(found.command("/bin/bash", "--norc"), env=environment, check=False)

    def _say(self, text: str) -> None:
        self.stdout.write(f"{text}\n")


def main() -> None:
    """Start, print how to use it, obey, and take everything down."""
    cluster, folder = Cluster(), Path(tempfile.mkdtemp(prefix="pileus-key-"))
    try:
        print("starting the machines (about half a minute)", flush=True)  # noqa: T201
        cluster.start()
        if IMAGE.exists():
            cluster.pileus("cloud", "image", "add", str(IMAGE), "--name", "tiny", "--public")
        root, at = cluster.root, cluster.cloud.address()
        print(  # noqa: T201
            f"EC2 https://{at}:{PORT}, REST https://{at}:{PORT}/v1, certificate {cluster.state.ca}\n"
            f"administrator {cluster.state.admin}\n"
            f"logs: {root}/*.log, {root}/host*/log/*.log\n"
            f"another terminal outside: {shlex.join(cluster.world.command('bash'))}\n\n{HELP}\n",
            flush=True,
        )
        Console(cluster, folder).cmdloop()
    except KeyboardInterrupt:
        print(flush=True)  # noqa: T201  (while it started)
    finally:
        print("taking it down", flush=True)  # noqa: T201
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
