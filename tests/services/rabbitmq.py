"""A RabbitMQ of the tests' own: its directories, ports and cookie are theirs, and it is ended by the pids it has."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from tests.services.authority import Authority
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
STARTING = 120.0
ADDRESS = "127.0.0.1"


class RabbitMq:
    """`start` returns when it answers. `url` is its administrator's, over TLS; `plain` the same without.

    Over TLS it asks everybody for a certificate of `authority`; `cloud` is a good one. It listens at `address`, in the
    network of who makes it.
    """

    def __init__(self, folder: Path, address: str = ADDRESS) -> None:
        self.folder, self.address = folder, address
        for name in ("mnesia", "log", "home", "conf"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.authority = Authority(folder / "authority")
        self.tls = self.authority.issue(self.address)
        self.cloud = self.authority.issue("cloud")
        self.password = secrets.token_urlsafe(12)
        self.port, self.tls_port, self.management_port, self._epmd, self._distribution = (
            free_port(self.address) for _ in range(5)
        )
        self.url = f"amqps://admin:{self.password}@{self.address}:{self.tls_port}/"
        self.plain = f"amqp://admin:{self.password}@{self.address}:{self.port}/"
        self.management = f"http://{self.address}:{self.management_port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    def host_url(self, user: str = "") -> str:
        """The URL for who has a certificate, or `user:password`, of its own."""
        return f"amqps://{user + '@' if user else ''}{self.address}:{self.tls_port}/"

    def start(self) -> None:
        """Start, and wait until the APIs answer."""
        assert PROGRAM.exists(), "no RabbitMQ here: run bin/setup --services"
        with (self.folder / "log" / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [PROGRAM], env=self._environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        deadline = time.monotonic() + STARTING
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log" / "out").read_text()[-2000:]
            assert time.monotonic() < deadline, "RabbitMQ does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and the port mapper that it started: a daemon of its own, in the network that the server was in."""
        self.resume()
        self._signal(signal.SIGTERM)
        self._wait()
        deadline = time.monotonic() + 30
        while (left := self.relatives()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        """Stop it by SIGSTOP: its sockets stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    def queues(self) -> set[str]:
        """The names of its queues."""
        return {str(one["name"]) for one in self._api("queues")}

    def consumers(self, queue: str) -> int:
        """How many take from a queue, as the broker counted last."""
        return next((int(one.get("consumers", 0)) for one in self._api("queues") if one["name"] == queue), 0)

    def clear(self) -> None:
        """Remove its queues, with what waits in them."""
        for name in self.queues():
            self._call("DELETE", f"queues/%2F/{quote(name, safe='')}")

    def _api(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", path).json()
        return found

    def _call(self, method: str, path: str) -> httpx.Response:
        url, account = f"{self.management}/api/{path}", ("admin", self.password)
        answer = httpx.request(method, url, auth=account, timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer

    def _answers(self) -> bool:
        try:
            self._api("exchanges")
            with (
                socket.create_connection((self.address, self.tls_port), 1),
                socket.create_connection((self.address, self.port), 1),
            ):
                return True
        except (OSError, httpx.HTTPError):
            return False

    def pids(self) -> list[int]:
        """The server and what it started, by its session: signals to a shell alone would miss the Erlang machine."""
        if self._process is None:
            return []
        session, found = self._process.pid, []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == session and fields[0] != "Z":
                        found.append(int(entry.name))
        return found

    def relatives(self) -> list[int]:
        """Every process that was started with its home, the port mapper too; none of them is a zombie."""
        home, found = f"HOME={self.folder / 'home'}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if home in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def _signal(self, number: int) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        if self._process is not None:
            deadline = time.monotonic() + 30
            while self.pids() and time.monotonic() < deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.1)
                time.sleep(0.05)
            self._signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def _configure(self) -> None:
        conf, home = self.folder / "conf", self.folder / "home"
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        (conf / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].")
        (conf / "env").write_text("")
        (conf / "advanced.config").write_text("[].")
        lines = {
            "listeners.tcp.1": f"{self.address}:{self.port}",
            "listeners.ssl.1": f"{self.address}:{self.tls_port}",
            "ssl_options.cacertfile": self.authority.ca,
            "ssl_options.certfile": self.tls.certificate,
            "ssl_options.keyfile": self.tls.key,
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "true",
            "ssl_cert_login_from": "common_name",
            "auth_mechanisms.1": "PLAIN",
            "auth_mechanisms.2": "EXTERNAL",
            "management.tcp.ip": self.address,
            "management.tcp.port": self.management_port,
            "default_user": "admin",
            "default_pass": self.password,
            "vm_memory_high_watermark.absolute": "512MB",
            "disk_free_limit.absolute": "50MB",
        }
        (conf / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        machine = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none +A 16"
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),
            "RABBITMQ_NODENAME": f"pileus{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "conf" / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "conf" / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "conf" / "env"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "conf" / "advanced.config"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": machine,
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": ADDRESS,
        }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[RabbitMq]:
    """One that runs meanwhile."""
    made = RabbitMq(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


if __name__ == "__main__":
    with running(Path(sys.argv[1])) as one:
        print(one.plain, one.url, one.management, flush=True)  # noqa: T201
        sys.stdin.read()
