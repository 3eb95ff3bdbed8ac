"""Files and passwords that a launch gives to its guest: checked, hashed, and told in OpenStack's documents."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import Any

import msgspec
import pytest

from pileus.model import addresses, guestdata, injection, sha512crypt
from pileus.model.errors import InvalidValue
from pileus.model.injection import InjectedFile
from pileus.model.spec import NicSpec
from tests.providers.local.machine import specs

FILES = (
    InjectedFile(path="/etc/motd", content=base64.b64encode(b"hello\n").decode()),
    InjectedFile(path="/srv/a b", content="", owner="1000", group="adm", mode="640"),
)
HASH = sha512crypt.hashed("secret", "salt")
SPEC = msgspec.structs.replace(
    specs.instance(hostname="web", domain="internal", public_keys=("ssh-ed25519 A a",), key_name="mine"),
    files=FILES,
    password=HASH,
    metadata={"colour": "blue"},
    user_data=base64.b64encode(b"#!/bin/sh\n").decode(),
)


@pytest.mark.parametrize(
    ("password", "salt", "expected"),
    [
        (
            "Hello world!",
            "saltstring",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "pässwörd of more than sixty-four bytes, which is the size of a digest",
            "q/.1",
            "$6$q/.1$dYuX5LHStDjJ8OFLHgTQm.Drtc.Q677iwfz1XbYqxEgDr6RCoMd4EsyJFuPCnm8Mv//BdqD5SXMlrjXCqebjS1",
        ),
    ],
)
def test_a_hash_is_that_of_openssl(password: str, salt: str, expected: str) -> None:
    assert sha512crypt.hashed(password, salt) == expected
    assert sha512crypt.hashed(password) != sha512crypt.hashed(password)


def test_a_hash_stays_as_it_is_and_a_password_is_shown_by_no_error() -> None:
    assert injection.hashed(HASH) == HASH
    assert injection.hashed("") == ""
    assert injection.hashed("$6$not a hash").startswith("$6$")
    assert injection.hashed("secret").startswith("$6$")
    for bad in ("two\nlines", "x" * 300):
        with pytest.raises(InvalidValue) as caught:
            injection.hashed(bad)
        assert bad not in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "etc/motd"},
        {"path": "/"},
        {"path": "/etc/../motd"},
        {"path": "//etc/motd"},
        {"path": "/etc/"},
        {"path": "/a\nb"},
        {"path": "/" + "a" * 255},
        {"content": "not base64!"},
        {"content": base64.b64encode(bytes((64 << 10) + 1)).decode()},
        {"owner": "a b"},
        {"owner": ""},
        {"group": "x:y"},
        {"mode": "0999"},
        {"mode": "7"},
    ],
    ids=str,
)
def test_what_is_no_file_is_refused(wrong: dict[str, str]) -> None:
    injection.check_files(FILES)
    with pytest.raises(InvalidValue):
        injection.check_files([InjectedFile(**{"path": "/a", **wrong})])


def test_files_are_bounded_and_named_once() -> None:
    large = InjectedFile(path="/a", content=base64.b64encode(bytes(10 << 10)).decode())
    several = [msgspec.structs.replace(large, path=f"/a{number}") for number in range(6)]
    injection.check_files(several)
    for wrong in (
        [*several, msgspec.structs.replace(large, path="/b")],
        [large, large],
        [InjectedFile(path=f"/{n}") for n in range(17)],
    ):
        with pytest.raises(InvalidValue):
            injection.check_files(wrong)


def document(name: str, *, secret: bool = True) -> Any:
    return json.loads(guestdata.openstack(SPEC, secret=secret)[f"latest/{name}.json"])


def test_the_documents_are_openstacks() -> None:
    metadata = document("meta_data")
    assert (metadata["uuid"], metadata["hostname"], metadata["meta"]) == (SPEC.uuid, "web.internal", {"colour": "blue"})
    assert metadata["public_keys"] == {"mine": "ssh-ed25519 A a"}
    assert metadata["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"},
        {"path": "/srv/a b", "content_path": "/content/0001"},
    ]
    drive = guestdata.drive(SPEC)
    assert (drive["openstack/content/0000"], drive["openstack/latest/user_data"]) == (b"hello\n", b"#!/bin/sh\n")
    network = document("network_data")
    assert {link["id"] for link in network["links"]} == {each["link"] for each in network["networks"]}


def test_cloud_init_is_told_of_owners_and_the_password_and_the_service_keeps_the_hash() -> None:
    header, config = document("vendor_data")["cloud-init"].splitlines()
    assert header == "#cloud-config"
    cloud_config = json.loads(config)
    assert [(file["owner"], file["permissions"]) for file in cloud_config["write_files"]] == [
        ("root:root", "0644"),
        ("1000:adm", "0640"),
    ]
    assert cloud_config["chpasswd"]["list"] == f"root:{HASH}\n"
    assert HASH not in json.dumps(document("vendor_data", secret=False))
    nothing = msgspec.structs.replace(SPEC, files=(), password="")
    assert json.loads(guestdata.openstack(nothing, secret=True)["latest/vendor_data.json"]) == {}


def test_the_archive_has_owners_and_modes() -> None:
    packed = guestdata.archive(SPEC)
    assert packed is not None
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        first, second = tar.getmembers()
        assert (first.name, first.uname, first.gname, first.mode) == ("etc/motd", "root", "root", 0o644)
        assert (second.name, second.uid, second.uname, second.gname, second.mode) == ("srv/a b", 1000, "", "adm", 0o640)
    assert guestdata.archive(msgspec.structs.replace(SPEC, files=())) is None


def test_a_drive_tells_how_an_interface_comes_to_its_ipv6_addresses() -> None:
    def types(*own: str) -> list[str]:
        names = ("uuid", "ec2_id", "address", "cidr", "gateway", "localport", "localport_mac", "network")
        base = msgspec.convert({**dict.fromkeys(names, "x"), "mac": "02:50:00:00:00:01"}, NicSpec)
        nic = msgspec.structs.replace(base, ipv6_cidr="fd00:1::/64", ipv6=own)
        spec = msgspec.structs.replace(SPEC, nics=(nic,))
        network = json.loads(guestdata.drive(spec)["openstack/latest/network_data.json"])
        assert len({each["id"] for each in network["networks"]}) == len(network["networks"])
        return [each["type"] for each in network["networks"]]

    assert types() == ["ipv4_dhcp"]
    assert types("fd00:1::5") == ["ipv4_dhcp", "ipv6_dhcpv6-stateful"]
    assert types(addresses.autoconfigured("fd00:1::/64", "02:50:00:00:00:01")) == ["ipv4_dhcp", "ipv6_slaac"]
