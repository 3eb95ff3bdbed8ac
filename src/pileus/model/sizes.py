"""Types of the values that requests give, each with its bound: what decodes a request refuses what is beyond it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import Meta

from pileus.model import bounds
from pileus.model.errors import InvalidValue

Ident = Annotated[str, Meta(max_length=bounds.IDENT.most)]
Name = Annotated[str, Meta(max_length=bounds.NAME.most)]
Description = Annotated[str, Meta(max_length=bounds.DESCRIPTION.most)]
Token = Annotated[str, Meta(max_length=bounds.TOKEN.most)]
PublicKey = Annotated[str, Meta(max_length=bounds.PUBLIC_KEY.most)]
PublicKeys = Annotated[tuple[PublicKey, ...], Meta(max_length=bounds.PUBLIC_KEYS.most)]
Base64 = Annotated[str, Meta(max_length=-(-bounds.USER_DATA.most // 3) * 4)]
Idents = Annotated[tuple[Ident, ...], Meta(max_length=bounds.LISTED.most)]
Hops = Annotated[int, Meta(ge=1, le=64)]
Traits = Annotated[tuple[Ident, ...], Meta(max_length=bounds.TRAITS.most)]
Tags = Annotated[
    dict[
        Annotated[str, Meta(max_length=bounds.TAG_KEY.most)],
        Annotated[str, Meta(max_length=bounds.TAG_VALUE.most)],
    ],
    Meta(max_length=bounds.TAGS.most),
]


def check(request: msgspec.Struct) -> None:
    """Whether the fields of `request` are within the bounds that their types have. Raises InvalidValue."""
    try:
        msgspec.convert(msgspec.structs.asdict(request), type(request))
    except msgspec.ValidationError as error:
        raise InvalidValue(f"A value is beyond its bound: {error}", reason="length") from error


def check_user_data(text: str) -> None:
    """Whether `text` can be user data: base64 of at most 16 KiB. Raises InvalidValue."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("Invalid BASE64 encoding of user data.", reason="user-data") from error
    if size > bounds.USER_DATA.most:
        raise InvalidValue(f"User data is limited to {bounds.USER_DATA.most} bytes", reason="user-data-size")
