"""Key pairs: made here (the private half is returned once) or imported."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from pileus.model.errors import Duplicate, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.keypair import KeyPair, Wanted
from pileus.rules import find
from pileus.rules.keypair import absent, one_line, parse, sha256_fingerprint, with_colons
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core


KeyType = Literal["rsa", "ed25519"]


@requires("member")
def create(
    caller: Caller,
    core: Core,
    name: str,
    key_type: KeyType = "ed25519",
    tags: Mapping[str, str] | None = None,
) -> tuple[KeyPair, str]:
    """Make a key pair; the second value is the private key (PEM), which is kept nowhere.

    RSA keys have 2048 bits. The fingerprint is sha1 of the private key's DER for RSA, sha256 of the public key
    for ed25519.
    """
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if key_type == "rsa":
        private = rsa.generate_private_key(65537, 2048)
        der = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fingerprint = with_colons(hashlib.sha1(der, usedforsecurity=False).hexdigest())
        form = serialization.PrivateFormat.TraditionalOpenSSL
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        fingerprint = ""
        form = serialization.PrivateFormat.OpenSSH
    pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    line = one_line(private.public_key())
    wanted = Wanted(public_key=line, fingerprint=fingerprint or sha256_fingerprint(line), type=key_type)
    return _add(caller, core, name, wanted, tags or {}, "keypair.create"), pem


@requires("member")
def import_(caller: Caller, core: Core, name: str, material: bytes, tags: Mapping[str, str] | None = None) -> KeyPair:
    """Register a public key: OpenSSH's form, RFC 4716's, PEM, or base64 of DER. InvalidValue for anything else."""
    if not material.strip():
        raise InvalidValue("There is no public key.", noun="keypair", reason="key")
    wanted = parse(material)
    return _add(caller, core, name, wanted, tags or {}, "keypair.import")


def _add(caller: Caller, core: Core, name: str, wanted: Wanted, tags: Mapping[str, str], verb: str) -> KeyPair:
    if not name or len(name) > 255 or not name.isprintable():
        text = "A key pair's name has 1 to 255 printable characters."
        raise InvalidValue(text, noun="keypair", ident=name, reason="name")
    with core.store.write() as tx:
        key = KeyPair(uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags), wanted=wanted)
        try:
            key = tx.add(key)
        except Duplicate as error:
            text = f"The keypair '{name}' already exists."
            raise Duplicate(text, noun="keypair", ident=name, reason="name") from error
        tx.add_journal_line(caller, key, verb, outcome="done")
        return key


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> KeyPair:
    """Delete a key pair; instances that were launched with it keep the public key."""
    with core.store.write() as tx:
        key = find.living(caller, tx, KeyPair, uuid)
        tx.want_gone(key)
        tx.make_tombstone(key)
        tx.add_journal_line(caller, key, "keypair.delete", outcome="done")
        return key


@requires("reader")
def listing(caller: Caller, core: Core, names: Sequence[str] = (), uuids: Sequence[str] = ()) -> list[KeyPair]:
    """The project's key pairs; NotFound when a named one does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, KeyPair, names, uuids, absent)
