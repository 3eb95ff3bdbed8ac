"""DescribeAccountAttributes."""

from tests.faces.ec2.cloud import Account, Cloud, refused


def attributes(account: Account) -> dict[str, list[str]]:
    found = account.ec2.describe_account_attributes()["AccountAttributes"]
    return {a["AttributeName"]: [v["AttributeValue"] for v in a["AttributeValues"]] for a in found}


def test_default_vpc_and_limits(cloud: Cloud) -> None:
    limited = cloud.account({"instances": 7})
    found = attributes(limited)
    assert found["supported-platforms"] == ["VPC"]
    assert found["default-vpc"] == [limited.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]]
    assert found["max-instances"] == ["7"]


def test_only_what_is_asked(account: Account) -> None:
    found = account.ec2.describe_account_attributes(AttributeNames=["supported-platforms"])
    assert [a["AttributeName"] for a in found["AccountAttributes"]] == ["supported-platforms"]


def test_the_documented_attributes_can_be_asked_for_though_the_model_lists_fewer(account: Account) -> None:
    found = account.ec2.describe_account_attributes(AttributeNames=["max-elastic-ips"])  # type: ignore[list-item]
    assert [a["AttributeName"] for a in found["AccountAttributes"]] == ["max-elastic-ips"]
    with refused("InvalidParameterValue", 400):
        account.ec2.describe_account_attributes(AttributeNames=["max-unicorns"])  # type: ignore[list-item]
