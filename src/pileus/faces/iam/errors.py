"""The one table from the core's errors to the codes and statuses of IAM and STS.

Source: the errors of each action, and the common errors, in the API references of IAM and STS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pileus.faces.wire.errors import ErrorResponse, WireError, nearest
from pileus.model.errors import Fault, PileusError

TABLE: Final[Mapping[tuple[str, str, str], tuple[str, int]]] = {
    ("NotFound", "", ""): ("NoSuchEntity", 404),
    ("Malformed", "", ""): ("ValidationError", 400),
    ("Conflict", "", ""): ("DeleteConflict", 409),
    ("Duplicate", "", ""): ("EntityAlreadyExists", 409),
    ("InvalidValue", "", ""): ("ValidationError", 400),
    ("InvalidValue", "user", "trust"): ("MalformedPolicyDocument", 400),
    ("QuotaExceeded", "", ""): ("LimitExceeded", 409),
    ("NoCapacity", "", ""): ("ServiceFailure", 500),
    ("Forbidden", "", ""): ("AccessDenied", 403),
    ("TokenReused", "", ""): ("ValidationError", 400),
    ("DryRun", "", ""): ("ValidationError", 400),
    ("Unsupported", "", ""): ("UnsupportedOperation", 400),
    ("Unavailable", "", ""): ("ServiceUnavailable", 503),
    ("Throttled", "", ""): ("Throttling", 400),
    ("TooLarge", "", ""): ("RequestEntityTooLarge", 413),
}
"""(core code, noun, reason) → (Amazon's code, status); an empty noun or reason stands for any."""

INTERNAL: Final = ErrorResponse("ServiceFailure", "The request processing has failed because of an unknown error.", 500)


def told(error: Exception) -> ErrorResponse | None:
    """Return the error for the client in place of `error`; None for a mistake of ours."""
    if isinstance(error, WireError):
        return ErrorResponse(error.code, error.message, error.status)
    if isinstance(error, PileusError):
        entry = nearest(TABLE, error)
        return None if entry is None else ErrorResponse(entry[0], error.message, entry[1])
    if isinstance(error, Fault):
        return ErrorResponse("ServiceUnavailable", f"{error.code}: {error.message}", 503)
    return None
