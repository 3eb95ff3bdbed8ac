"""Ways into an instance: plain ssh at its loopback address, and a TCP stream over the API."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from pileus.cli.client import Client
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

FOLDER = Path.home() / ".pileus"
"""Keys that `pileus key create` made, and the host keys of instances."""


def key_file(name: str) -> Path:
    """Where the private key of a key pair is kept."""
    return FOLDER / "keys" / name.replace("/", "_")


def keep_key(name: str, private: str) -> Path:
    """Keep a private key, readable by its owner alone."""
    path = key_file(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(private)
    return path


def command(client: Client, instance: str, identity: Path | None, words: Sequence[str]) -> list[str]:
    """The ssh command that runs `words` in the instance, or a shell. Problem when it has no address."""
    found = client.get("instances", instance)
    if found["state"] != "running" or not found["loopback"]:
        raise Problem(f"{instance} is {found['state']}: 'pileus explain instance {instance}' says why.")
    kept = key_file(found["key"]) if found["key"] else None
    if identity is None and kept is not None and kept.exists():
        identity = kept
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        "ssh",
        # Addresses are given again to other instances: a host key belongs to the instance's id.
        *("-o", f"HostKeyAlias={found['id']}"),
        *("-o", f"UserKnownHostsFile={FOLDER / 'known_hosts'}"),
        *("-o", "StrictHostKeyChecking=accept-new"),
        *(("-i", str(identity), "-o", "IdentitiesOnly=yes") if identity else ()),
        # A user of another project chose that name: it is no option, whatever it looks like.
        *("-l", found["login_user"], "--", found["loopback"]),
        *words,
    ]


def splice(client: Client, instance: str, port: int) -> None:
    """Join this process's input and output with a TCP port of the instance, until the instance closes it."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake  # noqa: PLC0415  (slow to load)
    from websockets.sync.client import connect  # noqa: PLC0415

    url = client.url.replace("http", "ws", 1) + f"/instances/{quote(instance, safe='')}/connect/{port}"
    headers = {"authorization": f"Bearer {client.token}"}
    try:
        with connect(
            url, ssl=client.tls(), additional_headers=headers, proxy=None, max_size=None, compression=None
        ) as link:
            threading.Thread(target=_send, args=(link, sys.stdin.buffer), daemon=True).start()
            try:
                while True:
                    data = link.recv(decode=False)
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
            except ConnectionClosed as closed:
                reason = closed.rcvd.reason if closed.rcvd else "the cloud hung up"
                if closed.rcvd is None or closed.rcvd.code != 1000:
                    raise Problem(f"{instance}: {reason}") from closed
    except (OSError, InvalidHandshake) as error:
        raise Problem(f"No stream to {instance}, port {port}: {error}") from error


def _send(link: ClientConnection, source: BinaryIO) -> None:
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  (slow to load)

    # Whoever receives says how the stream ended.
    with contextlib.suppress(ConnectionClosed):
        while data := os.read(source.fileno(), 65536):
            link.send(data)
        link.send(b"")
