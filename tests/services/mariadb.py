"""A MariaDB server of one's own."""

from __future__ import annotations

import signal

import pymysql

from tests.services.process import Process


class Mariadb:
    """Runs from construction on. Not `durable`: a commit is not synced to the disk, which no test of logic needs."""

    name = "mariadb"

    def __init__(self, *, durable: bool = False) -> None:
        self.process = Process(self.name, "mysql")
        self.data = self.process.folder / "data"
        self._durable = durable
        self.process.run(
            "mariadb-install-db",
            *("--no-defaults", f"--datadir={self.data}", "--skip-test-db", "--auth-root-authentication-method=normal"),
        )
        self.start()

    @property
    def url(self) -> str:
        """The database that a server begins with; its user may make others."""
        return f"mariadb://root@127.0.0.1:{self.process.port}/mysql"

    def new(self, name: str) -> str:
        """Make a database; its URL."""
        with pymysql.connect(host="127.0.0.1", port=self.process.port, user="root") as link, link.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> None:
        """Start it, again perhaps."""
        settings = {
            "datadir": self.data,
            "port": self.process.port,
            "bind-address": "127.0.0.1",
            "socket": self.process.folder / "socket",
            "pid-file": self.process.folder / "pid",
            "innodb-flush-log-at-trx-commit": 1 if self._durable else 2,
            "innodb-buffer-pool-size": "64M",
            "max-connections": 200,
            "skip-name-resolve": "ON",
        }
        words = [f"--{name}={value}" for name, value in settings.items()]
        self.process.spawn(["mariadbd", "--no-defaults", *words], self.answers)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            pymysql.connect(host="127.0.0.1", port=self.process.port, user="root", connect_timeout=2).close()
        except pymysql.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it in order: clients are cut off."""
        self.process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self.process.end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it by SIGSTOP: its sockets stay, and nobody answers."""
        self.process.tell(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.tell(signal.SIGCONT)

    def remove(self) -> None:
        """End it, and remove all it has."""
        self.kill()
        self.process.remove()
