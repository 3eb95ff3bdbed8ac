"""The process that starts a throwaway cloud for a program, and removes it when the program wants or has ended."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pileus.app import kits
from pileus.app.state import StateDirectory
from pileus.app.up import down, silent, up
from pileus.cli.problem import Problem, spoken, words

REMOVED_BY = (signal.SIGTERM, signal.SIGHUP)
"""The signals that remove the cloud. ^C is for the program, which then says so."""


def start(state: StateDirectory, provider: str, say: Callable[[str], None]) -> None:
    """Start a cloud in `state`, with the images that are built on this machine. Raises Problem."""
    up(state, provider, None, say)
    if kits.builds_images(state):
        from pileus.app.build import add_all  # noqa: PLC0415  (few clouds are given images)

        add_all(state.root, say)


def remove(state: StateDirectory, say: Callable[[str], None] = silent) -> None:
    """End the cloud in `state` with its instances, and remove the directory. Safe to repeat. Raises Problem."""
    if state.started.exists():
        down(state, instances=True, say=say)
    shutil.rmtree(state.root, ignore_errors=True)


def main() -> None:
    """Start the cloud, write one line of JSON, and wait for a byte or the end of standard input, or of the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--program", type=int, required=True, help="The pid of the program that uses the cloud.")
    arguments = parser.parse_args()
    state = StateDirectory(arguments.state)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in REMOVED_BY:
        signal.signal(number, lambda *_: sys.exit())
    threading.Thread(target=_await_end, args=(arguments.program,), daemon=True).start()
    # A cloud that takes no time needs no words.
    say = _say if kits.load(arguments.provider).needs_root else silent
    try:
        _reply(_outcome(state, arguments.provider, say))
        while True:
            signal.pause()
    finally:
        for number in REMOVED_BY:
            signal.signal(number, signal.SIG_IGN)
        remove(state, say)


def _outcome(state: StateDirectory, provider: str, say: Callable[[str], None]) -> str:
    """Start the cloud; return the message for a cloud that does not start, else an empty text."""
    try:
        start(state, provider, say)
    except Problem as problem:
        return problem.message
    except OSError as error:
        if not (message := words(error)):
            raise
        return message
    return ""


def _reply(problem: str) -> None:
    os.write(sys.stdout.fileno(), json.dumps({"problem": problem}).encode() + b"\n")


def _await_end(program: int) -> None:
    """Send this process SIGTERM when the program says so, or has ended.

    A process that the program has forked may have its end of standard input open for longer.
    """
    with contextlib.suppress(ProcessLookupError):
        poll = select.poll()
        for descriptor in (sys.stdin.fileno(), os.pidfd_open(program)):
            poll.register(descriptor, select.POLLIN)
        # A pid of a program that has ended may be another's by now.
        if os.getppid() == program:
            poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _say(text: str) -> None:
    sys.stderr.write(f"pileus: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    spoken(main)
