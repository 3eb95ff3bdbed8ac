"""Key pairs."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import Unsupported
from pileus.model.keypair import KeyPair
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
    key = verbs.import_(call.caller, call.core, call.args["KeyName"], call.args["PublicKeyMaterial"], tags)
    return _rendered(key)


@action("DescribeKeyPairs")
def describe(call: Call) -> dict[str, Any]:
    """List key pairs, by name, by id, or all."""
    args = call.args
    keys = verbs.listing(call.caller, call.core, args.get("KeyNames", ()), args.get("KeyPairIds", ()))
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
    key = verbs.delete(call.caller, call.core, name=name, ident=ident)
    return {"Return": True, "KeyPairId": key.ec2_id} if key else {"Return": True}


_FILTERS = filters.of_members("KeyName", "KeyPairId", others={"fingerprint": "KeyFingerprint"})
