"""Client tokens: a creating verb that comes again with the same token returns what it made the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pileus.model.noun import Noun
from pileus.rules import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.store.writer import Writer

N = TypeVar("N", bound=Noun)


def once(caller: Caller, tx: Writer, cls: type[N], token: str, parameters: object, make: Callable[[], N]) -> N:
    """The noun that `make` returns, or the noun that it made when this token came first; no token: always anew.

    Raises TokenReused where the token came with other parameters, NotFound where its noun is gone.
    """
    if not token:
        return make()
    verb = f"{cls.KIND}.create"
    before = tx.repeated(caller.project, verb, token, parameters)
    if before is not None:
        return find.living(caller, tx, cls, before)
    noun = make()
    tx.remember(caller.project, verb, token, parameters, noun.uuid)
    return noun
