"""A PostgreSQL server of one's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import psycopg
from psycopg import sql

from tests.services.process import Process


def programs() -> Path:
    """Where Debian has the newest server's programs."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgresql:
    """Runs from construction on. Not `durable`: a commit is not synced to the disk, which no test of logic needs."""

    name = "postgresql"

    def __init__(self, *, durable: bool = False) -> None:
        self.process = Process(self.name, "postgres")
        self.data = self.process.folder / "data"
        self._durable = durable
        self.process.run(
            programs() / "initdb",
            *("--no-sync", "--no-locale", "--encoding=UTF8"),
            *("--auth=trust", "--username=pileus", f"--pgdata={self.data}"),
        )
        self.start()

    @property
    def url(self) -> str:
        """The database that a server begins with; its user may make others."""
        return f"postgresql://pileus:secret@127.0.0.1:{self.process.port}/postgres"

    def new(self, name: str) -> str:
        """Make a database; its URL."""
        with psycopg.connect(self.url, autocommit=True) as link:
            link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> None:
        """Start it, again perhaps."""
        settings = {
            "port": self.process.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.process.folder,
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "max_connections": 200,
            "shared_buffers": "64MB",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process.spawn([programs() / "postgres", "-D", str(self.data), *words], self.answers)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it in order, at once: clients are cut off."""
        self.process.end(signal.SIGINT)

    def kill(self) -> None:
        """End it and its children without a word; the next one refuses to start as long as any of these is there."""
        # Who sees a child die makes others.
        self.process.tell(signal.SIGSTOP)
        children = [Path("/proc") / pid for pid in self._children()]
        self.process.end(signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child.name), signal.SIGKILL)
        while any(_lives(child) for child in children):
            time.sleep(0.01)

    def pause(self) -> None:
        """Stop it and its children by SIGSTOP: its sockets stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """The first of all first, which makes children."""
        for pid in (int((self.data / "postmaster.pid").read_text().split()[0]), *map(int, self._children())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[str]:
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def copy(self, folder: Path) -> None:
        """Copy the database, as it is now, into `folder`; the server is away meanwhile."""
        self.stop()
        shutil.copytree(self.data, folder)
        self.start()

    def put_back(self, folder: Path) -> None:
        """Have the server go on, after `kill -9`, from a copy that `copy` made."""
        self.kill()
        self.process.run("rm", "-rf", self.data)
        shutil.copytree(folder, self.data)
        self.process.own(self.data)
        self.start()

    def remove(self) -> None:
        """End it, and remove all it has."""
        self.stop()
        self.process.remove()


def _lives(process: Path) -> bool:
    """Whether a process, by its folder in /proc, has not ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
