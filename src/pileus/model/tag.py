"""Names and tags: the rules that hold for those of every noun."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pileus.model import bounds
from pileus.model.errors import InvalidValue, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML has not: no list could show them."""

NAME = "Name"
"""The key of the tag that is a noun's name in EC2's clients (see `Noun.NAME_IS_TAG`)."""

SYSTEM_PREFIX = "aws:"
"""Keys of tags that the cloud makes begin so, in any case: users neither set nor remove them, and EC2's clients, the
declarative ones too, pass over them."""


def check(tags: Mapping[str, str]) -> None:
    """Whether a noun may have these tags: at most `bounds.TAGS`, of text, no key beginning with `aws:`.

    Raises InvalidValue, QuotaExceeded.
    """
    most_key, most_value = bounds.TAG_KEY.most, bounds.TAG_VALUE.most
    if len(tags) > bounds.TAGS.most:
        raise QuotaExceeded(f"The maximum number of tags is {bounds.TAGS.most}.", reason="tags")
    for key, value in tags.items():
        if not 1 <= len(key) <= most_key:
            raise InvalidValue(f"Tag key '{key[:40]}' does not have from 1 to {most_key} characters.", reason="tag")
        if len(value) > most_value:
            raise InvalidValue(f"Tag value exceeds the maximum length of {most_value} characters: {key}", reason="tag")
        if _NO_TEXT.search(key) or _NO_TEXT.search(value):
            raise InvalidValue("Tags cannot have characters that are no text.", reason="tag")
        check_key_prefix(key)


def check_text(text: str, most: int, what: str) -> None:
    """Whether `text` has at most `most` characters, all of which XML can carry. Raises InvalidValue naming `what`."""
    if len(text) > most:
        raise InvalidValue(f"{what} has at most {most} characters, this one has {len(text)}.", reason="length")
    if _NO_TEXT.search(text):
        raise InvalidValue(f"{what} cannot have characters that are no text.", reason="text")


def check_key_prefix(key: str) -> None:
    """Refuse the key of a system tag. Raises InvalidValue."""
    if key.lower().startswith(SYSTEM_PREFIX):
        text = f"Tag keys starting with '{SYSTEM_PREFIX}' are reserved for internal use: {key}"
        raise InvalidValue(text, reason="tag")
