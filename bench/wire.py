"""What one item costs in the AWS codecs, in microseconds (best of several rounds): `python bench/wire.py`."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

from pileus.faces.wire import query, xml
from pileus.faces.wire.model import ServiceModel
from pileus.faces.wire.signing import RawRequest, SigningCredential, sign
from pileus.faces.wire.sigv4 import SigV4Verifier

NOW = 1_700_000_000.0
BODY = b"Action=DescribeInstances&Version=2016-11-15&MaxResults=500"
RUN = {
    "Action": "RunInstances",
    "Version": "2016-11-15",
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "m1.small",
    "MinCount": "1",
    "MaxCount": "1",
    "KeyName": "work",
    "SecurityGroupId.1": "sg-0123456789abcdef0",
    "UserData": "IyEvYmluL3NoCg==",
    "ClientToken": "5b2c9c30-36c9-4f3c-a7a1-6a5d0a0c6a10",
    "TagSpecification.1.ResourceType": "instance",
    "TagSpecification.1.Tag.1.Key": "Name",
    "TagSpecification.1.Tag.1.Value": "web",
}


def instance(number: int) -> dict[str, Any]:
    """Return an instance as DescribeInstances shows it: 89 elements."""
    low = f"{number:05x}"
    groups = [{"GroupId": f"sg-0123456789ab{low}", "GroupName": "default"}]
    address, private = f"127.1.{number // 250}.{number % 250}", f"10.0.{number // 250}.{number % 250}"
    return {
        "AmiLaunchIndex": number,
        "ImageId": "ami-0123456789abcdef0",
        "InstanceId": f"i-0123456789ab{low}",
        "InstanceType": "m1.small",
        "KeyName": "work",
        "LaunchTime": NOW + number,
        "Monitoring": {"State": "disabled"},
        "Placement": {"AvailabilityZone": "us-east-1a", "GroupName": "", "Tenancy": "default"},
        "PrivateDnsName": f"ip-{private.replace('.', '-')}.internal",
        "PrivateIpAddress": private,
        "ProductCodes": [],
        "PublicDnsName": f"i-{low}.local",
        "PublicIpAddress": address,
        "State": {"Code": 16, "Name": "running"},
        "StateTransitionReason": "",
        "SubnetId": "subnet-0123456789abcdef0",
        "VpcId": "vpc-0123456789abcdef0",
        "Architecture": "x86_64",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "AttachTime": NOW + number,
                    "DeleteOnTermination": True,
                    "Status": "attached",
                    "VolumeId": f"vol-0123456789ab{low}",
                },
            }
        ],
        "ClientToken": f"token-{low}",
        "EbsOptimized": False,
        "EnaSupport": True,
        "Hypervisor": "xen",
        "NetworkInterfaces": [network_interface(low, private, address, groups)],
        "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "ebs",
        "SecurityGroups": groups,
        "SourceDestCheck": True,
        "Tags": [{"Key": "Name", "Value": f"web & db {number}"}, {"Key": "owner", "Value": "ops"}],
        "VirtualizationType": "hvm",
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
        "MetadataOptions": {"State": "applied", "HttpTokens": "optional", "HttpEndpoint": "enabled"},
    }


def network_interface(low: str, private: str, address: str, groups: list[dict[str, str]]) -> dict[str, Any]:
    """Return the instance's first network interface."""
    return {
        "Association": {"IpOwnerId": "amazon", "PublicDnsName": f"i-{low}.local", "PublicIp": address},
        "Attachment": {
            "AttachTime": NOW,
            "AttachmentId": f"eni-attach-0123456789ab{low}",
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "Status": "attached",
        },
        "Description": "",
        "Groups": groups,
        "MacAddress": "02:00:00:00:00:01",
        "NetworkInterfaceId": f"eni-0123456789ab{low}",
        "OwnerId": "123456789012",
        "PrivateIpAddress": private,
        "SourceDestCheck": True,
        "Status": "in-use",
        "SubnetId": "subnet-0123456789abcdef0",
        "VpcId": "vpc-0123456789abcdef0",
    }


def best(work: Callable[[], object], number: int) -> float:
    """Return the microseconds of one call: the best of seven rounds of `number` calls."""
    return min(timeit.repeat(work, number=number, repeat=7)) / number * 1e6


def main() -> None:
    """Print a line for each codec."""
    ec2 = ServiceModel.load("ec2")
    request = RawRequest("POST", "/", "", {"host": "127.0.0.1:8773", "content-type": "text/plain"}, BODY)
    signed = request._replace(headers=sign(request, SigningCredential("AKIA", b"secret", "r", "ec2"), NOW))
    verifier = SigV4Verifier({"AKIA": b"secret"}.get, lambda: NOW)
    reservations = [
        {"ReservationId": f"r-{n:017x}", "OwnerId": "123456789012", "Groups": [], "Instances": [instance(n)]}
        for n in range(500)
    ]
    result = {"Reservations": reservations}
    answer = xml.serialize(ec2, "DescribeInstances", result, "request")
    one = {"Reservations": reservations[:1]}
    serial = best(lambda: xml.serialize(ec2, "DescribeInstances", result, "request"), 3)
    size = f"500 take {serial / 1000:.1f} ms, {len(answer)} bytes, {answer.count(b'</') // 500} elements each"
    print(f"wire-serialize-instance us={serial / 500:.1f} ({size})")
    single = best(lambda: xml.serialize(ec2, "DescribeInstances", one, "request"), 1000)
    print(f"wire-serialize-one us={single:.1f}")
    print(f"wire-parse-run-instances us={best(lambda: query.parse(ec2, RUN), 1000):.1f}")
    decoded = best(lambda: query.parse(ec2, query.decode_form("", BODY)), 1000)
    print(f"wire-decode-and-parse-describe us={decoded:.1f}")
    print(f"wire-sigv4-verify us={best(lambda: verifier.verify(signed), 1000):.1f}")


if __name__ == "__main__":
    main()
