"""The typed layer: paths, forms of documents, bodies in a dialect's words, versions, pages and errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from defusedxml import ElementTree

from pileus.faces.wire import media, typed
from pileus.faces.wire.http import Identified, Request, Response
from pileus.faces.wire.refusals import OWN, STATUS, ErrorTable, Refusal
from pileus.faces.wire.streams import Waiting, event
from pileus.faces.wire.typed import BodyWords, OpenDocument, Route, TypedDialect, TypedFace, TypedRequest
from pileus.model.caller import Caller
from pileus.model.errors import ERRORS, Conflict, Fault, Throttled

if TYPE_CHECKING:
    from pileus.rules.core import Core

ANN = Caller(user="u", user_name="ann", project="p", request="request-1")
FORMS = (media.JSON, media.xml("answer", "element", "urn:toy"))


class NewServer(msgspec.Struct, frozen=True, kw_only=True):
    """A body."""

    name: str
    flavor: int = 1


def document(refusal: Refusal) -> object:
    """An error as the dialect has it."""
    return {refusal.code: {"code": refusal.status, "message": refusal.message}}


def shown(request: TypedRequest) -> Any:
    """The fields of a request."""
    return {**request.path, **request.query, "flag": request.flag("flag"), "next": request.next_page("m 1")}


def failing(request: TypedRequest) -> Any:
    """Refuse, as the path says."""
    raise {"conflict": Conflict("It is in use.", noun="server"), "fault": Fault("Broken", "It broke.")}[
        request.path["how"]
    ]


ROUTES = (
    Route("GET", "servers/{number:int}", shown, "By number."),
    Route("GET", "servers/{name}", shown, "By name."),
    Route("POST", "servers", lambda request: msgspec.to_builtins(request.read(NewServer)), "Make.", NewServer, 202),
    Route("GET", "fail/{how}", failing, "Fail."),
    Route("GET", "later", lambda _: Waiting(lambda: None, lambda: {"late": True}, frozenset(), 1.0), "Wait."),
    Route("GET", "never/{how}", lambda asked: Waiting(lambda: None, lambda: failing(asked), frozenset(), 1.0), "Wait."),
)


def face(**more: Any) -> TypedFace:
    """A dialect with a version document, and errors of its own form."""
    errors = ErrorTable({**STATUS, "Conflict": 417}, OWN, document, "Toy")
    opened = (OpenDocument("", lambda request: typed.versions(request, {"v2.1": "CURRENT"}, "/toy/"), 300),)
    core: Core = None  # type: ignore[assignment]  # no route of these needs one

    def proven(request: Request) -> Caller | None:
        return ANN if request.headers.get("x-auth-token") == "good" else None

    dialect = TypedDialect(
        "toy", "/toy/", ROUTES, proven, "Show it.", errors, opened, FORMS, suffixes=True, see="/toy/"
    )
    return TypedFace(core, dialect._replace(**more))


def ask(
    method: str,
    path: str,
    body: bytes = b"",
    query: str = "",
    to: TypedFace | None = None,
    *,
    token: str = "good",
    accept: str = "",
) -> Response:
    """The answer to a request with a token."""
    given = {"x-auth-token": token, "host": "cloud.test", "accept": accept}
    return (to or face()).handle(Request(method, path, query, given, body, "https"))


def test_words_of_paths_have_types() -> None:
    assert json.loads(ask("GET", "/toy/servers/7").body)["number"] == 7
    assert json.loads(ask("GET", "/toy/servers/7%2F").body)["name"] == "7/"
    assert json.loads(ask("GET", f"/toy/servers/{'1' * 40}").body)["name"] == "1" * 40
    assert ask("GET", "/toy/servers/a/b").status == 404
    refused = json.loads(ask("DELETE", "/toy/servers/7").body)
    assert refused["MethodNotAllowed"]["message"] == "DELETE does not go with this path; GET does."


def test_a_page_names_the_next_one() -> None:
    found = json.loads(ask("GET", "/toy/servers/7", query="limit=2&flag=1").body)
    assert (found["limit"], found["flag"]) == ("2", True)
    assert found["next"] == "/toy/servers/7?limit=2&flag=1&after=m+1"
    assert typed.link("next", "/x") == {"rel": "next", "href": "/x"}


@pytest.mark.parametrize(
    ("path", "accept", "type_"),
    [
        ("/toy/servers/7", "", "application/json"),
        ("/toy/servers/7", "*/*", "application/json"),
        ("/toy/servers/7", "text/html, application/xml;q=0.9", "application/xml"),
        ("/toy/servers/7", "application/xml;q=0, application/json", "application/json"),
        ("/toy/servers/7.json", "application/xml", "application/json"),
        ("/toy/servers/7.xml", "", "application/xml"),
        ("/toy/nowhere.xml", "", "application/xml"),
    ],
)
def test_the_suffix_or_the_client_says_the_form(path: str, accept: str, type_: str) -> None:
    answer = ask("GET", path, accept=accept)
    assert answer.headers["content-type"] == type_
    assert answer.headers["x-request-id"] == "request-1"
    if type_ == "application/xml":
        assert ElementTree.fromstring(answer.body).tag == "{urn:toy}answer"


def test_documents_are_xml_whatever_is_in_them() -> None:
    value = {"list": [1, {"a": None}, True], "b c": "<&\x00", 'q"': {"x": 1.5}, "none": None}
    root = ElementTree.fromstring(media.xml("r")[2](value))
    assert [item.text for item in root.iterfind("list/item")] == ["1", None, "true"]
    assert [(entry.get("key"), entry.text) for entry in root.iterfind("entry")] == [("b c", "<&\ufffd"), ('q"', None)]
    assert root.find("none") is None


def test_a_body_that_does_not_fit_is_refused_in_the_dialects_words() -> None:
    assert json.loads(ask("POST", "/toy/servers", b'{"name": "a"}').body) == {"name": "a", "flavor": 1}
    for body in (b"{", b'{"flavor": 1}', b'{"name": 1}', b'{"name": "a", "size": 1}', b"[]"):
        assert "InvalidValue" in json.loads(ask("POST", "/toy/servers", body).body)
    own = face(words=BodyWords("No '{field}' here.", "Bad request: {why}", overlooks_unknown=False))
    for body, text in ((b'{"x": 1}', "No 'x' here."), (b'{"name": 1}', "Bad request: Expected `str`")):
        assert json.loads(ask("POST", "/toy/servers", body, to=own).body)["InvalidValue"]["message"].startswith(text)
    lenient = face(words=BodyWords(overlooks_unknown=True))
    assert ask("POST", "/toy/servers", b'{"name": "a", "x": 1}', to=lenient).status == 202


def test_errors_are_what_the_table_says() -> None:
    answer = ask("GET", "/toy/fail/conflict")
    assert (answer.status, answer.code) == (417, "Conflict")
    assert json.loads(answer.body) == {"Conflict": {"code": 417, "message": "It is in use."}}
    assert (ask("GET", "/toy/fail/fault").status, ask("GET", "/toy/fail/fault").code) == (502, "Fault")
    nobody = ask("GET", "/toy/servers/7.xml", token="bad")
    assert (nobody.status, nobody.headers["www-authenticate"]) == (401, "Toy")
    assert ElementTree.fromstring(nobody.body).find("{*}Unauthorized") is not None
    assert face().refused(Throttled("Later.")).headers["retry-after"] == "1"
    assert {error.code for error in ERRORS} == STATUS.keys()


def test_anybody_reads_the_versions() -> None:
    answer = ask("GET", "/toy/", token="")
    (version,) = json.loads(answer.body)["versions"]
    assert (answer.status, version["id"], version["status"]) == (300, "v2.1", "CURRENT")
    assert version["links"] == [{"rel": "self", "href": "https://cloud.test/toy/v2.1/"}]


def test_an_answer_that_is_waited_for_is_a_document_too() -> None:
    given = face().identify(Request("GET", "/toy/later", "", {"x-auth-token": "good"}, b""))
    assert isinstance(given, Identified)
    waiting = given.answer()
    assert isinstance(waiting, Waiting)
    assert waiting.look() is None
    late = waiting.late()
    assert (late.body, late.action) == (b'{"late":true}', "GET /toy/later")


def test_an_answer_that_comes_late_may_be_a_refusal() -> None:
    given = face().identify(Request("GET", "/toy/never/conflict", "", {"x-auth-token": "good"}, b""))
    assert isinstance(given, Identified)
    assert given.now().code == "Conflict"


def test_an_event_has_its_lines() -> None:
    assert event(b"a\nb", "changed", "7") == b"event: changed\nid: 7\ndata: a\ndata: b\n\n"
