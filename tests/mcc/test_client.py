"""Where a server is, as MCC_SERVER says it."""

import pytest

from pileus.mcc import ProtocolError, Server


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("host:8080", ("host", 8080)),
        ("host", ("host", 80)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", 80)),
        ("https://host:8443", ("host", 8443)),
    ],
)
def test_a_place_is_a_host_and_a_port(where: str, place: tuple[str, int]) -> None:
    server = Server.named({"MCC_SERVER": where})
    assert (server.host, server.port) == place


@pytest.mark.parametrize("where", ["", "http://host:80", "host:80/x", "host:", "host:x", "host:99999", ":80", "a b:1"])
def test_what_is_no_place(where: str) -> None:
    with pytest.raises(ProtocolError):
        Server(where)


def test_none_is_named() -> None:
    with pytest.raises(KeyError):
        Server.named({})
