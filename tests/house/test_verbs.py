"""The verbs are of no dialect: nouns are named by uuid, and no vendor's ids, parameters or words stand in them."""

import re
from collections.abc import Iterator

import pytest

from tests.house import tree

DIALECT = {
    "a look-up by EC2's ids": re.compile(r"\bby_ec2\b|\bis_ec2\b"),
    "a look-up of what a person means": re.compile(r"\bby_any\b"),
    "an EC2 id": re.compile(r"\bec2_id\b"),
    "a word of EC2's": re.compile(r"\b(?:EC2|VPC|AMI|AWS)\b|\baws:"),
    "a parameter of EC2's": re.compile(
        r"\b(?:Min|Max)Count\b|\bClientToken\b|\bDryRun flag\b|\bdisableApi\w+|\b(?:KeyName|PublicKeyMaterial)\b"
        r"|\b(?:Allocation|Association|Group|Image|Instance|NetworkInterface|Subnet|Vpc)Ids?\b"
    ),
}

UNTIL = {
    "peering.py": "a request keeps the id by which it named another account's router",
}
"""Modules that the rule does not hold for yet, and why."""


def dialect_faults(text: str) -> Iterator[str]:
    """Say which lines of a module belong to a face."""
    for number, line in enumerate(text.splitlines(), 1):
        for kind, form in DIALECT.items():
            if form.search(line):
                yield f"line {number} has {kind}: {line.strip()}"


MODULES = {path.relative_to(tree.SOURCE / "verbs").as_posix(): path for path in (tree.SOURCE / "verbs").rglob("*.py")}


@pytest.mark.parametrize("name", sorted(MODULES.keys() - UNTIL))
def test_verbs_are_of_no_dialect(name: str) -> None:
    assert list(dialect_faults(MODULES[name].read_text())) == []


@pytest.mark.parametrize("name", sorted(UNTIL))
def test_exceptions_are_needed(name: str) -> None:
    assert list(dialect_faults(MODULES[name].read_text())), f"{name} may leave the list"


@pytest.mark.parametrize(
    "line",
    [
        "rows = find.by_ec2(caller, tx, Instance, ids)",
        "noun = find.by_any(caller, tx, Image, ident)",
        'text = f"The instance {row.ec2_id} is gone."',
        '"""Delete it, as EC2 does."""',
        'raise InvalidValue("MinCount is above MaxCount")',
        'raise InvalidValue("ClientToken is too long")',
        'text = "Modify its disableApiTermination first."',
    ],
)
def test_the_rule_bites(line: str) -> None:
    assert list(dialect_faults(line))
