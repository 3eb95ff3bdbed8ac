"""Ports that a cloud chooses are none that the kernel gives to clients: it is to have them again after a restart."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.app import faceports, ports
from pileus.app.state import StateDirectory
from pileus.faces.mcc import FACE
from pileus.faces.mcc.settings import MccSettings

if TYPE_CHECKING:
    import pytest

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_client_is_given_one(tmp_path: Path) -> None:
    begin = int(RANGE.read_text().split()[0])
    *some, last = ports.choices()
    assert last == 0
    assert some
    assert all(1024 <= port < begin for port in some)
    state = StateDirectory(tmp_path)
    state.prepare()
    listener = faceports.listen(state, FACE, MccSettings(listen="127.0.0.1:0"))
    assert listener is not None
    with listener:
        assert listener.getsockname()[1] < begin


def test_a_face_has_its_port_again_on_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.prepare()
    numbers = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (soft, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            listener = faceports.listen(state, FACE, MccSettings(listen="127.0.0.1:0"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert listener is not None
        with listener:
            numbers.append(listener.getsockname()[1])
    assert numbers == [int(state.face_port(FACE.name).read_text())] * 2


def test_where_nobody_says_which_those_are_any_is_as_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in (None, "", "none", "1000\t2000"):
        if text is not None:
            (tmp_path / "range").write_text(text)
        monkeypatch.setattr(ports, "_RANGE", tmp_path / "range")
        assert ports.choices() == [0]
