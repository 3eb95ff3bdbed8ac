"""The tree of EC2's instance metadata for one instance, made from its spec alone.

Amazon's names and values: "Instance metadata categories" and "Instance identity documents" in the EC2 user
guide.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pileus.model import addresses, bounds, guestdata
from pileus.model.spec import InstanceSpec, NicSpec

VERSIONS = (
    *("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01"),
    *("2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05"),
    *("2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24"),
    *("2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15", "2022-09-24", "2024-04-11", "latest"),
)
"""The versions that `/` lists, as EC2 does; each of them leads to the same tree, that of the newest."""

_TAG_KEY = re.compile(r"[A-Za-z0-9+\-=.,_:@]{1,128}")
_TREES = 1024
"""Trees that are kept."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Directory:
    """A node with children; `lines` is what asking for it prints, one entry a line and none at the end."""

    children: Mapping[str, Node]
    lines: tuple[str, ...]

    def text(self) -> str:
        """The listing's body."""
        return "\n".join(self.lines)


Node = Directory | str | bytes
"""A directory, a text, or raw bytes (user data)."""


def root(spec: InstanceSpec) -> Directory:
    """Return the directory below a version, such as `/latest`."""
    identity = _directory({"document": _identity(spec)})
    children: dict[str, Node] = {
        "dynamic": _directory({"instance-identity": identity}),
        "meta-data": _metadata(spec),
    }
    data = guestdata.user_data(spec)
    if data is not None:
        children["user-data"] = data
    # This one directory is listed without slashes.
    return Directory(children, tuple(children))


def find(directory: Directory, segments: tuple[str, ...]) -> Node | None:
    """The node at the path `segments`, or None."""
    node: Node = directory
    for segment in segments:
        if not isinstance(node, Directory) or segment not in node.children:
            return None
        node = node.children[segment]
    return node


def _directory(children: Mapping[str, Node]) -> Directory:
    """A directory as EC2 lists it: sorted, directories with a slash; empty texts are kept out."""
    entries = {name: node for name, node in sorted(children.items()) if node != ""}
    lines = (f"{name}/" if isinstance(node, Directory) else name for name, node in entries.items())
    return Directory(entries, tuple(lines))


