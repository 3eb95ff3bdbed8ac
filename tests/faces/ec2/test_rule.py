"""Rules of security groups: in every form that clients send them."""

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


@pytest.fixture
def group(account: Account) -> str:
    return account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]


def ingress(account: Account, group: str) -> list[Any]:
    return [*account.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]]


def authorize(account: Account, group: str, **permission: Any) -> list[Any]:
    found = account.ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[permission],  # type: ignore[list-item]
    )
    return [*found["SecurityGroupRules"]]


def test_ranges_and_descriptions(account: Account, group: str) -> None:
    ranges = [{"CidrIp": "10.0.0.0/8", "Description": "inside"}, {"CidrIp": "192.0.2.7/32"}]
    made = authorize(account, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=ranges)
    assert [(r["CidrIpv4"], r.get("Description")) for r in made] == [
        ("10.0.0.0/8", "inside"),
        ("192.0.2.7/32", None),
    ]
    assert {r["IsEgress"] for r in made} == {False}
    (permission,) = ingress(account, group)
    assert permission["IpRanges"] == ranges
    assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == ("tcp", 22, 22)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"IpProtocol": "6", "FromPort": 1, "ToPort": 2}, ("tcp", 1, 2)),
        ({"IpProtocol": "TCP", "FromPort": 0, "ToPort": 65535}, ("tcp", 0, 65535)),
        ({"IpProtocol": "17", "FromPort": 53, "ToPort": 53}, ("udp", 53, 53)),
        ({"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1}, ("icmp", 8, -1)),
        ({"IpProtocol": "1", "FromPort": -1, "ToPort": -1}, ("icmp", -1, -1)),
        ({"IpProtocol": "icmp"}, ("icmp", -1, -1)),
        ({"IpProtocol": "-1"}, ("-1", None, None)),
        ({"IpProtocol": "-1", "FromPort": 22, "ToPort": 22}, ("-1", None, None)),
        ({"IpProtocol": "47"}, ("47", None, None)),
        ({"IpProtocol": "47", "FromPort": 1, "ToPort": 2}, ("47", None, None)),
    ],
)
def test_protocols(account: Account, group: str, asked: dict[str, Any], shown: tuple[Any, ...]) -> None:
    (rule,) = authorize(account, group, **asked, IpRanges=ANYWHERE)
    (permission,) = ingress(account, group)
    assert (permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort")) == shown
    assert (rule["IpProtocol"], rule["FromPort"]) == (shown[0], -1 if shown[1] is None else shown[1])
    account.ec2.revoke_security_group_ingress(
        GroupId=group,
        IpPermissions=[{**asked, "IpRanges": ANYWHERE}],  # type: ignore[list-item]
    )
    assert ingress(account, group) == []


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"IpProtocol": "-1"}, ("-1", None, None)),
        ({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}, ("tcp", 443, 443)),
        ({"IpProtocol": "icmpv6", "FromPort": 128, "ToPort": 0}, ("icmpv6", 128, 0)),
        ({"IpProtocol": "58"}, ("icmpv6", -1, -1)),
    ],
)
def test_ranges_of_ipv6(account: Account, group: str, asked: dict[str, Any], shown: tuple[Any, ...]) -> None:
    wide = [{"CidrIpv6": "::/0"}, {"CidrIpv6": "2001:DB8:0::1/32", "Description": "d"}]
    both = authorize(account, group, **asked, Ipv6Ranges=wide)
    assert [rule["CidrIpv6"] for rule in both] == ["::/0", "2001:db8::/32"]
    (permission,) = ingress(account, group)
    assert (permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort")) == shown
    assert permission["Ipv6Ranges"] == [wide[0], {"CidrIpv6": "2001:db8::/32", "Description": "d"}]
    found = account.ec2.describe_security_groups(Filters=filtered("ip-permission.ipv6-cidr", "::/0"))
    assert [g["GroupId"] for g in found["SecurityGroups"]] == [group]
    account.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert ingress(account, group) == []


def test_rules_are_modified_in_place(account: Account, group: str) -> None:
    (rule,) = authorize(account, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=ANYWHERE)
    ident = rule["SecurityGroupRuleId"]

    def modify(**to: Any) -> Any:
        update: Any = {"SecurityGroupRuleId": ident, "SecurityGroupRule": to}
        account.ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[update])
        return account.ec2.describe_security_group_rules(SecurityGroupRuleIds=[ident])["SecurityGroupRules"][0]

    found = modify(IpProtocol="udp", FromPort=53, ToPort=54, CidrIpv4="10.0.0.0/8", Description="names")
    assert (found["IpProtocol"], found["FromPort"], found["ToPort"]) == ("udp", 53, 54)
    assert (found["CidrIpv4"], found["Description"]) == ("10.0.0.0/8", "names")
    assert modify(IpProtocol="-1", ReferencedGroupId=group)["ReferencedGroupInfo"]["GroupId"] == group
    assert modify(IpProtocol="-1", CidrIpv6="::/0")["CidrIpv6"] == "::/0"
    for code, wrong in (
        ("MissingParameter", {"IpProtocol": "-1"}),
        ("InvalidParameterValue", {"IpProtocol": "-1", "CidrIpv4": "10.0.0.0/8", "CidrIpv6": "::/0"}),
        ("InvalidPrefixListID.NotFound", {"IpProtocol": "-1", "PrefixListId": "pl-0123abcd"}),
    ):
        with refused(code):
            modify(**wrong)
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        other: Any = {"SecurityGroupRuleId": "sgr-" + "0" * 17, "SecurityGroupRule": {"IpProtocol": "-1"}}
        account.ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[other])
    with refused("InvalidSecurityGroupRuleId.Malformed"):
        account.ec2.describe_security_group_rules(SecurityGroupRuleIds=["sgr-1"])
    authorize(account, group, IpProtocol="-1", IpRanges=ANYWHERE)
    with refused("InvalidPermission.Duplicate"):
        modify(IpProtocol="-1", CidrIpv4="0.0.0.0/0")


