"""The documents that tell a guest who it is, from its order alone: OpenStack's tree, and the files to be put into it.

OpenStack's metadata service and a configuration drive have the same tree. Its layout: "Metadata" and "Config drives" in
nova's user guide; what cloud-init reads of it: cloudinit/sources/helpers/openstack.py.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from pileus.model import addresses

if TYPE_CHECKING:
    from pileus.model.injection import InjectedFile
    from pileus.model.spec import InstanceSpec, NicSpec

LABEL = "config-2"
"""The label by which guests know a configuration drive."""


def primary(spec: InstanceSpec) -> NicSpec | None:
    """The first interface."""
    return min(spec.nics, key=lambda nic: nic.index, default=None)


def hostname(spec: InstanceSpec, nic: NicSpec | None) -> str:
    """The fully qualified name; EC2's `ip-10-0-0-4` where the user gave none."""
    name = spec.hostname or (f"ip-{nic.address.replace('.', '-')}" if nic else spec.ec2_id)
    return name if "." in name or not spec.domain else f"{name}.{spec.domain}"


def user_data(spec: InstanceSpec) -> bytes | None:
    """The bytes that the user gave at launch; None when there are none, or their base64 is broken."""
    try:
        return base64.b64decode(spec.user_data) or None
    except (binascii.Error, ValueError):
        return None


def drive(spec: InstanceSpec) -> dict[str, bytes]:
    """The files of a configuration drive, by path; among them is the password's hash, which root alone reads there."""
    return {f"openstack/{path}": content for path, content in openstack(spec, secret=True).items()}


def openstack(spec: InstanceSpec, *, secret: bool) -> dict[str, bytes]:
    """The files below `openstack`, by path; with the password's hash if `secret`."""
    documents = {
        "latest/meta_data.json": _json(_metadata(spec)),
        "latest/network_data.json": _json(_network(spec)),
        "latest/vendor_data.json": _json(_vendor(spec, secret=secret)),
    }
    data = user_data(spec)
    if data is not None:
        documents["latest/user_data"] = data
    return documents | {f"content/{number:04d}": file.data for number, file in enumerate(spec.files)}


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode("ascii")


def _metadata(spec: InstanceSpec) -> dict[str, Any]:
    name = spec.key_name or "key"
    keys = {name if number == 0 else f"{name}-{number}": key for number, key in enumerate(spec.public_keys)}
    return {
        "uuid": spec.uuid,
        "name": spec.name or spec.ec2_id,
        "hostname": hostname(spec, primary(spec)),
        "availability_zone": spec.zone,
        "launch_index": spec.launch_index,
        "project_id": spec.project,
        "meta": spec.metadata,
        "public_keys": keys,
        "keys": [{"name": name, "type": "ssh", "data": key} for name, key in keys.items()],
        "files": [
            {"path": file.path, "content_path": f"/content/{number:04d}"} for number, file in enumerate(spec.files)
        ],
        "devices": [],
    }


def _network(spec: InstanceSpec) -> dict[str, Any]:
    nics = sorted(spec.nics, key=lambda nic: nic.index)
    return {
        "links": [
            {
                "id": f"eth{nic.index}",
                "vif_id": nic.uuid,
                "type": "phy",
                "mtu": nic.mtu,
                "ethernet_mac_address": nic.mac,
            }
            for nic in nics
        ],
        "networks": [
            {"id": f"network{nic.index}{suffix}", "network_id": nic.network, "link": f"eth{nic.index}", "type": kind}
            for nic in nics
            for suffix, kind in (("", "ipv4_dhcp"), *([("-ipv6", _ipv6_type(nic))] if nic.ipv6 else []))
        ],
        "services": [],
    }


def _ipv6_type(nic: NicSpec) -> str:
    """How the interface comes to its IPv6 addresses, in OpenStack's words."""
    forms = nic.ipv6_cidr and nic.ipv6[0] == addresses.autoconfigured(nic.ipv6_cidr, nic.mac)
    return "ipv6_slaac" if forms else "ipv6_dhcpv6-stateful"


def _vendor(spec: InstanceSpec, *, secret: bool) -> dict[str, str]:
    """Instructions for cloud-init: the files' owners and modes, which `files` has no place for, and the password."""
    config: dict[str, Any] = {}
    if spec.files:
        config["write_files"] = [
            {
                "path": file.path,
                "encoding": "b64",
                "content": file.content,
                "owner": f"{file.owner}:{file.group or file.owner}",
                "permissions": file.mode.zfill(4),
                # Its owner may be a user that cloud-init makes.
                "defer": True,
            }
            for file in spec.files
        ]
    if spec.password and secret:
        user = {"name": "root", "password": spec.password, "type": "hash"}
        config["chpasswd"] = {"expire": False, "users": [user], "list": f"root:{spec.password}\n"}
    return {"cloud-init": f"#cloud-config\n{json.dumps(config)}\n"} if config else {}


def archive(spec: InstanceSpec) -> bytes | None:
    """The files to be put into the guest as a tar archive, with owners and modes; None for none."""
    if not spec.files:
        return None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in spec.files:
            tar.addfile(_member(spec, file), io.BytesIO(file.data))
    return buffer.getvalue()


def _member(spec: InstanceSpec, file: InjectedFile) -> tarfile.TarInfo:
    member = tarfile.TarInfo(file.path.lstrip("/"))
    member.size, member.mode, member.mtime = len(file.data), int(file.mode, 8), int(spec.launched)
    group = file.group or file.owner
    if file.owner.isdecimal():
        member.uid = int(file.owner)
    else:
        member.uname = file.owner
    if group.isdecimal():
        member.gid = int(group)
    else:
        member.gname = group
    return member
