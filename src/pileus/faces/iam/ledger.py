"""The actions of IAM and STS that this cloud does not answer: those that it refuses on purpose, and those to come.

docs/reference/iam.md lists every action of the vendor's models, by this table and the registered actions.
"""

from __future__ import annotations

from pileus.faces.wire.ledger import Family, Ledger

PAGE = "docs/reference/iam.md"
"""The page that lists every action, by its path in the project."""

_MANAGED = "attach AdministratorAccess, PowerUserAccess or ReadOnlyAccess"

FAMILIES = (
    Family("Inline policies", r"^(Put|Get|Delete)(User|Role|Group)Policy$", f"for rights, {_MANAGED}"),
    Family(
        "Own managed policies",
        r"^(Create|Delete|Set|Tag|Untag|ListPolicy)(Policy|DefaultPolicy|Tags)|PolicyVersion|ListPolicyTags"
        r"|EntitiesForPolicy|^ListPoliciesGranting",
        f"for rights, {_MANAGED}",
    ),
    Family("Permissions boundaries", r"PermissionsBoundary$", f"for rights, {_MANAGED}"),
    Family("Simulation of policies", r"^Simulate|ContextKeys", "the page of the verbs says which role may do what"),
    Family(
        "SAML, OpenID Connect", r"SAML|OpenIDConnect|WebIdentity|OutboundWeb", "this cloud trusts no other provider"
    ),
    Family("Federation", r"^GetFederationToken|^GetDelegated|Delegation", "a role gives temporary credentials"),
    Family("MFA", r"MFA", "this cloud has no second factor"),
    Family("Certificates of users and servers", r"ServerCertificate|SigningCertificate", "this cloud has its own"),
    Family("SSH keys of users", r"SSHPublicKey", "key pairs are of EC2 here"),
    Family("Credentials of other services", r"ServiceSpecificCredential|LastAccessed|ServiceLinked", "there are none"),
    Family("Passwords in IAM's console", r"LoginProfile|PasswordPolicy|ChangePassword", "this cloud has no console"),
    Family("Tags of IAM", r"^(Tag|Untag)|Tags$", "users, roles and instance profiles have no tags"),
    Family("Organizations", r"Organization|RootCredentials|RootSessions|^AssumeRoot", "there are no organizations"),
    Family("Reports", r"Report$|AuthorizationDetails|HumanReadable|AccountProperties", "the lists have it all"),
    Family("Encoded messages", r"^DecodeAuthorization", "refusals are in plain words"),
    Family("Global STS", r"SecurityTokenService", "tokens are good everywhere"),
    Family("Descriptions of roles", r"^UpdateRoleDescription$", "UpdateRole replaces it"),
)
"""The families of refused actions; an action is of the first that it fits."""

LEDGER = Ledger(PAGE, FAMILIES)
"""The refusals of this face."""
