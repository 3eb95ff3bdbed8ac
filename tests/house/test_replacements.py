"""Files are replaced, and locked, in one place: `pileus.posix`. The calls that remain elsewhere say why."""

import re
from collections.abc import Callable

import pytest

from tests.house import tree

RENAMED = {
    "app/audit.py": "the audit log is turned over: its older files only change their names",
    "bus/unix.py": "a socket is put in place, which has no bytes",
    "host/book.py": "a damaged order is set aside, and the name of a file without bytes says the highest revision",
    "objects/files.py": "an object was written through before the lock that its name is given under",
    "providers/local/container/bases.py": "folders, which were written through whole or are about to go",
    "providers/local/engine/root.py": "folders, built anew when they are lost",
    "providers/local/machine/restore/template.py": "a folder, whose files were written through",
}
_RENAME = re.compile(r"\bos\.(?:replace|rename)\(|\.rename\(|\.replace\((?:self\._aside|path|target|\w*file)\b")

LOCKED: dict[str, str] = {}
_LOCK = re.compile(r"fcntl\.(?:flock|lockf)\(")

SYNCED = {
    "host/book.py": "a line is added to the list of removals",
    "objects/files.py": "a check of the bytes follows, and then they get their name",
    "providers/local/machine/restore/freezer.py": "a guest's memory, mapped while it is written through",
}
_SYNC = re.compile(r"\bos\.f(?:data)?sync\(")


def sites(says: Callable[[str], object]) -> set[str]:
    """Return the files outside `posix` with a line of which `says` is true."""
    return {
        str(path.relative_to(tree.SOURCE))
        for path in tree.python_files()
        if path.is_relative_to(tree.SOURCE) and not path.is_relative_to(tree.SOURCE / "posix")
        if any(says(line) for line in path.read_text().splitlines())
    }


@pytest.mark.parametrize(
    ("pattern", "reasons"), [(_RENAME, RENAMED), (_LOCK, LOCKED), (_SYNC, SYNCED)], ids=["renamed", "locked", "synced"]
)
def test_calls_outside_posix_have_a_reason(pattern: re.Pattern[str], reasons: dict[str, str]) -> None:
    assert sites(pattern.search) == set(reasons)


@pytest.mark.parametrize(
    "line",
    ["os.replace(a, b)", "aside.rename(path)", "os.rename(a, b)", "part.replace(target)", "part.replace(new_file)"],
)
def test_a_further_replacement_by_hand_is_found(line: str) -> None:
    assert _RENAME.search(line)


@pytest.mark.parametrize("line", ['text.replace("a", "b")', "dataclasses.replace(place, x=1)", "replace(path, 1)"])
def test_other_replacements_are_none(line: str) -> None:
    assert not _RENAME.search(line)
