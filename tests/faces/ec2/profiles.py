"""Attempts at other projects' instance profiles, and a profile in the project of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.verbs import instanceprofile

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account

NO_INSTANCE, NO_ASSOCIATION = "InvalidInstanceID.NotFound", "InvalidAssociationID.NotFound"
NO_PROFILE, NAME = "InvalidParameterValue", "IamInstanceProfile.Name"
LAUNCH = {"MinCount": "1", "MaxCount": "1", "InstanceType": "m1.tiny", "ImageId": "{my_image}"}
REPLACE = "ReplaceIamInstanceProfileAssociation"

ATTEMPTS = [
    ("AssociateIamInstanceProfile", {"InstanceId": "{instance}", NAME: "{my_profile}"}, NO_INSTANCE),
    ("AssociateIamInstanceProfile", {"InstanceId": "{my_instance}", NAME: "{profile}"}, NO_PROFILE),
    (REPLACE, {"AssociationId": "{profiled}", NAME: "{my_profile}"}, NO_ASSOCIATION),
    (REPLACE, {"AssociationId": "{my_profiled}", NAME: "{profile}"}, NO_PROFILE),
    ("DisassociateIamInstanceProfile", {"AssociationId": "{profiled}"}, NO_ASSOCIATION),
    ("DescribeIamInstanceProfileAssociations", {"AssociationId.1": "{profiled}"}, NO_ASSOCIATION),
    ("RunInstances", {NAME: "{profile}", **LAUNCH}, NO_PROFILE),
]
"""Actions by a stranger, their parameters, and the error code that each answers, as in `test_strangers`."""


def holdings(account: Account, instance: str, name: str) -> dict[str, str]:
    """A profile, which the instance with this id has; by the words of ATTEMPTS."""
    administrator = msgspec.structs.replace(account.caller, admin=True)
    profile = instanceprofile.create(administrator, account.cloud.core, f"profile-{name}")
    associated = account.ec2.associate_iam_instance_profile(
        InstanceId=instance, IamInstanceProfile={"Name": profile.name}
    )
    return {
        "profile": profile.name,
        "profiled": associated["IamInstanceProfileAssociation"]["AssociationId"],
    }
