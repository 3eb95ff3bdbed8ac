"""Threads of the cloud and of a host are made in one place, which keeps them from ending on an unexpected error."""

import re

from tests.house import tree

MADE = tree.SOURCE / "model" / "threads.py"
ELSEWHERE = {
    "app/reaper.py": "waits for one end, of which it tells its process by a signal",
    "cli/streams.py": "a client's own; it ends with the command",
    "providers/local/guestnet/server.py": "an event loop, whose tasks are watched by the loop itself",
}


def test_every_thread_is_made_where_errors_do_not_end_it() -> None:
    found = {
        str(path.relative_to(tree.SOURCE))
        for path in tree.python_files()
        if path.is_relative_to(tree.SOURCE) and path != MADE
        if re.search(r"\bthreading\.Thread\(|\bimport Thread\b.*threading", path.read_text())
    }
    assert found == set(ELSEWHERE)
