"""The network provider when there is no database, or one that says nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pileus.model.errors import Fault
from pileus.model.provider import BodyRef
from pileus.model.spec import RouterSpec
from pileus.providers.local.network import NetworkProvider

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CALLS: list[Callable[[NetworkProvider], object]] = [
    lambda provider: provider.observe(BodyRef(kind="router", uuid=UUID)),
    lambda provider: list(provider.scan()),
    lambda provider: provider.ensure(RouterSpec(uuid=UUID, revision=(1, 1))),
    lambda provider: provider.remove(BodyRef(kind="router", uuid=UUID, revision=(1, 1))),
]


@pytest.mark.parametrize("call", CALLS)
def test_no_database_is_a_passing_fault(tmp_path: Path, call: Callable[[NetworkProvider], object]) -> None:
    provider = NetworkProvider(f"unix:{tmp_path}/absent.sock", timeout=0.3)
    with pytest.raises(Fault) as fault:
        call(provider)
    assert (fault.value.code, fault.value.permanent) == ("NetworkEngineUnavailable", False)


def test_a_database_that_accepts_and_says_nothing_keeps_nobody(tmp_path: Path) -> None:
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        provider = NetworkProvider(f"unix:{path}", timeout=0.3)
        for call in CALLS:
            with pytest.raises(Fault) as fault:
                call(provider)
            assert fault.value.code == "NetworkEngineUnavailable"


def test_watching_needs_no_database_yet(tmp_path: Path) -> None:
    NetworkProvider(f"unix:{tmp_path}/absent.sock", timeout=0.1).watch(lambda _: None)


def test_networks_have_no_channels(tmp_path: Path) -> None:
    provider = NetworkProvider(f"unix:{tmp_path}/absent.sock")
    with pytest.raises(Fault) as fault:
        provider.open(BodyRef(kind="network", uuid=UUID), "console")
    assert (fault.value.code, fault.value.permanent) == ("Unsupported", True)