def _metadata(spec: InstanceSpec) -> Directory:
    nic = guestdata.primary(spec)
    hostname = guestdata.hostname(spec, nic)
    children: dict[str, Node] = {
        "ami-id": spec.image_id,
        "ami-launch-index": str(spec.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": _devices(spec),
        "hostname": hostname,
        "instance-action": "none",
        "instance-id": spec.ec2_id,
        "instance-life-cycle": "on-demand",
        "instance-type": spec.flavor,
        "local-hostname": hostname,
        "placement": _directory({"availability-zone": spec.zone, "region": spec.region}),
        "profile": "default-hvm",
        "reservation-id": spec.reservation,
        "services": _directory({"domain": "amazonaws.com", "partition": "aws"}),
    }
    if nic is not None:
        macs: dict[str, Node] = {each.mac: _interface(spec, each) for each in spec.nics}
        if nic.ipv6:
            children["ipv6"] = nic.ipv6[0]
        children |= {
            "local-ipv4": nic.address,
            "mac": nic.mac,
            "public-hostname": addresses.public_name(nic.public, spec.domain),
            "public-ipv4": nic.public,
            "network": _directory({"interfaces": _directory({"macs": _directory(macs)})}),
            "security-groups": "\n".join(nic.group_names),
        }
    if spec.public_keys:
        children["public-keys"] = _public_keys(spec)
    # EC2 refuses the tags whose keys cannot stand in a path.
    shown_tags = spec.tags if spec.metadata_tags else {}
    tags: dict[str, Node] = {key: value for key, value in shown_tags.items() if _can_be_listed(key)}
    if tags:
        children["tags"] = _directory({"instance": Directory(tags, tuple(sorted(tags)))})
    return _directory(children)


def _devices(spec: InstanceSpec) -> Directory:
    devices = [disk.device for disk in spec.disks] or ["/dev/vda"]
    mapping: dict[str, Node] = {"ami": devices[0], "root": devices[0]}
    mapping |= {f"ebs{number}": device for number, device in enumerate(devices[1:], 1)}
    return _directory(mapping)


def _interface(spec: InstanceSpec, nic: NicSpec) -> Directory:
    ipv6: dict[str, Node] = {}
    if nic.ipv6:
        ipv6["ipv6s"] = "\n".join(nic.ipv6)
    if nic.ipv6_cidr:
        ipv6["subnet-ipv6-cidr-blocks"] = nic.ipv6_cidr
    if nic.vpc_ipv6_cidrs:
        ipv6["vpc-ipv6-cidr-blocks"] = "\n".join(nic.vpc_ipv6_cidrs)
    return _directory(
        {
            **ipv6,
            "device-number": str(nic.index),
            "interface-id": nic.ec2_id,
            "local-hostname": guestdata.hostname(spec, nic),
            "local-ipv4s": "\n".join((nic.address, *nic.secondaries)),
            "mac": nic.mac,
            "owner-id": spec.account_id,
            "public-hostname": addresses.public_name(nic.public, spec.domain),
            "public-ipv4s": nic.public,
            "security-group-ids": "\n".join(nic.group_ids),
            "security-groups": "\n".join(nic.group_names),
            "subnet-id": nic.subnet_id,
            "subnet-ipv4-cidr-block": nic.cidr,
            "vpc-id": nic.vpc_id,
            "vpc-ipv4-cidr-block": nic.vpc_cidr,
            "vpc-ipv4-cidr-blocks": nic.vpc_cidr,
        }
    )


def _public_keys(spec: InstanceSpec) -> Directory:
    """Keys by number, listed as `0=name`: the one directory whose lines are not its children's names."""
    # A line break, or a slash at the end, in a key's name would read as another entry, or as a directory.
    first = _CONTROL.sub(" ", spec.key_name).rstrip("/") or "key"
    keys: dict[str, Node] = {
        str(number): Directory({"openssh-key": key.strip()}, ("openssh-key",))
        for number, key in enumerate(spec.public_keys[: bounds.METADATA_KEYS.most])
    }
    names = (first if number == "0" else f"{first}-{number}" for number in keys)
    return Directory(keys, tuple(f"{number}={name}" for number, name in zip(keys, names, strict=True)))


def _can_be_listed(key: str) -> bool:
    if not _TAG_KEY.fullmatch(key) or key in {".", "..", "_index"}:
        return False
    # Clients read a line `0=name` as a public key.
    before, equals, _ = key.partition("=")
    return not (equals and re.fullmatch(r"[+-]?[0-9_]+", before))


def _identity(spec: InstanceSpec) -> str:
    nic = guestdata.primary(spec)
    document = {
        "accountId": spec.account_id,
        "architecture": "x86_64",
        "availabilityZone": spec.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": spec.image_id,
        "instanceId": spec.ec2_id,
        "instanceType": spec.flavor,
        "kernelId": None,
        "pendingTime": datetime.fromtimestamp(spec.launched, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "privateIp": nic.address if nic else None,
        "ramdiskId": None,
        "region": spec.region,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


class Trees:
    """The trees of the instances that asked last: each is made once for a spec, however many requests follow."""

    def __init__(self) -> None:
        self._trees: OrderedDict[str, tuple[InstanceSpec, Directory]] = OrderedDict()

    def root(self, spec: InstanceSpec) -> Directory:
        """The tree below a version, as `root` makes it."""
        before = self._trees.pop(spec.uuid, None)
        directory = before[1] if before is not None and before[0] is spec else root(spec)
        self._trees[spec.uuid] = spec, directory
        if len(self._trees) > _TREES:
            self._trees.popitem(last=False)
        return directory
