"""What a guest is answered at 169.254.169.254."""

import base64
import json
import string
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.faces.metadata import bind, tree
from pileus.faces.metadata.tree import VERSIONS
from pileus.faces.wire.http import Response
from pileus.model import bounds
from pileus.model.injection import InjectedFile
from pileus.model.instance import Power
from pileus.model.rolecredentials import RoleCredentials
from pileus.model.spec import DiskSpec, InstanceSpec, NicSpec, ProfileSpec

SECRET = b"a secret of thirty-two bytes....."
NOW = 1_700_000_000.0
MAC = "02:50:aa:bb:cc:dd"
TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"

SPEC = InstanceSpec(
    uuid="6f1c2d3e-0000-4000-8000-000000000001",
    project="p",
    tags={
        "Name": "web",
        "empty": "",
        "a/b": "no",
        "_index": "no",
        "..": "no",
        "two words": "no",
        "0=k": "no",
    },
    power=Power(),
    vcpus=1,
    memory=512,
    disks=(
        DiskSpec(uuid="d0", ec2_id="vol-0", size=2),
        DiskSpec(uuid="d1", ec2_id="vol-1", size=1, device="/dev/vdb"),
    ),
    nics=(
        NicSpec(
            uuid="b0000000-0000-4000-8000-000000000001",
            ec2_id="eni-0123456789abcdef0",
            mac=MAC,
            address="10.0.0.5",
            cidr="10.0.0.0/24",
            gateway="10.0.0.1",
            localport="10.0.0.2",
            localport_mac="02:51:00:00:00:01",
            network="c0000000-0000-4000-8000-000000000001",
            subnet_id="subnet-1",
            vpc_id="vpc-1",
            vpc_cidr="10.0.0.0/16",
            group_names=("default", "web"),
            group_ids=("sg-1", "sg-2"),
        ),
    ),
    ec2_id="i-6f1c2d3e000040008",
    reservation="r-1",
    launched=NOW,
    flavor="m1.small",
    image_id="ami-1",
    account_id="123456789012",
    region="us-east-1",
    zone="us-east-1a",
    domain="ec2.internal",
    key_name="mine",
    public_keys=("ssh-ed25519 AAAA me\n", "ssh-ed25519 BBBB other"),
    user_data=base64.b64encode(b"#!/bin/sh\n\x00\xff").decode(),
)
OFF = msgspec.structs.replace(SPEC, metadata_enabled=False)
UNTOLD = msgspec.structs.replace(SPEC, metadata_tags=False)
V2_ONLY = msgspec.structs.replace(SPEC, metadata_v2_only=True)


def ask(
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    *,
    spec: InstanceSpec | None = SPEC,
    now: float = NOW,
) -> Response:
    return bind(SECRET, lambda: now)(spec, method, path, headers or {}, "10.0.0.5")


def get(path: str, spec: InstanceSpec = SPEC) -> str:
    answer = ask(path, spec=spec)
    assert answer.status == 200, path
    return answer.body.decode()


def token_of(spec: InstanceSpec, ttl: str = "60", now: float = NOW) -> str:
    answer = ask("/latest/api/token", "PUT", {TTL: ttl}, spec=spec, now=now)
    assert answer.status == 200
    return answer.body.decode()


def crawl(base: str) -> dict[str, object]:
    """Walk the tree as cloud-init 22.4 does (MetadataMaterializer): every listed entry must answer."""
    found: dict[str, object] = {}
    for line in get(base).splitlines():
        name = line.rstrip("/")
        if line.endswith("/"):
            found[name] = crawl(f"{base}{name}/")
            continue
        before, equals, after = line.partition("=")
        if equals and before.isdigit():
            found[after] = get(f"{base}{before}/openssh-key")
        else:
            found[name] = get(base + name)
    return found


def test_root_lists_versions_and_all_lead_to_the_same_tree() -> None:
    versions = get("/").splitlines()
    assert versions[-1] == "latest"
    assert "2009-04-04" in versions
    assert versions[:-1] == sorted(versions[:-1])
    assert {get(f"/{version}/meta-data/instance-id") for version in VERSIONS} == {SPEC.ec2_id}
    assert ask("/2009-04-05/meta-data/").status == 404


