"""The part of the engine's loop that differs by the kind of noun: its order, and the changes that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pileus.model.noun import Noun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.network import Seen
    from pileus.model.spec import Spec
    from pileus.rules.core import Core, Place
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

N = TypeVar("N", bound=Noun)


class EngineKind(Generic[N]):
    """One kind of noun that the network engine keeps. `loops/NOUN.py` has its own, and `loops.engine` the table."""

    def __init__(self, cls: type[N]) -> None:
        self.cls = cls

    def spec(self, tx: Reader, row: N, place: Place) -> Spec:
        """The order for `row`, without its revision. Raises Unavailable where it needs a row that cannot be read."""
        raise NotImplementedError  # each kind has its own

    def preload(self, tx: Reader, rows: Iterable[N]) -> None:
        """Read together what the orders of several rows need one by one."""

    def prepare(self, core: Core, tx: Writer, row: N) -> N:
        """The row as it is to be ordered; a kind may decide about it first."""
        return row

    def changed(self, tx: Writer, row: N) -> None:
        """The order of `row` is about to change: wake others whose orders depend on it."""

    def seen(self, tx: Writer, row: N, seen: Seen) -> Seen:
        """The observation of `row` to be kept, with a fault that the loop finds by itself."""
        return seen

    def again(self, tx: Writer, row: N) -> float | None:
        """When to look at `row` again though its order is carried out; None for when it is woken."""
        return None

    def ended(self, tx: Writer, row: N) -> bool:
        """The engine holds nothing of `row` any more: whether the row may end now."""
        return True
