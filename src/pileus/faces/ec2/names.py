"""Amazon's ids: of nouns that are known by uuid alone, the check of their form, and the zone's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pileus.model.errors import Malformed
from pileus.model.ids import is_ec2

if TYPE_CHECKING:
    from pileus.model.noun import Noun


def ec2_id(cls: type[Noun], uuid: str, prefix: str = "") -> str:
    """The EC2 id of the noun of `cls` with this uuid, or another id under `prefix` that follows from it."""
    return f"{prefix or cls.PREFIX}-{uuid.replace('-', '')[:17]}"


def check_id(prefix: str, noun: str, ident: str) -> None:
    """Raise Malformed unless `ident`, of a noun of the kind `noun`, has the form of an EC2 id with this prefix."""
    if not is_ec2(prefix, ident):
        raise Malformed(f'Invalid id: "{ident[:40]}" (expecting "{prefix}-...")', noun=noun, ident=ident[:40])


def zone_id(zone: str) -> str:
    """The zone's id as Amazon forms it: `use1-az1` for us-east-1a; the name itself when it has no such form."""
    match = re.fullmatch(r"([a-z]{2})-([a-z]+)-(\d)([a-z])", zone)
    if match is None:
        return zone
    area, direction, number, letter = match.groups()
    short = "".join(word[0] for word in re.findall("north|south|east|west|central", direction)) or direction[0]
    return f"{area}{short}{number}-az{ord(letter) - ord('a') + 1}"
