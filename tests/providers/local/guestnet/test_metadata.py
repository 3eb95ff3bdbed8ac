"""Connections to the metadata service are shared out among guests and projects."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.model import bounds
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.guestnet.metadata import Metadata
from pileus.providers.local.layout import Layout


def guest(number: int, project: str) -> InstanceSpec:
    nic = NicSpec(
        uuid=f"port-{number}",
        ec2_id=f"eni-{number}",
        mac="",
        address=f"10.0.0.{number}",
        cidr="10.0.0.0/24",
        gateway="",
        localport="",
        localport_mac="",
        network="net",
    )
    return InstanceSpec(
        uuid=f"i-{number}", project=project, power=Power(), vcpus=1, memory=1, ec2_id=f"i-{number}", nics=(nic,)
    )


def test_no_guest_and_no_project_takes_all_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def bound(name: str, most: int) -> None:
        monkeypatch.setattr(bounds, name, msgspec.structs.replace(getattr(bounds, name), most=most))

    bound("METADATA_CONNECTIONS_OF_INSTANCE", 2)
    bound("METADATA_CONNECTIONS_OF_PROJECT", 5)

    def answer(*_: Any) -> Any:
        raise AssertionError("nobody asks")

    async def scene() -> list[int]:
        service = Metadata(Layout(tmp_path), answer)
        service.apply([*(guest(number, "greedy") for number in range(1, 5)), guest(9, "modest")])
        clients: list[tuple[int, socket.socket]] = []
        for number in (1, 1, 1, 2, 2, 3, 3, 4, 9, 9):
            client, server = socket.socketpair()
            server.setblocking(False)
            client.setblocking(False)
            clients.append((number, client))
            service._accepted(("net", f"10.0.0.{number}"), server)
        open_to = [number for number, client in clients if _is_open(client)]
        for talk in service._talks:
            talk.cancel()
        await service.close()
        for _, client in clients:
            client.close()
        return open_to

    assert asyncio.run(scene()) == [1, 1, 2, 2, 3, 9, 9]


def _is_open(client: socket.socket) -> bool:
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
