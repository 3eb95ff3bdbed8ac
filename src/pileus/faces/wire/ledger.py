"""The ledger of a face: the actions of the vendor's model that the face refuses, by families, and those to come."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pileus.faces.wire.errors import WireError

if TYPE_CHECKING:
    from pileus.faces.wire.model import ServiceModel

UNSUPPORTED = "UnsupportedOperation"
"""The code of a refusal that has no other."""


class Family(NamedTuple):
    """Actions that are refused for one reason: those with a match of `pattern` in their name.

    `code` is Amazon's code for the refusal.
    """

    name: str
    pattern: str
    reason: str
    code: str = UNSUPPORTED


class Ledger(NamedTuple):
    """The refusals of a face; an action is of the first family that it fits.

    `page` lists every action, by its path in the project.
    """

    page: str
    families: tuple[Family, ...]

    def family(self, action: str) -> Family | None:
        """The family of a refused action; None for one that is not yet here."""
        return next((each for each in self.families if re.search(each.pattern, action)), None)

    def refusal(self, service: ServiceModel, action: str) -> WireError:
        """The error for an action that this cloud lacks; raises WireError (`InvalidAction`) if AWS lacks it too."""
        service.operation(action)
        text, refused = f"This cloud does not support the action {action}", self.family(action)
        if refused is None:
            return WireError(UNSUPPORTED, f"{text} yet ({self.page}).")
        return WireError(refused.code, f"{text}: {refused.reason} ({self.page}).")
