"""The URLs of a cloud's listeners, as clients are told of them."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from pileus.app.listeners import Listeners
from pileus.app.settings import Settings


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("names", "address", "shown"),
    [
        ("cloud.example", "192.0.2.7", "cloud.example"),
        ("cloud.example", "127.0.0.1", "127.0.0.1"),
        ("", "192.0.2.7", "192.0.2.7"),
    ],
)
def test_a_faces_own_port_has_the_clouds_name_where_that_leads_to_it(names: str, address: str, shown: str) -> None:
    own: Any = SimpleNamespace(getsockname=lambda: (address, 7000))
    face: Any = SimpleNamespace(name="mcc", listener=object(), endpoints={"mcc": "/"})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listeners = Listeners(listener, None, None, {"mcc": own})
        endpoints = listeners.endpoints(Settings(names=names), [face])
    assert endpoints["mcc"] == f"http://{shown}:7000/"