def test_directories_are_listed_as_ec2_lists_them() -> None:
    assert get("/latest/") == "dynamic\nmeta-data\nuser-data"
    assert get("/latest") == get("/latest/")
    assert get("/latest/meta-data").splitlines() == [
        *("ami-id", "ami-launch-index", "ami-manifest-path", "block-device-mapping/", "hostname"),
        *("instance-action", "instance-id", "instance-life-cycle", "instance-type", "local-hostname"),
        *("local-ipv4", "mac", "network/", "placement/", "profile", "public-keys/", "reservation-id"),
        *("security-groups", "services/", "tags/"),
    ]
    assert get("/latest/meta-data/public-keys/") == "0=mine\n1=mine-1"
    assert get("/latest/meta-data/public-keys/0") == "openssh-key"
    assert get("/latest/meta-data/public-keys/0/openssh-key") == "ssh-ed25519 AAAA me"
    assert get("/latest/meta-data/network/interfaces/macs/") == f"{MAC}/"
    assert get("/latest/dynamic/") == "instance-identity/"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ami-id", "ami-1"),
        ("ami-launch-index", "0"),
        ("block-device-mapping/root", "/dev/vda"),
        ("block-device-mapping/ebs1", "/dev/vdb"),
        ("hostname", "ip-10-0-0-5.ec2.internal"),
        ("local-hostname", "ip-10-0-0-5.ec2.internal"),
        ("local-ipv4", "10.0.0.5"),
        ("mac", MAC),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/region", "us-east-1"),
        ("security-groups", "default\nweb"),
        ("services/partition", "aws"),
        ("tags/instance/Name", "web"),
        ("tags/instance/empty", ""),
        (f"network/interfaces/macs/{MAC}/device-number", "0"),
        (f"network/interfaces/macs/{MAC.replace(':', '%3A')}/local-ipv4s", "10.0.0.5"),
        (f"network/interfaces/macs/{MAC}/owner-id", "123456789012"),
        (f"network/interfaces/macs/{MAC}/security-group-ids", "sg-1\nsg-2"),
        (f"network/interfaces/macs/{MAC}/vpc-ipv4-cidr-block", "10.0.0.0/16"),
        (f"network/interfaces/macs/{MAC}/subnet-ipv4-cidr-block", "10.0.0.0/24"),
    ],
)
def test_values(path: str, value: str) -> None:
    assert get(f"/latest/meta-data/{path}") == value


def test_the_public_address_is_the_one_that_the_api_shows() -> None:
    spec = msgspec.structs.replace(SPEC, nics=(msgspec.structs.replace(SPEC.nics[0], public="198.51.100.20"),))
    assert get("/latest/meta-data/public-ipv4", spec) == "198.51.100.20"
    assert get("/latest/meta-data/public-hostname", spec) == "ec2-198-51-100-20.ec2.internal"
    assert get(f"/latest/meta-data/network/interfaces/macs/{MAC}/public-ipv4s", spec) == "198.51.100.20"
    assert ask("/latest/meta-data/public-ipv4").status == 404


def test_own_hostname_and_bare_instance() -> None:
    named = msgspec.structs.replace(SPEC, hostname="web1")
    assert get("/latest/meta-data/local-hostname", named) == "web1.ec2.internal"
    assert get("/latest/meta-data/hostname", msgspec.structs.replace(SPEC, hostname="a.b")) == "a.b"
    bare = InstanceSpec(uuid="u", power=Power(), vcpus=1, memory=1, ec2_id="i-1")
    listing = get("/latest/meta-data/", bare).splitlines()
    assert not {"public-keys/", "tags/", "network/", "mac", "security-groups"} & set(listing)
    assert get("/latest/", bare) == "dynamic\nmeta-data"


def test_only_keys_that_fit_in_a_path_are_tags() -> None:
    assert get("/latest/meta-data/tags/instance/") == "Name\nempty"


def test_a_keys_name_cannot_forge_entries() -> None:
    sly = msgspec.structs.replace(SPEC, key_name="a\n9=b/")
    assert get("/latest/meta-data/public-keys/", sly).splitlines() == ["0=a 9=b", "1=a 9=b-1"]


def test_user_data_is_the_users_bytes() -> None:
    answer = ask("/latest/user-data")
    assert (answer.status, answer.body) == (200, b"#!/bin/sh\n\x00\xff")
    for none in ("", "not base64"):
        assert ask("/latest/user-data", spec=msgspec.structs.replace(SPEC, user_data=none)).status == 404


def test_identity_document() -> None:
    document = json.loads(get("/latest/dynamic/instance-identity/document"))
    assert document["instanceId"] == SPEC.ec2_id
    assert document["accountId"] == "123456789012"
    assert document["privateIp"] == "10.0.0.5"
    assert document["pendingTime"] == "2023-11-14T22:13:20Z"


def test_every_listed_entry_answers() -> None:
    tree = crawl("/2021-03-23/meta-data/")
    keys = tree["public-keys"]
    assert keys == {"mine": "ssh-ed25519 AAAA me", "mine-1": "ssh-ed25519 BBBB other"}
    assert set(crawl("/latest/dynamic/instance-identity/")) == {"document"}


