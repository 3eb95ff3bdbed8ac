"""Distributions' own accounts and names of images at Amazon, by which scripts ask for them: answered by the cloud's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_UBUNTU = {"20.04": "focal", "22.04": "jammy", "24.04": "noble", "26.04": "resolute"}


class Distribution(NamedTuple):
    """One distribution: the names of the cloud's images of it, its owners at Amazon, and the names there.

    In `names`, `{0}` is the version, `{1}` the version's own name and `{2}` the day.
    """

    pattern: re.Pattern[str]
    owners: frozenset[str]
    names: tuple[str, ...]


_DISTRIBUTIONS = (
    Distribution(
        re.compile(r"debian-(\d+)"),
        frozenset({"136693071363", "679593333241", "aws-marketplace"}),
        ("debian-{0}-amd64-{2}-0001",),
    ),
    Distribution(
        re.compile(r"ubuntu-(\d\d\.\d\d)"),
        frozenset({"099720109477", "679593333241", "aws-marketplace"}),
        (
            "ubuntu/images/hvm-ssd/ubuntu-{1}-{0}-amd64-server-{2}",
            "ubuntu/images/hvm-ssd-gp3/ubuntu-{1}-{0}-amd64-server-{2}",
        ),
    ),
)


def owners(item: dict[str, Any]) -> frozenset[str]:
    """The owners at Amazon of an image's distribution, for a rendered image that is public."""
    return frozenset[str]().union(*(each.owners for each, _ in _of(item)))


def names(item: dict[str, Any]) -> list[str]:
    """The names of a rendered image: its own, and those of its distribution's images at Amazon."""
    day = item["CreationDate"][:10].replace("-", "")
    elsewhere = (
        name.format(version, _UBUNTU.get(version, version), day)
        for distribution, version in _of(item)
        for name in distribution.names
    )
    return [item["Name"], *elsewhere]


def owner_ids(item: dict[str, Any]) -> list[str]:
    """The accounts of a rendered image: its owner's, and those of its distribution at Amazon."""
    return [item["OwnerId"], *(owner for owner in owners(item) if owner.isdigit())]


def _of(item: dict[str, Any]) -> Iterator[tuple[Distribution, str]]:
    for distribution in _DISTRIBUTIONS if item["Public"] else ():
        match = distribution.pattern.fullmatch(item["Name"])
        if match is not None:
            yield distribution, match[1]
