"""The actions of the admin API over the verbs of users, projects, grants and certificates."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pileus.model.credential import Credential
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.role import ROLES
from pileus.model.user import User
from pileus.verbs import certificate, grant, project, user

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.role import Role
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

N = TypeVar("N", User, Project)

CLOUD_ADMIN: Final = "cloudadmin"
"""Nova's word for the role of an administrator of the cloud, which is of no project."""


class AdminCall(NamedTuple):
    """A request after parsing: `args` by their names, `url` that of the server as the client called it."""

    core: Core
    caller: Caller
    args: dict[str, str]
    url: str

    def named(self, tx: Reader, cls: type[N], name: str) -> N:
        """The noun with this name. Raises NotFound."""
        noun = tx.named(cls, name)
        if noun is None:
            raise NotFound(f"The {cls.KIND} '{name[:64]}' does not exist.", noun=cls.KIND, ident=name[:64])
        return noun

    def uuid(self, cls: type[N], parameter: str) -> str:
        """The uuid of the noun that a parameter names. Raises NotFound."""
        with self.core.store.read() as tx:
            return self.named(tx, cls, self.args[parameter]).uuid

    def adds(self) -> bool:
        """Whether the operation is `add`, as it is by default, and not `remove`. Raises InvalidValue."""
        operation = self.args.get("Operation", "add")
        if operation not in ("add", "remove"):
            raise InvalidValue(f"The Operation '{operation[:64]}' is neither add nor remove.", reason="operation")
        return operation == "add"


def _user_info(tx: Reader, row: User) -> dict[str, str]:
    keys = [each for each in tx.referring(Credential, [row.uuid]) if each.wanted.type == "aws" and each.wanted.enabled]
    return {"username": row.name, "accesskey": keys[-1].wanted.key if keys else "", "secretkey": "", "file": ""}


def _project_info(row: Project, manager: str = "") -> dict[str, str]:
    return {"projectname": row.name, "description": row.name, "projectManagerId": manager}


def describe_user(call: AdminCall) -> dict[str, Any]:
    """A user and its newest access key; the secret is readable at its making alone."""
    with call.core.store.read() as tx:
        return _user_info(tx, call.named(tx, User, call.args["Name"]))


def describe_users(call: AdminCall) -> dict[str, Any]:
    """All users of the cloud."""
    with call.core.store.read() as tx:
        return {"userSet": [_user_info(tx, row) for row in tx.list(User)]}


def register_user(call: AdminCall) -> dict[str, Any]:
    """Make a user in a project of its name, with an access key."""
    account = user.create(call.caller, call.core, call.args["Name"])
    keys = {"accesskey": account.access_key, "secretkey": account.secret_key}
    return {"username": account.user, **keys, "file": ""}


def deregister_user(call: AdminCall) -> dict[str, Any]:
    """Delete a user with its keys and certificates; what it made stays."""
    user.delete(call.caller, call.core, call.uuid(User, "Name"))
    return {}


def generate_x509_for_user(call: AdminCall) -> dict[str, Any]:
    """Make an access key and a certificate of a user: `file` is a zip with an rc file, in base64."""
    uuid = call.uuid(User, "Name")
    if "Project" in call.args:
        with call.core.store.read() as tx:
            home = call.named(tx, Project, call.args["Project"]).uuid
            if tx.need(User, uuid).wanted.home != home:
                raise InvalidValue("The credentials of a user are for its home project.", noun="user", reason="project")
    archive = certificate.archive(call.caller, call.core, call.url, uuid)
    keys = {"accesskey": archive.access_key, "secretkey": archive.secret_key}
    return {"username": archive.user, **keys, "file": base64.b64encode(archive.file).decode()}


def describe_roles(_call: AdminCall) -> dict[str, Any]:
    """The roles that users have in projects, and that of an administrator of the cloud."""
    return {"roles": [{"role": role} for role in (*ROLES, CLOUD_ADMIN)]}


def describe_user_roles(call: AdminCall) -> dict[str, Any]:
    """The roles that a user was granted, in one project or in all."""
    with call.core.store.read() as tx:
        row = call.named(tx, User, call.args["User"])
        place = call.named(tx, Project, call.args["Project"]).uuid if "Project" in call.args else ""
        grants = [each for each in tx.referring(Grant, [row.uuid]) if place in ("", each.project)]
    roles = dict.fromkeys(each.wanted.role for each in grants)
    return {"roles": [{"role": role} for role in (*roles, *((CLOUD_ADMIN,) if row.wanted.admin else ()))]}


