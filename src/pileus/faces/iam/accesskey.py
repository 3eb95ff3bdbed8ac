"""Access keys of users: of the caller itself, and of others for an administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.model.errors import InvalidValue, NotFound
from pileus.verbs import credential

if TYPE_CHECKING:
    from pileus.model.credential import Credential
    from pileus.model.user import User


@action("CreateAccessKey")
def create(call: Call) -> dict[str, Any]:
    """Make an access key; its secret is readable in this answer alone."""
    user = user_of(call)
    new = credential.create(call.caller, call.core, "aws", "" if user.uuid == call.caller.user else user.uuid)
    row = _key(call, user, new.access_key)
    return {"AccessKey": {**shape.access_key(row, user.name), "SecretAccessKey": new.secret_key}}


@action("ListAccessKeys")
def list_keys(call: Call) -> dict[str, Any]:
    """List the access keys of a user."""
    user = user_of(call)
    rows = credential.access_keys(call.caller, call.core, user.uuid)
    return paged(call.args, "AccessKeyMetadata", [shape.access_key(row, user.name) for row in rows])


@action("UpdateAccessKey")
def update(call: Call) -> dict[str, Any]:
    """Make an access key active, or inactive: it is refused then, and so are the sessions that were made by it."""
    row = _key(call, user_of(call), call.args["AccessKeyId"])
    status = call.args["Status"]
    if status not in (shape.ACTIVE, shape.INACTIVE):
        text = f"An access key is made {shape.ACTIVE} or {shape.INACTIVE}, not {status}."
        raise InvalidValue(text, noun="credential", reason="status")
    credential.modify(call.caller, call.core, row.uuid, enabled=status == shape.ACTIVE)
    return {}


@action("DeleteAccessKey")
def delete(call: Call) -> dict[str, Any]:
    """Delete an access key, which is worthless at once."""
    row = _key(call, user_of(call), call.args["AccessKeyId"])
    credential.revoke(call.caller, call.core, row.uuid)
    return {}


@action("GetAccessKeyLastUsed")
def last_used(call: Call) -> dict[str, Any]:
    """Show the user of an access key, and its last use, which is recorded at most once a minute."""
    ident = call.args["AccessKeyId"]
    try:
        user, use = credential.last_use(call.caller, call.core, ident)
    except NotFound as error:
        raise _absent(ident) from error
    last: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if use is not None:
        last = {"ServiceName": use.service, "Region": call.core.place.region, "LastUsedDate": use.at}
    return {"UserName": user.name, "AccessKeyLastUsed": last}


def _key(call: Call, user: User, ident: str) -> Credential:
    """The access key `ident` of a user. Raises NotFound."""
    for row in credential.access_keys(call.caller, call.core, user.uuid):
        if row.wanted.key == ident:
            return row
    raise _absent(ident)


def _absent(ident: str) -> NotFound:
    text = f"The Access Key with id {ident[:32]} cannot be found."
    return NotFound(text, noun="credential", ident=ident[:32])