def test_errors_are_ec2s() -> None:
    missing = ask("/latest/meta-data/nothing")
    assert missing.status == 404
    assert missing.headers["Content-Type"] == "text/html"
    assert b"<title>404 - Not Found</title>" in missing.body
    assert ask("/latest/meta-data/", spec=None).status == 404
    assert ask("/latest/api/token", "PUT", {TTL: "60"}, spec=None).status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        assert ask("/latest/meta-data/", method).status == 405
    for method in ("GET", "POST", "HEAD"):
        assert ask("/latest/api/token", method).status == 405
    assert ask("/latest/api").status == 404
    assert ask("/latest/meta-data/", "HEAD").status == 200


def test_tokens_open_what_they_should() -> None:
    assert ask("/latest/meta-data/", spec=V2_ONLY).status == 401
    assert ask("/", spec=V2_ONLY).status == 401
    token = token_of(V2_ONLY)
    answer = ask("/latest/meta-data/mac", headers={TOKEN: token}, spec=V2_ONLY, now=NOW + 59)
    assert (answer.status, answer.body.decode(), answer.headers[TTL]) == (200, MAC, "1")
    assert ask("/latest/meta-data/mac", headers={TOKEN: token}, spec=V2_ONLY, now=NOW + 60).status == 401
    # A bad token is refused even where none is needed.
    assert ask("/latest/meta-data/mac", headers={TOKEN: "x"}).status == 401
    assert ask("/latest/meta-data/mac", headers={TOKEN: ""}).status == 401


def test_a_service_that_is_off_answers_nothing() -> None:
    for path in ("/", "/latest/meta-data/mac", "/latest/user-data"):
        assert ask(path, spec=OFF).status == 403
    assert ask("/latest/api/token", "PUT", {TTL: "60"}, spec=OFF).status == 403


def test_tags_are_told_on_request_alone() -> None:
    assert "tags/" in get("/latest/meta-data/").split("\n")
    assert "tags/" not in get("/latest/meta-data/", spec=UNTOLD).split("\n")
    assert ask("/latest/meta-data/tags/instance/Name", spec=UNTOLD).status == 404


def test_tokens_are_refused() -> None:
    for ttl in ("", "0", "21601", "-1", "1.5", "60, 60", "٣", "999999999999"):
        assert ask("/latest/api/token", "PUT", {TTL: ttl}).status == 400, ttl
    assert ask("/latest/api/token", "PUT").status == 400
    forwarded = {TTL: "60", "x-forwarded-for": "1.2.3.4"}
    assert ask("/latest/api/token", "PUT", forwarded).status == 403
    assert ask("/latest/api/token", "PUT", {TTL: "21600"}).headers[TTL] == "21600"


def test_bound_function_takes_plain_values() -> None:
    answer = bind(SECRET, lambda: NOW)(SPEC, "GET", "/latest/meta-data/mac", {}, "10.0.0.5")
    assert answer.body.decode() == MAC


PIECES = st.sampled_from(
    [
        "/",
        "//",
        "latest",
        "meta-data",
        "public-keys",
        "0",
        "..",
        ".",
        "%2e",
        "%",
        "%ff",
        "?",
        "#",
        "user-data",
        MAC,
    ]
)


@given(
    path=st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join),
    method=st.one_of(st.sampled_from(["GET", "PUT", "HEAD", "POST"]), st.text(max_size=5)),
    headers=st.dictionaries(
        st.one_of(st.sampled_from([TOKEN, TTL, "x-forwarded-for"]), st.text(string.ascii_lowercase)),
        st.text(max_size=60),
        max_size=3,
    ),
)
def test_nothing_a_guest_sends_raises(path: str, method: str, headers: dict[str, str]) -> None:
    for spec in (SPEC, V2_ONLY, None):
        assert ask(path, method, headers, spec=spec).status in {200, 400, 401, 403, 404, 405}


def test_a_spec_that_stays_has_its_tree_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[InstanceSpec] = []
    root = tree.root

    def counted(spec: InstanceSpec) -> tree.Directory:
        made.append(spec)
        return root(spec)

    monkeypatch.setattr(tree, "root", counted)
    answer = bind(SECRET, lambda: NOW)
    changed = msgspec.structs.replace(SPEC, image_id="ami-other")
    for spec in (SPEC, SPEC, changed, changed, SPEC):
        response = answer(spec, "GET", "/latest/meta-data/ami-id", {}, "10.0.0.5")
        assert response.body.decode() == spec.image_id
    assert made == [SPEC, changed, SPEC]


