"""Values drawn from botocore's own shapes, and botocore as the other end of the wire."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

from botocore import loaders, model, parsers, serialize

OMITTED = object()
"""A value that the protocol has no way to send: an empty structure, an EC2 list without elements."""

_TEXT = "abzAZ09 .-_/:+=&<>\"'%\t\n\r\u00e4\u20ac\u4e2d\U0001f600"
_START = datetime(2024, 1, 31, 12, 30, 59, tzinfo=UTC)


@functools.cache
def service(name: str) -> model.ServiceModel:
    """Return botocore's model of a service."""
    return model.ServiceModel(loaders.Loader().load_service_model(name, "service-2"), name)


def operation(name: str, action: str) -> model.OperationModel:
    """Return botocore's model of an action."""
    return service(name).operation_model(action)


def sent(name: str, action: str, arguments: dict[str, Any]) -> bytes:
    """Return the body that a botocore client sends."""
    serializer = serialize.create_serializer(service(name).metadata["protocol"], include_validation=True)
    return urlencode(serializer.serialize_to_request(arguments, operation(name, action))["body"]).encode()


def received(name: str, action: str, body: bytes, status: int = 200) -> dict[str, Any]:
    """Return what a botocore client reads from an answer."""
    response: dict[str, Any] = {"body": body, "headers": {}, "status_code": status}
    parser = parsers.create_parser(service(name).metadata["protocol"])
    shape: Any = operation(name, action).output_shape
    found: dict[str, Any] = parser.parse(response, shape)
    return found


class Drawer:
    """Draws values of shapes; if `complete`, none that a request cannot carry, else empties too."""

    def __init__(self, random: Random, *, complete: bool) -> None:
        self.random = random
        self.complete = complete

    def value(self, shape: Any, *, wanted: bool = False) -> Any:
        """Return a value of the shape, or OMITTED."""
        draw = getattr(self, f"_{shape.type_name}")
        return draw(shape, wanted=wanted) if shape.type_name == "structure" else draw(shape)

    def _structure(self, shape: Any, *, wanted: bool) -> Any:
        optional = [name for name in shape.members if name not in shape.required_members]
        least = 1 if wanted and not shape.required_members else 0
        chosen = self.random.sample(optional, min(len(optional), self.random.randint(least, 4)))
        result = {}
        for name in [*shape.required_members, *chosen]:
            drawn = self.value(shape.members[name], wanted=True)
            if drawn is not OMITTED:
                result[name] = drawn
        return result if result or not self.complete else OMITTED

    def _list(self, shape: Any) -> Any:
        least = max(int(shape.metadata.get("min", 0)), 1 if self.complete else 0)
        most = min(int(shape.metadata.get("max", least + 2)), least + 2)
        drawn = [self.value(shape.member, wanted=True) for _ in range(self.random.randint(least, most))]
        kept = [item for item in drawn if item is not OMITTED]
        return kept if kept or not self.complete else OMITTED

    def _map(self, shape: Any) -> Any:
        return {self.value(shape.key): self.value(shape.value) for _ in range(self.random.randint(1, 3))}

    def _string(self, shape: Any) -> str:
        if shape.enum:
            chosen: str = self.random.choice(shape.enum)
            return chosen
        least = int(shape.metadata.get("min", 0))
        most = min(int(shape.metadata.get("max", least + 8)), least + 8)
        return "".join(self.random.choice(_TEXT) for _ in range(self.random.randint(least, most)))

    def _integer(self, shape: Any) -> int:
        least = int(shape.metadata.get("min", -(2**31)))
        most = int(shape.metadata.get("max", 2**31 - 1))
        return self.random.randint(least, most)

    _long = _integer

    def _double(self, shape: Any) -> float:
        least = shape.metadata.get("min", -1e9)
        return float(self.random.uniform(least, shape.metadata.get("max", 1e9)))

    _float = _double

    def _boolean(self, shape: Any) -> bool:
        return self.random.random() < 0.5

    def _timestamp(self, shape: Any) -> datetime:
        return _START + timedelta(milliseconds=self.random.randint(0, 10**11))

    def _blob(self, shape: Any) -> bytes:
        return self.random.randbytes(self.random.randint(1, 40))
