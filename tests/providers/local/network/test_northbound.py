"""A database that does not answer keeps one caller waiting, not all."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.network.northbound import UNAVAILABLE, Northbound

if TYPE_CHECKING:
    from pathlib import Path


def test_while_one_waits_for_an_answer_others_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "nb.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        northbound = Northbound(f"unix:{path}", timeout=0.2)
        codes = []
        waiting, done = threading.Event(), threading.Event()

        def ask() -> None:
            with pytest.raises(Fault) as caught, northbound.read():
                pass
            codes.append(caught.value.code)

        ask()
        answering = northbound._answering

        def answering_late(until: float) -> object:
            waiting.set()
            assert done.wait(30)
            return answering(until)

        northbound._answering = answering_late  # type: ignore[method-assign,assignment]
        who_waits = threading.Thread(target=ask)
        who_waits.start()
        assert waiting.wait(10)
        for _ in range(3):
            ask()
        assert codes == [UNAVAILABLE] * 4
        done.set()
        who_waits.join()
    assert codes == [UNAVAILABLE] * 5