def test_more_keys_than_the_bound_are_not_shown() -> None:
    keys = tuple(f"ssh-ed25519 AAAA{number}" for number in range(bounds.METADATA_KEYS.most + 5))
    response = bind(SECRET)(
        msgspec.structs.replace(SPEC, public_keys=keys), "GET", "/latest/meta-data/public-keys/", {}, ""
    )
    assert len(response.body.splitlines()) == bounds.METADATA_KEYS.most


GIVEN = msgspec.structs.replace(
    SPEC, files=(InjectedFile(path="/etc/motd", content="aGVsbG8="),), password="$6$salt$hash", metadata={"a": "b"}
)


def test_openstacks_tree_is_there_too_without_the_password() -> None:
    assert get("/openstack/", GIVEN) == "latest"
    document = json.loads(get("/openstack/latest/meta_data.json", GIVEN))
    assert (document["uuid"], document["meta"]) == (SPEC.uuid, {"a": "b"})
    assert get("/openstack" + document["files"][0]["content_path"], GIVEN) == "hello"
    assert "$6$" not in get("/openstack/latest/vendor_data.json", GIVEN)
    assert ask("/openstack/latest/none.json", spec=GIVEN).status == 404
    strict = msgspec.structs.replace(GIVEN, metadata_v2_only=True)
    assert ask("/openstack/latest/meta_data.json", spec=strict).status == 401


def test_what_is_injected_is_told_with_a_token_alone() -> None:
    headers = {TOKEN: token_of(GIVEN)}
    assert ask("/latest/pileus/password", headers=headers, spec=GIVEN).body == b"$6$salt$hash"
    assert ask("/latest/pileus/files", headers=headers, spec=GIVEN).body.startswith(b"etc/motd\0")
    for path in ("/latest/pileus/password", "/latest/pileus/files", "/latest/pileus"):
        assert ask(path, spec=GIVEN).status == 404
        assert ask(path, headers={TOKEN: token_of(SPEC)}).status == 404
    assert "pileus" not in get("/latest/", GIVEN)


class TestRole:
    """The credentials of the role of an instance."""

    GIVEN = RoleCredentials(access_key="ASIAX", secret_key="s3", token="t0", since=NOW, until=NOW + 21600)
    ROLED = msgspec.structs.replace(
        SPEC, account_id="123456789012", profile=ProfileSpec(uuid="c" * 32, name="profile", role="web")
    )
    ROOT = "/latest/meta-data/iam"

    def ask(self, path: str, spec: InstanceSpec = ROLED, *, given: RoleCredentials | None = GIVEN) -> Response:
        respond = bind(SECRET, lambda: NOW, lambda _: given)
        return respond(spec, "GET", path, {}, "10.0.0.5")

    def test_the_role_and_its_credentials(self) -> None:
        assert self.ask(f"{self.ROOT}/security-credentials/").body == b"web"
        document = json.loads(self.ask(f"{self.ROOT}/security-credentials/web").body)
        assert document == {
            "Code": "Success",
            "LastUpdated": "2023-11-14T22:13:20Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIAX",
            "SecretAccessKey": "s3",
            "Token": "t0",
            "Expiration": "2023-11-15T04:13:20Z",
        }
        info = json.loads(self.ask(f"{self.ROOT}/info").body)
        assert info["InstanceProfileArn"] == "arn:aws:iam::123456789012:instance-profile/profile"

    def test_version_two_alone_needs_a_token(self) -> None:
        spec = msgspec.structs.replace(self.ROLED, metadata_v2_only=True)
        assert self.ask(f"{self.ROOT}/security-credentials/web", spec).status == 401
        respond = bind(SECRET, lambda: NOW, lambda _: self.GIVEN)
        token = respond(spec, "PUT", "/latest/api/token", {TTL: "60"}, "10.0.0.5").body.decode()
        answer = respond(spec, "GET", f"{self.ROOT}/security-credentials/web", {TOKEN: token}, "10.0.0.5")
        assert json.loads(answer.body)["AccessKeyId"] == "ASIAX"

    def test_nothing_is_there_without_a_role_or_without_credentials(self) -> None:
        for path in ("", "/info", "/security-credentials", "/security-credentials/web"):
            assert self.ask(self.ROOT + path, SPEC).status == 404
        for path in ("", "/info", "/security-credentials/web"):
            assert self.ask(self.ROOT + path, given=None).status == 404
        assert self.ask(f"{self.ROOT}/security-credentials/other").status == 404

    def test_no_list_leads_there(self) -> None:
        """Guests read all that is listed, and keep it on their disks."""
        assert b"iam" not in self.ask("/latest/meta-data/").body
