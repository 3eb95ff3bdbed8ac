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
    setup: float = 0.0,
) -> list[T]:
    """Choose tests whose costs (seconds), with `setup` for each area once, fit into `budget` (seconds).

    The areas share it: the next test is of the one that was given the least so far, the newest of several. Within an
    area the order is drawn from `seed`; what no longer fits is passed over. The newest area comes first in the result.
    """
    draw = random.Random(seed)
    order = newest_first([area(test) for test in tests], oldest_first)
    waiting: dict[str, list[T]] = {name: [] for name in order}
    for test in tests:
        waiting[area(test)].append(test)
    for of_area in waiting.values():
        draw.shuffle(of_area)
    spent = dict.fromkeys(order, 0.0)
    chosen: list[T] = []
    while True:
        left = budget - sum(spent.values())
        for name, of_area in waiting.items():
            begins = 0.0 if spent[name] else setup
            waiting[name] = [test for test in of_area if begins + cost(test) <= left]
        open_areas = [name for name in order if waiting[name]]
        if not open_areas:
            return sorted(chosen, key=lambda test: order.index(area(test)))
        name = min(open_areas, key=lambda name: spent[name])
        test = waiting[name].pop()
        spent[name] += cost(test) + (0.0 if spent[name] else setup)
        chosen.append(test)
