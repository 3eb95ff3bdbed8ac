"""Client tokens: a creating verb that comes again with the same token returns what it made the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pileus.model import bounds
from pileus.model.errors import InvalidValue
from pileus.model.noun import Noun
from pileus.rules import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.store.writer import Writer

N = TypeVar("N", bound=Noun)


def check(token: str, noun: str) -> None:
    """Raise InvalidValue for a token that is too long."""
    if len(token) > bounds.TOKEN.most:
        text = f"A client token has at most {bounds.TOKEN.most} characters."
        raise InvalidValue(text, noun=noun, reason="token")


def once(
    caller: Caller, tx: Writer, cls: type[N], token: str, parameters: object, make: Callable[[], N], part: str = ""
) -> N:
    """The noun that `make` returns, or the noun that it made when this token came first; no token: always anew.

    A token that makes several nouns is told apart by `part`. Raises TokenReused where the token came with other
    parameters, NotFound where its noun is gone, InvalidValue for a token that is too long.
    """
    if not token:
        return make()
    check(token, cls.KIND)
    if part:
        token = f"{token}/{part}"
    verb = f"{cls.KIND}.create"
    before = tx.repeated(caller.project, verb, token, parameters)
    if before is not None:
        return find.living(caller, tx, cls, before)
    noun = make()
    tx.remember(caller.project, verb, token, parameters, noun.uuid)
    return noun