def modify_user_role(call: AdminCall) -> dict[str, Any]:
    """Give a user a role in a project, by default its home, or take it away."""
    adds, uuid, role = call.adds(), call.uuid(User, "User"), call.args["Role"]
    if role == CLOUD_ADMIN:
        user.modify(call.caller, call.core, uuid, admin=adds)
        return {}
    chosen: Role | None = next((each for each in ROLES if each == role), None)
    if chosen is None:
        known_roles = ", ".join((*ROLES, CLOUD_ADMIN))
        raise InvalidValue(f"The Role '{role[:64]}' is none of {known_roles}.", noun="grant", reason="role")
    with call.core.store.read() as tx:
        home = tx.need(User, uuid).wanted.home
        place = call.named(tx, Project, call.args["Project"]).uuid if "Project" in call.args else home
    if adds:
        grant.create(call.caller, call.core, chosen, user=uuid, project=place)
    else:
        _end_grant(call, uuid, place, chosen)
    return {}


def describe_project(call: AdminCall) -> dict[str, Any]:
    """A project and one of its admins."""
    with call.core.store.read() as tx:
        return _with_manager(tx, call.named(tx, Project, call.args["Name"]))


def describe_projects(call: AdminCall) -> dict[str, Any]:
    """All projects, or those in which a user was granted a role."""
    with call.core.store.read() as tx:
        rows = tx.list(Project)
        if "User" in call.args:
            row = call.named(tx, User, call.args["User"])
            places = {each.project for each in tx.referring(Grant, [row.uuid])}
            rows = [each for each in rows if each.uuid in places]
        return {"projectSet": [_with_manager(tx, each) for each in rows]}


def _with_manager(tx: Reader, row: Project) -> dict[str, str]:
    admins = [each.wanted.user for each in tx.list(Grant, project=row.uuid) if each.wanted.role == "admin"]
    managers = tx.many(User, filter(None, admins))
    return _project_info(row, next((each.name for each in managers.values()), ""))


def register_project(call: AdminCall) -> dict[str, Any]:
    """Make a project with a default network; its ManagerUser has the role admin there."""
    manager = call.uuid(User, "ManagerUser") if "ManagerUser" in call.args else ""
    row = project.create(call.caller, call.core, call.args["Name"])
    if manager:
        grant.create(call.caller, call.core, "admin", user=manager, project=row.uuid)
    return _project_info(row, call.args.get("ManagerUser", ""))


def deregister_project(call: AdminCall) -> dict[str, Any]:
    """Delete a project that holds nothing of its own."""
    project.delete(call.caller, call.core, call.uuid(Project, "Name"))
    return {}


def describe_project_members(call: AdminCall) -> dict[str, Any]:
    """The users with a grant of their own in a project."""
    with call.core.store.read() as tx:
        row = call.named(tx, Project, call.args["Name"])
        users = tx.many(User, [each.wanted.user for each in tx.list(Grant, project=row.uuid) if each.wanted.user])
    return {"members": [{"member": each.name} for each in users.values()]}


def modify_project_member(call: AdminCall) -> dict[str, Any]:
    """Make a user a member of a project, or take its role there away."""
    adds, uuid, place = call.adds(), call.uuid(User, "User"), call.uuid(Project, "Project")
    if adds:
        grant.create(call.caller, call.core, "member", user=uuid, project=place)
    else:
        _end_grant(call, uuid, place)
    return {}


def _end_grant(call: AdminCall, uuid: str, place: str, role: Role | None = None) -> None:
    """Take away a user's own grant in a project, of this role or of any. Raises NotFound."""
    with call.core.store.read() as tx:
        holder = tx.claimed(Grant.POOL, Grant.place(place, uuid))
        row = tx.need(Grant, holder[1]) if holder else None
    if row is None or role not in (None, row.wanted.role):
        raise NotFound("The user has no such role in the project.", noun="grant", reason="role")
    grant.delete(call.caller, call.core, row.uuid)


ACTIONS: Final[dict[str, Callable[[AdminCall], dict[str, Any]]]] = {
    "DescribeProject": describe_project,
    "DescribeProjectMembers": describe_project_members,
    "DescribeProjects": describe_projects,
    "DescribeRoles": describe_roles,
    "DescribeUser": describe_user,
    "DescribeUserRoles": describe_user_roles,
    "DescribeUsers": describe_users,
    "DeregisterProject": deregister_project,
    "DeregisterUser": deregister_user,
    "GenerateX509ForUser": generate_x509_for_user,
    "ModifyProjectMember": modify_project_member,
    "ModifyUserRole": modify_user_role,
    "RegisterProject": register_project,
    "RegisterUser": register_user,
}
"""Every action, by its name."""
