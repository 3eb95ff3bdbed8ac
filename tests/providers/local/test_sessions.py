"""Sessions with guests: what joins a client and a console."""

from __future__ import annotations

import os
import socket
import threading
import tty

from pileus.providers.local.sessions import relay

PLENTY = 4 << 20
"""Bytes beyond the buffers of a socket and of a terminal."""


def _relaying(client: int, guest: int) -> threading.Thread:
    def run() -> None:
        try:
            relay(client, guest)
        except OSError:
            """One of the sides broke, which ends it too."""

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_bytes_go_both_ways_until_one_side_ends() -> None:
    user, client = socket.socketpair()
    guest, serial = socket.socketpair()
    with user, client, guest, serial:
        thread = _relaying(client.fileno(), guest.fileno())
        user.sendall(b"typed")
        assert serial.recv(99) == b"typed"
        output = os.urandom(PLENTY)

        def write() -> None:
            serial.sendall(output)
            serial.close()

        threading.Thread(target=write, daemon=True).start()
        received = b""
        while len(received) < PLENTY:
            received += user.recv(1 << 16)
        thread.join(10)
        assert not thread.is_alive()
        assert received == output


def test_a_client_that_leaves_a_console_which_takes_nothing_frees_it() -> None:
    """A paste into a guest that reads nothing fills every buffer on the way; the client's end is heard all the same."""
    user, client = socket.socketpair()
    terminal, guests = os.openpty()
    tty.setraw(guests)
    with client:
        thread = _relaying(client.fileno(), terminal)
        user.settimeout(0.2)
        try:
            user.sendall(b"x" * PLENTY)
        except TimeoutError:
            """Every buffer is full."""
        user.close()
        thread.join(10)
        assert not thread.is_alive()
    os.close(terminal)
    os.close(guests)
