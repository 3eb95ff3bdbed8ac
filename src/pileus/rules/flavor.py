"""Flavors by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import InvalidValue
from pileus.model.flavor import Flavor

if TYPE_CHECKING:
    from pileus.store.reader import Reader


def named(tx: Reader, name: str, noun: str = Flavor.KIND) -> Flavor:
    """The flavor with this name; InvalidValue, of a `noun` that was to have it, when none that is offered has it."""
    flavor = next((flavor for flavor in tx.list(Flavor) if flavor.name == name), None)
    if flavor is None or flavor.wanted.retired:
        raise InvalidValue(f"Invalid value '{name}' for InstanceType.", noun=noun, ident=name, reason="flavor")
    return flavor
