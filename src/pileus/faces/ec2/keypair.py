"""Key pairs."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import NotFound, Unsupported
from pileus.model.keypair import KeyPair
from pileus.rules import keypair as keypair_rules
from pileus.verbs import keypair as verbs


def _rendered(key: KeyPair) -> dict[str, Any]:
    return {
        "KeyPairId": key.ec2_id,
        "KeyName": key.name,
        "KeyFingerprint": key.wanted.fingerprint,
        "Tags": shown(key.tags),
    }


@action("CreateKeyPair")
def create(call: Call) -> dict[str, Any]:
    """Make a key pair, RSA unless told otherwise; the private key is in this answer and nowhere else."""
    args = call.args
    if args.get("KeyFormat", "pem") != "pem":
        raise Unsupported("This cloud gives private keys in the format pem only.", noun="keypair")
    tags = specified(args, "key-pair")["key-pair"]
    key, private = verbs.create(call.caller, call.core, args["KeyName"], args.get("KeyType", "rsa"), tags)
    return {**_rendered(key), "KeyMaterial": private}


@action("ImportKeyPair")
def import_(call: Call) -> dict[str, Any]:
    """Register a public key."""
    tags = specified(call.args, "key-pair")["key-pair"]
    if not call.args["PublicKeyMaterial"].strip():
        raise missing("PublicKeyMaterial")
    key = verbs.import_(call.caller, call.core, call.args["KeyName"], call.args["PublicKeyMaterial"], tags)
    return _rendered(key)


@action("DescribeKeyPairs")
def describe(call: Call) -> dict[str, Any]:
    """List key pairs, by name, by id, or all."""
    args = call.args
    uuids = uuids_of(call, KeyPair, args.get("KeyPairIds", ()))
    keys = verbs.listing(call.caller, call.core, args.get("KeyNames", ()), uuids)
    key_items = [{**_rendered(key), "KeyType": key.wanted.type, "CreateTime": key.created} for key in keys]
    if args.get("IncludePublicKey"):
        for item, key in zip(key_items, keys, strict=True):
            item["PublicKey"] = f"{key.wanted.public_key} {key.name}"
    return paging.listed(args, "KeyPairs", key_items, _FILTERS)


@action("DeleteKeyPair")
def delete(call: Call) -> dict[str, Any]:
    """Delete by name or id; a key pair that does not exist is deleted already."""
    name, ident = call.args.get("KeyName", ""), call.args.get("KeyPairId", "")
    if not name and not ident:
        raise missing("KeyName or KeyPairId")
    try:
        uuid = uuid_of(call, KeyPair, ident) if ident else _uuid_of_name(call, name)
        return {"Return": True, "KeyPairId": verbs.delete(call.caller, call.core, uuid).ec2_id}
    except NotFound:
        return {"Return": True}


def _uuid_of_name(call: Call, name: str) -> str:
    with call.core.store.read() as tx:
        return keypair_rules.named(call.caller, tx, name).uuid


_FILTERS = filters.of_members("KeyName", "KeyPairId", others={"fingerprint": "KeyFingerprint"})
