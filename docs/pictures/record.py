"""Record a terminal session as an animated picture: `python docs/pictures/record.py launch` writes launch.svg.

launch.session has the lines to type, one after the other, each as soon as the terminal shows a prompt. They are run by
bash on a terminal of their own, in this process's environment: the picture shows what really happened. Pauses of the
picture are shorter than those of the session; the clock in its title bar is the session's.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
COLUMNS, ROWS = 100, 30
LONGEST = 180.0
"""Seconds that one line may take until the next prompt."""

PAUSE = 1.0
"""Seconds of the picture for a longer pause of the session."""

HOLD = 4.0
"""Seconds for which the end is shown before the picture begins again."""

PROMPT = re.compile(r"[$#] $")
_CONTROL = re.compile(
    r"\x1b\[(?P<parameters>[0-9;?]*)(?P<final>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_=>()78]B?"
)
_PARTIAL = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07\x1b]*\x1b?|[()]?)?$")
_WIDTH, _HEIGHT, _SIZE, _LEFT, _TOP = 8.4, 19, 14, 16, 48
_COLOURS = ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#c9d1d9")

Cell = tuple[str, str]
"""A character and its style: the attributes of a tspan."""


class Screen:
    """The cells that a terminal shows, for the control sequences that shells, rich and our commands write."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[list[Cell]] = [[] for _ in range(rows)]
        self.row = self.column = 0
        self._style = ""
        self._attributes: dict[str, str] = {}
        self._rest = ""

    def write(self, text: str) -> None:
        """Show the text; a sequence that is cut short waits for its end."""
        text = self._rest + text
        partial = _PARTIAL.search(text)
        self._rest = text[partial.start() :] if partial else ""
        text = text[: partial.start()] if partial else text
        at = 0
        while at < len(text):
            control = _CONTROL.match(text, at)
            if control:
                self._obey(control["final"] or "", control["parameters"] or "")
                at = control.end()
            else:
                self._put(text[at])
                at += 1

    def shown(self) -> tuple[tuple[Cell, ...], ...]:
        """The rows as they are, without the spaces at their ends."""
        shown_rows = []
        for line in self.lines:
            end = len(line)
            while end and line[end - 1][0] == " ":
                end -= 1
            shown_rows.append(tuple(line[:end]))
        return tuple(shown_rows)

    def text(self) -> str:
        """The text of the cursor's row up to the cursor."""
        return "".join(sign for sign, _ in self.lines[self.row][: self.column])

    def _put(self, sign: str) -> None:
        if sign == "\n":
            self._down()
        elif sign == "\r":
            self.column = 0
        elif sign == "\b":
            self.column = max(0, self.column - 1)
        elif sign == "\t":
            self.column = min(self.columns - 1, (self.column // 8 + 1) * 8)
        elif sign.isprintable():
            if self.column >= self.columns:
                self.column = 0
                self._down()
            line = self.lines[self.row]
            line.extend([(" ", "")] * (self.column + 1 - len(line)))
            line[self.column] = (sign, self._style)
            self.column += 1

    def _down(self) -> None:
        if self.row == self.rows - 1:
            self.lines = [*self.lines[1:], []]
        else:
            self.row += 1

    def _obey(self, final: str, parameters: str) -> None:
        numbers = [int(number) for number in re.findall(r"\d{1,4}", parameters)]
        first = numbers[0] if numbers else 0
        count = max(1, first)
        if not final:
            return
        if final == "m":
            self._paint(numbers or [0])
        elif final in "AB":
            self.row = min(self.rows - 1, max(0, self.row + (count if final == "B" else -count)))
        elif final in "CD":
            self.column = min(self.columns - 1, max(0, self.column + (count if final == "C" else -count)))
        elif final == "G":
            self.column = min(self.columns, count) - 1
        elif final in "Hf":
            self.row = min(self.rows, count) - 1
            self.column = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif final == "K":
            self._erase(first)
        elif final == "J":
            self._erase(first)
            for row in range(self.rows):
                if first >= 2 or (row > self.row and first == 0) or (row < self.row and first == 1):
                    self.lines[row] = []

    def _erase(self, what: int) -> None:
        line = self.lines[self.row]
        if what == 0:
            del line[self.column :]
        elif what == 1:
            line[: self.column + 1] = [(" ", "")] * min(len(line), self.column + 1)
        else:
            line.clear()

    def _paint(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if number == 0:
                self._attributes.clear()
            elif number == 1:
                self._attributes["font-weight"] = "bold"
            elif number == 2:
                self._attributes["opacity"] = "0.6"
            elif number == 22:
                self._attributes.pop("font-weight", None)
                self._attributes.pop("opacity", None)
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self._attributes["fill"] = _COLOURS[number % 10]
            elif number == 39:
                self._attributes.pop("fill", None)
        self._style = "".join(f' {name}="{value}"' for name, value in sorted(self._attributes.items()))


class Frame(NamedTuple):
    """The rows that are shown from a moment on, in seconds since the session began."""

    at: float
    rows: tuple[tuple[Cell, ...], ...]


def record(lines: Sequence[str]) -> list[Frame]:
    """Type the lines into a shell, each at a prompt, and record the screen. Raises TimeoutError."""
    child, terminal = pty.fork()
    if child == 0:
        environment = {**os.environ, "PS1": "$ ", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        environment.pop("PROMPT_COMMAND", None)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)  # noqa: S606  (the session's shell)
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        return list(_frames(terminal, lines))
    finally:
        os.close(terminal)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _frames(terminal: int, lines: Sequence[str]) -> Iterator[Frame]:
    screen, decoder = Screen(), codecs.getincrementaldecoder("utf-8")("replace")
    begin = last = time.monotonic()
    waiting, keys = list(lines), ""
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.04 if keys else 0.3)
        now = time.monotonic()
        if ready:
            screen.write(decoder.decode(os.read(terminal, 65536)))
            last = now
            yield Frame(now - begin, screen.shown())
        elif keys:
            os.write(terminal, keys[0].encode())
            keys = keys[1:]
        elif PROMPT.search(screen.text()):
            if not waiting:
                return
            keys = waiting.pop(0) + "\r"
        elif now - last > LONGEST:
            raise TimeoutError(f"no prompt for {LONGEST:.0f} s after: {screen.text()}")


def timed(frames: Sequence[Frame]) -> list[tuple[float, Frame]]:
    """The frames with their times in the picture; several within a moment are one, and none repeats the one before."""
    timed_frames: list[tuple[float, Frame]] = []
    shown, before = 0.0, 0.0
    for frame in frames:
        shown += min(frame.at - before, PAUSE)
        before = frame.at
        if timed_frames and timed_frames[-1][1].rows == frame.rows:
            continue
        if timed_frames and shown - timed_frames[-1][0] < 0.04:
            timed_frames[-1] = (timed_frames[-1][0], frame)
        else:
            timed_frames.append((shown, frame))
    return timed_frames


def svg(frames: Sequence[Frame]) -> str:
    """The animated picture: each row of text once for each time for which it stands."""
    timed_frames = timed(frames)
    end = timed_frames[-1][0] + HOLD
    used = max(number for frame in frames for number, row in enumerate(frame.rows) if row) + 1
    spans: list[tuple[float, float, str]] = []
    for number in range(used):
        spans += _spans([(at, _row(number, frame.rows[number])) for at, frame in timed_frames], end)
    spans += _spans([(at, _clock(frame.at)) for at, frame in timed_frames], end)
    styles, texts = [], []
    for number, (begin, until, text) in enumerate(spans):
        hidden = "" if until >= end else f"{until / end:.3%}{{visibility:hidden}}"
        start = "" if begin <= 0 else "0%{visibility:hidden}"
        styles.append(f"@keyframes k{number}{{{start}{begin / end:.3%}{{visibility:visible}}{hidden}}}")
        base = "" if until >= end else "visibility:hidden;"
        texts.append(f'<g style="{base}animation:k{number} {end:.2f}s step-end infinite">{text}</g>')
    width, height = COLUMNS * _WIDTH + 2 * _LEFT, used * _HEIGHT + _TOP + 8
    dots = "".join(
        f'<circle cx="{20 + 18 * number}" cy="18" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="{_SIZE}"'
        ' font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" fill="#c9d1d9">\n'
        f"<style>text{{white-space:pre}}{''.join(styles)}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>{dots}\n' + "\n".join(texts) + "\n</svg>\n"
    )


def _spans(rows: Sequence[tuple[float, str]], end: float) -> Iterator[tuple[float, float, str]]:
    """The times for which each text stands, of texts that follow each other; empty ones are left out."""
    begin, standing = rows[0]
    for at, text in [*rows[1:], (end, "")]:
        if text != standing:
            if standing:
                yield begin, at, standing
            begin, standing = at, text
    if standing:
        yield begin, end, standing


def _row(number: int, cells: Sequence[Cell]) -> str:
    """A row as one text, with a part for each run of one style; as long as its cells are in any font."""
    if not cells:
        return ""
    parts: list[tuple[str, str]] = []
    for sign, style in cells:
        if parts and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + sign, style)
        else:
            parts.append((sign, style))
    spans = "".join(f"<tspan{style}>{escape(text)}</tspan>" if style else escape(text) for text, style in parts)
    length = f'textLength="{len(cells) * _WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{_LEFT}" y="{_TOP + number * _HEIGHT + _SIZE}" {length} xml:space="preserve">{spans}</text>'


def _clock(seconds: float) -> str:
    x = COLUMNS * _WIDTH + _LEFT
    return f'<text x="{x:.0f}" y="23" text-anchor="end" fill="#8b949e">{seconds:.0f} s</text>'


def main(name: str) -> None:
    """Write NAME.svg from NAME.session."""
    lines = (HERE / f"{name}.session").read_text(encoding="utf-8").splitlines()
    (HERE / f"{name}.svg").write_text(svg(record(lines)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
