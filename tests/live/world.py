"""A machine and what it reaches, in network namespaces of the test's own: no packet of these leaves the machine."""

from __future__ import annotations

import contextlib
import http.server
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import dns.message
import dns.rrset

from tests.live import veth

MACHINE = "192.0.2.2"
GATEWAY = "192.0.2.1"
FAR = "203.0.113.7"
FAR6 = "2001:db8:ff::7"
NAME = "far.example"
"""Documentation ranges and names (RFC 5737, 3849, 2606)."""


class _Page(http.server.BaseHTTPRequestHandler):
    """Answers `GET /N` with N bytes, `GET /` with the caller's address."""

    def do_GET(self) -> None:
        size = int(self.path.strip("/") or 0)
        body = b"x" * size or f"{self.connection.getsockname()[0]} sees {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Pages(http.server.ThreadingHTTPServer):
    daemon_threads = True


class _Pages6(_Pages):
    address_family = socket.AF_INET6


@dataclass(frozen=True)
class World:
    """The namespace `machine` stands for a machine with an address, a loopback interface and a default route.

    Behind the route is the namespace `far`, with web servers at FAR and FAR6, and a name server at FAR.
    """

    machine: str
    far: str


def serve(namespace: str, address: str, port: int = 80) -> http.server.ThreadingHTTPServer:
    """A web server at an address of a namespace, until it is closed."""
    kind = _Pages6 if ":" in address else _Pages
    server: http.server.ThreadingHTTPServer = veth.within(namespace, lambda: kind((address, port), _Page))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _answer_names(link: socket.socket) -> None:
    """Answer each question for NAME by FAR, until the socket is shut down, which is read as an empty datagram."""
    while True:
        try:
            wire, source = link.recvfrom(4096)
        except OSError:
            return
        if not wire:
            return
        response = dns.message.make_response(dns.message.from_wire(wire))
        name = response.question[0].name
        if str(name).lower() == f"{NAME}.":
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", FAR))
        link.sendto(response.to_wire(), source)


def _datagrams(address: str) -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((address, 53))
    return link


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A world until the end of the block."""
    suffix = secrets.token_hex(3)
    world = World(f"pw-m-{suffix}", f"pw-f-{suffix}")
    with contextlib.ExitStack() as stack:
        for namespace in (world.machine, world.far):
            veth.ip("netns", "add", namespace)
            stack.callback(veth.ip, "netns", "del", namespace)
            veth.ip("-n", namespace, "link", "set", "lo", "up")
        veth.ip("-n", world.machine, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", world.far)
        for namespace, own in ((world.machine, "2"), (world.far, "1")):
            veth.ip("-n", namespace, "address", "add", f"192.0.2.{own}/24", "dev", "eth0")
            veth.ip("-n", namespace, "address", "add", f"2001:db8:1::{own}/64", "dev", "eth0", "nodad")
            veth.ip("-n", namespace, "link", "set", "eth0", "up")
        veth.ip("-n", world.machine, "route", "add", "default", "via", GATEWAY)
        veth.ip("-n", world.machine, "route", "add", "default", "via", "2001:db8:1::1")
        veth.ip("-n", world.far, "address", "add", f"{FAR}/32", "dev", "lo")
        veth.ip("-n", world.far, "address", "add", f"{FAR6}/128", "dev", "lo", "nodad")
        for address in (FAR, FAR6):
            stack.callback(_close, serve(world.far, address))
        names = veth.within(world.far, lambda: _datagrams(FAR))
        stack.callback(names.close)
        # Closing a socket does not wake a thread that reads it; shutting it down does.
        stack.callback(_shut, names)
        threading.Thread(target=_answer_names, args=(names,), daemon=True).start()
        yield world


def _shut(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


def _close(server: http.server.ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
