"""Access keys of users: of the caller itself, and of others for an administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.model.errors import NotFound, Unsupported
from pileus.verbs import credential, identity

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
    rows = identity.access_keys(call.caller, call.core, user.uuid)
    return paged(call.args, "AccessKeyMetadata", [shape.access_key(row, user.name) for row in rows])


@action("UpdateAccessKey")
def update(call: Call) -> dict[str, Any]:
    """Keep an access key active; disabling one is not built yet."""
    user = user_of(call)
    _key(call, user, call.args["AccessKeyId"])
    if call.args["Status"] != "Active":
        text = "This cloud does not disable access keys yet: delete the key, which counts at once."
        raise Unsupported(text, noun="credential")
    return {}


@action("DeleteAccessKey")
def delete(call: Call) -> dict[str, Any]:
    """Delete an access key, which is worthless at once."""
    row = _key(call, user_of(call), call.args["AccessKeyId"])
    credential.revoke(call.caller, call.core, row.uuid)
    return {}


@action("GetAccessKeyLastUsed")
def last_used(call: Call) -> dict[str, Any]:
    """Show the user of an access key; the time of its last use is not recorded yet."""
    ident = call.args["AccessKeyId"]
    for user in identity.listing(call.caller, call.core):
        if user.uuid == call.caller.user or call.caller.admin:
            for row in identity.access_keys(call.caller, call.core, user.uuid):
                if row.wanted.key == ident:
                    return {"UserName": user.name, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    raise _absent(ident)


def _key(call: Call, user: User, ident: str) -> Credential:
    """The access key `ident` of a user. Raises NotFound."""
    for row in identity.access_keys(call.caller, call.core, user.uuid):
        if row.wanted.key == ident:
            return row
    raise _absent(ident)


def _absent(ident: str) -> NotFound:
    text = f"The Access Key with id {ident[:32]} cannot be found."
    return NotFound(text, noun="credential", ident=ident[:32])
