"""KeyPair: a public key with a name; the private half is shown once and never kept."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pileus.model.noun import Noun, Part


class Wanted(Part, frozen=True, kw_only=True):
    """`public_key` in OpenSSH's one-line form; `fingerprint` as EC2 gives it for this origin and type."""

    public_key: str
    fingerprint: str
    type: Literal["rsa", "ed25519", "ecdsa"] = "rsa"
    gone: bool = False


class KeyPair(Noun, frozen=True, kw_only=True):
    """Its name is unique in its project."""

    KIND: ClassVar[str] = "keypair"
    PREFIX: ClassVar[str] = "key"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    QUOTA: ClassVar[dict[str, int]] = {"keypairs": 100}
    DROPPED: ClassVar[dict[str, Any]] = {"public_key": ""}
    wanted: Wanted
    assigned: None = None
    seen: None = None
