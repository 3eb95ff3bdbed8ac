"""The account: its alias, and how much of everything it has."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam.call import Call, action, paged
from pileus.model import bounds, quota
from pileus.model.errors import NotFound
from pileus.rules import policy
from pileus.verbs import identity, instanceprofile


@action("CreateAccountAlias")
def create_alias(call: Call) -> dict[str, Any]:
    """Give the account an alias in place of its earlier one."""
    identity.set_alias(call.caller, call.core, call.args["AccountAlias"])
    return {}


@action("ListAccountAliases")
def list_aliases(call: Call) -> dict[str, Any]:
    """List the alias of the account, if it has one."""
    alias = identity.alias_of(call.caller, call.core)
    return paged(call.args, "AccountAliases", [alias] if alias else [])


@action("DeleteAccountAlias")
def delete_alias(call: Call) -> dict[str, Any]:
    """Take the account's alias away."""
    alias = call.args["AccountAlias"]
    if alias != identity.alias_of(call.caller, call.core):
        raise NotFound(f"The account alias {alias} cannot be found.", noun="project", ident=alias, reason="alias")
    identity.set_alias(call.caller, call.core, "")
    return {}


@action("GetAccountSummary")
def summary(call: Call) -> dict[str, Any]:
    """Count the users, roles and instance profiles of the account, beside their limits."""
    caller, core = call.caller, call.core
    counts = {
        "Users": len(identity.listing(caller, core)),
        "UsersQuota": bounds.IDENTITIES.most,
        "Groups": 0,
        "GroupsQuota": 0,
        "Roles": len(identity.listing(caller, core, roles=True)),
        "RolesQuota": bounds.IDENTITIES.most,
        "InstanceProfiles": len(instanceprofile.listing(caller, core)),
        "InstanceProfilesQuota": quota.DEFAULTS["instanceprofiles"],
        "AccessKeysPerUserQuota": quota.DEFAULTS["credentials"],
        "AttachedPoliciesPerUserQuota": len(policy.MANAGED),
        "AttachedPoliciesPerRoleQuota": len(policy.MANAGED),
        "AssumeRolePolicySizeQuota": bounds.TRUST_POLICY.most,
        "Policies": 0,
        "MFADevices": 0,
        "AccountMFAEnabled": 0,
    }
    return {"SummaryMap": counts}
