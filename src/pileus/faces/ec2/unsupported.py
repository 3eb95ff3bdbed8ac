"""Parameters that this cloud cannot honour, by action: one table, from which requests are refused.

A parameter that an action neither reads nor refuses would be passed over in silence: a test finds those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.faces.ec2.filters import reached
from pileus.model.errors import Unsupported

Accepted = tuple[object, ...]
"""Values of a parameter that ask for what is so anyway, beside false, zero and nothing at all."""

NONE: Accepted = ()

_OF_A_LAUNCH: dict[str, Accepted] = {
    **dict.fromkeys(
        (
            *("AdditionalInfo", "CpuOptions", "DisableApiStop", "EbsOptimized", "ElasticGpuSpecification"),
            *("ElasticInferenceAccelerators", "EnablePrimaryIpv6", "EnclaveOptions.Enabled"),
            *("HibernationOptions.Configured", "InstanceMarketOptions"),
            *("Ipv6Addresses.IsPrimaryIpv6", "KernelId", "LicenseSpecifications", "Monitoring.Enabled"),
            *("Monitoring.MetricCategoryIds", "Operator", "RamdiskId", "SecondaryInterfaces"),
            *("CapacityReservationSpecification.CapacityReservationTarget",),
            *("PrivateDnsNameOptions.EnableResourceNameDnsARecord",),
            *("PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord",),
        ),
        NONE,
    ),
    "CapacityReservationSpecification.CapacityReservationPreference": ("open", "none"),
    "CreditSpecification.CpuCredits": ("standard",),
    "MaintenanceOptions.AutoRecovery": ("default", "disabled"),
    "NetworkPerformanceOptions.BandwidthWeighting": ("default",),
    "PrivateDnsNameOptions.HostnameType": ("ip-name",),
}

_OF_A_PLACEMENT = ("HostResourceGroupArn", "PartitionNumber", "SpreadDomain")

_OF_A_DISK = (
    *("AvailabilityZone", "AvailabilityZoneId", "EbsCardIndex", "Encrypted", "Iops", "KmsKeyId", "OutpostArn"),
    *("Throughput", "VolumeInitializationRate"),
)

_OF_AN_INTERFACE = (
    *("AssociateCarrierIpAddress", "ConnectionTrackingSpecification", "EnaQueueCount"),
    *("EnaSrdSpecification.EnaSrdEnabled", "Ipv4PrefixCount", "Ipv4Prefixes", "Ipv6Addresses.IsPrimaryIpv6"),
    *("Ipv6PrefixCount", "Ipv6Prefixes", "NetworkCardIndex", "PrimaryIpv6"),
)

_OF_A_RANGE = ("Ipv4IpamPoolId", "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength")
_OF_A_VPC_RANGE = (*_OF_A_RANGE, "Ipv6CidrBlock", "Ipv6CidrBlockNetworkBorderGroup", "Ipv6Pool")

_OF_A_TRANSIT_ATTACHMENT = ("ApplianceModeSupport", "Ipv6Support", "SecurityGroupReferencingSupport")
_OF_A_TRANSIT_GATEWAY: dict[str, Accepted] = {
    "AutoAcceptSharedAttachments": ("disable",),
    "MulticastSupport": ("disable",),
    "SecurityGroupReferencingSupport": ("disable",),
    "TransitGatewayCidrBlocks": NONE,
}

_OF_A_ROUTE: dict[str, Accepted] = dict.fromkeys(
    (
        *("CarrierGatewayId", "CoreNetworkArn"),
        *("LocalGatewayId", "OdbNetworkArn", "VpcEndpointId"),
    ),
    NONE,
)

REFUSED: dict[str, dict[str, Accepted]] = {
    "AllocateAddress": {
        "CustomerOwnedIpv4Pool": NONE,
        # Clients that know EC2-Classic send `standard`; the answer says `vpc`, as Amazon's does.
        "Domain": ("standard", "vpc"),
        "IpamPoolId": NONE,
        "PublicIpv4Pool": ("amazon",),
    },
    "AssignPrivateIpAddresses": dict.fromkeys(("Ipv4PrefixCount", "Ipv4Prefixes"), NONE),
    "AssignIpv6Addresses": dict.fromkeys(("Ipv6PrefixCount", "Ipv6Prefixes"), NONE),
    "AssociateRouteTable": {"GatewayId": NONE, "PublicIpv4Pool": NONE},
    "AssociateSubnetCidrBlock": dict.fromkeys(("Ipv6IpamPoolId", "Ipv6NetmaskLength"), NONE),
    "AssociateVpcCidrBlock": dict.fromkeys(_OF_A_VPC_RANGE, NONE),
    "CreateLaunchTemplate": {"Operator": NONE},
    "AttachNetworkInterface": dict.fromkeys(
        ("EnaQueueCount", "EnaSrdSpecification.EnaSrdEnabled", "NetworkCardIndex"), NONE
    ),
    "CreateFlowLogs": {
        "DestinationOptions.FileFormat": ("plain-text",),
        "DestinationOptions.HiveCompatiblePartitions": NONE,
        "DestinationOptions.PerHourPartition": NONE,
        "TagFieldSpecifications": NONE,
    },
    "CreateNatGateway": {
        "AvailabilityMode": ("zonal",),
        **dict.fromkeys(
            (
                *("AvailabilityZoneAddresses", "SecondaryAllocationIds", "SecondaryPrivateIpAddressCount"),
                *("SecondaryPrivateIpAddresses", "VpcId"),
            ),
            NONE,
        ),
    },
    "CreateNetworkInterface": dict.fromkeys(
        (
            *("ConnectionTrackingSpecification", "EnablePrimaryIpv6", "InterfaceType", "Ipv4PrefixCount"),
            *("Ipv4Prefixes", "Ipv6Addresses.IsPrimaryIpv6", "Ipv6PrefixCount", "Ipv6Prefixes", "Operator"),
        ),
        NONE,
    ),
    "CreateRoute": _OF_A_ROUTE,
    "CreateSubnet": dict.fromkeys((*_OF_A_RANGE, "Ipv6Native", "OutpostArn"), NONE),
    "CreateTransitGateway": {f"Options.{name}": accepted for name, accepted in _OF_A_TRANSIT_GATEWAY.items()},
    "CreateTransitGatewayVpcAttachment": {f"Options.{name}": ("disable",) for name in _OF_A_TRANSIT_ATTACHMENT},
    "CreateVpc": {
        "InstanceTenancy": ("default",),
        **dict.fromkeys((*_OF_A_VPC_RANGE, "VpcEncryptionControl"), NONE),
    },
    "CreateVpcPeeringConnection": dict.fromkeys(
        (
            "RequesterPeeringConnectionOptions.AllowMultipathResilience",
            "RequesterPeeringConnectionOptions.MultipathResilienceMode",
        ),
        NONE,
    ),
    "DescribeAddressesAttribute": {"Attribute": ("domain-name",)},
    "ModifyDefaultCreditSpecification": {"CpuCredits": ("standard",)},
    "ModifyImageAttribute": dict.fromkeys(
        (
            *(
                "ImdsSupport.Value",
                "LaunchPermission.Add.OrganizationArn",
                "LaunchPermission.Add.OrganizationalUnitArn",
            ),
            *("OrganizationArns", "OrganizationalUnitArns", "ProductCodes"),
            *("LaunchPermission.Remove.OrganizationArn", "LaunchPermission.Remove.OrganizationalUnitArn"),
        ),
        NONE,
    ),
    "ModifyInstanceMetadataDefaults": {
        "HttpEndpoint": ("enabled", "no-preference"),
        "HttpPutResponseHopLimit": (-1, 1),
        "HttpTokens": ("optional", "no-preference"),
        "HttpTokensEnforced": ("disabled", "no-preference"),
        "InstanceMetadataTags": ("enabled", "no-preference"),
    },
    "ModifyInstancePlacement": {
        "Affinity": ("default",),
        "HostResourceGroupArn": NONE,
        "PartitionNumber": NONE,
        "Tenancy": ("default",),
    },
    "ModifyManagedPrefixList": {"IpamPrefixListResolverSyncEnabled": NONE},
    "ModifyNetworkInterfaceAttribute": dict.fromkeys(
        (
            *("AssociatedSubnetIds", "Attachment.DefaultEnaQueueCount", "Attachment.EnaQueueCount"),
            *("ConnectionTrackingSpecification", "EnablePrimaryIpv6", "EnaSrdSpecification.EnaSrdEnabled"),
        ),
        NONE,
    ),
    "ModifySubnetAttribute": {
        "PrivateDnsHostnameTypeOnLaunch": ("ip-name",),
        **dict.fromkeys(
            (
                "CustomerOwnedIpv4Pool",
                "DisableLniAtDeviceIndex.Value",
                "EnableDns64.Value",
                "EnableLniAtDeviceIndex",
                "EnableResourceNameDnsAAAARecordOnLaunch.Value",
                "EnableResourceNameDnsARecordOnLaunch.Value",
                "MapCustomerOwnedIpOnLaunch.Value",
            ),
            NONE,
        ),
    },
    "DisableTransitGatewayRouteTablePropagation": {"TransitGatewayRouteTableAnnouncementId": NONE},
    "EnableTransitGatewayRouteTablePropagation": {"TransitGatewayRouteTableAnnouncementId": NONE},
    "ModifyTransitGateway": {
        "Options.AddTransitGatewayCidrBlocks": NONE,
        "Options.AutoAcceptSharedAttachments": ("disable",),
        "Options.EncryptionSupport": ("disable",),
        "Options.RemoveTransitGatewayCidrBlocks": NONE,
        "Options.SecurityGroupReferencingSupport": ("disable",),
    },
    "ModifyTransitGatewayVpcAttachment": {f"Options.{name}": ("disable",) for name in _OF_A_TRANSIT_ATTACHMENT},
    "ModifyVpcPeeringConnectionOptions": {
        f"{side}PeeringConnectionOptions.{option}": NONE
        for side in ("Accepter", "Requester")
        for option in (
            *("AllowDnsResolutionFromRemoteVpc", "AllowEgressFromLocalClassicLinkToRemoteVpc"),
            *("AllowEgressFromLocalVpcToRemoteClassicLink", "AllowMultipathResilience", "MultipathResilienceMode"),
        )
    },
    "ModifyVpcAttribute": {"EnableNetworkAddressUsageMetrics.Value": NONE},
    "MonitorInstances": {"MetricCategoryIds": NONE},
    "ModifyVpcTenancy": {"InstanceTenancy": ("default",)},
    "RegisterImage": {
        "Architecture": ("x86_64",),
        "BootMode": ("legacy-bios",),
        # Guests have virtio's devices, whatever clients say of Amazon's.
        "EnaSupport": (True,),
        "SriovNetSupport": ("simple",),
        "VirtualizationType": ("hvm",),
        **dict.fromkeys(
            (
                *("BillingProducts", "ImageLocation", "ImdsSupport", "KernelId", "RamdiskId", "TpmSupport"),
                "UefiData",
            ),
            NONE,
        ),
    },
    "ReplaceRoute": {"LocalTarget": NONE, **_OF_A_ROUTE},
    "CreatePlacementGroup": {"Operator": NONE, "ParentGroupId": NONE, "SpreadLevel": ("host",)},
    "ModifyInstanceAttribute": {"Kernel": NONE, "Ramdisk": NONE},
    "RunInstances": {
        **_OF_A_LAUNCH,
        **{f"Placement.{name}": NONE for name in _OF_A_PLACEMENT},
        **{f"BlockDeviceMappings.Ebs.{name}": NONE for name in _OF_A_DISK},
        **{f"NetworkInterfaces.{name}": NONE for name in _OF_AN_INTERFACE},
        "NetworkInterfaces.InterfaceType": ("interface",),
    },
    "StartInstances": {"AdditionalInfo": NONE},
    "StopInstances": {"SkipOsShutdown": NONE},
    "TerminateInstances": {"SkipOsShutdown": NONE},
    "UnassignIpv6Addresses": {"Ipv6Prefixes": NONE},
    "UnmonitorInstances": {"MetricCategoryIds": NONE},
    "UnassignPrivateIpAddresses": {"Ipv4Prefixes": NONE},
}
"""The parameters, with dots for members, and the values of each that are accepted."""


def check(action: str, args: Mapping[str, Any]) -> None:
    """Raise Unsupported for a parameter of `action` that asks for what this cloud does not have."""
    for path, accepted in REFUSED.get(action, {}).items():
        for value in reached(args, path.split(".")):
            if value and value not in accepted:
                text = f"This cloud does not support the parameter {path} of {action}"
                if accepted:
                    text += f" with other values than {', '.join(map(str, accepted))}"
                raise Unsupported(f"{text}.", noun="instance")
