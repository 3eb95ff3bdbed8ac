"""Instance types: the core's flavors."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.names import zone_id
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
    type_items = [_type(flavor) for flavor in flavors if not names or flavor.name in names]
    keep = filters.compiled(call.args.get("Filters"), _TYPE_FILTERS, filters.tags_of)
    page, more = paging.paged(call.args, [item for item in type_items if keep is None or keep(item)])
    return {"InstanceTypes": page, **more}


def _type(flavor: Flavor) -> dict[str, Any]:
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
            "MaximumNetworkInterfaces": 1,
            "MaximumNetworkCards": 1,
            "DefaultNetworkCardIndex": 0,
            "Ipv4AddressesPerInterface": 1,
            "Ipv6AddressesPerInterface": 0,
            "Ipv6Supported": False,
            "EnaSupport": "unsupported",
            "EfaSupported": False,
            "EncryptionInTransitSupported": False,
        },
        "PlacementGroupInfo": {"SupportedStrategies": []},
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
    keep = filters.compiled(call.args.get("Filters"), _OFFERING_FILTERS, filters.tags_of)
    page, more = paging.paged(call.args, [item for item in offering_items if keep is None or keep(item)])
    return {"InstanceTypeOfferings": page, **more}


_OFFERING_FILTERS = filters.of_members(location="Location", instance_type="InstanceType")
_TYPE_FILTERS = {
    **filters.of_members(
        auto_recovery_supported="AutoRecoverySupported",
        bare_metal="BareMetal",
        burstable_performance_supported="BurstablePerformanceSupported",
        current_generation="CurrentGeneration",
        dedicated_hosts_supported="DedicatedHostsSupported",
        free_tier_eligible="FreeTierEligible",
        hibernation_supported="HibernationSupported",
        hypervisor="Hypervisor",
        instance_storage_supported="InstanceStorageSupported",
        instance_type="InstanceType",
        nitro_enclaves_support="NitroEnclavesSupport",
        nitro_tpm_support="NitroTpmSupport",
        supported_boot_mode="SupportedBootModes",
        supported_root_device_type="SupportedRootDeviceTypes",
        supported_usage_class="SupportedUsageClasses",
        supported_virtualization_type="SupportedVirtualizationTypes",
    ),
    "ebs-info.ebs-optimized-support": filters.member("EbsInfo.EbsOptimizedSupport"),
    "ebs-info.encryption-support": filters.member("EbsInfo.EncryptionSupport"),
    "ebs-info.nvme-support": filters.member("EbsInfo.NvmeSupport"),
    "memory-info.size-in-mib": filters.member("MemoryInfo.SizeInMiB"),
    "network-info.efa-supported": filters.member("NetworkInfo.EfaSupported"),
    "network-info.ena-support": filters.member("NetworkInfo.EnaSupport"),
    "network-info.ipv4-addresses-per-interface": filters.member("NetworkInfo.Ipv4AddressesPerInterface"),
    "network-info.ipv6-addresses-per-interface": filters.member("NetworkInfo.Ipv6AddressesPerInterface"),
    "network-info.ipv6-supported": filters.member("NetworkInfo.Ipv6Supported"),
    "network-info.network-performance": filters.member("NetworkInfo.NetworkPerformance"),
    "network-info.maximum-network-cards": filters.member("NetworkInfo.MaximumNetworkCards"),
    "network-info.maximum-network-interfaces": filters.member("NetworkInfo.MaximumNetworkInterfaces"),
    "processor-info.supported-architecture": filters.member("ProcessorInfo.SupportedArchitectures"),
    "processor-info.supported-features": filters.none,
    "processor-info.sustained-clock-speed-in-ghz": filters.none,
    "vcpu-info.default-cores": filters.member("VCpuInfo.DefaultCores"),
    "vcpu-info.default-threads-per-core": filters.member("VCpuInfo.DefaultThreadsPerCore"),
    "vcpu-info.default-vcpus": filters.member("VCpuInfo.DefaultVCpus"),
    "vcpu-info.valid-cores": filters.member("VCpuInfo.ValidCores"),
    "vcpu-info.valid-threads-per-core": filters.member("VCpuInfo.ValidThreadsPerCore"),
}