def test_descriptions_are_updated(account: Account, group: str) -> None:
    ec2 = account.ec2
    ssh: Any = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{**ANYWHERE[0], "Description": "a"}]}
    (rule,) = authorize(account, group, **ssh)
    ident = rule["SecurityGroupRuleId"]
    ssh["IpRanges"][0]["Description"] = "b"
    ec2.update_security_group_rule_descriptions_ingress(GroupName="web", IpPermissions=[ssh])
    assert ingress(account, group)[0]["IpRanges"][0]["Description"] == "b"
    by_id: Any = [{"SecurityGroupRuleId": ident, "Description": "c"}]
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group, SecurityGroupRuleDescriptions=by_id)
    assert ingress(account, group)[0]["IpRanges"][0]["Description"] == "c"
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        ec2.update_security_group_rule_descriptions_egress(GroupId=group, SecurityGroupRuleDescriptions=by_id)
    with refused("InvalidPermission.NotFound"):
        ec2.update_security_group_rule_descriptions_egress(GroupId=group, IpPermissions=[ssh])
    with refused("MissingParameter"):
        ec2.update_security_group_rule_descriptions_ingress(GroupId=group)
    outward: Any = {"IpProtocol": "-1", "IpRanges": [{**ANYWHERE[0], "Description": "all"}]}
    ec2.update_security_group_rule_descriptions_egress(GroupId=group, IpPermissions=[outward])
    out = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert out[0]["IpRanges"] == [{**ANYWHERE[0], "Description": "all"}]


def test_rules_have_tags(cloud: Cloud, account: Account, group: str) -> None:
    tags: Any = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "1"}]}]
    ssh: Any = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ANYWHERE}
    made = account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh], TagSpecifications=tags)
    ident = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    assert made["SecurityGroupRules"][0]["Tags"] == [{"Key": "a", "Value": "1"}]
    account.ec2.create_tags(Resources=[ident, group], Tags=[{"Key": "b", "Value": "2"}])
    found = account.ec2.describe_security_group_rules(Filters=filtered("tag:b", "2"))["SecurityGroupRules"]
    assert [rule["SecurityGroupRuleId"] for rule in found] == [ident]
    listed = account.ec2.describe_tags(Filters=filtered("resource-type", "security-group-rule"))["Tags"]
    assert [(each["ResourceId"], each["Key"]) for each in listed] == [(ident, "a"), (ident, "b")]
    account.ec2.delete_tags(Resources=[ident], Tags=[{"Key": "a"}])
    (rule,) = account.ec2.describe_security_group_rules(SecurityGroupRuleIds=[ident])["SecurityGroupRules"]
    assert rule["Tags"] == [{"Key": "b", "Value": "2"}]
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        cloud.account().ec2.create_tags(Resources=[ident], Tags=[{"Key": "b", "Value": "3"}])


