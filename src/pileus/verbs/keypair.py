"""Key pairs: made here (the private half is returned once) or imported."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pileus.model import bounds
from pileus.model.errors import Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.keypair import KeyPair, Wanted
from pileus.verbs import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.hazmat.primitives.serialization.ssh import SSHPublicKeyTypes

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.verbs.core import Core

LEAST_RSA_BITS = 1024
"""As on EC2; sshd refuses what is shorter."""

KeyType = Literal["rsa", "ed25519"]

_RFC4716_BEGIN = b"---- BEGIN SSH2 PUBLIC KEY ----"
_RFC4716_END = b"---- END SSH2 PUBLIC KEY ----"


def create(
    caller: Caller,
    core: Core,
    name: str,
    key_type: KeyType = "ed25519",
    tags: Mapping[str, str] | None = None,
) -> tuple[KeyPair, str]:
    """Make a key pair; the second value is the private key (PEM), which is kept nowhere.

    RSA keys have 2048 bits. The fingerprint is EC2's: sha1 of the private key's DER for RSA, sha256 of the public key
    for ed25519.
    """
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if key_type == "rsa":
        private = rsa.generate_private_key(65537, 2048)
        der = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fingerprint = _colons(hashlib.sha1(der, usedforsecurity=False).hexdigest())
        form = serialization.PrivateFormat.TraditionalOpenSSL
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        fingerprint = ""
        form = serialization.PrivateFormat.OpenSSH
    pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    line = _one_line(private.public_key())
    wanted = Wanted(public_key=line, fingerprint=fingerprint or _sha256(line), type=key_type)
    return _add(caller, core, name, wanted, tags or {}, "keypair.create"), pem


def import_(caller: Caller, core: Core, name: str, material: bytes, tags: Mapping[str, str] | None = None) -> KeyPair:
    """Register a public key: OpenSSH's form, RFC 4716's, PEM, or base64 of DER. InvalidValue for anything else."""
    if not material.strip():
        raise InvalidValue("The request must contain the parameter PublicKeyMaterial", reason="missing")
    wanted = _parse(material)
    return _add(caller, core, name, wanted, tags or {}, "keypair.import")


def known(project: str, name: str, line: str) -> KeyPair:
    """A key pair of which only the public half is known, as an import of it would make it; nothing is written."""
    return KeyPair(uuid=new_uuid(), project=project, name=name, wanted=_parse(line.encode()))


def _parse(material: bytes) -> Wanted:
    error = InvalidValue("Key is not in valid OpenSSH public key format", noun="keypair", reason="key-format")
    text = material.strip()
    if len(text) > bounds.PUBLIC_KEY.most:
        raise error
    try:
        public = _loaded(text)
    except (ValueError, UnsupportedAlgorithm, NotImplementedError) as bad:
        raise error from bad
    if isinstance(public, rsa.RSAPublicKey):
        if not LEAST_RSA_BITS <= public.key_size <= bounds.RSA_BITS.most:
            bits = f"RSA keys have from {LEAST_RSA_BITS} to {bounds.RSA_BITS.most} bits, this one has {public.key_size}"
            raise InvalidValue(bits, noun="keypair", reason="key-format")
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        fingerprint = _colons(hashlib.md5(der, usedforsecurity=False).hexdigest())
        return Wanted(public_key=_one_line(public), fingerprint=fingerprint, type="rsa")
    if isinstance(public, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        line = _one_line(public)
        kind: Literal["ed25519", "ecdsa"] = "ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else "ecdsa"
        return Wanted(public_key=line, fingerprint=_sha256(line), type=kind)
    raise error


def _loaded(text: bytes) -> PublicKeyTypes | SSHPublicKeyTypes:
    """Return the key in `text`; raises ValueError or UnsupportedAlgorithm."""
    if text.startswith(b"-----"):
        return serialization.load_pem_public_key(text)
    if text.startswith(_RFC4716_BEGIN):
        blob = _rfc4716_body(text)
        size = int.from_bytes(base64.b64decode(blob)[:4], "big")
        algorithm = base64.b64decode(blob)[4 : 4 + size]
        return serialization.load_ssh_public_key(algorithm + b" " + blob)
    words = text.split()
    # In base64 a DER sequence begins so; no algorithm of OpenSSH does.
    if text.startswith(b"M"):
        return serialization.load_der_public_key(base64.b64decode(b"".join(words), validate=True))
    return serialization.load_ssh_public_key(b" ".join(words[:2]))


def _rfc4716_body(text: bytes) -> bytes:
    """Return the base64 of a key between the marks of RFC 4716, without headers and their continuation lines."""
    body, marked, _ = text[len(_RFC4716_BEGIN) :].partition(_RFC4716_END)
    if not marked:
        raise ValueError("the end of the key is missing")
    lines, continued = [], False
    for line in body.split(b"\n"):
        header = continued or b":" in line
        continued = header and line.rstrip().endswith(b"\\")
        if not header:
            lines.append(line.strip())
    return b"".join(lines)


def _one_line(public: rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> str:
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _colons(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _sha256(line: str) -> str:
    return base64.b64encode(hashlib.sha256(base64.b64decode(line.split()[1])).digest()).decode()


def _add(caller: Caller, core: Core, name: str, wanted: Wanted, tags: Mapping[str, str], verb: str) -> KeyPair:
    if not name or len(name) > 255 or not name.isprintable():
        raise InvalidValue(
            f"Value ({name}) for parameter KeyName is invalid: 1 to 255 printable characters.",
            noun="keypair",
            ident=name,
            reason="name",
        )
    with core.store.write() as tx:
        key = KeyPair(uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags), wanted=wanted)
        try:
            key = tx.add(key)
        except Duplicate as error:
            raise Duplicate(
                f"The keypair '{name}' already exists.", noun="keypair", ident=name, reason="name"
            ) from error
        tx.record(caller, key, verb, outcome="done")
        return key


def delete(caller: Caller, core: Core, *, name: str = "", ident: str = "") -> KeyPair | None:
    """Delete by name or id; None when there was none (EC2 then says yes all the same)."""
    with core.store.write() as tx:
        key = _by_name(caller, tx, name) if name else None
        if ident:
            try:
                key = find.by_ec2(caller, tx, KeyPair, [ident])[0]
            except NotFound:
                return None
        if key is None:
            return None
        tx.want(key, msgspec.structs.replace(key.wanted, gone=True))
        tx.bury(key)
        tx.record(caller, key, "keypair.delete", outcome="done")
        return key


def listing(caller: Caller, core: Core, names: Sequence[str] = (), ids: Sequence[str] = ()) -> list[KeyPair]:
    """The project's key pairs; NotFound when a named one does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, KeyPair, names, ids, absent)


def named(caller: Caller, tx: Reader, name: str) -> KeyPair:
    """The caller's key pair with this name; NotFound otherwise."""
    key = _by_name(caller, tx, name)
    if key is None:
        raise absent(name)
    return key


def absent(name: str) -> NotFound:
    """The error for a name that no key pair has."""
    return NotFound(f"The key pair '{name}' does not exist", noun="keypair", ident=name, reason="name")


def _by_name(caller: Caller, tx: Reader, name: str) -> KeyPair | None:
    holder = tx.claimed(f"keypair:{caller.project}", name)
    return tx.get(KeyPair, holder[1]) if holder else None
