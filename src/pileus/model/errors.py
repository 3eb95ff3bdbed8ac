"""The few errors of the core, each with a stable code; every face has one table from these codes to its dialect's.

A code never changes its meaning and is never used again for another one.
"""

from __future__ import annotations

from typing import ClassVar


class PileusError(Exception):
    """An error whose text a caller may read, about `noun` and `ident`; `reason` refines the code (a stable slug)."""

    code: ClassVar[str] = "Internal"

    def __init__(self, message: str, *, noun: str = "", ident: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.noun = noun
        self.ident = ident
        self.reason = reason


class NotFound(PileusError):
    """The thing does not exist, or the caller may not know that it does."""

    code = "NotFound"


class Malformed(PileusError):
    """An identifier is not of the form that its noun has."""

    code = "Malformed"


class Conflict(PileusError):
    """The thing is in a state, or in a use, that forbids the verb."""

    code = "Conflict"


class Duplicate(PileusError):
    """A name, rule or address is taken already."""

    code = "Duplicate"


class InvalidValue(PileusError):
    """A value makes no sense for this verb."""

    code = "InvalidValue"


class QuotaExceeded(PileusError):
    """The project's quota does not allow it; nothing was made."""

    code = "QuotaExceeded"


class NoCapacity(PileusError):
    """No host has room for it now; nothing was made."""

    code = "NoCapacity"


class Forbidden(PileusError):
    """The caller lacks the right, for a thing that it may know of."""

    code = "Forbidden"


class TokenReused(PileusError):
    """An idempotency token came again with other parameters."""

    code = "TokenReused"


class DryRun(PileusError):
    """The verb would have succeeded; it was asked only to say so."""

    code = "DryRun"


class Unsupported(PileusError):
    """The provider that would do it cannot (its limits say so), or this cloud does not offer it."""

    code = "Unsupported"


class Unavailable(PileusError):
    """A part that is needed (store, host, broker) does not answer now; asking again later may help."""

    code = "Unavailable"


class DamagedRow(Unavailable):
    """The noun's row is damaged: to ask again helps no more than before, until an operator mends the row."""


class Throttled(PileusError):
    """The caller, its project or its address asks for more at once than its share; asking later helps."""

    code = "Throttled"


class TooLarge(PileusError):
    """A request's body has more bytes than are taken."""

    code = "TooLarge"


class Fault(Exception):
    """A provider could not do one step. `permanent` means that trying again cannot help (a corrupt image)."""

    def __init__(self, code: str, message: str, *, permanent: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.permanent = permanent


ERRORS: tuple[type[PileusError], ...] = (
    NotFound,
    Malformed,
    Conflict,
    Duplicate,
    InvalidValue,
    QuotaExceeded,
    NoCapacity,
    Forbidden,
    TokenReused,
    DryRun,
    Unsupported,
    Unavailable,
    Throttled,
    TooLarge,
)
