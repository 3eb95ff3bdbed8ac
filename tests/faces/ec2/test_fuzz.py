"""Whatever is asked, the answer is Amazon's kind of answer and never our mistake."""

from functools import cache

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.faces.ec2.call import ACTIONS
from pileus.faces.wire.http import Request
from pileus.faces.wire.model import Reference, ServiceModel
from tests.faces.ec2.cloud import Account, Cloud, code_of

EC2 = ServiceModel.load("ec2")
NAMES = sorted(name for service, name in ACTIONS if service == "ec2")


def leaves(reference: Reference, name: str, depth: int = 0) -> list[str]:
    """Return the names on the wire of all values below a member; of lists, the first two elements."""
    shape = EC2.shapes[reference.shape]
    prefix = f"{name}." if name else ""
    if depth > 6:
        return []
    if shape.type == "structure":
        return [
            leaf
            for member, found in shape.members.items()
            for leaf in leaves(found, prefix + EC2.input_name(member, found), depth + 1)
        ]
    if shape.type == "list":
        assert shape.member is not None
        return [leaf for index in (1, 2) for leaf in leaves(shape.member, f"{prefix}{index}", depth + 1)]
    return [name]


@cache
def parameters(action: str) -> list[str]:
    """Return every parameter that the action has, by its name on the wire."""
    reference = EC2.operation(action).input
    return leaves(reference, "") if reference is not None else []


@pytest.fixture(scope="module")
def fuzzed(cloud: Cloud) -> Account:
    """Give an account with a little of everything, and quotas."""
    account = cloud.account({"instances": 12, "keypairs": 12, "securitygroups": 12})
    account.launch(3)
    account.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    account.ec2.create_security_group(GroupName="web", Description="d")
    account.ec2.create_launch_template(LaunchTemplateName="mine", LaunchTemplateData={"KeyName": "mine"})
    account.ec2.create_managed_prefix_list(PrefixListName="mine", MaxEntries=5, AddressFamily="IPv4")
    return account


@cache
def real_values(account: Account) -> list[str]:
    """Return ids and names that mean something to the account, and words that mean something to Amazon."""
    shown = account.ec2.describe_instances()["Reservations"][0]["Instances"]
    rules = account.ec2.describe_security_group_rules()["SecurityGroupRules"]
    return [
        *(instance["InstanceId"] for instance in shown),
        shown[0]["VpcId"],
        shown[0]["SubnetId"],
        shown[0]["PrivateIpAddress"],
        shown[0]["NetworkInterfaces"][0]["NetworkInterfaceId"],
        shown[0]["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        *(group["GroupId"] for group in account.ec2.describe_security_groups()["SecurityGroups"]),
        *(rule["SecurityGroupRuleId"] for rule in rules),
        *(each["LaunchTemplateId"] for each in account.ec2.describe_launch_templates()["LaunchTemplates"]),
        *(each["PrefixListId"] for each in account.ec2.describe_managed_prefix_lists()["PrefixLists"]),
        account.cloud.image.ec2_id,
        account.number,
        *("mine", "web", "default", "m1.tiny", "us-east-1a", "self", "ed25519", "/dev/vda"),
        *("instance-id", "tag:Name", "tag-key", "instance", "volume", "tcp", "-1", "icmp", "0.0.0.0/0"),
    ]


JUNK = st.one_of(
    st.sampled_from(["", "0", "1", "2", "5", "22", "-1", "65536", "2147483647", "9" * 20, "true", "false"]),
    st.sampled_from(
        ["i-", "i-" + "f" * 17, "sg-" + "0" * 8, "ami-" + "0" * 17, "*", "?*", "\\", "aGVsbG8=", "$Latest", "\x00"]
    ),
    st.text(max_size=12),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_is_our_mistake(fuzzed: Account, data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(NAMES))
    known = parameters(action)
    names = st.one_of(st.sampled_from(known), st.sampled_from(known), st.text("ABab.12", min_size=1, max_size=8))
    values = st.one_of(st.sampled_from(real_values(fuzzed)), JUNK)
    params = data.draw(st.dictionaries(names, values, max_size=7))
    required = EC2.operation(action).input
    if required is not None and data.draw(st.booleans()):
        shape = EC2.shapes[required.shape]
        for member in shape.required:
            name = EC2.input_name(member, shape.members[member])
            starting = [each for each in known if each == name or each.startswith(f"{name}.")]
            params.setdefault(starting[0], data.draw(values))
    params["DryRun"] = data.draw(st.sampled_from(["false", "false", "false", "true"]))
    response = fuzzed.post(Action=action, params=params)
    fromstring(response.body)
    if response.status >= 400:
        assert code_of(response)
    if action != "GetConsoleOutput":
        assert response.status < 500, (action, params, response.body)
    assert code_of(response) != "InternalError", (action, params)


@given(st.binary(max_size=60), st.text(max_size=40))
def test_no_bytes_are_our_mistake(cloud: Cloud, body: bytes, query: str) -> None:
    response = cloud.face.handle(Request("POST", "/", query, {"host": "cloud.test"}, body))
    fromstring(response.body)
    assert 400 <= response.status < 500
