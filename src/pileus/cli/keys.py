"""Keys of key pairs on this machine: private ones by the name and id of the key pair, as clouds may share a name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.cli.problem import Problem
from pileus.posix.files import write_file

if TYPE_CHECKING:
    from pileus.cli.client import Client

FOLDER = Path.home() / ".pileus"
"""Keys that `pileus key create` and `pileus launch` made, and the host keys of instances."""

DEFAULT = "default"
"""The key pair of a launch that names none."""

LONGEST = 1 << 16
"""Characters of a file that are read."""


def path_of(keypair: Mapping[str, Any]) -> Path:
    """Where the private key of a key pair is kept. Ids of key pairs are unique among clouds, names are not."""
    return FOLDER / "keys" / f"{keypair['name']}.{keypair['id']}".replace("/", "_")


def keep(keypair: Mapping[str, Any]) -> Path:
    """Keep the private key of a new key pair, readable by its owner alone."""
    path = path_of(keypair)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, keypair["private_key"].encode())
    return path


def create(client: Client, name: str) -> Mapping[str, Any]:
    """Make a key pair, keep its private key, and return its document. Raises Problem."""
    keypair: Mapping[str, Any] = client.post("keypairs", body={"name": name})
    keep(keypair)
    return keypair


def find(client: Client, name: str) -> Mapping[str, Any] | None:
    """The document of the key pair with this name, None for none."""
    return next((keypair for keypair in client.all("keypairs") if keypair["name"] == name), None)


def private_key(client: Client, name: str) -> Path | None:
    """The private key of the key pair with this name, where it is on this machine."""
    keypair = find(client, name)
    for path in ([path_of(keypair)] if keypair else []) + [FOLDER / "keys" / name.replace("/", "_")]:
        # The second is where earlier versions kept it.
        if path.exists():
            return path
    return None


def ensure(client: Client, name: str) -> str:
    """The name of the key pair of a launch, which is made where it is missing; DEFAULT where `name` is empty.

    Raises Problem where the default one is there without its private key on this machine.
    """
    chosen = name or DEFAULT
    if find(client, chosen) is None:
        create(client, chosen)
    elif not name and private_key(client, chosen) is None:
        text = f"The private key of the key pair '{chosen}' is not on this machine: name another by --key NAME;"
        raise Problem(f"{text} one that is missing is made.")
    return chosen


def public_key(file: str) -> str:
    """The public key in a file, or for `-` on standard input. Raises Problem for a private one."""
    try:
        if file == "-":
            text = sys.stdin.read(LONGEST)
        else:
            with Path(file).open(encoding="utf-8") as opened:
                text = opened.read(LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from error
    if "PRIVATE KEY" in text:
        raise Problem(f"{file} is a private key, which stays with you: give the public one, {file}.pub, say.")
    return text
