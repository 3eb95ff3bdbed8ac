"""`pileus ssh` becomes ssh, and nothing that another user chose is an option of it."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Any

from pileus.cli import ssh
from pileus.cli.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Lenient(Client):
    """A cloud that lets users have any login user, as those of earlier versions did."""

    def __init__(self, login: str) -> None:
        super().__init__("http://127.0.0.1:1/v1", "t")
        self.login = login

    def get(self, *words: str, **query: str) -> dict[str, Any]:
        """Its one instance, at whose address nobody listens."""
        del words, query
        return {
            "id": "i-1",
            "state": "running",
            "loopback": "127.255.255.254",
            "key": "",
            "login_user": self.login,
            "host": socket.gethostname(),
        }


def test_a_login_user_is_no_option_of_sshs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "FOLDER", tmp_path)
    marker = tmp_path / "ran"
    login = f"-oProxyCommand=touch {marker};#"
    words = ssh.command(Lenient(login), tmp_path, "box", None, ["true"])
    assert subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 255
    assert not marker.exists()
    told = [*words[: words.index("-l")], f"{login}@127.255.255.254", "true"]
    subprocess.run(told, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert marker.exists(), "it would have run"
