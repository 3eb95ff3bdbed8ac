"""The public keys of one user, by name: files NAME.pub in a folder that nobody else enters."""

from __future__ import annotations

import os
from pathlib import Path

END = ".pub"


class Keys:
    """The keys in `folder`, by default ~/.mcc/keys, which is made when it is missing."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path("~/.mcc/keys").expanduser() if folder is None else folder
        for path in (self.folder.parent, self.folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Every key's name, in alphabetical order."""
        return sorted(path.name.removesuffix(END) for path in self.folder.iterdir() if path.name.endswith(END))

    def add(self, name: str, key: str) -> None:
        """Keep a key, and a newline behind it. Raises FileExistsError, ValueError for what cannot be a name."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{key}\n")

    def text(self, name: str) -> str:
        """A key as it was kept. Raises FileNotFoundError, ValueError."""
        return self.path(name).read_text(encoding="utf-8", errors="replace")

    def remove(self, name: str) -> None:
        """Forget a key. Raises FileNotFoundError, ValueError."""
        self.path(name).unlink()

    def path(self, name: str) -> Path:
        """Where a key is kept; ValueError for a name that leads elsewhere."""
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise ValueError(f"Invalid key name {name!r}")
        return self.folder / f"{name}{END}"