def test_groups_of_another_vpc_are_no_other_side(cloud: Cloud, account: Account, group: str) -> None:
    other = cloud.account().ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    with refused("InvalidGroup.NotFound"):
        authorize(account, group, IpProtocol="-1", UserIdGroupPairs=[{"GroupId": other}])


def test_ranges_are_made_canonical(account: Account, group: str) -> None:
    (rule,) = authorize(account, group, IpProtocol="tcp", FromPort=1, ToPort=1, IpRanges=[{"CidrIp": "100.68.0.18/18"}])
    assert rule["CidrIpv4"] == "100.68.0.0/18"


def test_groups_as_the_other_side(account: Account, group: str) -> None:
    default = account.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    pairs = [{"GroupId": group, "Description": "us"}, {"GroupName": "default", "UserId": account.number}]
    made = authorize(account, group, IpProtocol="tcp", FromPort=80, ToPort=81, UserIdGroupPairs=pairs)
    assert [r["ReferencedGroupInfo"]["GroupId"] for r in made] == [group, default]
    (permission,) = ingress(account, group)
    assert permission["UserIdGroupPairs"] == [
        {"GroupId": group, "UserId": account.number, "Description": "us"},
        {"GroupId": default, "UserId": account.number},
    ]
    found = account.ec2.describe_security_groups(Filters=filtered("ip-permission.group-id", default))
    assert {g["GroupId"] for g in found["SecurityGroups"]} == {group, default}


def test_older_form(account: Account, group: str) -> None:
    account.ec2.authorize_security_group_ingress(
        GroupName="web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    (permission,) = ingress(account, group)
    assert (permission["FromPort"], permission["IpRanges"]) == (22, ANYWHERE)
    account.ec2.revoke_security_group_ingress(
        GroupName="web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    assert ingress(account, group) == []
    account.ec2.authorize_security_group_ingress(GroupId=group, SourceSecurityGroupName="default")
    assert {(p["IpProtocol"], p["FromPort"], p["ToPort"]) for p in ingress(account, group)} == {
        ("tcp", 0, 65535),
        ("udp", 0, 65535),
        ("icmp", -1, -1),
    }


def test_revoke_by_id_and_by_meaning(account: Account, group: str) -> None:
    first, second = authorize(
        account, group, IpProtocol="tcp", FromPort=1, ToPort=1, IpRanges=[*ANYWHERE, {"CidrIp": "10.0.0.0/8"}]
    )
    gone = account.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[first["SecurityGroupRuleId"]])
    assert gone["RevokedSecurityGroupRules"][0]["SecurityGroupRuleId"] == first["SecurityGroupRuleId"]
    (left,) = ingress(account, group)
    assert left["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        account.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[first["SecurityGroupRuleId"]])
    gone = account.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[left])
    assert gone["RevokedSecurityGroupRules"][0]["SecurityGroupRuleId"] == second["SecurityGroupRuleId"]
    with refused("InvalidPermission.NotFound"):
        account.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[left])


def test_directions_are_apart(account: Account, group: str) -> None:
    (out,) = account.ec2.describe_security_group_rules(Filters=filtered("group-id", group))["SecurityGroupRules"]
    assert out["IsEgress"] is True
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        account.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[out["SecurityGroupRuleId"]])
    everything: Any = [{"IpProtocol": "-1", "IpRanges": ANYWHERE}]
    account.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=everything)
    shown = account.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert shown["IpPermissionsEgress"] == []
    assert len(shown["IpPermissions"]) == 1
    account.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=everything)


def test_describe_rules(cloud: Cloud, account: Account, group: str) -> None:
    (rule,) = authorize(account, group, IpProtocol="udp", FromPort=1, ToPort=1, IpRanges=ANYWHERE)
    ident = rule["SecurityGroupRuleId"]
    (found,) = account.ec2.describe_security_group_rules(SecurityGroupRuleIds=[ident])["SecurityGroupRules"]
    assert found == rule
    assert len(account.ec2.describe_security_group_rules()["SecurityGroupRules"]) == 4
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        cloud.account().ec2.describe_security_group_rules(SecurityGroupRuleIds=[ident])
    with refused("InvalidSecurityGroupRuleId.Malformed"):
        account.ec2.describe_security_group_rules(SecurityGroupRuleIds=["rule"])


