"""The files of one cloud: which names of its state directory are a cloud's, and their removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from pileus.app.state import StateDirectory, top_names
from pileus.cli.problem import Problem


def clear(state: StateDirectory, names: Collection[str], *, keep: Collection[str] = ()) -> None:
    """Remove the files of the cloud's processes, and the `names` of its provider; `keep` are names that stay.

    A link is removed, not followed. The marker goes last: until then the rest is known as a cloud's. Raises Problem.
    """
    removed_names = {*top_names(), *names} - {*keep}
    prefixes = {f".{name}." for name in removed_names}  # what a killed process was about to rename
    last = state.started.name
    try:
        for entry in sorted(os.scandir(state.root), key=lambda entry: (entry.name == last, entry.name)):
            if entry.name not in removed_names and not any(entry.name.startswith(prefix) for prefix in prefixes):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
    except OSError as error:
        raise Problem(f"{error.filename} cannot be removed: {error.strerror}; try again.") from error
