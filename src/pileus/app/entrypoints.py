"""Entry points of installed packages: providers, faces, and programs that are a whole cloud.

Read from the packages' own files: `importlib.metadata` takes longer to load than the rest of `pileus up`.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import operator
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pileus
from pileus.cli.problem import Problem
from pileus.posix.files import read_file


class EntryPoint(NamedTuple):
    """An object (`value` is MODULE:NAME) that a package has others find by `group` and `name`."""

    group: str
    name: str
    value: str

    def load(self) -> Any:
        """Import the object. Raises whatever its module raises."""
        module, _, attribute = self.value.partition("[")[0].strip().partition(":")
        loaded = importlib.import_module(module.strip())
        return operator.attrgetter(attribute.strip())(loaded) if attribute else loaded


def of(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, sorted by name; of the same name, this package's own comes last."""
    points = [point for point in _every(tuple(sys.path)) if point.group == group]
    return sorted(points, key=operator.attrgetter("name"))


def load(point: EntryPoint, kind: type) -> Any:
    """Return the object that an entry point names. Raises Problem where it cannot be had, or is not of this `kind`."""
    named = f"The entry point '{point.name}' of {point.group}, {point.value},"
    try:
        loaded = point.load()
    except Exception as error:
        raise Problem(f"{named} cannot be loaded: {type(error).__name__}: {error}.") from error
    if not isinstance(loaded, kind):
        raise Problem(f"{named} is not of this version.")
    return loaded


@functools.lru_cache(maxsize=4)
def _every(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """All entry points of the groups `pileus.*` on `path`, this package's own last.

    A package that is there twice counts where it is first.
    """
    by_package: dict[str, list[EntryPoint]] = {}
    for folder in path:
        for metadata in _metadata_folders(folder):
            # Of a name such as toy_cloud-1.0.dist-info (packaging.python.org, "Recording installed projects").
            package = re.sub(r"[-_.]+", "_", metadata.rpartition(".")[0].partition("-")[0]).lower()
            if package not in by_package:
                by_package[package] = list(_read(f"{folder or '.'}/{metadata}/entry_points.txt"))
    own = by_package.pop(pileus.__name__, [])
    return (*itertools.chain.from_iterable(by_package.values()), *own)


def _metadata_folders(folder: str) -> list[str]:
    """The names of the folders in which installed packages describe themselves."""
    try:
        return [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208  (half the time)
    except OSError:
        return []


def _read(file: str) -> Iterator[EntryPoint]:
    # Every start reads the files of all packages, of which few have anything for this one.
    content = read_file(file) or b""
    group = ""
    for line in map(str.strip, content.decode("utf-8", "replace").splitlines() if b"[pileus." in content else ()):
        if line.startswith("["):
            group = line.strip("[]")
        elif "=" in line and group.startswith("pileus.") and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield EntryPoint(group, name.strip(), value.strip())
