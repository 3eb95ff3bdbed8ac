"""The paths of people and their rights: users, groups of users, grants, projects, credentials, certificates, tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pileus.faces.rest import documents
from pileus.faces.rest.nounroutes import change, delete, make, present
from pileus.faces.wire.body import decoded
from pileus.faces.wire.http import Request
from pileus.faces.wire.typed import Route, TypedRequest
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.model.certificate import Certificate
from pileus.model.credential import Credential
from pileus.model.errors import InvalidValue
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.role import Role
from pileus.model.sizes import Ident, Name
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.rules.core import Core
from pileus.verbs import certificate, credential, directory, grant, project, token, user, usergroup
from pileus.verbs.token import LIFETIME

ME = "me"
"""The word for the caller in place of a user's id."""

Password = Annotated[str, Meta(max_length=bounds.USER_PASSWORD.most)]


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to make, and its project if that is missing: by default an administrator's choice is one of its name.

    An empty `password` is drawn at random, an empty `role` is `admin` in a new project and else `member`.
    """

    name: Name
    project: Name = ""
    admin: bool = False
    role: Role | Literal[""] = ""
    password: Password = ""


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a user; null leaves a part as it is."""

    enabled: bool | None = None
    admin: bool | None = None


class NewPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Another password of a user; the `old` one is for users who change their own."""

    password: Password
    old: Password = ""


class NewProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project to make."""

    name: Name


