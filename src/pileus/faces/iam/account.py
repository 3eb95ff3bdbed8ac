"""The account: its alias, and how much of everything it has."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam.call import Call, action, paged
from pileus.model import bounds, quota
from pileus.model.errors import NotFound
from pileus.rules import policy
from pileus.verbs import instanceprofile, project, serviceuser, user, usergroup


@action("CreateAccountAlias")
def create_alias(call: Call) -> dict[str, Any]:
    """Give the account an alias in place of its earlier one."""
    project.set_alias(call.caller, call.core, call.args["AccountAlias"])
    return {}


@action("ListAccountAliases")
def list_aliases(call: Call) -> dict[str, Any]:
    """List the alias of the account, if it has one."""
    alias = project.alias_of(call.caller, call.core)
    return paged(call.args, "AccountAliases", [alias] if alias else [])


@action("DeleteAccountAlias")
def delete_alias(call: Call) -> dict[str, Any]:
    """Take the account's alias away."""
    alias = call.args["AccountAlias"]
    if alias != project.alias_of(call.caller, call.core):
        raise NotFound(f"The account alias {alias} cannot be found.", noun="project", ident=alias, reason="alias")
    project.set_alias(call.caller, call.core, "")
    return {}


@action("GetAccountSummary")
def summary(call: Call) -> dict[str, Any]:
    """Count the users, groups, roles and instance profiles of the account, beside their limits."""
    caller, core = call.caller, call.core
    counts = {
        "Users": len(user.listing(caller, core)),
        "UsersQuota": bounds.IDENTITIES.most,
        "Groups": len(usergroup.listing(caller, core)),
        "GroupsQuota": quota.DEFAULTS["usergroups"],
        "Roles": len(serviceuser.listing(caller, core)),
        "RolesQuota": bounds.IDENTITIES.most,
        "InstanceProfiles": len(instanceprofile.listing(caller, core)),
        "InstanceProfilesQuota": quota.DEFAULTS["instanceprofiles"],
        "AccessKeysPerUserQuota": quota.DEFAULTS["credentials"],
        "AttachedPoliciesPerGroupQuota": policy.MOST,
        "AttachedPoliciesPerUserQuota": policy.MOST,
        "AttachedPoliciesPerRoleQuota": policy.MOST,
        "AssumeRolePolicySizeQuota": bounds.TRUST_POLICY.most,
        "Policies": 0,
        "MFADevices": 0,
        "AccountMFAEnabled": 0,
    }
    return {"SummaryMap": counts}
