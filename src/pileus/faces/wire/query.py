"""Parameters of an EC2 or query protocol request to a nested dict keyed by the model's member names.

    parse(ec2, {"Action": "RunInstances", "Version": "2016-11-15", "MinCount": "1", "MaxCount": "1",
                "TagSpecification.1.ResourceType": "instance", "TagSpecification.1.Tag.1.Key": "a"})
    → ("RunInstances", {"MinCount": 1, "MaxCount": 1,
                        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a"}]}]})

Every error is derived from the model and raised as WireError in the protocol's own words. EC2 accepts any
API version from its first to botocore's newest (boto 2 sends 2014's) and answers all in the newest; query
services accept the versions botocore knows. EC2 refuses parameters it does not know; query services overlook
them. `shapes` says what holds for members, lists and values.

The work is linear in the size of the request: parameters, their names' lengths and depths are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import unquote_to_bytes

from pileus.faces.wire.errors import WireError, malformed
from pileus.faces.wire.model import ServiceModel
from pileus.faces.wire.shapes import Tree, input_reader
from pileus.model import bounds

MAX_PARAMETERS = bounds.PARAMETERS.most
"""Parameters in one request; the largest that AWS's own limits allow has about 2,000."""

MAX_NAME = 512
"""Characters in a parameter's name."""

MAX_DEPTH = 32
"""Parts of a parameter's name."""

FIRST_EC2_VERSION = "2006-06-26"

_LOOKED = 64 << 10
"""Bytes of a form in which plain parameters are looked for."""

_PLAIN = re.compile(rb"([0-9A-Za-z-]{1,64})(?:&|\Z)")

_ENVELOPE = frozenset(
    {
        *("Action", "Version", "AWSAccessKeyId", "Expires", "SecurityToken", "Signature", "SignatureMethod"),
        *("SignatureVersion", "Timestamp", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date"),
        *("X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders"),
    }
)
"""Parameters that belong to the request or its signature; no action has one of these names."""


def decode_form(*encoded: bytes | str) -> dict[str, str]:
    """Decode form-encoded parameters, of the query and of the body, to one flat dict.

    Raises WireError (`MalformedQueryString`) for text that is not UTF-8, for a name given twice and for more
    than MAX_PARAMETERS of them.
    """
    params: dict[str, str] = {}
    for part in encoded:
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        if raw.count(b"&") >= MAX_PARAMETERS:
            raise malformed(f"The request has more than {MAX_PARAMETERS} parameters.")
        for pair in raw.split(b"&"):
            if not pair:
                continue
            name, _, value = pair.partition(b"=")
            text = _decode(name)
            if text in params:
                raise malformed(f"The parameter {text[:64]} is given more than once.")
            params[text] = _decode(value)
    return params


def plain(name: str, *encoded: bytes | str) -> str:
    """Return the value of a parameter whose name and value are written without escapes; empty where there is none.

    It is looked for in the first 64 KiB of each part. That costs far less than `decode_form`, and whoever acts on it
    compares it with that later.
    """
    start = f"&{name}=".encode("ascii")
    for part in encoded:
        head = part[:_LOOKED]
        raw = b"&" + (head if isinstance(head, bytes) else head.encode("utf-8", "surrogatepass"))
        # Not by a regular expression alone, which takes fifty times as long.
        at = raw.find(start)
        if at >= 0:
            value = _PLAIN.match(raw, at + len(start))
            return value[1].decode("ascii") if value is not None else ""
    return ""


def parse(service: ServiceModel, params: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the action and its parameters, nested, typed and checked; raises WireError.

    Times are aware datetimes in UTC, blobs are bytes. Parameters that the request leaves out are absent from the dict.
    """
    action = action_of(service, params)
    if len(params) > MAX_PARAMETERS:
        raise malformed(f"The request has more than {MAX_PARAMETERS} parameters.")
    read = input_reader(service, action)
    arguments: dict[str, Any] = read(_tree(service, params), "")
    return action, arguments


def action_of(service: ServiceModel, params: Mapping[str, str]) -> str:
    """Return the action that the request names, if the service has it; raises WireError."""
    action = params.get("Action", "")
    if not action:
        raise service.faults.no_action()
    service.operation(action)
    version = params.get("Version", "")
    if not version:
        raise service.faults.no_version(action)
    if not _knows(service, version):
        raise service.faults.no_such_version(action, version)
    return action


def _knows(service: ServiceModel, version: str) -> bool:
    if version in service.versions:
        return True
    if service.protocol != "ec2" or not FIRST_EC2_VERSION <= version <= service.version:
        return False
    try:
        return date.fromisoformat(version).isoformat() == version
    except ValueError:
        return False


def _decode(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise malformed("The request's parameters are not UTF-8.") from None


def _tree(service: ServiceModel, params: Mapping[str, str]) -> Tree:
    """Split the names at their dots: `{"A.1": "x", "A.2": "y"}` → `{"A": {"1": "x", "2": "y"}}`."""
    root: dict[str, Any] = {}
    for name, value in params.items():
        if name in _ENVELOPE:
            continue
        if len(name) > MAX_NAME:
            raise service.faults.unknown(name)
        *parents, last = name.split(".", MAX_DEPTH)
        if len(parents) == MAX_DEPTH:
            raise service.faults.unknown(name)
        node = root
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise _contradiction(name)
        if last in node:
            raise _contradiction(name)
        node[last] = value
    return root


def _contradiction(name: str) -> WireError:
    return malformed(f"The parameter {name[:64]} contradicts another one.")
