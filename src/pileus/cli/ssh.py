"""Plain ssh to an instance: at its loopback address on this machine, and over the API from another one."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pileus.cli import keys
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from pileus.cli.client import Client

PORT = 22

_WITH_VALUE = "BbcDEeFIiJLlmOopQRSWw"
"""The options of ssh(1) that take a value."""

_LOST = 255
"""The exit status of ssh(1) when it did not get to the command."""


class Login(NamedTuple):
    """A call of ssh: the user's options of ssh, and the words of the command; none for a shell."""

    options: list[str]
    words: list[str]


def parse(words: Sequence[str]) -> Login:
    """Read what follows an instance's name: options are ssh's until a `--` or the first word that is none.

    Raises Problem for an option of ssh that lacks its value, and for one that ssh has not.
    """
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        option = rest.pop(0)
        if option.startswith("--") or option == "-":
            raise Problem(f"ssh has no option {option}. A command with such a word follows '--'.", 2)
        options.append(option)
        # Several letters may be one word; the first that takes a value takes the rest of the word, or the next word.
        at = next((index for index, letter in enumerate(option) if index and letter in _WITH_VALUE), None)
        if at == len(option) - 1:
            if not rest:
                raise Problem(f"The option {option} of ssh takes a value.", 2)
            options.append(rest.pop(0))
    return Login(options, rest[1:] if rest[:1] == ["--"] else rest)


def quoted(words: Sequence[str]) -> list[str]:
    """The command for ssh, whose far end has a shell split it: one word is a line for that shell, several are exact."""
    return list(words) if len(words) < 2 else [shlex.join(words)]


def command(
    client: Client, state: Path, document: Mapping[str, Any], login: Login, *, terminal: bool = False
) -> list[str]:
    """The ssh command that runs the words of `login` in the instance of `document`, or a shell.

    On another machine than the instance's its loopback address leads nowhere, or to what listens here at every
    address: ssh goes over the API of the cloud of `state`.
    """
    chosen = any(option.startswith("-i") for option in login.options)
    private = None if chosen or not document["key"] else keys.private_key(client, document["key"])
    keys.FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        "ssh",
        # Of two values of an option ssh takes the first: the user's.
        *login.options,
        *(("-t",) if terminal else ()),
        # Addresses are given again to other instances: a host key belongs to the instance's id.
        *("-o", f"HostKeyAlias={document['id']}"),
        *("-o", f"UserKnownHostsFile={keys.FOLDER / 'known_hosts'}"),
        *("-o", "StrictHostKeyChecking=accept-new"),
        *(("-i", str(private), "-o", "IdentitiesOnly=yes") if private else ()),
        *(() if here(document["host"]) else ("-o", f"ProxyCommand={_stream(state, document['id'])}")),
        # A user of another project chose that name: it is no option, whatever it looks like.
        *("-l", document["login_user"], "--", document["loopback"]),
        *quoted(login.words),
    ]


def check_running(document: Mapping[str, Any]) -> None:
    """Whether an instance runs. Raises Problem that says what to do."""
    name = label(document)
    if document["state"] != "running":
        way = f"'pileus start {name}' starts it" if document["state"] == "stopped" else f"see 'pileus explain {name}'"
        raise Problem(f"{name} is {document['state']}: {way}.")


def check(client: Client, document: Mapping[str, Any]) -> None:
    """Whether ssh may reach an instance. Raises Problem that says what is missing: its power, or a rule."""
    name = label(document)
    check_running(document)
    if not document["loopback"]:
        raise Problem(f"{name} has no address on this machine: see 'pileus explain {name}'.")
    if here(document["host"]) and not admitted(client, document["id"], PORT):
        groups = ", ".join(document["groups"]) or "none"
        group = document["groups"][0] if document["groups"] else "GROUP"
        raise Problem(
            f"No rule admits TCP port {PORT} of {name} (security groups: {groups}). This command adds one: "
            f"pileus rule add {shlex.quote(group)} {PORT} --from 127.0.0.0/8"
        )


def run(client: Client, document: Mapping[str, Any], words: Sequence[str], login: Login) -> int:
    """Become ssh. Where the key is missing here, run ssh: its exit status, and on standard error which key.

    An agent's keys, or a password, may open the instance all the same.
    """
    hint = missing_key(client, document, login)
    if not hint:
        os.execvp(words[0], list(words))  # noqa: S606  (this process becomes ssh)
    running = subprocess.Popen(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: running.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to ssh too
    status = running.wait()
    if status == _LOST:
        print(f"pileus: {hint}", file=sys.stderr)
    return status if status >= 0 else 128 - status


def missing_key(client: Client, document: Mapping[str, Any], login: Login) -> str:
    """The message for a login without a key that the instance knows; empty where a key was used."""
    name = label(document)
    if any(option.startswith("-i") for option in login.options):
        return ""
    if not document["key"]:
        return f"{name} was launched without a key pair, which 'pileus launch --key NAME' gives."
    if keys.private_key(client, document["key"]) is None:
        pair = f"the key pair '{document['key']}' of {name}"
        return f"The private key of {pair} is not on this machine: name it by -i FILE."
    return ""


def admitted(client: Client, ident: str, port: int) -> bool:
    """Whether a security group of the instance admits a TCP port, from whatever IPv4 range.

    A caller on this machine meets the range of every rule (see `providers/local/guestnet/ingress.py`).
    """
    ranges = client.get("instances", ident, "ingress")["ingress"]
    return any(each["port_min"] <= port <= each["port_max"] for each in ranges)


def label(document: Mapping[str, Any]) -> str:
    """The name of a noun for a person, its id where it has none."""
    return str(document["name"] or document["id"])


def here(host: str) -> bool:
    """Whether the host of this name is on this machine: one that did not join is called as its machine is."""
    return host == socket.gethostname()


def own_command(state: Path, *words: str) -> list[str]:
    """A command of this program's on the same cloud, for another program to run; `words` begin with its name."""
    name, *rest = words
    return [sys.executable, "-m", "pileus.app.main", name, "--state", str(state), *rest]


def _stream(state: Path, ident: str) -> str:
    """Return the command that ssh runs for a stream to port 22 of an instance; % is doubled, for ssh expands it."""
    return shlex.join(own_command(state, "connect", ident, str(PORT))).replace("%", "%%")
