"""A cloud over the stub as users have it: started by `pileus up`, reached over HTTP."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.app.processes import until
from pileus.app.state import StateDirectory
from pileus.cli.client import Client, connect
from tests.app import shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

PILEUS = str(Path(sys.executable).parent / "pileus")


class Stub:
    """One state directory, and the cloud in it when it runs; `forks` says how that starts (see `forked`)."""

    def __init__(self, root: Path, *, forks: bool = True, **settings: str) -> None:
        self.state = StateDirectory(root)
        self.forks = forks
        self.settings = settings

    def pileus(self, *words: str, check: bool = True, input_text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on this state directory, with `input_text` on its standard input."""
        done = shell.run(words, self.environment(), input_text, forks=self.forks)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def environment(self) -> Mapping[str, str]:
        """What commands find in their environment: nothing of this machine's but the search path."""
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "PILEUS_STATE": str(self.state.root),
            "HOME": str(self.state.root),
            **self.settings,
        }

    def up(self, *words: str) -> dict[str, str]:
        """Start it."""
        self.pileus("up", "--provider", "stub", *words)
        return self.endpoints

    def down(self) -> None:
        """End it."""
        self.pileus("down")

    @property
    def endpoints(self) -> dict[str, str]:
        """What the file says."""
        urls: dict[str, str] = json.loads(self.state.endpoints.read_text())
        return urls

    @property
    def admin(self) -> dict[str, str]:
        """What the file says."""
        account: dict[str, str] = json.loads(self.state.admin.read_text())
        return account

    @property
    def client(self) -> Client:
        """A client as the administrator."""
        return connect(self.state.root)

    def settle(self) -> None:
        """Wait until no instance begins or ends: for who counts them, beside those that other tests gave up."""
        changing = {"pending", "stopping", "shutting-down"}
        assert until(lambda: not changing & {instance["state"] for instance in self.client.all("instances")}, 30)

    @property
    def pid(self) -> int:
        """The cloud process."""
        return int(self.state.pidfile("cloud").read_text())

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.endpoints["ec2"].rpartition(":")[2])

    def http(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, token: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, and body of one plain request."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own = {"authorization": f"Bearer {self.admin['token']}"} if token else {}
        try:
            link.request(method, path, body, {**own, **(headers or {})})
            answer = link.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            link.close()
