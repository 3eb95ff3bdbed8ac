"""The dialect to the byte, and what it refuses."""

from __future__ import annotations

import xmlrpc.client
from typing import TYPE_CHECKING, Any

import pytest

from pileus.faces.mcc.face import MccFace
from pileus.faces.mcc.methods import METHODS, STATUS
from pileus.faces.mcc.settings import MccSettings
from pileus.faces.wire.http import Request, Response
from pileus.model.caller import SYSTEM
from pileus.model.errors import ERRORS
from pileus.model.instance import State
from pileus.model.spec import InstanceSpec
from pileus.verbs import network, project
from pileus.verbs.instance.launch import Launch
from tests.site import Site

if TYPE_CHECKING:
    from pileus.model.caller import Caller

HEAD = b'<?xml version="1.0" ?>'
POOL = "10.0.0.110-10.0.0.111"


class Mcc:
    """A face over a site with two container images and two addresses."""

    def __init__(self) -> None:
        self.site = Site()
        self.site.host("h1")
        self.ann: Caller = self.site.caller("blue")
        for name, kind in (("ubuntu", "container"), ("centos", "container"), ("vm", "machine")):
            self.site.image(self.ann, name, kind=kind)
        self.face = MccFace(self.site.core, MccSettings())
        self.face.act(lambda: self.ann, network.flat(self.ann, self.site.core, POOL))

    def post(self, body: bytes, path: str = "/", **headers: str) -> Response:
        """One request as clients send it."""
        given = {"content-type": "text/xml", "content-length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.face.handle(Request("POST", path, "", given, body))

    def call(self, method: str, *params: Any) -> Any:
        """A call by Python's own library."""
        answer = self.post(xmlrpc.client.dumps(params, method, allow_none=True).encode())
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        return xmlrpc.client.loads(answer.body.decode())[0][0]

    def fault(self, method: str, *params: Any) -> tuple[int, str]:
        """The fault that a call ends with."""
        with pytest.raises(xmlrpc.client.Fault) as caught:
            self.call(method, *params)
        return caught.value.faultCode, caught.value.faultString


@pytest.fixture
def mcc() -> Mcc:
    """A face of the test's own."""
    return Mcc()


def call(method: str, inner: bytes = b"") -> bytes:
    return (
        HEAD
        + b"<methodCall><methodName>"
        + method.encode()
        + b"</methodName><params>"
        + inner
        + b"</params></methodCall>\n"
    )


def answered(inner: bytes) -> bytes:
    return HEAD + b"<methodResponse><params><param><value>" + inner + b"</value></param></params></methodResponse>\n"


def test_every_method_to_the_byte(mcc: Mcc) -> None:
    none = answered(b"<array><data/></array>")
    assert mcc.post(call("openvz.get_instances")).body == none
    assert mcc.post(call("openvz.get_images")).body == answered(
        b"<array><data><value><string>centos</string></value><value><string>ubuntu</string></value></data></array>"
    )
    assert mcc.post(call("openvz.get_instance_types")).body == answered(
        b"<array><data>"
        + b"".join(
            b"<value><string>" + name + b"</string></value>"
            for name in (b"basic", b"light", b"unlimited", b"vswap-1024m", b"vswap-256m", b"vswap-512m")
        )
        + b"</data></array>"
    )
    texts = (b"centos", b"basic", b"ssh-rsa AAAA me\n", b"a<&>b")
    given = b"".join(
        b"<param><value><string>"
        + text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
        + b"</string></value></param>"
        for text in texts
    )
    assert mcc.post(call("openvz.run_instance", given)).body == answered(
        b"<struct><member><name>id</name><value><i4>500</i4></value></member>"
        b"<member><name>ip</name><value><string>10.0.0.110</string></value></member></struct>"
    )
    assert mcc.post(call("openvz.get_instances")).body == none, "it does not run yet"
    assert [each["id"] for each in mcc.call("openvz.get_instances", {"all": True})] == ["500"]
    assert [each["id"] for each in mcc.call("openvz.get_instances", {"instance": "500"})] == ["500"]
    assert mcc.call("openvz.get_instances", {"instance": ""}) == []
    mcc.site.settle()
    assert mcc.post(call("openvz.get_instances")).body == answered(
        b"<array><data><value><struct>"
        b"<member><name>id</name><value><string>500</string></value></member>"
        b"<member><name>ip</name><value><string>10.0.0.110</string></value></member>"
        b"<member><name>status</name><value><string>running</string></value></member>"
        b"<member><name>ostemplate</name><value><string>centos</string></value></member>"
        b"<member><name>name</name><value><string>a&lt;&amp;&gt;b</string></value></member>"
        b"</struct></value></data></array>"
    )
    assert mcc.post(
        call("openvz.destroy_instance", b"<param><value><string>500</string></value></param>")
    ).body == answered(b"<boolean>1</boolean>")
    mcc.site.settle()
    assert mcc.post(call("openvz.get_instances", b"<param><value><struct/></value></param>")).body == none


def test_faults_to_the_byte(mcc: Mcc) -> None:
    def fault(code: int, text: str) -> bytes:
        return (
            HEAD + b"<methodResponse><fault><value><struct>"
            b"<member><name>faultCode</name><value><i4>" + str(code).encode() + b"</i4></value></member>"
            b"<member><name>faultString</name><value><string>" + text.encode() + b"</string></value></member>"
            b"</struct></value></fault></methodResponse>\n"
        )

    missing = "Method {} missing or wrong number of parameters!"
    assert mcc.post(call("openvz.nothing")).body == fault(1, missing.format("openvz.nothing"))
    assert mcc.post(call("openvz.destroy_instance")).body == fault(1, missing.format("openvz.destroy_instance"))
    text = "Uncaught exception Instance ID not found in method openvz.destroy_instance"
    assert mcc.post(call("openvz.destroy_instance", b"<param><value><i4>7</i4></value></param>")).body == fault(2, text)


def test_what_is_not_one_of_five_methods_is_missing(mcc: Mcc) -> None:
    assert len(METHODS) == 5
    for method, params in (
        ("system.listMethods", ()),
        ("system.multicall", ([],)),
        ("openvz.instance_variable_get", ("@ip_start",)),
        ("openvz.instance_eval", ("1",)),
        ("openvz.__class__", ()),
        ("openvz._run_instance", ("x",)),
        ("get_images", ()),
        ("openvz.get_images", (1,)),
        ("openvz.get_instance_types", ({},)),
        ("openvz.get_instances", ({}, {})),
        ("openvz.run_instance", ()),
        ("openvz.run_instance", ("centos", "basic", "", "", "")),
        ("openvz.destroy_instance", (500, 501)),
    ):
        assert mcc.fault(method, *params) == (1, f"Method {method} missing or wrong number of parameters!")


def test_nobody_acts_in_a_disabled_project(mcc: Mcc) -> None:
    core = mcc.site.core
    project.modify(SYSTEM, core, mcc.ann.project, enabled=False)
    for method in ("openvz.get_instances", "openvz.get_images"):
        assert "The project 'blue' is disabled." in mcc.fault(method)[1]
    project.modify(SYSTEM, core, mcc.ann.project, enabled=True)
    assert mcc.call("openvz.get_instances") == []


def test_what_a_launch_is_refused_for(mcc: Mcc) -> None:
    run = "openvz.run_instance"

    def uncaught(text: str) -> tuple[int, str]:
        return 2, f"Uncaught exception {text} in method {run}"

    assert mcc.fault(run, "nope", "nope") == uncaught("Instance type nope not found"), "the type is looked at first"
    assert mcc.fault(run, "nope", "basic") == uncaught("Image template nope not found!")
    assert mcc.fault(run, "vm", "basic") == uncaught("Image template vm not found!")
    assert mcc.fault(run, "centos", "m1.small") == uncaught("Instance type m1.small not found")
    assert mcc.fault(run, 7, "basic") == uncaught("Image template 7 not found!")
    assert mcc.fault(run, "centos", ["basic"]) == uncaught("Instance type ['basic'] not found")
    assert mcc.fault(run, "centos", "basic", "k" * 20000)[0] == 2
    assert mcc.fault(run, "centos", "basic", "", "n" * 257)[0] == 2
    assert [mcc.call(run, "centos")["id"] for _ in range(2)] == [500, 501]
    assert mcc.fault(run, "centos") == uncaught("Do not have any more free leases!")
    assert len(mcc.call("openvz.get_instances", {"all": True})) == 2


def test_lists_are_chosen_as_ruby_reads_what_is_asked(mcc: Mcc) -> None:
    listed = "openvz.get_instances"
    first = mcc.call("openvz.run_instance", "ubuntu")
    mcc.site.settle()
    mcc.call("openvz.run_instance", "centos", "light", "", "second")

    def ids(*params: Any) -> list[str]:
        return [each["id"] for each in mcc.call(listed, *params)]

    assert first == {"id": 500, "ip": "10.0.0.110"}
    assert ids() == ids({}) == ids({"all": False}) == ids({"other": 1}) == ["500"]
    assert ids({"all": True}) == ids({"all": 0}) == ids({"all": ""}) == ["500", "501"]
    assert ids({"instance": "501"}) == ids({"instance": 501}) == ids({"instance": "501", "all": True}) == ["501"]
    assert ids({"instance": "7"}) == ids({"instance": "x"}) == ids({"instance": ""}) == []
    assert mcc.call(listed, {"all": True}) == [
        {"id": "500", "ip": "10.0.0.110", "status": "running", "ostemplate": "ubuntu", "name": "-"},
        {"id": "501", "ip": "10.0.0.111", "status": "mounted", "ostemplate": "centos", "name": "second"},
    ]


@pytest.mark.parametrize("ident", ["500", 500, "500abc", " 500", "5_00", 500.9, "+500"])
def test_ids_are_read_as_ruby_reads_them(mcc: Mcc, ident: Any) -> None:
    mcc.call("openvz.run_instance", "centos")
    assert mcc.call("openvz.destroy_instance", ident) is True
    assert mcc.call("openvz.destroy_instance", ident) is True, "until it is gone"


@pytest.mark.parametrize("ident", ["", "abc", "-500", "0", True, None, {}, [500], "5 00", "9" * 40, 1e300])
def test_what_is_no_id(mcc: Mcc, ident: Any) -> None:
    mcc.call("openvz.run_instance", "centos")
    text = "Uncaught exception Instance ID not found in method openvz.destroy_instance"
    assert mcc.fault("openvz.destroy_instance", ident) == (2, text)


def test_what_a_shell_would_run_is_kept_as_it_is(mcc: Mcc) -> None:
    name, key = "a\"; touch x; $(id) `id` \\ ' | & ../..\n", 'ssh-rsa AAAA "; touch x; "\nssh-rsa BBBB $(id)\n\n'
    mcc.call("openvz.run_instance", "centos", "basic", key, name)
    mcc.site.settle()
    assert [each["name"] for each in mcc.call("openvz.get_instances")] == [name]
    (entry,) = mcc.site.agents["h1"].book.entries.values()
    assert isinstance(entry.spec, InstanceSpec)
    assert entry.spec.public_keys == ('ssh-rsa AAAA "; touch x; "', "ssh-rsa BBBB $(id)")


def test_keys_are_roots_whatever_the_image_says(mcc: Mcc) -> None:
    mcc.site.image(mcc.ann, "debian", kind="container", login_user="admin")
    mcc.call("openvz.run_instance", "debian", "basic", "ssh-rsa AAAA")
    mcc.site.settle()
    (entry,) = mcc.site.agents["h1"].book.entries.values()
    assert isinstance(entry.spec, InstanceSpec)
    assert entry.spec.login_user == "root"


def test_any_path_but_only_calls(mcc: Mcc) -> None:
    body = call("openvz.get_images")
    for path in ("/", "/RPC2", "/foo/../bar"):
        assert mcc.post(body, path).status == 200
    assert mcc.post(body, content_type="text/xml; charset=utf-8").status == 200
    assert mcc.post(body, content_type="application/xml").status == 400
    assert mcc.post(body, content_type="").status == 400
    assert mcc.post(body, content_length="").status == 411
    assert mcc.post(b"", content_length="0").status == 411
    for method in ("GET", "PUT", "HEAD", "OPTIONS"):
        refused = mcc.face.handle(Request(method, "/", "", {}, b""))
        assert (refused.status, refused.headers["content-type"]) == (405, "text/html; charset=utf-8")


def deep(levels: int) -> bytes:
    """A value that lies in that many others."""
    return b"<param>" + b"<value><array><data>" * levels + b"</data></array></value>" * levels + b"</param>"


BOMB = b"".join(
    [
        b'<!DOCTYPE b [<!ENTITY a0 "ha">',
        *(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)),
        b"]><methodCall><methodName>&a9;</methodName></methodCall>",
    ]
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<methodCall>",
        b"<methodCall/>",
        b"<methodResponse/>",
        b"<methodCall><methodName/></methodCall>",
        call("openvz.get_images", b"<param/>"),
        call("openvz.destroy_instance", b"<param><value><i4>x</i4></value></param>"),
        call("openvz.destroy_instance", b"<param><value><i4>" + b"9" * 5000 + b"</i4></value></param>"),
        call("openvz.destroy_instance", b"<param><value><boolean>2</boolean></value></param>"),
        call("openvz.destroy_instance", b"<param><value><evil>2</evil></value></param>"),
        call("openvz.destroy_instance", deep(99)),
        call("openvz.destroy_instance", deep(4000)),
        b'<?xml version="1.0" encoding="utf-7"?><methodCall/>',
        b'<?xml version="1.0" encoding="made-up"?><methodCall/>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><methodCall><methodName>a</methodName></methodCall>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><methodCall><methodName>&e;</methodName></methodCall>',
        BOMB,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_call_is_refused_without_being_read_on(mcc: Mcc, body: bytes) -> None:
    answer = mcc.post(body, content_length=str(max(1, len(body))))
    assert (answer.status, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert b"passwd" not in answer.body
    assert b"root:" not in answer.body


def test_text_that_xml_cannot_carry_does_not_break_a_list(mcc: Mcc, monkeypatch: pytest.MonkeyPatch) -> None:
    # A version that did not look at names may have let it into the database.
    monkeypatch.setattr("pileus.model.tag.check", lambda _: None)
    monkeypatch.setattr("pileus.model.tag.check_text", lambda *_: None)
    centos = mcc.site.image(mcc.ann, "another", kind="container", format="tar")
    mcc.site.launch(mcc.ann, Launch(image=centos.uuid, name="a\x01\x1b[2Jb"))
    assert mcc.call("openvz.get_instances", {"all": True})[0]["name"] == "a\ufffd\ufffd[2Jb"


def test_every_state_has_a_word_of_vzlists(mcc: Mcc) -> None:
    assert set(STATUS) == set(State)
    assert set(STATUS.values()) <= {"running", "stopped", "mounted", "suspended"}
    assert {state for state, word in STATUS.items() if word == "running"} == {State.RUNNING, State.STOPPING}


def test_every_error_of_the_core_is_an_uncaught_exception(mcc: Mcc, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (*ERRORS, RuntimeError):

        def raises(*_: object, error: type[Exception] = error) -> None:
            raise error("as it says")

        monkeypatch.setattr("pileus.faces.mcc.methods.image.listing", raises)
        code, text = mcc.fault("openvz.get_images")
        assert (code, text.startswith("Uncaught exception "), text.endswith(" in method openvz.get_images")) == (
            2,
            True,
            True,
        )
        assert ("as it says" in text) == (error is not RuntimeError)
