"""Public keys, and key pairs by their names."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pileus.model import bounds
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.keypair import KeyPair, Wanted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.hazmat.primitives.serialization.ssh import SSHPublicKeyTypes

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader


LEAST_RSA_BITS = 1024
"""As on EC2; sshd refuses what is shorter."""


_RFC4716_BEGIN = b"---- BEGIN SSH2 PUBLIC KEY ----"


_RFC4716_END = b"---- END SSH2 PUBLIC KEY ----"


def known(project: str, name: str, line: str) -> KeyPair:
    """A key pair of which only the public half is known, as an import of it would make it; nothing is written."""
    return KeyPair(uuid=new_uuid(), project=project, name=name, wanted=parse(line.encode()))


def parse(material: bytes) -> Wanted:
    """Return the key in an OpenSSH, RFC 4716 or DER file. Raises InvalidValue."""
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
        fingerprint = with_colons(hashlib.md5(der, usedforsecurity=False).hexdigest())
        return Wanted(public_key=one_line(public), fingerprint=fingerprint, type="rsa")
    if isinstance(public, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        line = one_line(public)
        kind: Literal["ed25519", "ecdsa"] = "ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else "ecdsa"
        return Wanted(public_key=line, fingerprint=sha256_fingerprint(line), type=kind)
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


def one_line(public: rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> str:
    """Return a public key as a line of OpenSSH's."""
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def with_colons(digits: str) -> str:
    """Return hexadecimal digits in pairs, with colons between them."""
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def sha256_fingerprint(line: str) -> str:
    """Return the fingerprint of a line of OpenSSH's, as `ssh-keygen -l` shows it."""
    return base64.b64encode(hashlib.sha256(base64.b64decode(line.split()[1])).digest()).decode()


def named(caller: Caller, tx: Reader, name: str) -> KeyPair:
    """The caller's key pair with this name; NotFound otherwise."""
    key = tx.named(KeyPair, name, caller.project)
    if key is None:
        raise absent(name)
    return key


def absent(name: str) -> NotFound:
    """The error for a name that no key pair has."""
    return NotFound(f"The key pair '{name}' does not exist", noun="keypair", ident=name, reason="name")
