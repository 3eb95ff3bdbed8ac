"""Names that follow from others."""

import pytest

from pileus.faces.ec2.names import ec2_id, zone_id
from pileus.model.ids import new_uuid
from pileus.model.securitygroup import SecurityGroup


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("us-east-1a", "use1-az1"),
        ("eu-central-1c", "euc1-az3"),
        ("ap-southeast-2b", "apse2-az2"),
        ("here", "here"),
    ],
)
def test_zone_ids(zone: str, expected: str) -> None:
    assert zone_id(zone) == expected


def test_ids_of_nouns_known_by_uuid() -> None:
    uuid = new_uuid()
    assert ec2_id(SecurityGroup, uuid).startswith("sg-")
    assert ec2_id(SecurityGroup, uuid, "x") == "x-" + uuid.replace("-", "")[:17]
