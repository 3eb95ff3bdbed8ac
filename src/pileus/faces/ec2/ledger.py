"""The actions that this cloud does not answer: those that it refuses on purpose, by families, and those to come.

docs/reference/ec2.md lists every action of the vendor's model, by this table and the registered actions.
"""

from __future__ import annotations

from pileus.faces.wire.ledger import Family, Ledger

PAGE = "docs/reference/ec2.md"
"""The page that lists every action, by its path in the project."""

# The codes of the first lines are those by which schedulers go on to what there is.
FAMILIES = (
    Family(
        "Spot requests",
        r"^RequestSpot",
        "there are no spot instances, as capacity has no price",
        "MaxSpotInstanceCountExceeded",
    ),
    Family("Allocation of hosts", r"^AllocateHosts$", "no host is dedicated to one account", "HostLimitExceeded"),
    Family(
        "Purchases of reservations",
        r"^Purchase(Reserved|Scheduled)",
        "there are no reserved instances, as capacity has no price",
        "ReservedInstancesLimitExceeded",
    ),
    Family("Spot", r"Spot", "there are no spot instances, as capacity has no price"),
    Family("Reserved instances", r"Reserved|Scheduled", "there are no reserved instances, as capacity has no price"),
    Family("Capacity", r"Capacity", "capacity cannot be reserved"),
    Family("Dedicated hosts", r"Hosts$|HostReservation", "no host is dedicated to one account"),
    Family("Fleets", r"Fleet", "RunInstances launches instances, and fleets add purchase options alone"),
    Family("Apple's machines", r"Mac[A-Z]", "hosts are x86_64 machines"),
    Family("FPGA, GPU, enclaves", r"Fpga|ElasticGpu|Enclave", "hosts lend no such devices to instances"),
    Family("Firmware", r"Uefi|TpmEkPub", "instances start by a BIOS, without a TPM"),
    Family("Windows", r"FastLaunch|SqlHa", "this is for Windows guests, and guests here run Linux"),
    Family(
        "Outposts and Wavelength",
        r"LocalGateway|Coip|Outpost|ServiceLink|CarrierGateway",
        "these are sites of Amazon's",
    ),
    Family("IPAM", r"Ipam", "this cloud has no IP address manager"),
    Family(
        "Own addresses",
        r"Byoip|PublicIpv4Pool|Ipv6Pool|AddressTransfer",
        "the operator configures the public addresses of the cloud",
    ),
    Family(
        "Transit gateways beyond VPCs",
        r"TransitGateway(Client|Connect|Metering|Multicast|NetworkFunction|Peering|Policy)|GatewayRouteTableAnnouncement"
        r"|TransitGatewayAttachmentNat|TransitGatewayPrefixListReference|ExportTransitGateway",
        "transit gateways connect VPCs of one region and account alone",
    ),
    Family("VPN", r"Vpn|CustomerGateway|Vgw", "this cloud has no VPN"),
    Family("Route servers", r"RouteServer", "this cloud speaks no BGP"),
    Family("PrivateLink", r"VpcEndpoint", "this cloud has no endpoints of services"),
    Family("Verified Access", r"VerifiedAccess", "Verified Access is another service"),
    Family("Traffic mirrors", r"TrafficMirror", "traffic of guests is not copied"),
    Family("Network analysis", r"NetworkInsights|ReachabilityAnalyzer", "Network Access Analyzer is another service"),
    Family("Network measurement", r"NetworkPerformanceMetric|NetworkPerformanceData", "CloudWatch is another service"),
    Family("Secondary networks", r"Secondary(Network|Subnet|Interface)|TrunkInterface", "it needs Amazon's hardware"),
    Family("Encryption in VPCs", r"VpcEncryption|EncryptionEnforcement", "traffic within a host is not encrypted"),
    Family("VPC block public access", r"VpcBlockPublicAccess", "route tables and security groups do this here"),
    Family("Instance Connect", r"InstanceConnect", "EC2 Instance Connect is another service"),
    Family("KMS", r"KmsKey", "KMS is another service"),
    Family("Organizations", r"DeclarativePolicies", "Organizations is another service"),
    Family("Recycle Bin", r"RecycleBin", "Recycle Bin is another service"),
    Family(
        "Cost and status reports",
        r"FlexCost|ApplicationStatus|MetricCategor|UsageReport",
        "CloudWatch is another service",
    ),
    Family("EC2-Classic", r"ClassicLink|ToClassic|AddressToVpc|MovingAddresses", "Amazon has retired EC2-Classic"),
    Family(
        "Instance store images", r"Bundle|ConfirmProductInstance", "Amazon has retired images of the instance store"
    ),
    Family(
        "Import and export by S3",
        r"^Import(Image|Instance|Snapshot|Volume)|ConversionTask|ExportTask|^ExportImage|ImportTask"
        r"|Import(Image|Snapshot)Tasks|(Store|Restore)ImageTask|ExportImageTasks",
        "images are uploaded by the REST API",
    ),
    Family("Planned events", r"InstanceEvent", "this cloud plans no events for instances"),
    Family(
        "Serial console", r"^EnableSerialConsole", "GetConsoleOutput reads the serial console, and nobody writes to it"
    ),
    Family("Encryption of disks", r"^EnableEbsEncryption", "disks are not encrypted by the cloud"),
)
"""The families of refused actions; an action is of the first that it fits."""


LEDGER = Ledger(PAGE, FAMILIES)
"""The refusals of this face."""
