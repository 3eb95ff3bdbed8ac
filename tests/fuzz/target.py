"""The shape of a target, and the clouds that targets send requests to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tests import databases
from tests.faces.ec2.cloud import Account, Cloud

if TYPE_CHECKING:
    from pileus.store.store import Store

Work = Callable[[bytes], None]

RESET = 500
"""Inputs after which a target's database is put back to its first state: what inputs make must not fill the memory."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`make` returns the function that the fuzzer calls; `largest` is the greatest length of an input in bytes."""

    make: Callable[[], Work]
    seeds: tuple[bytes, ...]
    words: tuple[str, ...] = ()
    largest: int = 4096


class Undone:
    """A store that is put back to its present state after every `RESET` inputs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._image = databases.copy(store)
        self._inputs = 0

    def count(self) -> bool:
        """Count one input; True if the store was put back."""
        self._inputs += 1
        if self._inputs % RESET:
            return False
        self.undo()
        return True

    def undo(self) -> None:
        """Put the store back."""
        databases.load(self._store, self._image)


class Tenant:
    """An account with one of each noun, in a cloud whose hosts take every order. `real` puts their ids into inputs."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.account: Account = self.cloud.account({"instances": 5, "keypairs": 5, "securitygroups": 5})
        ec2 = self.account.ec2
        ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
        ident = self.account.launch(1, KeyName="mine")[0]
        self.cloud.observe(ident)
        shown = self.account.show(ident)
        nic = shown["NetworkInterfaces"][0]
        self._ids = {
            b"~i~": ident,
            b"~a~": self.cloud.image.ec2_id,
            b"~v~": shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
            b"~n~": nic["NetworkInterfaceId"],
            b"~p~": shown["PrivateIpAddress"],
            b"~s~": shown["SubnetId"],
            b"~w~": shown["VpcId"],
            b"~g~": nic["Groups"][0]["GroupId"],
        }
        self.undone = Undone(self.cloud.core.store)

    def real(self, data: bytes) -> bytes:
        """Return an input with ids of the account's in place of `~i~` and the like: no fuzzer finds out an id."""
        for mark, ident in self._ids.items():
            data = data.replace(mark, ident.encode())
        return data


IDS = ("~i~", "~a~", "~v~", "~n~", "~p~", "~s~", "~w~", "~g~")
"""The marks that `Tenant.real` replaces."""


def text(data: bytes) -> str:
    """Return bytes as the text of as many characters."""
    return data.decode("latin-1")
