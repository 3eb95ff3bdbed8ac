"""Instance types: the core's flavors."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.names import zone_id
from pileus.model import bounds
from pileus.model.errors import NotFound
from pileus.model.flavor import Flavor
from pileus.verbs import flavor as verbs


@action("DescribeInstanceTypes")
def describe_instance_types(call: Call) -> dict[str, Any]:
    """List instance types, by name or all."""
    flavors = verbs.listing(call.caller, call.core)
    names = call.args.get("InstanceTypes", ())
    unknown = sorted(set(names) - {flavor.name for flavor in flavors})
    if unknown:
        raise NotFound(f"The following supplied instance types do not exist: [{', '.join(unknown)}]", noun="flavor")
    chosen = [flavor for flavor in flavors if not names or flavor.name in names]
    return elements.listed(call, "InstanceTypes", "InstanceTypeInfo", chosen, _type, _TYPE_FILTERS)


def _type(_: Call, flavor: Flavor) -> dict[str, Any]:
    size = flavor.wanted
    return {
        "InstanceType": flavor.name,
        "CurrentGeneration": True,
        "FreeTierEligible": False,
        "SupportedUsageClasses": ["on-demand"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "SupportedBootModes": ["legacy-bios"],
        "BareMetal": False,
        "Hypervisor": "nitro",
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "VCpuInfo": {
            "DefaultVCpus": size.vcpus,
            "DefaultCores": size.vcpus,
            "DefaultThreadsPerCore": 1,
            "ValidCores": [size.vcpus],
            "ValidThreadsPerCore": [1],
        },
        "MemoryInfo": {"SizeInMiB": size.memory},
        "InstanceStorageSupported": False,
        "EbsInfo": {
            "EbsOptimizedSupport": "unsupported",
            "EncryptionSupport": "unsupported",
            "NvmeSupport": "unsupported",
        },
        "NetworkInfo": {
            "NetworkPerformance": f"Up to {size.allowed.bandwidth / 1000:g} Gigabit",
            "MaximumNetworkInterfaces": bounds.INTERFACES.most,
            "MaximumNetworkCards": 1,
            "DefaultNetworkCardIndex": 0,
            "Ipv4AddressesPerInterface": bounds.ADDRESSES.most,
            "Ipv6AddressesPerInterface": bounds.ADDRESSES.most,
            "Ipv6Supported": True,
            "EnaSupport": "unsupported",
            "EfaSupported": False,
            "EncryptionInTransitSupported": False,
        },
        "PlacementGroupInfo": {"SupportedStrategies": ["cluster", "spread"]},
        "HibernationSupported": False,
        "BurstablePerformanceSupported": False,
        "DedicatedHostsSupported": False,
        "AutoRecoverySupported": False,
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "unsupported",
    }


@action("DescribeInstanceTypeOfferings")
def describe_instance_type_offerings(call: Call) -> dict[str, Any]:
    """List where each instance type is offered: everywhere."""
    place = call.core.place
    kind = call.args.get("LocationType", "region")
    location = {
        "region": place.region,
        "availability-zone": place.zone,
        "availability-zone-id": zone_id(place.zone),
    }.get(kind)
    offering_items = [
        {"InstanceType": flavor.name, "LocationType": kind, "Location": location}
        for flavor in verbs.listing(call.caller, call.core)
        if location is not None
    ]
    return paging.listed(call.args, "InstanceTypeOfferings", offering_items, _OFFERING_FILTERS)


_OFFERING_FILTERS = filters.of_members("InstanceType", "Location")
_TYPE_FILTERS = filters.of_members(
    *("AutoRecoverySupported", "BareMetal", "BurstablePerformanceSupported", "CurrentGeneration"),
    *("DedicatedHostsSupported", "EbsInfo.EbsOptimizedSupport", "EbsInfo.EncryptionSupport", "EbsInfo.NvmeSupport"),
    *("FreeTierEligible", "HibernationSupported", "Hypervisor", "InstanceStorageSupported", "InstanceType"),
    *(
        "NetworkInfo.EfaSupported",
        "NetworkInfo.EncryptionInTransitSupported",
        "NetworkInfo.EnaSupport",
        "NetworkInfo.Ipv4AddressesPerInterface",
    ),
    *("NetworkInfo.Ipv6AddressesPerInterface", "NetworkInfo.Ipv6Supported", "NetworkInfo.MaximumNetworkCards"),
    *("NetworkInfo.MaximumNetworkInterfaces", "NetworkInfo.NetworkPerformance", "NitroEnclavesSupport"),
    *("NitroTpmSupport", "VCpuInfo.DefaultCores", "VCpuInfo.DefaultThreadsPerCore", "VCpuInfo.DefaultVCpus"),
    *("VCpuInfo.ValidCores", "VCpuInfo.ValidThreadsPerCore"),
    others={
        "memory-info.size-in-mib": "MemoryInfo.SizeInMiB",
        "processor-info.supported-architecture": "ProcessorInfo.SupportedArchitectures",
        "supported-boot-mode": "SupportedBootModes",
        "supported-root-device-type": "SupportedRootDeviceTypes",
        "supported-usage-class": "SupportedUsageClasses",
        "supported-virtualization-type": "SupportedVirtualizationTypes",
    },
    absent=(
        *("ebs-info.attachment-limit-type", "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps"),
        *("ebs-info.ebs-optimized-info.baseline-iops", "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps"),
        *("ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps", "ebs-info.ebs-optimized-info.maximum-iops"),
        *("ebs-info.ebs-optimized-info.maximum-throughput-in-mbps", "ebs-info.maximum-ebs-attachments"),
        *("ebs-info.maximum-ebs-cards", "instance-storage-info.disk.count", "instance-storage-info.disk.size-in-gb"),
        *("instance-storage-info.disk.type", "instance-storage-info.encryption-support"),
        *("instance-storage-info.nvme-support", "instance-storage-info.total-size-in-gb"),
        *("network-info.bandwidth-weightings", "network-info.efa-info.maximum-efa-interfaces"),
        *("network-info.flexible-ena-queues-support", "nitro-tpm-info.supported-versions"),
        *("processor-info.supported-features", "processor-info.sustained-clock-speed-in-ghz"),
        "reboot-migration-support",
    ),
)