class Enabling(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may act in a project, or by a credential."""

    enabled: bool


class NewUserGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of users to make."""

    name: Name


class TheUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user that is meant."""

    user: Ident


class NewGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A role of a user or of a group of users, in the caller's project; in another `project` for administrators."""

    role: Role
    user: Ident = ""
    usergroup: Ident = ""
    project: Ident = ""


class NewCredential(msgspec.Struct, frozen=True, kw_only=True):
    """One more credential: an access key or a token, for whoever asks, or for another user (by name or id)."""

    type: Literal["aws", "token"] = "aws"
    user: Ident = ""


class NewCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate to make with a new key, for whoever asks, or for another user (by name or id)."""

    user: Ident = ""


class NewCredentialArchive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive of credentials to make; `url` is how its user reaches the cloud."""

    url: Annotated[str, Meta(max_length=512)]


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A signed token, good for `valid` seconds, for the caller of another token, or for a `user` with its `password`.

    `project` is by default that of the other token, or the user's home.
    """

    user: Name = ""
    password: Password = ""
    project: Name = ""
    valid: float = LIFETIME


def asks_for_token(request: Request) -> TokenRequest | None:
    """The body of a request for a signed token; None for any other request. Raises InvalidValue."""
    if request.method != "POST" or request.path.rstrip("/") != "/v1/tokens":
        return None
    try:
        return msgspec.convert(decoded(request.body or b"{}", dict[str, Any]), TokenRequest)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"The body is not what this path takes: {error}", reason="body") from error


def _create_user(request: TypedRequest) -> user.Account:
    new = request.read(NewUser)
    return user.create(
        request.caller,
        request.core,
        new.name,
        new.project,
        admin=new.admin,
        role=new.role or None,
        password=new.password,
    )


def _user(request: TypedRequest, ident: str) -> str:
    """The uuid of a user: the caller itself by `me` or its name, or another one. Raises NotFound."""
    if ident in (ME, request.caller.user_name, request.caller.user):
        return request.caller.user
    return documents.uuid_of(request, User, ident)


def _set_password(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewPassword)
    uuid = _user(request, request.path["id"])
    return documents.document(user.set_password(request.caller, request.core, new.password, uuid, new.old))


def _revoke_tokens(request: TypedRequest) -> dict[str, Any]:
    token.revoke_all(request.caller, request.core, _user(request, request.path["id"]))
    return {}


def _create_credential(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewCredential)
    uuid = _user(request, new.user) if new.user else ""
    return _shown_once(request, credential.create(request.caller, request.core, new.type, uuid))


def _create_certificate(request: TypedRequest) -> dict[str, Any]:
    new = request.read(NewCertificate)
    issued = certificate.create(request.caller, request.core, _user(request, new.user) if new.user else "")
    with request.core.store.read() as tx:
        ident = tx.need(Certificate, issued.uuid).ec2_id
    fields = msgspec.structs.asdict(issued)
    del fields["uuid"]
    return {"id": ident, **fields}


def _archive(request: TypedRequest) -> certificate.CredentialArchive:
    url = request.read(NewCredentialArchive).url
    return certificate.archive(request.caller, request.core, url, _user(request, request.path["id"]))


def _authority(request: TypedRequest) -> certificate.UserAuthority:
    return certificate.authority(request.caller, request.core)


def _sync_directory(request: TypedRequest) -> directory.DirectorySync:
    return directory.sync(request.caller, request.core)


def _shown_once(request: TypedRequest, new: credential.Made) -> dict[str, Any]:
    with request.core.store.read() as tx:
        ident = tx.need(Credential, new.uuid).ec2_id
    return {"id": ident, **{name: getattr(new, name) for name in _OF_CREDENTIAL}}


_OF_CREDENTIAL = ("user", "project", "access_key", "secret_key", "token")


def _credential(request: TypedRequest) -> str:
    """The uuid of the credential that the path names; the word itself for an access key's id, or a token."""
    ident = str(request.path["id"])
    identity = request.core.store.identities(Credential, [ident]).get(ident)
    return identity.uuid if identity else ident


def _revoke_credential(request: TypedRequest) -> dict[str, Any]:
    credential.revoke(request.caller, request.core, _credential(request))
    return {}


def _enable_credential(request: TypedRequest) -> dict[str, Any]:
    enabled = request.read(Enabling).enabled
    row = credential.modify(request.caller, request.core, _credential(request), enabled=enabled)
    return present(request, Credential, row.uuid)


def _rotate_credential(request: TypedRequest) -> dict[str, Any]:
    return _shown_once(request, credential.rotate(request.caller, request.core, _credential(request)))


def _create_token(request: TypedRequest) -> token.IssuedToken:
    # Who the caller is, and in which project, was read from the body already.
    return token.create(request.caller, request.core, request.read(TokenRequest).valid)


def _revoke_token(request: TypedRequest) -> dict[str, Any]:
    owner = request.query.get("user", "")
    uuid = _user(request, owner) if owner else ""
    token.revoke(request.caller, request.core, request.path["id"], uuid)
    return {}


def _grant(caller: Caller, core: Core, new: NewGrant) -> Grant:
    return grant.create(caller, core, new.role, user=new.user, usergroup=new.usergroup, project=new.project)


ROUTES: tuple[Route, ...] = (
    Route("POST", "users", _create_user, "Make a user, and its project if that is missing.", NewUser, 201),
    change(
        User,
        "",
        UserChange,
        lambda caller, core, uuid, new: user.modify(caller, core, uuid, enabled=new.enabled, admin=new.admin),
        "Enable or disable a user, make it an administrator.",
    ),
    Route("POST", "users/{id}/password", _set_password, "Set a password; `me` is the caller.", NewPassword),
    Route("POST", "users/{id}/tokens/revoke", _revoke_tokens, "End all signed tokens of a user; `me` is the caller."),
    Route(
        "POST",
        "users/{id}/creds",
        _archive,
        "Make an access key and a certificate, and a zip of them with an rc file; `me` is the caller.",
        NewCredentialArchive,
        201,
    ),
    Route("POST", "certificates", _create_certificate, "Make a certificate of a user.", NewCertificate, 201),
    delete(Certificate, certificate.revoke, "Revoke a certificate."),
    Route("GET", "authority", _authority, "The authority of users' certificates, and the certificates it revoked."),
    Route("POST", "directory/sync", _sync_directory, "Make, change and disable users as the LDAP directory has them."),
    delete(User, user.delete, "Delete a user, with its credentials and grants."),
    make(Project, NewProject, lambda caller, core, new: project.create(caller, core, new.name), "Make a project."),
    change(
        Project,
        "",
        Enabling,
        lambda caller, core, uuid, new: project.modify(caller, core, uuid, enabled=new.enabled),
        "Enable or disable a project.",
    ),
    delete(Project, project.delete, "Delete a project that holds nothing of its own."),
    make(
        UserGroup,
        NewUserGroup,
        lambda caller, core, new: usergroup.create(caller, core, new.name),
        "Make a group of users.",
    ),
    change(
        UserGroup,
        "add",
        TheUser,
        lambda caller, core, uuid, new: usergroup.add(caller, core, uuid, new.user),
        "Put a user into it.",
    ),
    change(
        UserGroup,
        "remove",
        TheUser,
        lambda caller, core, uuid, new: usergroup.remove(caller, core, uuid, new.user),
        "Take a user out of it.",
    ),
    delete(UserGroup, usergroup.delete, "Delete a group with its grants; its users stay."),
    make(Grant, NewGrant, _grant, "Give a user, or a group of users, a role in a project."),
    delete(Grant, grant.delete, "Take a role away."),
    Route("POST", "credentials", _create_credential, "Make an access key or a token.", NewCredential, 201),
    Route("POST", "credentials/{id}", _enable_credential, "Enable or disable it.", Enabling),
    Route("POST", "credentials/{id}/rotate", _rotate_credential, "Replace it: the old one is worthless.", status=201),
    Route("DELETE", "credentials/{id}", _revoke_credential, "Make it worthless, from now on."),
    Route("POST", "tokens", _create_token, "Make a signed token, by another one or by a password.", TokenRequest, 201),
    Route("DELETE", "tokens/{id}", _revoke_token, "Revoke a signed token, by its id; `user` names another's."),
)
"""Tried in this order."""
