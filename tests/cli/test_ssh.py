"""`pileus ssh` becomes ssh: its words are those that were written, and a login that fails says what is missing."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.cli import keys, ssh
from pileus.cli.client import Client
from pileus.cli.problem import Problem
from pileus.cli.ssh import Login

DOCUMENT: dict[str, Any] = {
    "id": "i-1",
    "name": "web",
    "state": "running",
    "loopback": "127.255.255.254",
    "key": "",
    "login_user": "root",
    "host": socket.gethostname(),
    "groups": ["default"],
}
"""An instance at whose address nobody listens."""


class OneInstance(Client):
    """A cloud with one key pair, and with rules that admit one port."""

    def __init__(self, port: int = 22) -> None:
        super().__init__("http://127.0.0.1:1/v1", "t")
        self.port = port

    def get(self, *words: str, **query: str) -> dict[str, Any]:
        """The rules of the instance, or all key pairs."""
        del query
        if words == ("keypairs",):
            return {"keypairs": [{"id": "key-1", "name": "demo"}], "next": None}
        assert words == ("instances", "i-1", "ingress")
        return {"ingress": [{"cidr": "10.0.0.0/8", "port_min": self.port, "port_max": self.port}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keys."""
    monkeypatch.setattr(keys, "FOLDER", tmp_path)
    return tmp_path


def test_a_login_user_is_no_option_of_sshs(tmp_path: Path) -> None:
    """Another user's choice, as clouds of earlier versions let users have any."""
    marker = tmp_path / "ran"
    login = f"-oProxyCommand=touch {marker};#"
    words = ssh.command(OneInstance(), tmp_path, {**DOCUMENT, "login_user": login}, Login([], ["true"]))
    assert subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 255
    assert not marker.exists()
    naive = [*words[: words.index("-l")], f"{login}@127.255.255.254", "true"]
    subprocess.run(naive, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert marker.exists(), "it would have run"


@pytest.mark.parametrize(
    ("words", "login"),
    [
        ([], Login([], [])),
        (["uname -a; id"], Login([], ["uname -a; id"])),
        (["--", "sh", "-c", "a; b"], Login([], ["sh", "-c", "a; b"])),
        (["ls", "-l", "--all"], Login([], ["ls", "-l", "--all"])),
        (["-v", "-L", "80:localhost:80", "ls", "-l"], Login(["-v", "-L", "80:localhost:80"], ["ls", "-l"])),
        (["-L80:localhost:80", "-vN"], Login(["-L80:localhost:80", "-vN"], [])),
        (["-tvi", "key", "--", "-x"], Login(["-tvi", "key"], ["-x"])),
        (["-oUser=me", "id"], Login(["-oUser=me"], ["id"])),
    ],
)
def test_options_behind_the_name_are_sshs_until_the_command(words: list[str], login: Login) -> None:
    assert ssh.parse(words) == login


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-i"], "The option -i of ssh takes a value."),
        (["--all"], "ssh has no option --all. A command with such a word follows '--'."),
    ],
)
def test_an_option_that_ssh_has_not_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(Problem) as refused:
        ssh.parse(words)
    assert (refused.value.message, refused.value.status) == (message, 2)


@given(words=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=2))
def test_several_words_come_to_the_guest_as_they_are(words: list[str]) -> None:
    (line,) = ssh.quoted(words)
    assert shlex.split(line) == words


def test_one_word_is_a_line_for_the_guests_shell() -> None:
    assert ssh.quoted(["a; b"]) == ["a; b"]


def test_the_users_options_come_before_ours(tmp_path: Path) -> None:
    words = ssh.command(OneInstance(), tmp_path, DOCUMENT, Login(["-l", "me"], ["sh", "-c", "a; b"]))
    assert words[:3] == ["ssh", "-l", "me"]
    assert words[-5:] == ["-l", "root", "--", "127.255.255.254", "sh -c 'a; b'"]


def test_the_key_of_a_key_pair_is_that_of_its_id(folder: Path) -> None:
    """A key pair of the same name in another cloud has a file of its own."""
    document = {**DOCUMENT, "key": "demo"}
    other = keys.keep({"name": "demo", "id": "key-2", "private_key": "another cloud's"})
    assert "-i" not in ssh.command(OneInstance(), folder, document, Login([], []))
    own = keys.keep({"name": "demo", "id": "key-1", "private_key": "ours"})
    words = ssh.command(OneInstance(), folder, document, Login([], []))
    assert words[words.index("-i") + 1] == str(own)
    assert (other.read_text(), own.read_text(), own.stat().st_mode & 0o777) == ("another cloud's", "ours", 0o600)


def test_a_cloud_chooses_no_folder_of_this_machine(folder: Path) -> None:
    """A cloud elsewhere names its key pairs."""
    path = keys.path_of({"name": ".", "id": "/../../.ssh/authorized_keys"})
    assert path.parent == folder / "keys"


ADD_RULE = "pileus rule add default 22 --from 127.0.0.0/8"

STATES = [
    ({"state": "stopped"}, "web is stopped: 'pileus start web' starts it."),
    ({"state": "pending"}, "web is pending: see 'pileus explain web'."),
    ({"name": "", "state": "stopped"}, "i-1 is stopped: 'pileus start i-1' starts it."),
    ({"loopback": ""}, "web has no address on this machine: see 'pileus explain web'."),
    ({}, f"No rule admits TCP port 22 of web (security groups: default). This command adds one: {ADD_RULE}"),
]


@pytest.mark.parametrize(("changes", "message"), STATES)
def test_ssh_says_what_an_instance_lacks(changes: dict[str, str], message: str) -> None:
    with pytest.raises(Problem) as refused:
        ssh.check(OneInstance(port=80), {**DOCUMENT, **changes})
    assert refused.value.message == message


def test_an_instance_elsewhere_needs_no_rule() -> None:
    ssh.check(OneInstance(port=80), {**DOCUMENT, "host": "elsewhere"})
    ssh.check(OneInstance(port=22), DOCUMENT)


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """Give the handlers of signals back: the command would end with its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "web was launched without a key pair, which 'pileus launch --key NAME' gives."),
        ("demo", "The private key of the key pair 'demo' of web is not on this machine: name it by -i FILE."),
    ],
)
def test_a_login_that_fails_says_which_key_is_missing(
    key: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    document = {**DOCUMENT, "key": key}
    assert ssh.run(OneInstance(), document, ["sh", "-c", "exit 255"], Login([], [])) == 255
    assert capfd.readouterr().err == f"pileus: {message}\n"
    assert ssh.run(OneInstance(), document, ["sh", "-c", "exit 3"], Login([], [])) == 3
    assert ssh.run(OneInstance(), document, ["sh", "-c", "kill -9 $$"], Login([], [])) == 137
    assert capfd.readouterr().err == "", "ssh got in"


def test_no_key_is_missing_where_one_is_used() -> None:
    document = {**DOCUMENT, "key": "demo"}
    assert ssh.missing_key(OneInstance(), document, Login(["-i", "mine"], [])) == ""
    keys.keep({"name": "demo", "id": "key-1", "private_key": "ours"})
    assert ssh.missing_key(OneInstance(), document, Login([], [])) == ""
