"""Runs `pileus` commands as processes of their own, forked from one that has imported the program already.

A command is the same code with the same descriptors, environment and exit status as the executable; what it saves is
the import, which is most of the time that a short command takes. The executable itself runs where a test starts it.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.app.shell", "tests.app.preloaded"])


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    input_text: str = "",
    *,
    forks: bool = False,
    uid: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `pileus WORDS` to its end, with `input_text` on its standard input; where it `forks` a cloud, see `forked`.

    `uid` is who runs it, if it is another; for root alone to say.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        reads, writes = os.pipe()
        # A pipe takes this much before anybody reads.
        assert len(input_text) < 4096
        os.write(writes, input_text.encode())
        os.close(writes)
        command = _Command(words, environment, (reads, out.fileno(), err.fileno()), forks=forks, uid=uid)
        command.start()
        os.close(reads)
        command.join()
        status = command.exitcode
        command.close()
        texts = [_text(file) for file in (out, err)]
    assert status is not None
    return subprocess.CompletedProcess(list(words), status, *texts)


def _text(file: Any) -> str:
    file.seek(0)
    read: bytes = file.read()
    return read.decode()


class _Command(_forks.Process):  # type: ignore[name-defined,misc]
    """One command. Its descriptors travel with it when it is started."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        descriptors: tuple[int, ...],
        *,
        forks: bool,
        uid: int | None,
    ) -> None:
        super().__init__()
        self._forks = forks
        self._uid = uid
        self._words = ["pileus", *words]
        self._environment = dict(environment)
        self._descriptors: tuple[Any, ...] = descriptors

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptors": tuple(DupFd(number) for number in self._descriptors)}

    def run(self) -> None:
        """Become the command; in the new process."""
        for number, handed in enumerate(self._descriptors):
            descriptor = handed.detach()
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", write_through=True
        )
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding="utf-8", write_through=True
        )
        os.environ.clear()
        os.environ.update(self._environment)
        sys.argv = self._words
        from pileus.app import main, processes  # noqa: PLC0415  (imported before it was forked)
        from tests.app import forked  # noqa: PLC0415  (the same)

        if self._uid is not None:
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
        if self._forks:
            processes.execute = forked.execute  # type: ignore[assignment]
        main.run()
