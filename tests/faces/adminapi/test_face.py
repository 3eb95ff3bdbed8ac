"""The admin API over a store in memory: users, projects, roles and certificates, by signatures of both versions."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from defusedxml.ElementTree import fromstring

from pileus.faces.adminapi.actions import ACTIONS
from pileus.faces.adminapi.face import AdminFace
from pileus.faces.adminapi.model import model
from pileus.faces.wire import signing, sigv2
from pileus.faces.wire.http import Request, Response
from pileus.faces.wire.signing import RawRequest, SigningCredential
from pileus.model.caller import SYSTEM
from pileus.rules.credential import Authority
from pileus.verbs import user

if TYPE_CHECKING:
    from tests.site import Site

PATH = "/services/Admin/"
HEADERS = {"host": "cloud.test:8773"}


class AdminClient:
    """Signs as a user of its own."""

    def __init__(self, site: Site, name: str, *, admin: bool) -> None:
        self.account = user.create(SYSTEM, site.core, name, admin=admin)
        self.face = AdminFace(site.core, Authority(site.core))
        self.now = site.store.now

    def call(self, action: str, **params: str) -> Response:
        """One action, by Signature Version 2 in the query, as boto 2 has it."""
        request = RawRequest("GET", PATH, "", HEADERS)
        all_params = {"Action": action, "Version": "2009-11-30", **params}
        secret = self.account.secret_key.encode()
        signed = sigv2.sign(request, all_params, self.account.access_key, secret, self.now())
        return self.face.handle(Request("GET", PATH, urlencode(signed), HEADERS, b""))

    def values(self, action: str, tag: str, **params: str) -> list[str]:
        """The texts of the elements of this name in a good answer."""
        response = self.call(action, **params)
        assert response.status == 200, response.body
        return [element.text or "" for element in fromstring(response.body).iter() if element.tag.endswith(f"}}{tag}")]


@pytest.fixture
def root(site: Site) -> AdminClient:
    """An administrator of the cloud."""
    return AdminClient(site, "root", admin=True)


def code(response: Response) -> tuple[int, str]:
    """The status and code of a refusal."""
    return response.status, fromstring(response.body).findtext(".//Code") or ""


def test_every_action_is_in_the_model() -> None:
    assert model().operations.keys() == ACTIONS.keys()


def test_users_come_and_go(root: AdminClient) -> None:
    assert root.values("RegisterUser", "username", Name="eve") == ["eve"]
    assert code(root.call("RegisterUser", Name="eve")) == (409, "EntityAlreadyExists")
    assert root.values("DescribeUsers", "username") == ["root", "eve"]
    assert root.values("DescribeUser", "accesskey", Name="eve")[0].startswith("AKIA")
    assert root.values("DescribeUser", "secretkey", Name="eve") == [""]
    assert root.values("DeregisterUser", "return", Name="eve") == ["true"]
    assert code(root.call("DescribeUser", Name="eve")) == (404, "NoSuchEntity")
    assert code(root.call("DeregisterUser", Name="root")) == (409, "DeleteConflict")


def test_credentials_are_a_zip_for_the_url_that_the_client_used(root: AdminClient) -> None:
    root.call("RegisterUser", Name="eve")
    (text,) = root.values("GenerateX509ForUser", "file", Name="eve", Project="eve")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as archive:
        assert "export EC2_URL=http://cloud.test:8773/services/Cloud/\n" in archive.read("novarc").decode()
    assert code(root.call("GenerateX509ForUser", Name="eve", Project="root")) == (400, "InvalidParameterValue")


def test_projects_and_roles(root: AdminClient) -> None:
    root.call("RegisterUser", Name="eve")
    assert root.values("RegisterProject", "projectManagerId", Name="shop", ManagerUser="eve") == ["eve"]
    assert root.values("DescribeProject", "projectManagerId", Name="shop") == ["eve"]
    assert root.values("DescribeProjects", "projectname", User="eve") == ["eve", "shop"]
    assert root.values("DescribeRoles", "role") == ["reader", "member", "admin", "cloudadmin"]
    assert root.values("ModifyUserRole", "return", User="eve", Role="reader", Project="shop") == ["true"]
    assert root.values("DescribeUserRoles", "role", User="eve", Project="shop") == ["reader"]
    refused = root.call("ModifyUserRole", User="eve", Role="admin", Project="shop", Operation="remove")
    assert code(refused) == (404, "NoSuchEntity")
    root.call("ModifyUserRole", User="eve", Role="cloudadmin")
    assert root.values("DescribeUserRoles", "role", User="eve", Project="shop") == ["reader", "cloudadmin"]
    assert root.values("ModifyProjectMember", "return", User="eve", Project="shop", Operation="remove") == ["true"]
    assert root.values("DescribeProjectMembers", "member", Name="shop") == []
    assert root.values("ModifyProjectMember", "return", User="eve", Project="shop") == ["true"]
    assert root.values("DescribeProjectMembers", "member", Name="shop") == ["eve"]
    assert root.values("DeregisterProject", "return", Name="shop")
    assert code(root.call("ModifyUserRole", User="eve", Role="netadmin")) == (400, "InvalidParameterValue")
    wrong = root.call("ModifyProjectMember", User="eve", Project="root", Operation="drop")
    assert code(wrong) == (400, "InvalidParameterValue")


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_others_than_administrators_are_refused(site: Site, action: str) -> None:
    params = {"Name": "root", "User": "root", "Project": "root", "Role": "admin"}
    needed = {name: value for name, value in params.items() if name in model().shapes[f"{action}Request"].members}
    eve = AdminClient(site, "eve", admin=False)
    assert code(eve.call(action, **needed)) == (403, "UnauthorizedOperation")


def test_what_is_no_request_of_this_api_is_refused(root: AdminClient) -> None:
    assert code(root.call("RunInstances")) == (400, "InvalidAction")
    assert code(root.call("DescribeUser")) == (400, "MissingParameter")
    assert code(root.call("DescribeUser", Name="x", Colour="red")) == (400, "UnknownParameter")
    assert code(root.call("DescribeUser", Name="x" * 4000)) == (413, "RequestEntityTooLarge")
    assert code(root.face.handle(Request("PUT", PATH, "", HEADERS, b"")))[0] == 400
    assert code(root.face.handle(Request("GET", PATH, "Action=DescribeUsers", HEADERS, b"")))[0] >= 400
    root.account = user.create(SYSTEM, root.face._core, "stranger")
    wrong = RawRequest("GET", PATH, "", HEADERS)
    signed = sigv2.sign(wrong, {"Action": "DescribeUsers"}, root.account.access_key, b"wrong", root.now())
    assert code(root.face.handle(Request("GET", PATH, urlencode(signed), HEADERS, b""))) == (401, "AuthFailure")


@pytest.mark.parametrize(("service", "status"), [("ec2", 200), ("cloud", 200), ("s3", 401), ("iam", 401)])
def test_a_signature_of_version_4_is_for_this_service(root: AdminClient, service: str, status: int) -> None:
    body = b"Action=DescribeUsers&Version=2016-11-15"
    request = RawRequest("POST", PATH, "", HEADERS, body)
    credential = SigningCredential(root.account.access_key, root.account.secret_key.encode(), "us-east-1", service)
    headers = signing.sign(request, credential, root.now())
    assert root.face.handle(Request("POST", PATH, "", headers, body)).status == status