def test_duplicates_add_nothing(account: Account, group: str) -> None:
    authorize(account, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=ANYWHERE)
    with refused("InvalidPermission.Duplicate"):
        authorize(
            account, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=[{"CidrIp": "10.0.0.0/8"}, *ANYWHERE]
        )
    assert len(ingress(account, group)[0]["IpRanges"]) == 1


def test_too_many(account: Account, group: str) -> None:
    ranges = [{"CidrIp": f"10.0.{n}.0/24"} for n in range(61)]
    with refused("RulesPerSecurityGroupLimitExceeded"):
        authorize(account, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=ranges)
    assert ingress(account, group) == []


SSH: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ({**SSH, "IpRanges": [{"CidrIp": "10.0.0.0"}]}, "InvalidParameterValue"),
        ({**SSH, "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}, "InvalidParameterValue"),
        ({**SSH, "IpRanges": [{"CidrIp": "300.0.0.0/8"}]}, "InvalidParameterValue"),
        ({**SSH, "IpRanges": [{"CidrIp": "::/0"}]}, "InvalidParameterValue"),
        ({**SSH, "IpRanges": [{}]}, "MissingParameter"),
        ({**SSH, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "\u00fc"}]}, "InvalidParameterValue"),
        ({**SSH, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "d" * 256}]}, "InvalidParameterValue"),
        ({**SSH, "Ipv6Ranges": [{"CidrIpv6": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        ({**SSH, "Ipv6Ranges": [{"CidrIpv6": "::/129"}]}, "InvalidParameterValue"),
        ({**SSH, "Ipv6Ranges": [{}]}, "MissingParameter"),
        ({**SSH, "IpRanges": [*ANYWHERE, *ANYWHERE]}, "InvalidParameterValue"),
        ({**SSH, "PrefixListIds": [{"PrefixListId": "pl-0123abcd"}]}, "InvalidPrefixListID.NotFound"),
        ({**SSH}, "MissingParameter"),
        ({**SSH, "UserIdGroupPairs": [{}]}, "MissingParameter"),
        ({**SSH, "UserIdGroupPairs": [{"GroupId": "web"}]}, "InvalidGroupId.Malformed"),
        ({**SSH, "UserIdGroupPairs": [{"GroupId": "sg-" + "0" * 17}]}, "InvalidGroup.NotFound"),
        ({**SSH, "UserIdGroupPairs": [{"GroupName": "none"}]}, "InvalidGroup.NotFound"),
        ({**SSH, "UserIdGroupPairs": [{"GroupName": "web", "UserId": "1" * 12}]}, "InvalidGroup.NotFound"),
        ({"IpRanges": ANYWHERE}, "MissingParameter"),
        ({"IpProtocol": "tcp", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 22, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 23, "ToPort": 22, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "udp", "FromPort": -1, "ToPort": -1, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 65536, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "FromPort": 256, "ToPort": 0, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "FromPort": -1, "ToPort": 3, "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "http", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "256", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "-2", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "58", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "icmp", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, "InvalidParameterValue"),
    ],
)
def test_bad_permissions_add_nothing(account: Account, group: str, permission: dict[str, Any], code: str) -> None:
    with refused(code):
        authorize(account, group, **permission)
    assert ingress(account, group) == []


def test_bad_requests(account: Account, group: str) -> None:
    with refused("MissingParameter"):
        account.ec2.authorize_security_group_ingress(GroupId=group)
    with refused("MissingParameter"):
        account.ec2.revoke_security_group_ingress(GroupId=group)
    with refused("MissingParameter"):
        account.ec2.authorize_security_group_ingress(CidrIp="0.0.0.0/0", IpProtocol="-1")
    with refused("MissingParameter"):
        account.ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="-1")
    with refused("InvalidParameterCombination"):
        account.ec2.authorize_security_group_ingress(
            GroupId=group,
            CidrIp="0.0.0.0/0",
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "1.0.0.0/8"}]}],
        )
    with refused("InvalidParameterValue"):
        account.ec2.authorize_security_group_ingress(
            GroupId=group,
            CidrIp="0.0.0.0/0",
            IpProtocol="-1",
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
        )
