"""Ways into an instance: plain ssh at its loopback address on this machine, and a TCP stream over the API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pileus.cli.client import Client
from pileus.cli.problem import Problem
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

FOLDER = Path.home() / ".pileus"
"""Keys that `pileus key create` made, and the host keys of instances."""

OPEN = 60.0
"""Seconds that the cloud may take to open a stream."""

AHEAD = 8
"""Pieces of input that are read before they are sent."""


def key_file(name: str) -> Path:
    """Where the private key of a key pair is kept."""
    return FOLDER / "keys" / name.replace("/", "_")


def keep_key(name: str, private: str) -> Path:
    """Keep a private key, readable by its owner alone."""
    path = key_file(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, private.encode())
    return path


def command(client: Client, state: Path, instance: str, identity: Path | None, words: Sequence[str]) -> list[str]:
    """The ssh command that runs `words` in the instance, or a shell. Problem when it has no address.

    On another machine than this its loopback address leads nowhere, or to what listens here at every address: ssh goes
    over the API of the cloud of `state`.
    """
    document = client.get("instances", instance)
    if document["state"] != "running" or not document["loopback"]:
        raise Problem(f"{instance} is {document['state']}: 'pileus explain instance {instance}' says why.")
    stored_key = key_file(document["key"]) if document["key"] else None
    if identity is None and stored_key is not None and stored_key.exists():
        identity = stored_key
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        "ssh",
        # Addresses are given again to other instances: a host key belongs to the instance's id.
        *("-o", f"HostKeyAlias={document['id']}"),
        *("-o", f"UserKnownHostsFile={FOLDER / 'known_hosts'}"),
        *("-o", "StrictHostKeyChecking=accept-new"),
        *(("-i", str(identity), "-o", "IdentitiesOnly=yes") if identity else ()),
        *(() if here(document["host"]) else ("-o", f"ProxyCommand={_stream(state, document['id'])}")),
        # A user of another project chose that name: it is no option, whatever it looks like.
        *("-l", document["login_user"], "--", document["loopback"]),
        *words,
    ]


def here(host: str) -> bool:
    """Whether the host of this name is on this machine: one that did not join is called as its machine is."""
    return host == socket.gethostname()


def _stream(state: Path, ident: str) -> str:
    """Return the command that ssh runs for a stream to port 22 of an instance; % is doubled, for ssh expands it."""
    words = [sys.executable, "-m", "pileus.app.main", "connect", ident, "22", "--state", str(state)]
    return shlex.join(words).replace("%", "%%")


def splice(client: Client, instance: str, port: int) -> None:
    """Join this process's input and output with a TCP port of the instance, until the instance closes it."""
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415  (slow to load)

    try:
        asyncio.run(_splice(client, instance, port))
    except (OSError, InvalidHandshake) as error:
        raise Problem(f"No stream to {instance}, port {port}: {error}") from error


async def _splice(client: Client, instance: str, port: int) -> None:
    # One thread alone has the connection: OpenSSL's breaks when one reads it while another one writes.
    from websockets.asyncio.client import connect  # noqa: PLC0415  (slow to load)
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  (slow to load)

    url = client.url.replace("http", "ws", 1) + f"/instances/{quote(instance, safe='')}/connect/{port}"
    async with connect(
        url,
        ssl=client.tls(),
        additional_headers={"authorization": f"Bearer {client.token}"},
        proxy=None,
        open_timeout=OPEN,
        max_size=None,
        compression=None,
    ) as link:
        sending = asyncio.create_task(_send(link, sys.stdin.fileno()))
        try:
            while True:
                data = await link.recv(decode=False)
                await asyncio.to_thread(_say, data)
        except ConnectionClosed as closed:
            reason = closed.rcvd.reason if closed.rcvd else "the cloud hung up"
            if closed.rcvd is None or closed.rcvd.code != 1000:
                raise Problem(f"{instance}: {reason}") from closed
        finally:
            sending.cancel()


def _say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _send(link: ClientConnection, source: int) -> None:
    """Send what `source` says; an empty message is the last."""
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  (slow to load)

    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = b" "
        # The loop ends with the stream, which may be before the input does.
        with contextlib.suppress(RuntimeError):
            while data:
                room.acquire()
                data = os.read(source, 65536)
                loop.call_soon_threadsafe(chunks.put_nowait, data)

    # Nobody waits for a thread that reads what nobody says any more.
    threading.Thread(target=read, daemon=True).start()
    # Whoever receives says how the stream ended.
    with contextlib.suppress(ConnectionClosed):
        data = b" "
        while data:
            data = await chunks.get()
            await link.send(data)
            room.release()
