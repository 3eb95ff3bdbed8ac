"""Which live tests run: areas, their age, and the sample that fits a budget. Pure functions.

An *area* is what stands first under `tests/live`: the folder, or the module without its `test_`.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeVar

T = TypeVar("T")


def area_of(path: PurePath, live_root: PurePath) -> str:
    """Name the area of a test module, such as `network` for `tests/live/network/test_dhcp.py`.

    Raises ValueError when the module is not below `live_root`.
    """
    first = path.relative_to(live_root).parts[0]
    return first.removesuffix(".py").removeprefix("test_")


def newest_first(areas: Sequence[str], oldest_first: Sequence[str]) -> list[str]:
    """Order areas by age; one that `oldest_first` does not list is newer than all it lists."""
    age = {area: place for place, area in enumerate(oldest_first)}
    unlisted = len(oldest_first)
    return sorted(set(areas), key=lambda area: (-age.get(area, unlisted), area))


def sample(
    tests: Sequence[T],
    *,
    area: Callable[[T], str],
    cost: Callable[[T], float],
    oldest_first: Sequence[str],
    budget: float,
    seed: int,
) -> list[T]:
    """Choose the tests whose costs (seconds) fit into `budget` (seconds), newest area first.

    Within an area the order is drawn from `seed`; what no longer fits is passed over.
    """
    draw = random.Random(seed)
    chosen: list[T] = []
    left = budget
    for name in newest_first([area(test) for test in tests], oldest_first):
        of_area = [test for test in tests if area(test) == name]
        draw.shuffle(of_area)
        for test in of_area:
            if cost(test) <= left:
                chosen.append(test)
                left -= cost(test)
    return chosen
