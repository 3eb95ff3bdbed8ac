"""Entry points of installed packages: providers, and faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


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
