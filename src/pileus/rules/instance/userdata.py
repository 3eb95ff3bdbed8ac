"""User data of a launch."""

from __future__ import annotations

import base64
import binascii

from pileus.model import bounds
from pileus.model.errors import InvalidValue


def check_user_data(text: str) -> None:
    """Whether `text` can be user data: base64 of at most 16 KiB. Raises InvalidValue."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("Invalid BASE64 encoding of user data.", reason="user-data") from error
    if size > bounds.USER_DATA.most:
        raise InvalidValue(f"User data is limited to {bounds.USER_DATA.most} bytes", reason="user-data-size")
