"""Flavors by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import InvalidValue
from pileus.model.flavor import Flavor

if TYPE_CHECKING:
    from pileus.store.reader import Reader

_LISTED = 40
"""Names of flavors that a message lists at most."""


def named(tx: Reader, name: str, noun: str = Flavor.KIND) -> Flavor:
    """The flavor with this name; InvalidValue, of a `noun` that was to have it, when none that is offered has it."""
    flavors = tx.list(Flavor)
    flavor = next((flavor for flavor in flavors if flavor.name == name), None)
    if flavor is None or flavor.wanted.retired:
        offered = [flavor.name for flavor in flavors if not flavor.wanted.retired]
        more = f" and {len(offered) - _LISTED} more" if len(offered) > _LISTED else ""
        names = f" Flavors offered: {', '.join(offered[:_LISTED])}{more}." if offered else " No flavor is offered."
        raise InvalidValue(f"Invalid value '{name}' for InstanceType.{names}", noun=noun, ident=name, reason="flavor")
    return flavor
