"""The daily commands on real guests: a machine and a container, from launch to delete."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.cloud import KINDS, PILEUS, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.cloud import Kind, LiveCloud

MACHINE, CONTAINER = KINDS


class Shell:
    """This machine's shell with `pileus` on one cloud and a home of its own."""

    def __init__(self, cloud: LiveCloud, home: Path) -> None:
        self.environment = {**os.environ, "PILEUS_STATE": str(cloud.state), "HOME": str(home), "TERM": "vt100"}

    def run(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command with `given` as its standard input."""
        return subprocess.run(
            [PILEUS, *words], env=self.environment, input=given, capture_output=True, check=False, timeout=60
        )

    def output(self, *words: str, given: bytes = b"") -> str:
        """Run a command that succeeds; its standard output."""
        done = self.run(*words, given=given)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.decode()

    def started(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that runs, whose input and output are pipes."""
        return subprocess.Popen(
            [PILEUS, *words],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def at_terminal(self, *words: str) -> Terminal:
        """A command at a terminal of its own."""
        return Terminal([PILEUS, *words], self.environment)


class Terminal:
    """A terminal, and the command that runs at it."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, environment)  # noqa: S606  (it becomes the command)
        self.shown = ""

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._terminal, text.encode())

    def expect(self, pattern: str, seconds: float = 30.0) -> None:
        """Wait until the terminal shows the pattern, behind what was expected before."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, (pattern, self.shown)
            if select.select([self._terminal], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._terminal, 4096).decode(errors="replace")
                except OSError as error:
                    raise AssertionError((pattern, self.shown)) from error
        self.shown = self.shown[match.end() :]

    def end(self, seconds: float = 30.0) -> int:
        """Wait for the command; its status."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                if select.select([self._terminal], [], [], 0.2)[0]:
                    self.shown += os.read(self._terminal, 4096).decode(errors="replace")
        except OSError:
            """The terminal's last user has gone."""
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError(("the command goes on", self.shown))
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture(scope="module")
def shell(cloud: LiveCloud, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The shell of a user who has no key yet."""
    return Shell(cloud, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", params=KINDS, ids=str)
def guest(request: pytest.FixtureRequest, shell: Shell) -> Iterator[str]:
    """The name of an instance that one command made."""
    kind: Kind = request.param
    name = f"daily-{kind}"
    words = ("launch", kind.image, "--name", name, "--flavor", kind.flavor, "--wait")
    assert shell.output(*words).split()[1:] == [name, "running"]
    yield name
    shell.output("delete", name, "--wait")


@pytest.mark.cost(15)
def test_ssh_and_exec_give_a_command_its_words(shell: Shell, guest: str) -> None:
    for way in (("ssh", guest), ("exec", guest, "--")):
        assert shell.output(*way, "sh", "-c", "echo 'a  b'; echo \"$0 $1\"", "x", "*") == "a  b\nx *\n"
        done = shell.run(*way, "sh", "-c", "cat; echo wrong >&2; exit 5", given=b"in\0put")
        assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (5, b"in\0put", b"wrong")
        assert shell.run(*way, "no-such-program").returncode == 127
    assert shell.output("ssh", guest, "-o", "LogLevel=ERROR", "-4", "echo one; echo two") == "one\ntwo\n"
    assert shell.output("exec", guest, "id", "-u") == "0\n"


@pytest.mark.cost(15)
def test_a_shell_is_at_a_terminal(shell: Shell, guest: str) -> None:
    terminal = shell.at_terminal("shell", guest)
    terminal.expect(r"# ")
    terminal.type("tty; echo $((40 + 2))\r")
    terminal.expect(r"/dev/pts/\d+\s+42\s")
    terminal.type("echo $((6 * 7)) begins; sleep 1000\r")
    terminal.expect("42 begins")  # the terminal is the command's by now: ^C is a signal and no letter
    terminal.type("\x03")
    terminal.expect(r"# ")
    terminal.type("exit 7\r")
    assert terminal.end() == 7
    terminal = shell.at_terminal("exec", guest, "--", "sh", "-c", "tty; exit 3")
    terminal.expect(r"/dev/pts/\d+")
    assert terminal.end() == 3


@pytest.mark.cost(20)
def test_files_are_copied_both_ways(shell: Shell, guest: str, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/big").write_bytes(data)
    (tmp_path / "tree/sub/a b").write_text("small")
    shell.output("cp", "-r", str(tmp_path / "tree"), f"{guest}:/tmp/")
    assert shell.output("exec", guest, "cat", "/tmp/tree/sub/a b") == "small"
    assert shell.output("exec", guest, "stat", "-c", "%u", "/tmp/tree/big") == "0\n"
    shell.output("cp", "-r", f"{guest}:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back/big").read_bytes() == data
    shell.output("cp", str(tmp_path / "tree/sub/a b"), f"{guest}:home")
    assert shell.output("exec", guest, "cat", "/root/home") == "small"
    refused = shell.run("cp", f"{guest}:/tmp", str(tmp_path))
    assert refused.stderr == b"pileus: /tmp is a folder: -r copies folders.\n"


@pytest.mark.cost(10)
def test_a_port_without_a_rule_is_forwarded(shell: Shell, guest: str) -> None:
    server = shell.started("exec", guest, "--", "sh", "-c", "while echo hello | nc -l -p 8080; do :; done")
    forward = shell.started("forward", guest, "0:8080")
    try:
        assert forward.stdout is not None
        port = int(forward.stdout.readline().split()[0].partition(b":")[2])

        def answer() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as link:
                return link.recv(10)

        until("the guest answers", lambda: answer() == b"hello\n")
    finally:
        for process in (forward, server):
            process.terminate()
            process.communicate()


@pytest.mark.cost(10)
def test_the_console_is_one_clients_and_its_log_is_followed(cloud: LiveCloud, shell: Shell, guest: str) -> None:
    follower = shell.started("logs", "-f", guest)
    console = shell.at_terminal("console", guest)
    console.expect(r"\^\] leaves it")
    until("the console is in use", lambda: b"The console is in use" in shell.run("console", guest).stderr)
    device = "/dev/console" if "container" in guest else "/dev/ttyS0"
    shell.output("exec", guest, "--", "sh", "-c", f"echo spoken twice > {device}")
    console.expect("spoken twice")
    console.type("\x1d")
    assert console.end() == 0
    try:
        assert follower.stdout is not None
        os.set_blocking(follower.stdout.fileno(), False)
        text = b""

        def followed() -> bool:
            nonlocal text
            text += follower.stdout.read() or b""  # type: ignore[union-attr]  # it is a pipe
            return b"spoken twice" in text

        until("the log says so", followed)
    finally:
        follower.terminate()
        follower.communicate()
    assert "spoken twice" in shell.output("logs", guest)
    again = shell.at_terminal("console", guest)
    again.expect(r"\^\] leaves it")
    again.type("\x1d")
    assert again.end() == 0


@pytest.mark.cost(30)
def test_power_and_waits(shell: Shell, guest: str) -> None:
    shell.output("exec", guest, "--", "sh", "-c", "echo kept > /root/kept; sync; touch /run/boot")
    assert shell.output("restart", guest, "--wait").split()[2] == "running"
    assert shell.output("exec", guest, "--", "sh", "-c", "cat /root/kept; ls /run/boot 2>&1 || true").startswith("kept")
    assert shell.run("exec", guest, "test", "-e", "/run/boot").returncode == 1
    assert shell.output("stop", guest, "--wait").split()[2] == "stopped"
    for words in (("ssh", guest), ("exec", guest, "true"), ("console", guest)):
        refused = shell.run(*words)
        message = f"pileus: {guest} is stopped: 'pileus start {guest}' starts it.\n"
        assert (refused.returncode, refused.stderr.decode()) == (1, message)
    assert shell.output("start", guest, "--wait").split()[2] == "running"
    assert shell.output("exec", guest, "cat", "/root/kept") == "kept\n"


@pytest.mark.cost(15)
def test_ssh_names_the_rule_and_the_key_that_are_missing(cloud: LiveCloud, shell: Shell, tmp_path: Path) -> None:
    words = ("launch", CONTAINER.image, "--name", "shut", "--flavor", CONTAINER.flavor, "--rule", "none", "--wait")
    shell.output(*words)
    add = "pileus rule add default 22 --from 127.0.0.0/8"
    refused = shell.run("ssh", "shut", "true").stderr.decode()
    message = f"No rule admits TCP port 22 of shut (security groups: default). This command adds one: {add}"
    assert refused == f"pileus: {message}\n"
    shell.output(*add.split()[1:])
    until("ssh gets in", lambda: shell.run("ssh", "shut", "true").returncode == 0)
    stranger = Shell(cloud, tmp_path)
    refused = stranger.run("ssh", "shut", "-o", "BatchMode=yes", "true").stderr.decode()
    message = "The private key of the key pair 'default' of shut is not on this machine: name it by -i FILE."
    assert refused.splitlines()[-1] == f"pileus: {message}"
    assert stranger.output("exec", "shut", "id", "-u") == "0\n", "which needs no key"
    shell.output("delete", "shut", "--wait")


@pytest.mark.cost(15)
def test_a_command_ends_with_its_client_and_with_its_container(cloud: LiveCloud, shell: Shell) -> None:
    shell.output("launch", CONTAINER.image, "--name", "brief", "--flavor", CONTAINER.flavor, "--wait")

    def sleeping(text: str) -> Callable[[], bool]:
        return lambda: text in shell.output("exec", "brief", "ps")

    for number in ("4711", "4712"):
        command = shell.started("exec", "brief", "--", "sleep", number)
        until("it runs", sleeping(f"sleep {number}"))
        command.send_signal(signal.SIGKILL)
        command.communicate()
        until("it ended with its client", lambda number=number: not sleeping(f"sleep {number}")())  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    command = shell.started("exec", "brief", "--", "sleep", "4713")
    until("it runs", sleeping("sleep 4713"))
    shell.output("stop", "brief", "--wait")
    command.communicate(timeout=30)
    assert command.returncode != 0
    shell.output("start", "brief", "--wait")
    assert not sleeping("sleep 4713")()
    shell.output("delete", "brief", "--wait")
    attached = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"rcfile={cloud.state}" not in "\n".join(line for line in attached.splitlines() if "lxc-attach" in line)
