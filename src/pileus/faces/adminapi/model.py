"""The service model of the admin API, in the form of the vendors' models: parameters, answers and their names.

Source: PiNet's and early Nova's admin API, as their clients parse it (`UserInfo`, `ProjectInfo`).
"""

from __future__ import annotations

from typing import Any, Final

from pileus.faces.wire.model import ServiceModel

VERSION: Final = "2009-11-30"
"""The version of PiNet's API; clients that speak EC2 send that of EC2."""


def _structure(*members: str, required: tuple[str, ...] = (), **others: str) -> dict[str, Any]:
    shapes = {**dict.fromkeys(members, "String"), **others}
    return {
        "type": "structure",
        "members": {name: {"shape": shape} for name, shape in shapes.items()},
        "required": required,
    }


_REQUESTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], str]]] = {
    "DescribeUser": (("Name",), (), "UserInfo"),
    "DescribeUsers": ((), (), "Users"),
    "RegisterUser": (("Name",), (), "UserInfo"),
    "DeregisterUser": (("Name",), (), ""),
    "GenerateX509ForUser": (("Name",), ("Project",), "UserInfo"),
    "DescribeRoles": ((), ("Project",), "Roles"),
    "DescribeUserRoles": (("User",), ("Project",), "Roles"),
    "ModifyUserRole": (("User", "Role"), ("Project", "Operation"), ""),
    "DescribeProject": (("Name",), (), "ProjectInfo"),
    "DescribeProjects": ((), ("User",), "Projects"),
    "RegisterProject": (("Name",), ("ManagerUser", "Description"), "ProjectInfo"),
    "DeregisterProject": (("Name",), (), ""),
    "DescribeProjectMembers": (("Name",), (), "Members"),
    "ModifyProjectMember": (("Project", "User"), ("Operation",), ""),
}
"""Each action: parameters that it needs, others that it takes, and the shape of its answer."""

_SHAPES: Final[dict[str, Any]] = {
    "String": {"type": "string"},
    "UserInfo": _structure("username", "accesskey", "secretkey", "file"),
    "ProjectInfo": _structure("projectname", "description", "projectManagerId"),
    "Role": _structure("role"),
    "Member": _structure("member"),
    "Users": _structure(userSet="UserList"),
    "Projects": _structure(projectSet="ProjectList"),
    "Roles": _structure(roles="RoleList"),
    "Members": _structure(members="MemberList"),
    "UserList": {"type": "list", "member": {"shape": "UserInfo"}},
    "ProjectList": {"type": "list", "member": {"shape": "ProjectInfo"}},
    "RoleList": {"type": "list", "member": {"shape": "Role"}},
    "MemberList": {"type": "list", "member": {"shape": "Member"}},
}


def model() -> ServiceModel:
    """Return the model of the service."""
    operations, shapes = {}, dict(_SHAPES)
    for name, (required, optional, output) in _REQUESTS.items():
        shapes[f"{name}Request"] = _structure(*required, *optional, required=required)
        operations[name] = {"name": name, "input": {"shape": f"{name}Request"}}
        if output:
            operations[name]["output"] = {"shape": output}
    metadata = {
        "apiVersion": "2016-11-15",
        "protocol": "ec2",
        "xmlNamespace": f"http://ec2.amazonaws.com/doc/{VERSION}/",
    }
    return ServiceModel.of("admin", {"metadata": metadata, "operations": operations, "shapes": shapes})
