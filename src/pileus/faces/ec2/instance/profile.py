"""The instance profiles of instances."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.wire import arn
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.instance import Instance
from pileus.rules import instanceprofile as rules
from pileus.verbs import instanceprofile as verbs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.instanceprofile import InstanceProfile

_NOUN = "instanceprofile"


def named(call: Call, specification: Mapping[str, str]) -> InstanceProfile:
    """The profile of the caller's project that a request names by Name or by Arn. Raises InvalidValue, NotFound."""
    name, given_arn = specification.get("Name", ""), specification.get("Arn", "")
    if bool(name) == bool(given_arn):
        text = "The request must contain either the name or the ARN of the instance profile, and not both."
        raise InvalidValue(text, noun=_NOUN, reason="combination")
    member = "arn" if given_arn else "name"
    if given_arn:
        beginning = arn.arn(call.caller.account_id, arn.INSTANCE_PROFILE, "")
        name = given_arn.removeprefix(beginning) if given_arn.startswith(beginning) else ""
    with call.core.store.read() as tx:
        try:
            return rules.named(call.caller, tx, name)
        except NotFound as error:
            shown = (given_arn or name)[:160]
            text = f"Value ({shown}) for parameter iamInstanceProfile.{member} is invalid. Invalid IAM Instance Profile"
            raise NotFound(f"{text} {member}", noun=_NOUN, ident=shown, reason="name") from error


def shown(profile: InstanceProfile, account: str) -> dict[str, str]:
    """A profile as `IamInstanceProfile`."""
    profile_arn = arn.arn(account, arn.INSTANCE_PROFILE, profile.name)
    return {"Arn": profile_arn, "Id": arn.unique_id(arn.PROFILE, profile.uuid)}


@action("AssociateIamInstanceProfile")
def associate(call: Call) -> dict[str, Any]:
    """Give an instance an instance profile; the metadata service has the credentials of its role at once."""
    uuid, profile = uuid_of(call, Instance, call.args["InstanceId"]), named(call, call.args["IamInstanceProfile"])
    row = verbs.associate(call.caller, call.core, uuid, profile.uuid)
    return {"IamInstanceProfileAssociation": _association(call, row, profile, "associating")}


@action("DisassociateIamInstanceProfile")
def disassociate(call: Call) -> dict[str, Any]:
    """Take the profile of an instance away; credentials that it has are good until they end."""
    instance, profile = _associated(call)
    verbs.associate(call.caller, call.core, instance.uuid, None)
    return {"IamInstanceProfileAssociation": _association(call, instance, profile, "disassociating")}


@action("ReplaceIamInstanceProfileAssociation")
def replace(call: Call) -> dict[str, Any]:
    """Give an instance another profile in place of the one that it has."""
    instance, _ = _associated(call)
    profile = named(call, call.args["IamInstanceProfile"])
    row = verbs.associate(call.caller, call.core, instance.uuid, profile.uuid, replaces=True)
    return {"IamInstanceProfileAssociation": _association(call, row, profile, "associating")}


@action("DescribeIamInstanceProfileAssociations")
def describe(call: Call) -> dict[str, Any]:
    """List the instances that have an instance profile."""
    pairs = verbs.associated(call.caller, call.core)
    items = {item["AssociationId"]: item for item in (_association(call, *pair, "associated") for pair in pairs)}
    idents = call.args.get("AssociationIds", ())
    for ident in idents:
        if ident not in items:
            raise _absent(ident)
    chosen = [items[ident] for ident in dict.fromkeys(idents)] if idents else list(items.values())
    return paging.listed(call.args, "IamInstanceProfileAssociations", chosen, _FILTERS)


def _associated(call: Call) -> tuple[Instance, InstanceProfile]:
    ident = call.args["AssociationId"]
    for instance, profile in verbs.associated(call.caller, call.core):
        if _id(instance, profile) == ident:
            return instance, profile
    raise _absent(ident)


def _absent(ident: str) -> NotFound:
    text = f"An invalid association-id of '{ident[:40]}' was given"
    return NotFound(text, noun=_NOUN, ident=ident[:40], reason="association")


def _id(instance: Instance, profile: InstanceProfile) -> str:
    """The association's id, which follows from both: another profile is another association."""
    digest = hashlib.sha256(f"{instance.uuid} {profile.uuid}".encode()).hexdigest()
    return f"iip-assoc-{digest[:17]}"


def _association(call: Call, instance: Instance, profile: InstanceProfile, state: str) -> dict[str, Any]:
    return {
        "AssociationId": _id(instance, profile),
        "InstanceId": instance.ec2_id,
        "IamInstanceProfile": shown(profile, call.caller.account_id),
        "State": state,
    }


_FILTERS = filters.of_members("InstanceId", "State")
