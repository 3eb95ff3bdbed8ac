"""Draw a terminal session from its text: `python docs/pictures/make.py demo` makes demo.svg from demo.txt."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent


def draw(name: str) -> None:
    """Write NAME.svg beside NAME.txt; lines that begin with a prompt stand out."""
    console = Console(record=True, width=104, file=StringIO())
    for line in (HERE / f"{name}.txt").read_text().splitlines():
        style = "bold green" if line.startswith(("$ ", "# ")) else "cyan" if line.startswith("[") else ""
        console.print(Text(line, style=style))
    (HERE / f"{name}.svg").write_text(console.export_svg(title="pileus"))


if __name__ == "__main__":
    draw(sys.argv[1])
