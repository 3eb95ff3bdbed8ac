"""The credential that a request presents, before anything is verified."""

from __future__ import annotations

from pileus.faces.wire import presented
from pileus.faces.wire.http import Request


def credential(**headers: str) -> str:
    """The credential of a request with these headers."""
    return presented.credential(
        Request("GET", "/v1/instances", "", {k.replace("_", "-"): v for k, v in headers.items()}, b"")
    )


def test_a_token_is_one_credential_whatever_stands_beside_it() -> None:
    token = credential(authorization="Bearer good")
    assert token
    assert credential(authorization="bearer  good", x_auth_token="other") == token
    assert credential(x_auth_token="good") == token
    assert credential(authorization="Basic b3RoZXI=", x_auth_token="good") == token
    assert credential(authorization="Bearer bad") != token
    assert credential() == credential(authorization="Basic b3RoZXI=") == ""
