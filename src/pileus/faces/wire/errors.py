"""The errors that a codec raises, and the codes and texts with which each AWS protocol names the same fault.

Sources: the common client errors in the EC2 API reference ("Error codes for the Amazon EC2 API"), the common
errors of the STS and IAM API references, and texts that the services are known to answer with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

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


def shown(text: str) -> str:
    """Return the caller's text as an error may repeat it: at most 64 characters."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class Faults(Protocol):
    """One protocol's words. `path` is the parameter's name on the wire (`Filter.1.Name`)."""

    ignores_unknown: ClassVar[bool]

    def no_action(self) -> WireError:
        """The request names no action."""

    def no_such_action(self, action: str, version: str) -> WireError:
        """The service has no such action."""

    def no_version(self, action: str) -> WireError:
        """The request names no API version."""

    def no_such_version(self, action: str, version: str) -> WireError:
        """The service never had this API version."""

    def missing(self, path: str) -> WireError:
        """A required parameter is absent."""

    def unknown(self, path: str) -> WireError:
        """The action has no such parameter."""

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """The text is no value of the parameter's type; `wanted` says of which ("an integer")."""

    def outside(self, path: str, text: str, constraint: str) -> WireError:
        """The value breaks a limit; `constraint` says which ("length less than or equal to 64")."""

    def not_among(self, path: str, text: str, choices: Iterable[str]) -> WireError:
        """The value is none of those that the model lists."""

    def character(self, path: str) -> WireError:
        """The value has a character that no XML answer could ever carry."""


def malformed(message: str) -> WireError:
    """Return the error for a request whose parameters contradict each other or decode to nothing."""
    return WireError("MalformedQueryString", message)


class Ec2Faults:
    """The EC2 protocol's words."""

    ignores_unknown: ClassVar[bool] = False

    def no_action(self) -> WireError:
        """See `Faults`."""
        return WireError("MissingAction", "The request must contain the parameter Action")

    def no_such_action(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        return WireError("InvalidAction", f"The action {shown(action)} is not valid for this web service.")

    def no_version(self, action: str) -> WireError:
        """See `Faults`."""
        return self.missing("Version")

    def no_such_version(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        text = f"The requested version ({shown(version)}) of service AmazonEC2 does not exist"
        return WireError("NoSuchVersion", text)

    def missing(self, path: str) -> WireError:
        """See `Faults`."""
        return WireError("MissingParameter", f"The request must contain the parameter {path}")

    def unknown(self, path: str) -> WireError:
        """See `Faults`."""
        return WireError("UnknownParameter", f"The parameter {shown(path)} is not recognized")

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """See `Faults`."""
        message = f"Invalid value '{shown(text)}' for {path}. Expecting {wanted}."
        return WireError("InvalidParameterValue", message)

    def outside(self, path: str, text: str, constraint: str) -> WireError:
        """See `Faults`."""
        message = f"Value ( {shown(text)} ) for parameter {path} is invalid. Expecting a {constraint}."
        return WireError("InvalidParameterValue", message)

    def not_among(self, path: str, text: str, choices: Iterable[str]) -> WireError:
        """See `Faults`."""
        message = f"Value ({shown(text)}) for parameter {path} is invalid. Valid values: {_few(choices)}."
        return WireError("InvalidParameterValue", message)

    def character(self, path: str) -> WireError:
        """See `Faults`."""
        return WireError("InvalidCharacter", f"The value of the parameter {path} has an invalid character.")


class QueryFaults:
    """The query protocol's words (STS, IAM). Its services overlook parameters they do not know."""

    ignores_unknown: ClassVar[bool] = True

    def no_action(self) -> WireError:
        """See `Faults`."""
        return WireError("MissingAction", "The request must contain the parameter Action")

    def no_such_action(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        text = f"Could not find operation {shown(action)} for version {shown(version)}"
        return WireError("InvalidAction", text)

    def no_version(self, action: str) -> WireError:
        """See `Faults`."""
        return self.no_such_action(action, "NO_VERSION_SPECIFIED")

    def no_such_version(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        return self.no_such_action(action, version)

    def missing(self, path: str) -> WireError:
        """See `Faults`."""
        return _unsatisfied(path, "Value null", "Member must not be null")

    def unknown(self, path: str) -> WireError:
        """See `Faults`."""
        return WireError("MalformedInput", f"Unexpected parameter {shown(path)}")

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """See `Faults`."""
        return WireError("MalformedInput", f"Invalid value '{shown(text)}' for {path}. Expecting {wanted}.")

    def outside(self, path: str, text: str, constraint: str) -> WireError:
        """See `Faults`."""
        return _unsatisfied(path, f"Value '{shown(text)}'", f"Member must have {constraint}")

    def not_among(self, path: str, text: str, choices: Iterable[str]) -> WireError:
        """See `Faults`."""
        return _unsatisfied(path, f"Value '{shown(text)}'", f"Member must satisfy enum value set: [{_few(choices)}]")

    def character(self, path: str) -> WireError:
        """See `Faults`."""
        return _unsatisfied(path, "Value", "Member must not have characters that XML cannot carry")


class RestXmlFaults(QueryFaults):
    """The words of rest-xml, which are S3's where they differ from those of the query protocol."""

    def no_such_action(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        return WireError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)

    def missing(self, path: str) -> WireError:
        """See `Faults`."""
        return WireError("InvalidRequest", f"Missing required parameter for this request: '{shown(path)}'")

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """See `Faults`."""
        return WireError("InvalidArgument", f"The value '{shown(text)}' of {path} is not {wanted}.")

    def outside(self, path: str, text: str, constraint: str) -> WireError:
        """See `Faults`."""
        return WireError("InvalidArgument", f"The value '{shown(text)}' of {path} must have {constraint}.")

    def not_among(self, path: str, text: str, choices: Iterable[str]) -> WireError:
        """See `Faults`."""
        return WireError("InvalidArgument", f"The value '{shown(text)}' of {path} is none of {_few(choices)}.")


class RestJsonFaults(QueryFaults):
    """The words of rest-json."""

    def no_such_action(self, action: str, version: str) -> WireError:
        """See `Faults`."""
        return WireError("UnknownOperationException", "There is no such operation at this path.", 404)

    def ill_typed(self, path: str, text: str, wanted: str) -> WireError:
        """See `Faults`."""
        return WireError("SerializationException", f"The value '{shown(text)}' of {path} is not {wanted}.")


def _unsatisfied(path: str, subject: str, constraint: str) -> WireError:
    place = ".".join(part[:1].lower() + part[1:] for part in path.split("."))
    text = f"1 validation error detected: {subject} at '{place}' failed to satisfy constraint: {constraint}"
    return WireError("ValidationError", text)


def _few(choices: Iterable[str]) -> str:
    sorted_choices = sorted(choices)
    return ", ".join(sorted_choices[:20]) + (", ..." if len(sorted_choices) > 20 else "")
