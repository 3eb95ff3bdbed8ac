"""Bodies of requests in JSON."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pileus.model.errors import InvalidValue

T = TypeVar("T")


def decoded(body: bytes, shape: type[T]) -> T:
    """Decode a body as `shape`. Raises InvalidValue for bytes that are not such JSON, whatever is wrong with them."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise InvalidValue(f"The body is not what this path takes: {error}", reason="body") from error
    except UnicodeDecodeError as error:
        raise InvalidValue("The body is not what this path takes: it is no UTF-8.", reason="body") from error
    except RecursionError as error:
        raise InvalidValue("The body is not what this path takes: its values lie too deep.", reason="body") from error
