"""From an HTTP request to a method and back. Every path is the same; only what is no call at all has an HTTP status."""

from __future__ import annotations

import base64
import binascii
import hmac
import inspect
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from pileus.faces.mcc.methods import METHODS, MethodCall
from pileus.faces.wire.http import Request, Response
from pileus.mcc import xmlrpc
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Fault, Forbidden, PileusError
from pileus.model.project import Project
from pileus.verbs import network, project

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.faces.mcc.settings import MccSettings
    from pileus.rules.core import Core

FACE = "mcc"

MISSING, UNCAUGHT = 1, 2
"""The two fault codes: of a call that no method takes, and of everything that a method refuses."""

log = structlog.get_logger()


class MccFace:
    """Answers calls in the project that the settings name, on its flat network. Blocks: call it in a thread."""

    def __init__(self, core: Core, settings: MccSettings) -> None:
        self._core = core
        self._settings = settings
        self._home: tuple[Callable[[], Caller], network.Flat] | None = None

    def open(self) -> None:
        """Make the project and its network. Raises DamagedRow, InvalidValue."""
        home = project.ensure(SYSTEM, self._core, self._settings.project)

        def caller() -> Caller:
            return Caller(
                user="",
                user_name=FACE,
                project=home.uuid,
                project_name=home.name,
                account_id=home.wanted.account_id,
                face=FACE,
                request=str(uuid.uuid4()),
            )

        self.act(caller, network.flat(caller(), self._core, self._settings.range))

    def act(self, caller: Callable[[], Caller], flat: network.Flat) -> None:
        """Answer calls from now on, as what `caller` returns at each one, launching on the network `flat`."""
        self._home = caller, flat

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a call without the token, or before the face is open."""
        token = self._settings.token
        if token and not hmac.compare_digest(_shown(request.headers.get("authorization", "")), token.encode()):
            return self.page(HTTPStatus.UNAUTHORIZED)
        return None if self._home else self.page(HTTPStatus.SERVICE_UNAVAILABLE)

    def page(self, status: int, text: str = "") -> Response:
        """Return the answer to what is no call: a page for people, as such servers give."""
        title = HTTPStatus(status).phrase
        body = (
            '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.0//EN">\n'
            f"<HTML>\n  <HEAD><TITLE>{title}</TITLE></HEAD>\n  <BODY>\n    <H1>{title}</H1>\n    {text}\n  </BODY>\n"
            "</HTML>\n"
        )
        headers = {"content-type": "text/html; charset=utf-8", "connection": "close"}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = "POST"
        if status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = 'Basic realm="mcc"'
        return Response(status, headers, body.encode(), face=FACE, code=title)

    def handle(self, request: Request) -> Response:
        """Answer; refusals are answers too."""
        refused = _refused(request)
        if refused is not None:
            return self.page(refused)
        try:
            method, params = xmlrpc.read_call(xmlrpc.parse(request.body))
        except xmlrpc.MalformedXmlRpc:
            return self.page(HTTPStatus.BAD_REQUEST)
        return self._answer(method, params)

    def _answer(self, method: str, params: list[Any]) -> Response:
        if self._home is None:
            return self.page(HTTPStatus.SERVICE_UNAVAILABLE)
        work = METHODS.get(method)
        if work is None or not _fits(work, params):
            text = f"Method {method} missing or wrong number of parameters!"
            return _response(xmlrpc.refusal(MISSING, text), action="", code=str(MISSING))
        new_caller, flat = self._home
        caller = new_caller()
        try:
            self._check_enabled(caller)
            body, code = xmlrpc.answer(work(MethodCall(caller, self._core, flat), *params)), ""
        except PileusError as error:
            body, code = _uncaught(method, error.message), error.code
        except Fault as fault:
            body, code = _uncaught(method, f"{fault.code}: {fault.message}"), "Fault"
        except Exception:
            log.exception("request failed", method=method, request=caller.request)
            body, code = _uncaught(method, f"something is wrong here; the log tells of {caller.request}"), "Internal"
        return _response(body, action=method, code=code, request=caller.request)

    def _check_enabled(self, caller: Caller) -> None:
        """Raise Forbidden while the project is disabled: callers here have no credential that would be refused."""
        with self._core.store.read() as tx:
            home = tx.many(Project, [caller.project]).get(caller.project)
        if home is not None and not home.wanted.enabled:
            raise Forbidden(f"The project '{home.name}' is disabled.", noun=Project.KIND, ident=home.uuid)


def _refused(request: Request) -> HTTPStatus | None:
    """Why a request is no call, from its head alone."""
    if request.method != "POST":
        return HTTPStatus.METHOD_NOT_ALLOWED
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "text/xml":
        return HTTPStatus.BAD_REQUEST
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) == 0:
        return HTTPStatus.LENGTH_REQUIRED
    return None


def _shown(header: str) -> bytes:
    """The token in an Authorization header: a bearer's, or the password of Basic, which old libraries can send."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _fits(work: Callable[..., object], params: list[Any]) -> bool:
    try:
        inspect.signature(work).bind(None, *params)
    except TypeError:
        return False
    return True


def _uncaught(method: str, message: str) -> bytes:
    return xmlrpc.refusal(UNCAUGHT, f"Uncaught exception {message} in method {method}")


def _response(body: bytes, *, action: str, code: str, request: str = "") -> Response:
    return Response(
        200,
        {"content-type": "text/xml; charset=utf-8"},
        body,
        face=FACE,
        action=action,
        code=code,
        request=request,
        reads=".get_" in action or not action,
    )
