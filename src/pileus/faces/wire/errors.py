"""The errors that a codec raises, and the codes and texts with which each AWS protocol names the same fault.

Sources: the common client errors in the EC2 API reference ("Error codes for the Amazon EC2 API"), the common
errors of the STS and IAM API references, and texts that the services are known to answer with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pileus.model.errors import PileusError

T = TypeVar("T")

Words = tuple[str, str] | tuple[str, str, int]
"""The code and the text of an error, and its HTTP status unless that is 400."""

_SHOWN = 64
"""How many characters of a caller's own text an error repeats."""


class WireError(Exception):
    """A request that cannot be understood or trusted: the vendor's `code`, a `message`, the HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ErrorResponse(NamedTuple):
    """The error that the client gets: code, message and HTTP status."""

    code: str
    message: str
    status: int


def nearest(table: Mapping[tuple[str, str, str], T], error: PileusError) -> T | None:
    """Return the entry of `table`, by (core code, noun, reason), that is nearest to an error; None for none.

    An empty noun or reason in the table stands for any.
    """
    code, noun, reason = error.code, error.noun, error.reason
    keys = ((code, noun, reason), (code, "", reason), (code, noun, ""), (code, "", ""))
    return next((table[key] for key in keys if key in table), None)


def shown(text: str) -> str:
    """Return the caller's text as an error may repeat it: at most 64 characters."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def malformed(message: str) -> WireError:
    """Return the error for a request whose parameters contradict each other or decode to nothing."""
    return WireError("MalformedQueryString", message)


class Faults:
    """One protocol's words. `path` is the parameter's name on the wire (`Filter.1.Name`).

    `words` has the code, the text and, unless it is 400, the status of each error, by the name of its method. A text
    has its arguments in braces, `{shown_path}`, and `{place}`: the path as the query protocol writes it.
    """

    def __init__(self, words: Mapping[str, Words], *, ignores_unknown: bool) -> None:
        self.words = words
        self.ignores_unknown = ignores_unknown

    def _error(self, name: str, path: str = "", **said: str) -> WireError:
        code, text, *status = self.words[name]
        place = ".".join(part[:1].lower() + part[1:] for part in path.split("."))
        return WireError(code, text.format(path=path, shown_path=shown(path), place=place, **said), *status)

    def no_action(self) -> WireError:
        """The request names no action."""
        return self._error("no_action")

    def no_such_action(self, action: str, version: str) -> WireError:
        """The service has no such action."""
        return self._error("no_such_action", action=shown(action), version=shown(version))

    def no_version(self, action: str) -> WireError:
        """The request names no API version."""
        return self._error("no_version", action=shown(action))

    def no_such_version(self, action: str, version: str) -> WireError:
        """The service never had this API version."""
        return self._error("no_such_version", action=shown(action), version=shown(version))

    def missing(self, path: str) -> WireError:
        """A required parameter is absent."""
        return self._error("missing", path)

    def unknown(self, path: str) -> WireError:
        """The action has no such parameter."""
        return self._error("unknown", path)

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """The text is no value of the parameter's type; `wanted` says of which ("an integer")."""
        return self._error("ill_typed", path, text=shown(text), wanted=wanted)

    def outside(self, path: str, text: str, constraint: str) -> WireError:
        """The value breaks a limit; `constraint` says which ("length less than or equal to 64")."""
        return self._error("outside", path, text=shown(text), constraint=constraint)

    def not_among(self, path: str, text: str, choices: Iterable[str]) -> WireError:
        """The value is none of those that the model lists."""
        return self._error("not_among", path, text=shown(text), choices=_few(choices))

    def character(self, path: str) -> WireError:
        """The value has a character that no XML answer could ever carry."""
        return self._error("character", path)


def _few(choices: Iterable[str]) -> str:
    sorted_choices = sorted(choices)
    return ", ".join(sorted_choices[:20]) + (", ..." if len(sorted_choices) > 20 else "")


