"""Requests of guests to 169.254.169.254, answered as EC2's metadata service does in versions 1 and 2.

Source of the behaviour: "Use the Instance Metadata Service" in the EC2 user guide, and what cloud-init's Ec2
source needs: it walks every entry that is listed, and an entry that is listed and missing fails the boot.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import unquote

from pileus.faces.metadata import role, tokens, tree
from pileus.faces.wire.http import Response
from pileus.model import guestdata
from pileus.model.rolecredentials import RoleCredentials
from pileus.model.spec import InstanceSpec

TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105  (a header's name)
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"

_TOKEN_PATH = ("latest", "api", "token")
_READ = ("GET", "HEAD")
_INJECTED = ("pileus",)
"""Below each version, and listed nowhere; answered to those alone who have a token."""

_ERROR_PAGE = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"""


Respond = Callable[[InstanceSpec | None, str, str, Mapping[str, str], str], Response]
"""(the caller's spec or None, method, path, headers by lower-case name, source address) → Response."""


Credentials = Callable[[InstanceSpec], RoleCredentials | None]
"""Returns the credentials of the role of an instance; None while there are none."""


def _none(spec: InstanceSpec) -> RoleCredentials | None:
    """Return None: the credentials of a service that gives none out."""


def bind(secret: bytes, clock: Callable[[], float] = time.time, credentials: Credentials = _none) -> Respond:
    """Return the service's function. `secret` seals tokens and must outlive them; `clock` returns Unix seconds."""
    return _Service(secret, clock, credentials).respond


class _Service:
    def __init__(self, secret: bytes, clock: Callable[[], float], credentials: Credentials) -> None:
        self._secret = secret
        self._clock = clock
        self._credentials = credentials
        self._trees = tree.Trees()

    def respond(
        self, spec: InstanceSpec | None, method: str, path: str, headers: Mapping[str, str], source: str
    ) -> Response:
        """Answer the guest whose spec is `spec`, or nobody we know (None, which finds nothing). Never raises."""
        if spec is None:
            return _error(HTTPStatus.NOT_FOUND)
        if not spec.metadata_enabled:
            return _error(HTTPStatus.FORBIDDEN)
        segments = _segments(path)
        if segments == _TOKEN_PATH:
            return self._new_token(spec, method, headers)
        if method not in _READ:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": ", ".join(_READ)})
        answer_headers: dict[str, str] = {}
        token = headers.get(TOKEN_HEADER)
        if token is not None:
            seconds_left = tokens.remaining(self._secret, spec.uuid, token.strip(), self._clock())
            if seconds_left is None:
                return _error(HTTPStatus.UNAUTHORIZED)
            answer_headers[TTL_HEADER] = str(seconds_left)
        elif spec.metadata_v2_only:
            return _error(HTTPStatus.UNAUTHORIZED)
        return self._read(spec, segments, answer_headers)

    def _new_token(self, spec: InstanceSpec, method: str, headers: Mapping[str, str]) -> Response:
        if method != "PUT":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "PUT"})
        # A proxy inside the guest must not hand tokens to outsiders.
        if "x-forwarded-for" in headers:
            return _error(HTTPStatus.FORBIDDEN)
        ttl = headers.get(TTL_HEADER, "").strip()
        if not re.fullmatch(r"[0-9]{1,5}", ttl) or not 1 <= int(ttl) <= tokens.LONGEST:
            return _error(HTTPStatus.BAD_REQUEST)
        token = tokens.issue(self._secret, spec.uuid, int(ttl), self._clock())
        return _text(token.encode("ascii"), {TTL_HEADER: str(int(ttl))})

    def _read(self, spec: InstanceSpec, segments: tuple[str, ...], headers: Mapping[str, str]) -> Response:
        if not segments:
            return _text("\n".join(tree.VERSIONS).encode(), headers)
        if segments[0] == "openstack":
            return _openstack(spec, segments[1:], headers)
        if segments[0] not in tree.VERSIONS:
            return _error(HTTPStatus.NOT_FOUND)
        if segments[1:2] == _INJECTED and headers:
            return _injected(spec, segments[2:], headers)
        node = tree.find(self._trees.root(spec), segments[1:])
        if node is None and segments[1:3] == role.PLACE:
            node = role.found(spec, self._credentials(spec), segments[3:])
        if node is None:
            return _error(HTTPStatus.NOT_FOUND)
        if isinstance(node, bytes):
            return Response(HTTPStatus.OK, {"Content-Type": "application/octet-stream", **headers}, node)
        text = node.text() if isinstance(node, tree.Directory) else node
        return _text(text.encode("utf-8", errors="replace"), headers)


def _openstack(spec: InstanceSpec, segments: tuple[str, ...], headers: Mapping[str, str]) -> Response:
    """Answer from OpenStack's tree, of which `latest` is the only version."""
    if not segments:
        return _text(b"latest", headers)
    content = guestdata.openstack(spec, secret=False).get("/".join(segments))
    if content is None:
        return _error(HTTPStatus.NOT_FOUND)
    kind = "application/json" if segments[-1].endswith(".json") else "application/octet-stream"
    return Response(HTTPStatus.OK, {"Content-Type": kind, **headers}, content)


def _injected(spec: InstanceSpec, segments: tuple[str, ...], headers: Mapping[str, str]) -> Response:
    """Answer our images: the files to be put into the guest, as an archive, or the hash of root's password."""
    if segments == ("files",) and (archive := guestdata.archive(spec)) is not None:
        return Response(HTTPStatus.OK, {"Content-Type": "application/x-tar", **headers}, archive)
    if segments == ("password",) and spec.password:
        return _text(spec.password.encode("ascii"), headers)
    return _error(HTTPStatus.NOT_FOUND)


def _segments(path: str) -> tuple[str, ...]:
    """The path's parts: query dropped, doubled and closing slashes meaning nothing, as old clients expect."""
    parts = path.partition("?")[0].split("/")
    return tuple(unquote(part, errors="replace") for part in parts if part)


def _text(body: bytes, headers: Mapping[str, str]) -> Response:
    return Response(HTTPStatus.OK, {"Content-Type": "text/plain", **headers}, body)


def _error(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    """EC2's error page; `headers` beside its content type."""
    page = _ERROR_PAGE.format(title=f"{status.value} - {status.phrase}")
    return Response(status, {"Content-Type": "text/html", **(headers or {})}, page.encode("ascii"))
