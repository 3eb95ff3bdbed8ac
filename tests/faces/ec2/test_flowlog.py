"""Flow logs, as boto3 makes them: kept, and shown as not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.model import bounds
from tests.faces.ec2.cloud import filtered, refused

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account, Cloud

TO_S3: Any = {"TrafficType": "REJECT", "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::logs"}


def test_a_flow_log_says_that_it_is_not_delivered(cloud: Cloud) -> None:
    account = cloud.account()
    ec2, vpc = account.ec2, account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    tags: Any = [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    request = {"ResourceIds": [vpc], "ResourceType": "VPC", "ClientToken": "once", "TagSpecifications": tags, **TO_S3}
    (ident,) = ec2.create_flow_logs(**request)["FlowLogIds"]
    assert ec2.create_flow_logs(**request)["FlowLogIds"] == [ident]
    with refused("FlowLogAlreadyExists"):
        ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", **TO_S3)
    (shown,) = ec2.describe_flow_logs(Filters=filtered("resource-id", vpc))["FlowLogs"]
    assert (shown["FlowLogId"], shown["FlowLogStatus"], shown["DeliverLogsStatus"]) == (ident, "ACTIVE", "FAILED")
    assert "no line" in shown["DeliverLogsErrorMessage"]
    assert (shown["TrafficType"], shown["MaxAggregationInterval"]) == ("REJECT", 600)
    assert ec2.describe_flow_logs(Filters=filtered("tag:Name", "other"))["FlowLogs"] == []
    ec2.delete_flow_logs(FlowLogIds=[ident])
    with refused("InvalidFlowLogId.NotFound"):
        ec2.delete_flow_logs(FlowLogIds=[ident])
    ec2.delete_vpc(VpcId=vpc)


def test_an_answer_has_no_client_token_where_the_request_had_none(account: Account) -> None:
    (vpc,) = account.ec2.describe_vpcs()["Vpcs"]
    flow_logs = account.ec2.create_flow_logs(ResourceIds=[vpc["VpcId"]], ResourceType="VPC", **TO_S3)
    assert "ClientToken" not in flow_logs


def test_a_client_token_has_its_length_and_makes_several_logs(account: Account) -> None:
    ec2, vpc = account.ec2, account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    longest = "t" * bounds.TOKEN.most
    ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", ClientToken=longest, **TO_S3)
    with refused("InvalidParameterValue", match="token"):
        ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", ClientToken=f"{longest}t", **TO_S3)
    with refused("InvalidParameterValue", match="token"):
        ec2.create_network_interface(SubnetId=subnet, ClientToken=f"{longest}t")


def test_bad_flow_logs_are_refused(account: Account) -> None:
    ec2, vpc = account.ec2, account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = {"LogGroupName": "g", "DeliverLogsPermissionArn": "arn:aws:iam::1:role/r"}
    refusals: list[tuple[str, Any]] = [
        ("MissingParameter", {"TrafficType": "ALL", "LogDestinationType": "s3"}),
        ("MissingParameter", {"TrafficType": "ALL", "LogGroupName": "g"}),
        ("MissingParameter", {**group}),
        ("InvalidParameterCombination", {**TO_S3, "LogGroupName": "g"}),
        ("InvalidParameterValue", {**TO_S3, "MaxAggregationInterval": 61}),
        ("UnsupportedOperation", {**TO_S3, "DestinationOptions": {"FileFormat": "parquet"}}),
    ]
    for code, fields in refusals:
        with refused(code):
            ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", **fields)
    with refused("UnsupportedOperation"):
        ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="RegionalNatGateway", **TO_S3)
    with refused("InvalidSubnetID.Malformed"):
        ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="Subnet", **TO_S3)
