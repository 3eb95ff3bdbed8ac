"""Key pairs: made, imported, listed, deleted."""

import base64
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa

from pileus.model.errors import InvalidValue
from pileus.rules import keypair
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def openssh(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def test_rsa_is_the_default(account: Account) -> None:
    made = account.ec2.create_key_pair(KeyName="mine")
    private = serialization.load_pem_private_key(made["KeyMaterial"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert made["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert len(made["KeyFingerprint"].split(":")) == 20
    (listed,) = account.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert listed["KeyPairId"] == made["KeyPairId"]
    assert listed["KeyType"] == "rsa"
    assert listed["PublicKey"].split() == [*openssh(private).decode().split(), "mine"]


def test_ed25519_with_tags(account: Account) -> None:
    made = account.ec2.create_key_pair(
        KeyName="small",
        KeyType="ed25519",
        TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    private = serialization.load_ssh_private_key(made["KeyMaterial"].encode(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    assert made["Tags"] == [{"Key": "a", "Value": "b"}]
    (listed,) = account.ec2.describe_key_pairs(Filters=filtered("tag:a", "b"))["KeyPairs"]
    assert listed["KeyName"] == "small"
    assert "PublicKey" not in listed


def test_import(account: Account) -> None:
    material = openssh(ed25519.Ed25519PrivateKey.generate())
    made = account.ec2.import_key_pair(KeyName="theirs", PublicKeyMaterial=material + b" me@home\n")
    (listed,) = account.ec2.describe_key_pairs(KeyNames=["theirs"], IncludePublicKey=True)["KeyPairs"]
    assert listed["KeyPairId"] == made["KeyPairId"]
    assert listed["PublicKey"].encode() == material + b" theirs"


def rsa_line(bits: int) -> bytes:
    """A public key of so many bits that nobody made."""

    def packed(number: int) -> bytes:
        octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return len(octets).to_bytes(4, "big") + octets

    kind = b"ssh-rsa"
    body = len(kind).to_bytes(4, "big") + kind + packed(65537) + packed((1 << (bits - 1)) | 1)
    return b"ssh-rsa " + base64.b64encode(body)


COMPRESSED = b"ecdsa-sha2-nistp256 " + base64.b64encode(
    b"\x00\x00\x00\x13ecdsa-sha2-nistp256\x00\x00\x00\x08nistp256\x00\x00\x00\x21\x02" + b"\x11" * 32
)


@pytest.mark.parametrize("bits", [1024, 2048, 3072, 4096])
def test_import_of_rsa(account: Account, bits: int) -> None:
    account.ec2.import_key_pair(KeyName="theirs", PublicKeyMaterial=rsa_line(bits))


@pytest.mark.parametrize("material", [rsa_line(512), rsa_line(32768), rsa_line(1_000_000), COMPRESSED])
def test_import_of_keys_that_no_guest_could_use(account: Account, material: bytes) -> None:
    with refused("InvalidKey.Format"):
        account.ec2.import_key_pair(KeyName="bad", PublicKeyMaterial=material)


def test_a_key_without_text_is_no_key() -> None:
    with pytest.raises(InvalidValue, match="not in valid OpenSSH"):
        keypair.known("project", "name", " \n")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_import_in_every_form_that_ec2_takes(account: Account, kind: str) -> None:
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = ed25519.Ed25519PrivateKey.generate()
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = base64.encodebytes(key.public_key().public_bytes(serialization.Encoding.DER, form))
    line = openssh(key)
    body = "\n".join(textwrap.wrap(line.split()[1].decode(), 70)).encode()
    header = b'Subject: me\nComment: "a long \\\nremark"\n'
    rfc4716 = b"---- BEGIN SSH2 PUBLIC KEY ----\n" + header + body + b"\n---- END SSH2 PUBLIC KEY ----\n"
    for number, material in enumerate((line, der, rfc4716, rfc4716.replace(b"\n", b"\r\n"))):
        account.ec2.import_key_pair(KeyName=f"k{number}", PublicKeyMaterial=material)
    shown = account.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert {each["PublicKey"].rpartition(" ")[0].encode() for each in shown} == {line}
    assert len({each["KeyFingerprint"] for each in shown}) == 1


def test_import_of_nothing(account: Account) -> None:
    with refused("MissingParameter", match="PublicKeyMaterial"):
        account.ec2.import_key_pair(KeyName="none", PublicKeyMaterial=b"")


BROKEN = [
    b"nonsense",
    b"ssh-rsa AAAA",
    b"-----BEGIN PUBLIC KEY-----\nAA\n",
    b"MIIB",
    b"MII!",
    b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA",
    b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----",
    b"---- BEGIN SSH2 PUBLIC KEY ----\n!\n---- END SSH2 PUBLIC KEY ----",
]


@pytest.mark.parametrize("material", BROKEN)
def test_import_of_nonsense(account: Account, material: bytes) -> None:
    with refused("InvalidKey.Format"):
        account.ec2.import_key_pair(KeyName="bad", PublicKeyMaterial=material)


def test_names_are_unique_in_a_project(cloud: Cloud, account: Account) -> None:
    account.ec2.create_key_pair(KeyName="one", KeyType="ed25519")
    with refused("InvalidKeyPair.Duplicate"):
        account.ec2.create_key_pair(KeyName="one", KeyType="ed25519")
    other = cloud.account()
    other.ec2.create_key_pair(KeyName="one", KeyType="ed25519")
    assert len(other.ec2.describe_key_pairs()["KeyPairs"]) == 1


def test_unknown_ones(account: Account) -> None:
    with refused("InvalidKeyPair.NotFound"):
        account.ec2.describe_key_pairs(KeyNames=["none"])
    with refused("InvalidKeyPair.NotFound"):
        account.ec2.describe_key_pairs(KeyPairIds=["key-" + "0" * 17])
    with refused("InvalidParameterValue"):
        account.ec2.describe_key_pairs(KeyPairIds=["mine"])
    with refused("InvalidParameterValue"):
        account.ec2.create_key_pair(KeyName="")
    with refused("UnsupportedOperation"):
        account.ec2.create_key_pair(KeyName="x", KeyFormat="ppk")


def test_delete_by_name_and_id_and_again(account: Account) -> None:
    for number in range(2):
        account.ec2.create_key_pair(KeyName=f"k{number}", KeyType="ed25519")
    ident = account.ec2.describe_key_pairs(KeyNames=["k1"])["KeyPairs"][0]["KeyPairId"]
    account.ec2.delete_key_pair(KeyName="k0")
    assert account.ec2.delete_key_pair(KeyPairId=ident)["KeyPairId"] == ident
    account.ec2.delete_key_pair(KeyName="k0")
    account.ec2.delete_key_pair(KeyPairId=ident)
    assert account.ec2.describe_key_pairs()["KeyPairs"] == []
    with refused("MissingParameter"):
        account.ec2.delete_key_pair()


def test_quota(cloud: Cloud) -> None:
    limited = cloud.account({"keypairs": 1})
    limited.ec2.create_key_pair(KeyName="one", KeyType="ed25519")
    with refused("KeyPairLimitExceeded"):
        limited.ec2.create_key_pair(KeyName="two", KeyType="ed25519")
