"""Commands and consoles of instances at this terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from pileus.cli.problem import Problem
from pileus.cli.streams import opened, pieces, say
from pileus.model.execution import (
    Command,
    FrameKind,
    FrameReader,
    Window,
    encode,
    encode_command,
    encode_window,
)

if TYPE_CHECKING:
    from pileus.cli.client import Client
    from pileus.cli.streams import StreamLink
    from pileus.model.execution import Frame

LEAVE = b"\x1d"
"""The key that leaves a console: ^], as with telnet and virsh."""

_NOT_RUN = {126: "it may not be executed", 127: "there is no such program"}
"""The statuses of a command that did not begin (POSIX, 2.8.2)."""

_OUTPUTS = {FrameKind.OUTPUT: "stdout", FrameKind.ERRORS: "stderr"}


def at_terminal() -> bool:
    """Whether standard input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def execute(client: Client, instance: str, words: Sequence[str], *, terminal: bool) -> int:
    """Run a command in a container, with this process's input and output; its exit status. Raises Problem."""
    window = _window() if terminal else Window()
    kind = os.environ.get("TERM", "vt100") if terminal else ""
    try:
        command = Command(words=tuple(words), terminal=kind, rows=window.rows, columns=window.columns)
        first = encode_command(command)
    except (ValueError, UnicodeError) as error:
        raise Problem(f"The command cannot be sent: {error}") from error
    async with opened(client, instance, "exec") as link:
        await link.send(first)
        with _raw() if terminal else contextlib.nullcontext():
            sending = asyncio.create_task(_send_input(link))
            if terminal:
                _watch_window(link)
            try:
                status, silent = await _show_output(link, instance)
            finally:
                sending.cancel()
    if silent and status in _NOT_RUN:
        raise Problem(f"{instance} cannot run '{words[0]}': {_NOT_RUN[status]}.", status)
    return status


async def _show_output(link: StreamLink, instance: str) -> tuple[int, bool]:
    """Show what a command writes until it ends; its status, and whether it wrote nothing. Raises Problem."""
    silent = True
    async for frame in _frames(link):
        if frame.kind in _OUTPUTS:
            silent = False
            await say(frame.data, getattr(sys, _OUTPUTS[frame.kind]))
        elif frame.kind is FrameKind.EXIT:
            return frame.data[0], silent
        elif frame.kind is FrameKind.FAILURE:
            raise Problem(f"{instance}: {frame.data.decode(errors='replace')}")
    raise Problem(f"{instance}: the command's stream ended before the command did.", 255)


async def _frames(link: StreamLink) -> AsyncIterator[Frame]:
    reader = FrameReader()
    while data := await link.receive():
        for frame in reader.feed(data):
            yield frame


async def _send_input(link: StreamLink) -> None:
    async for data in pieces(sys.stdin.fileno()):
        await link.send(encode(FrameKind.INPUT, data))


def _window() -> Window:
    size = os.get_terminal_size(sys.stdout.fileno())
    return Window(size.lines, size.columns)


def _watch_window(link: StreamLink) -> None:
    """Tell the command of each change of this terminal's size."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def changed() -> None:
        task = loop.create_task(link.send(encode_window(_window())))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGWINCH, changed)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Have this terminal pass on every key as it is, within the block."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def console(client: Client, instance: str) -> None:
    """Join this terminal with an instance's console until `LEAVE` is typed. Raises Problem."""
    async with opened(client, instance, "console", "attach") as link:
        print(f"The console of {instance}: ^] leaves it.", file=sys.stderr, flush=True)
        with _raw() if sys.stdin.isatty() else contextlib.nullcontext():
            typing = asyncio.create_task(_type(link))
            showing = asyncio.create_task(_show(link))
            ended, _ = await asyncio.wait((typing, showing), return_when=asyncio.FIRST_COMPLETED)
            for task in (typing, showing):
                task.cancel()
        print(file=sys.stderr)
        for task in ended:
            task.result()


async def _type(link: StreamLink) -> None:
    async for data in pieces(sys.stdin.fileno()):
        typed, leave, _ = data.partition(LEAVE)
        if typed:
            await link.send(typed)
        if leave or not data:
            return


async def _show(link: StreamLink) -> None:
    while data := await link.receive():
        await say(data, sys.stdout)
