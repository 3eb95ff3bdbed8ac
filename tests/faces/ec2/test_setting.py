"""Settings of an account, each of which has the one value that is so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, refused


def test_metadata_has_no_defaults_of_the_account(account: Account) -> None:
    assert account.ec2.get_instance_metadata_defaults()["AccountLevel"] == {"ManagedBy": "account"}
    same: Any = {"HttpTokens": "no-preference", "HttpPutResponseHopLimit": -1, "HttpEndpoint": "no-preference"}
    assert account.ec2.modify_instance_metadata_defaults(**same)["Return"]
    for name, value in (("HttpTokens", "required"), ("HttpPutResponseHopLimit", 2), ("HttpEndpoint", "disabled")):
        change: Any = {name: value}
        with refused("UnsupportedOperation", match=name):
            account.ec2.modify_instance_metadata_defaults(**change)


def test_default_credits_are_standard(account: Account) -> None:
    standard = {"InstanceFamily": "t3", "CpuCredits": "standard"}
    get, modify = account.ec2.get_default_credit_specification, account.ec2.modify_default_credit_specification
    assert get(InstanceFamily="t3")["InstanceFamilyCreditSpecification"] == standard
    answer = modify(InstanceFamily="t3", CpuCredits="standard")
    assert answer["InstanceFamilyCreditSpecification"] == standard
    with refused("UnsupportedOperation"):
        modify(InstanceFamily="t3", CpuCredits="unlimited")
    with refused("InvalidParameterValue"):
        get(InstanceFamily="t4g")


def test_what_is_off_stays_off(account: Account) -> None:
    ec2 = account.ec2
    assert ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"] is False
    assert ec2.disable_serial_console_access()["SerialConsoleAccessEnabled"] is False
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.get_allowed_images_settings()["State"] == "disabled"
    assert ec2.disable_allowed_images_settings()["AllowedImagesSettingsState"] == "disabled"
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "unblocked"
    assert ec2.disable_image_block_public_access()["ImageBlockPublicAccessState"] == "unblocked"
    assert ec2.get_snapshot_block_public_access_state()["State"] == "unblocked"
    assert ec2.disable_snapshot_block_public_access()["State"] == "unblocked"
    for refuse in (ec2.enable_serial_console_access, ec2.enable_ebs_encryption_by_default):
        with refused("UnsupportedOperation", match="docs/reference/ec2.md"):
            refuse()


def test_all_ids_are_long(account: Account) -> None:
    (vpc,) = account.ec2.describe_id_format(Resource="vpc")["Statuses"]
    assert vpc == {"Resource": "vpc", "UseLongIds": True}
    aggregate = account.ec2.describe_aggregate_id_format()
    assert aggregate["UseLongIdsAggregated"]
    assert aggregate["Statuses"] == account.ec2.describe_id_format()["Statuses"]
    assert account.ec2.describe_principal_id_format(Resources=["vpc"])["Principals"] == []


def test_ids_stay_long(account: Account) -> None:
    ec2 = account.ec2
    for resource in ("vpc", "all-current"):
        ec2.modify_id_format(Resource=resource, UseLongIds=True)
    with refused("UnsupportedOperation"):
        ec2.modify_id_format(Resource="vpc", UseLongIds=False)
    with refused("InvalidParameterValue"):
        ec2.modify_id_format(Resource="moon", UseLongIds=True)


@pytest.mark.parametrize(
    ("name", "value"), [("describe_id_format", "moon"), ("describe_principal_id_format", ["moon"])]
)
def test_ids_of_no_resource(account: Account, name: str, value: Any) -> None:
    with refused("InvalidParameterValue"):
        getattr(account.ec2, name)(**{"Resource" if isinstance(value, str) else "Resources": value})
