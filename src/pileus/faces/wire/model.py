"""An AWS service as its vendor describes it: actions, shapes, versions, and names on the wire.

The description is botocore's `service-2.json`, read once from the installed package without importing it (its
import costs more than the read). Documentation strings, nine tenths of the file, are never decoded.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import Literal

import msgspec

from pileus.faces.wire.errors import FAULTS

_Composite = Literal["structure", "list", "map"]
_Scalar = Literal["string", "boolean", "integer", "long", "float", "double", "timestamp", "blob"]
_Type = _Composite | _Scalar


class XmlNamespace(msgspec.Struct, frozen=True):
    """The namespace of an element of XML."""

    uri: str = ""
    prefix: str = ""


class Reference(msgspec.Struct, frozen=True, rename="camel"):
    """The use of a shape as a member, element, input or output, with its name there if it has one.

    `location` says where in a request or answer of the REST protocols it is ("uri", "querystring", "header", "headers",
    "statusCode"; None: in the body).
    """

    shape: str
    location_name: str | None = None
    query_name: str | None = None
    result_wrapper: str | None = None
    flattened: bool = False
    location: str | None = None
    xml_attribute: bool = False
    xml_namespace: XmlNamespace | None = None
    timestamp_format: str | None = None


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """A type. `members` is for structures, `member` for lists, `key` and `value` for maps.

    `min` and `max` bound the value of a number, the length of a string and the elements of a list.
    """

    type: _Type
    members: dict[str, Reference] = {}
    required: tuple[str, ...] = ()
    member: Reference | None = None
    key: Reference | None = None
    value: Reference | None = None
    enum: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    location_name: str | None = None
    query_name: str | None = None
    sensitive: bool = False
    flattened: bool = False
    payload: str | None = None
    xml_namespace: XmlNamespace | None = None
    timestamp_format: str | None = None


def given(reference: Reference | None) -> Reference:
    """Return the type of a list's elements, or of a map's keys or values; ValueError where the model lacks it."""
    if reference is None:
        raise ValueError("the model has a list or map without the type of its elements")
    return reference


class HttpBinding(msgspec.Struct, frozen=True, rename="camel"):
    """The place of an action of the REST protocols, and the status of its answer."""

    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class Operation(msgspec.Struct, frozen=True):
    """An action: its input and output shapes, either of which it may lack."""

    name: str
    http: HttpBinding = HttpBinding()
    input: Reference | None = None
    output: Reference | None = None
    deprecated: bool = False


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    protocol: Literal["ec2", "query", "rest-xml", "rest-json"]
    xml_namespace: str = ""


class _Description(msgspec.Struct, frozen=True):
    metadata: _Metadata
    operations: dict[str, Operation]
    shapes: dict[str, Shape]


class ServiceModel:
    """A service in its newest API version. Immutable; the same object for each `load` of a name.

    `name` is botocore's ("ec2", "s3"), `protocol` "ec2", "query", "rest-xml" or "rest-json", `versions` all API
    versions that botocore knows, oldest first, `version` the newest, `namespace` the XML namespace of answers, `faults`
    the protocol's words. `query` reads requests of the first two and `xml` writes their answers; `restrequest` and
    `restanswer` do so for the REST protocols.
    """

    def __init__(self, name: str, versions: tuple[str, ...], description: _Description) -> None:
        self.name = name
        self.versions = versions
        self.version = description.metadata.api_version
        self.protocol = description.metadata.protocol
        self.operations = description.operations
        self.shapes = description.shapes
        # EC2 answers with a slash at the end, which its model lacks.
        namespace = description.metadata.xml_namespace.rstrip("/")
        self.namespace = f"{namespace}/" if namespace else ""
        if name == "s3":  # its model has the namespace at some of its shapes alone
            self.namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        self.faults = FAULTS[self.protocol]

    @staticmethod
    @functools.cache
    def load(name: str) -> ServiceModel:
        """Return the service of this name, reading it at the first call.

        Raises LookupError when botocore has no such service, msgspec.ValidationError when its protocol or
        one of its types is none that this package speaks.
        """
        spec = importlib.util.find_spec("botocore")
        if spec is None or spec.origin is None:
            raise LookupError("botocore, which carries the service models, is not installed")
        files = sorted((Path(spec.origin).parent / "data" / name).glob("*/service-2.json*"))
        if not files:
            raise LookupError(f"botocore has no service {name!r}")
        newest = files[-1]
        raw = newest.read_bytes()
        if newest.suffix == ".gz":
            raw = gzip.decompress(raw)
        description = msgspec.json.decode(raw, type=_Description)
        return ServiceModel(name, tuple(file.parent.name for file in files), description)

    @staticmethod
    def of(name: str, description: object) -> ServiceModel:
        """Return a service with a description of our own, in the form of botocore's. Raises msgspec.ValidationError."""
        read_description = msgspec.convert(description, _Description)
        return ServiceModel(name, (read_description.metadata.api_version,), read_description)

    def operation(self, action: str) -> Operation:
        """Return the action's description; raises WireError (`InvalidAction`) when there is none."""
        operation = self.operations.get(action)
        if operation is None:
            raise self.faults.no_such_action(action, self.version)
        return operation

    def input_name(self, member: str, reference: Reference) -> str:
        """Return the name of a structure's member in a request's parameters."""
        shape = self.shapes[reference.shape]
        location = reference.location_name or shape.location_name
        if self.protocol == "ec2":
            if explicit := reference.query_name or shape.query_name:
                return explicit
            return location[0].upper() + location[1:] if location else member
        return self._element_name(reference) or location or member

    def output_name(self, member: str, reference: Reference) -> str:
        """Return the name of a structure's member as an XML element of an answer."""
        shape = self.shapes[reference.shape]
        return self._element_name(reference) or reference.location_name or shape.location_name or member

    def flattened(self, reference: Reference) -> bool:
        """Whether the elements of a list or map stand beside the other members, without a part of the name for it."""
        return reference.flattened or self.shapes[reference.shape].flattened

    def _element_name(self, reference: Reference) -> str | None:
        """Return the name of a flattened list's elements, which is the list's own then."""
        element = self.shapes[reference.shape].member
        return element.location_name if element is not None and self.flattened(reference) else None
