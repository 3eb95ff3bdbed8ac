"""A load of signed EC2 requests over plain sockets: what botocore costs is left out of the figure."""

from __future__ import annotations

import socket
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.server import cpu
from pileus.faces.wire.signing import RawRequest, SigningCredential, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Figure(msgspec.Struct):
    """Requests per second and server CPU milliseconds per request, one entry a round."""

    rate: list[float] = []
    cpu: list[float] = []

    def median(self) -> tuple[float, float]:
        """The medians of both."""
        return statistics.median(self.rate), statistics.median(self.cpu)


class Target(msgspec.Struct, frozen=True):
    """Where to send, signed with which key, whose CPU to count, and a cloud's state directory."""

    name: str
    port: int
    credential: SigningCredential
    pids: tuple[int, ...]
    state: Path = Path()

    def request(self, form: str) -> bytes:
        """A whole HTTP request for `/` with the form body, signed now."""
        body = form.encode()
        headers = {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
            "content-length": str(len(body)),
        }
        signed = sign(RawRequest("POST", "/", "", headers, body), self.credential, time.time())
        lines = [b"POST / HTTP/1.1", *(f"{name}: {value}".encode() for name, value in signed.items()), b"", body]
        return b"\r\n".join(lines)


class Client:
    """One connection, opened again whenever the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._link: socket.socket | None = None

    def ask(self, request: bytes) -> bytes:
        """The body of the answer; RuntimeError when the status is not 200."""
        if self._link is None:
            self._link = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.sendall(request)
        data = self._link.recv(1 << 16)
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        parts, held = [rest], len(rest)
        while held < length:
            part = self._more()
            parts.append(part)
            held += len(part)
        if b"close" in fields.get(b"connection", b"") or head.startswith(b"HTTP/1.0"):
            self._link.close()
            self._link = None
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            raise RuntimeError(b"".join(parts)[:500].decode("utf-8", "replace"))
        return b"".join(parts)

    def _more(self) -> bytes:
        part = self._link.recv(1 << 18) if self._link else b""
        if not part:
            raise RuntimeError("the server closed the connection in the middle of an answer")
        return part


def compare(
    targets: Sequence[Target], form: str, check: Callable[[bytes], bool], seconds: float, rounds: int
) -> list[Figure]:
    """Load the targets in turn, round by round, so that a noisy machine is noisy for all of them."""
    figures = [Figure() for _ in targets]
    for number in range(rounds + 1):
        for target, figure in zip(targets, figures, strict=True):
            rate, spent = _round(target, form, check, seconds if number else seconds / 4)
            if number:  # the first round warms up
                figure.rate.append(rate)
                figure.cpu.append(spent)
    return figures


def _round(target: Target, form: str, check: Callable[[bytes], bool], seconds: float) -> tuple[float, float]:
    client, request = Client(target.port), target.request(form)
    if not check(client.ask(request)):
        raise RuntimeError(f"{target.name} gave a wrong answer")
    before, begin, count = cpu(target.pids), time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or count < 2:
        client.ask(request)
        count += 1
    took = time.perf_counter() - begin
    return count / took, (cpu(target.pids) - before) * 1000 / count
