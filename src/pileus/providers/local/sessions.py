"""Sessions with guests: commands in containers, consoles, and logs that are followed. Each has a thread of the host."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING

from pileus.model import bounds
from pileus.model.errors import Fault
from pileus.model.threads import once
from pileus.posix import processes
from pileus.providers.local.container import attach, execution, guests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pileus.model.provider import Channel, Stream
    from pileus.model.spec import InstanceSpec
    from pileus.providers.local.container.monitor import Monitor
    from pileus.providers.local.container.provider import ContainerProvider
    from pileus.providers.local.layout import Layout
    from pileus.providers.local.machine.provider import MachineProvider

    Serve = Callable[[socket.socket], None]

_PAUSE = 0.3
"""Seconds between two looks at a log."""

_CHUNK = 65536


class Sessions:
    """The sessions of a host, bounded by instance and for all instances together."""

    def __init__(self, layout: Layout, machine: MachineProvider, container: ContainerProvider) -> None:
        self._layout = layout
        self._machine = machine
        self._container = container
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._consoles: set[str] = set()

    def open(self, spec: InstanceSpec, channel: Channel) -> Callable[[Stream], None]:
        """The function that serves a channel `exec`, `console` or `follow` of an instance. Raises Fault."""
        if channel == "exec":
            serve = self._command(spec)
        elif channel == "console":
            serve = self._console(spec)
        else:
            provider = self._container if spec.machine == "container" else self._machine
            log = provider.console_log(spec.uuid)
            serve = functools.partial(follow, log)
        with self._counted(spec.uuid):
            # There is room now; the session itself is counted when its client comes.
            return lambda link: self._serve(spec.uuid, serve, link)

    def _command(self, spec: InstanceSpec) -> Serve:
        if spec.machine != "container":
            raise Fault("Unsupported", "A machine runs commands by ssh; only a container runs them without.")
        monitor, folder = self._running(spec), self._container.folder(spec.uuid)
        start = functools.partial(attach.run, monitor, folder, spec.ec2_id)
        return lambda link: execution.serve(link, start)

    def _running(self, spec: InstanceSpec) -> Monitor:
        """The monitor of a container that runs. Raises Fault."""
        monitor = guests.monitor(self._layout, spec)
        if monitor.init() is None:
            raise Fault("GuestStopped", "The container does not run.")
        return monitor

    def _serve(self, uuid: str, serve: Serve, link: Stream) -> None:
        # The channel's own socket is closed by whoever serves the channel.
        user = socket.socket(fileno=os.dup(link.fileno()))
        with user, contextlib.suppress(Fault, OSError, ValueError), self._counted(uuid):
            serve(user)

    @contextlib.contextmanager
    def _counted(self, uuid: str) -> Iterator[None]:
        """Count a session of this instance within the block. Raises Fault at a bound."""
        with self._lock:
            full = (
                self._counts[uuid] >= bounds.INSTANCE_SESSIONS.most or self._counts.total() >= bounds.HOST_SESSIONS.most
            )
            if full:
                raise Fault("TooManySessions", "Too many sessions are open with guests of this host: end some.")
            self._counts[uuid] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[uuid] -= 1
                if not self._counts[uuid]:
                    del self._counts[uuid]

    def _console(self, spec: InstanceSpec) -> Serve:
        if spec.uuid in self._consoles:
            raise Fault("ConsoleBusy", "The console is in use: one client at a time has it.")
        if spec.machine == "container":
            self._running(spec)
            join = self._container_console
        else:
            _dial(self._machine.serial(spec.uuid)).close()
            join = self._machine_console

        def serve(link: socket.socket) -> None:
            with self._lock:
                if spec.uuid in self._consoles:
                    return
                self._consoles.add(spec.uuid)
            try:
                join(spec, link)
            finally:
                with self._lock:
                    self._consoles.discard(spec.uuid)

        return serve

    def _machine_console(self, spec: InstanceSpec, link: socket.socket) -> None:
        with _dial(self._machine.serial(spec.uuid)) as guest:
            relay(link.fileno(), guest.fileno())

    def _container_console(self, spec: InstanceSpec, link: socket.socket) -> None:
        attached = attach.console(guests.monitor(self._layout, spec), spec.ec2_id)
        try:
            relay(link.fileno(), attached.output)
        finally:
            attached.close()
            processes.stop(attached.pid, 1.0)


def _dial(path: Path) -> socket.socket:
    """Connect to the socket of a machine's serial line. Raises Fault."""
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        guest.connect(str(path))
    except OSError as error:
        guest.close()
        raise Fault("GuestStopped", "The machine does not run: nobody has its serial line.") from error
    return guest


def relay(client: int, guest: int) -> None:
    """Copy bytes both ways between the descriptors of a client and of a guest, until either ends. Raises OSError.

    A guest that takes no input keeps no client that has gone.
    """
    sides = ((client, guest), (guest, client))
    unsent = {client: b"", guest: b""}
    for side in unsent:
        os.set_blocking(side, False)
    while True:
        poll = select.poll()
        for side, other in sides:
            events = (0 if unsent[other] else select.POLLIN) | (select.POLLOUT if unsent[side] else 0)
            # A guest that has ended is heard of when the client has taken its last output.
            if events or side == client:
                poll.register(side, events)
        ready = dict(poll.poll())
        if unsent[guest] and ready.get(client, 0) & (select.POLLHUP | select.POLLERR):
            return
        for side, other in sides:
            if side in ready and not unsent[other]:
                new_data = _read(side)
                if new_data == b"":
                    return
                unsent[other] = new_data or b""
        for side, data in list(unsent.items()):
            unsent[side] = _written(side, data)


def _read(descriptor: int) -> bytes | None:
    """The bytes that have come, empty at the end; None where none have come yet. Raises OSError."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _written(descriptor: int, data: bytes) -> bytes:
    """Write as much of `data` as is taken now; the rest. Raises OSError."""
    try:
        return data[os.write(descriptor, data) :] if data else b""
    except BlockingIOError:
        return data


def splice(user: socket.socket, guest: socket.socket) -> None:
    """Copy both ways until both sides have ended; closing them is the caller's."""
    back = once("channel back", lambda: _copy(guest, user))
    _copy(user, guest)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


def follow(path: Path, link: socket.socket) -> None:
    """Send the end of a log, and then what is added to it, until the client goes or the log's folder does."""
    offset: int | None = None
    while path.parent.exists():
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if offset is None or size < offset:
                    offset = max(0, size - bounds.CONSOLE_OUTPUT.most)
                file.seek(offset)
                data = file.read(_CHUNK)
        except FileNotFoundError:
            data = b""
        if data and offset is not None:
            offset += len(data)
            # A trimmed log has zero bytes in place of what was given back.
            link.sendall(data.lstrip(b"\0"))
        elif select.select([link], [], [], _PAUSE)[0] and not link.recv(_CHUNK):
            return
