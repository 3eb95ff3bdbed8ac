"""Another project's streams over the websocket, through the cloud as users have it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pileus.app import processes

if TYPE_CHECKING:
    from tests.app.stub import Stub


def test_no_stream_leads_to_anothers_instance(stub: Stub) -> None:
    stranger = json.loads(stub.pileus("user", "create", "stranger", "--json").stdout)
    instance = stub.client.post("instances", body={"image": "stub-machine", "name": "private"})["instances"][0]
    assert processes.until(lambda: stub.client.get("instances", instance["id"])["state"] == "running", 20)
    root = f"ws://127.0.0.1:{stub.port}/v1/instances"

    def says(token: str, name: str) -> str | bytes:
        """The first bytes that come back, or the words with which the stream is refused."""
        headers = {"authorization": f"Bearer {token}"}
        with connect(f"{root}/{name}/connect/22", additional_headers=headers, proxy=None) as link:
            try:
                link.send(b"hello")
                return link.recv(timeout=20, decode=False)
            except ConnectionClosed as closed:
                return str(closed.rcvd.reason if closed.rcvd else "")

    nowhere = "00000000-0000-4000-8000-000000000000"
    for name, nothing in ((instance["id"], "i-00000000000000000"), (instance["uuid"], nowhere), ("private", "nothing")):
        assert says(stub.admin["token"], name) == b"hello"
        refused = str(says(stranger["token"], name))
        assert "does not exist" in refused
        assert refused == str(says(stranger["token"], nothing)).replace(nothing, name)
    assert str(says(stranger["token"], "%E2%82%AC" * 200)).count("\u20ac") > 20