def _unsatisfied(subject: str, constraint: str) -> Words:
    text = f"1 validation error detected: {subject} at '{{place}}' failed to satisfy constraint: {constraint}"
    return "ValidationError", text


_NO_ACTION = ("no_such_action", "no_version", "no_such_version")
"""The errors that the REST protocols do not tell apart: an action is its method and its path."""

_NO_OPERATION = "Could not find operation {action} for version "
_EC2: Mapping[str, Words] = {
    "no_action": ("MissingAction", "The request must contain the parameter Action"),
    "no_such_action": ("InvalidAction", "The action {action} is not valid for this web service."),
    "no_version": ("MissingParameter", "The request must contain the parameter Version"),
    "no_such_version": ("NoSuchVersion", "The requested version ({version}) of service AmazonEC2 does not exist"),
    "missing": ("MissingParameter", "The request must contain the parameter {path}"),
    "unknown": ("UnknownParameter", "The parameter {shown_path} is not recognized"),
    "ill_typed": ("InvalidParameterValue", "Invalid value '{text}' for {path}. Expecting {wanted}."),
    "outside": (
        "InvalidParameterValue",
        "Value ( {text} ) for parameter {path} is invalid. Expecting a {constraint}.",
    ),
    "not_among": ("InvalidParameterValue", "Value ({text}) for parameter {path} is invalid. Valid values: {choices}."),
    "character": ("InvalidCharacter", "The value of the parameter {path} has an invalid character."),
}
_QUERY: Mapping[str, Words] = {
    "no_action": _EC2["no_action"],
    "no_such_action": ("InvalidAction", _NO_OPERATION + "{version}"),
    "no_version": ("InvalidAction", _NO_OPERATION + "NO_VERSION_SPECIFIED"),
    "no_such_version": ("InvalidAction", _NO_OPERATION + "{version}"),
    "missing": _unsatisfied("Value null", "Member must not be null"),
    "unknown": ("MalformedInput", "Unexpected parameter {shown_path}"),
    "ill_typed": ("MalformedInput", "Invalid value '{text}' for {path}. Expecting {wanted}."),
    "outside": _unsatisfied("Value '{text}'", "Member must have {constraint}"),
    "not_among": _unsatisfied("Value '{text}'", "Member must satisfy enum value set: [{choices}]"),
    "character": _unsatisfied("Value", "Member must not have characters that XML cannot carry"),
}
_NOT_IN_S3: Words = ("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
_REST_XML: Mapping[str, Words] = {
    **_QUERY,
    **dict.fromkeys(_NO_ACTION, _NOT_IN_S3),
    "missing": ("InvalidRequest", "Missing required parameter for this request: '{shown_path}'"),
    "ill_typed": ("InvalidArgument", "The value '{text}' of {path} is not {wanted}."),
    "outside": ("InvalidArgument", "The value '{text}' of {path} must have {constraint}."),
    "not_among": ("InvalidArgument", "The value '{text}' of {path} is none of {choices}."),
}
_NOT_IN_JSON: Words = ("UnknownOperationException", "There is no such operation at this path.", 404)
_REST_JSON: Mapping[str, Words] = {
    **_QUERY,
    **dict.fromkeys(_NO_ACTION, _NOT_IN_JSON),
    "ill_typed": ("SerializationException", "The value '{text}' of {path} is not {wanted}."),
}

FAULTS: Mapping[str, Faults] = {
    "ec2": Faults(_EC2, ignores_unknown=False),
    # The services of the query protocol (STS, IAM) overlook parameters that they do not know.
    "query": Faults(_QUERY, ignores_unknown=True),
    # These are S3's where they differ from those of the query protocol.
    "rest-xml": Faults(_REST_XML, ignores_unknown=True),
    "rest-json": Faults(_REST_JSON, ignores_unknown=True),
}
"""Each protocol's words."""
