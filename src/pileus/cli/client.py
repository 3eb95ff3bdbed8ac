"""A client of the REST face, on the standard library alone: commands start quickly."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from pileus.cli.profiles import Remote

_TIMEOUT = 60.0
_UPLOAD_TIMEOUT = 3600.0
_CHUNK = 1 << 20


class Client:
    """Talks to the REST face at `url` with a token; `ca` is the file by which it is known.

    Every failure is a Problem that says what the cloud said.
    """

    def __init__(self, url: str, token: str, ca: Path | None = None, timeout: float = _TIMEOUT) -> None:
        self.url = url
        self.token = token
        self._ca = ca
        self._timeout = timeout

    def tls(self) -> ssl.SSLContext | None:
        """The context to check the cloud's certificate by: `ca`, else the machine's trust. None for plain HTTP."""
        if not self.url.startswith("https:"):
            return None
        try:
            return ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            raise Problem(f"{self._ca} holds no certificate: {error}.") from error

    def get(self, *words: str, **query: str) -> dict[str, Any]:
        """GET the path that `words` make."""
        return self._ask("GET", words, query)

    def post(self, *words: str, body: object = None) -> dict[str, Any]:
        """POST `body` as JSON."""
        return self._ask("POST", words, {}, json.dumps(body or {}).encode(), {"content-type": "application/json"})

    def patch(self, *words: str, body: object) -> dict[str, Any]:
        """PATCH with `body` as JSON."""
        return self._ask("PATCH", words, {}, json.dumps(body).encode(), {"content-type": "application/json"})

    def delete(self, *words: str) -> dict[str, Any]:
        """DELETE the path that `words` make."""
        return self._ask("DELETE", words, {})

    def all(self, nouns: str, **query: str) -> list[dict[str, Any]]:
        """Every noun of one kind, page by page."""
        noun_documents: list[dict[str, Any]] = []
        more: str | None = ""
        while more is not None:
            page = self.get(nouns, **query, **({"after": more} if more else {}))
            noun_documents += next(value for key, value in page.items() if key != "next")
            more = page["next"]
        return noun_documents

    def upload(self, file: BinaryIO, size: int, report: Callable[[int], None], **query: str) -> dict[str, Any]:
        """POST an image's bytes; `report` hears how many were sent so far."""

        def parts() -> Any:
            sent = 0
            while part := file.read(_CHUNK):
                yield part
                sent += len(part)
                report(sent)

        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        return self._ask("POST", ("images",), query, parts(), headers, _UPLOAD_TIMEOUT)

    def _ask(
        self,
        method: str,
        words: tuple[str, ...],
        query: dict[str, str],
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        path = "/".join([urlsplit(self.url).path, *(quote(word, safe="") for word in words)])
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"authorization": f"Bearer {self.token}", **(headers or {})}
        reply = exchange(self.url, method, target, body, headers, context=self.tls(), timeout=timeout or self._timeout)
        return _read(reply.status, reply.body)


class HttpReply(NamedTuple):
    """The answer to a request; `address` is this machine's, on the way to the server."""

    status: int
    body: bytes
    address: str


def exchange(
    url: str,
    method: str,
    target: str,
    body: Any,
    headers: dict[str, str],
    *,
    context: ssl.SSLContext | None,
    timeout: float,
    largest: int | None = None,
) -> HttpReply:
    """Send one request to the server of `url`, over TLS where there is a `context`.

    At most the first `largest` bytes of the answer are taken. Raises Problem where the cloud does not answer.
    """
    to = urlsplit(url)
    if context is None:
        link = http.client.HTTPConnection(to.hostname or "", to.port, timeout=timeout)
    else:
        link = http.client.HTTPSConnection(to.hostname or "", to.port, timeout=timeout, context=context)
    try:
        link.request(method, target, body, headers)
        address = str(link.sock.getsockname()[0])
        answer = link.getresponse()
        return HttpReply(answer.status, answer.read(largest), address)
    except ssl.SSLCertVerificationError as error:
        raise Problem(f"What answers at {url} is not the cloud: {error.verify_message}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise Problem(f"The cloud at {url} does not answer ({str(error) or type(error).__name__}).") from error
    finally:
        link.close()


def _read(status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if status < 400 and isinstance(answer, dict):
        return answer
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    raise Problem(f"{error.get('message', f'The cloud answered {status}.')} ({error.get('code', status)})")


def default_state() -> Path:
    """Where a cloud is kept unless it is told: $PILEUS_STATE, else a folder of root's or of the user's own."""
    if "PILEUS_STATE" in os.environ:
        return Path(os.environ["PILEUS_STATE"])
    if os.geteuid() == 0:
        return Path("/var/lib/pileus/default")
    return Path.home() / ".local" / "state" / "pileus"


def documents(state: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The endpoints and the administrator's credentials of the cloud in `state`; Problem when it does not run."""
    parsed_files = []
    for name in ("endpoints.json", "admin.json"):
        try:
            parsed_files.append(json.loads((state / name).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise Problem(f"No cloud runs in {state}: 'pileus up --state {state}' starts one.") from error
        except PermissionError as error:
            raise Problem(f"{state / name} is not yours to read: use sudo, or another --state.") from error
        except ValueError as error:
            raise Problem(f"{state / name} is damaged: 'pileus up --state {state}' writes it again.") from error
    return parsed_files[0], parsed_files[1]


def connect(state: Path, timeout: float = _TIMEOUT) -> Client:
    """A client of the cloud in `state`, as its administrator; or of the one that the environment names.

    An answer may take `timeout` seconds. Raises Problem.
    """
    cloud_elsewhere = remote()
    if cloud_elsewhere is not None:
        if state != Path(os.path.abspath(default_state())):  # noqa: PTH100  (as `state_of` does)
            raise Problem(f"The cloud at {cloud_elsewhere.url} and the one in {state} are two: give one of them.")
        return Client(*cloud_elsewhere, timeout=timeout)
    endpoints, admin = documents(state)
    return Client(endpoints["rest"], admin["token"], trusted(state), timeout)


def choose(endpoint: str, profile: str) -> None:
    """Have this process, and the commands that it starts, reach the cloud of these options; empty ones change nothing.

    They take the place of all variables that name a cloud.
    """
    if endpoint or profile:
        for name, value in {"PILEUS_ENDPOINT": endpoint, "PILEUS_PROFILE": profile}.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value else {})


def remote() -> Remote | None:
    """The cloud of PILEUS_ENDPOINT and PILEUS_TOKEN, or of PILEUS_PROFILE; None where neither is set.

    PILEUS_CA is a file of certificates to trust. Raises Problem.
    """
    name, url = os.environ.get("PILEUS_PROFILE"), os.environ.get("PILEUS_ENDPOINT", "")
    if not name and not url:
        return None
    from pileus.cli import profiles  # noqa: PLC0415  (commands start quickly)

    if name and url:
        raise Problem("A profile and an endpoint name two clouds: give one of them, or unset a variable.")
    if name:
        return profiles.remote(name)
    token, ca = os.environ.get("PILEUS_TOKEN", ""), os.environ.get("PILEUS_CA")
    if not token:
        raise Problem(f"The cloud at {url} asks for a token: set PILEUS_TOKEN, or give --profile.")
    return profiles.Remote(_face(url), token, Path(ca) if ca else None)


def _face(url: str) -> str:
    """The REST face's URL by that of its server, or its own. Raises Problem."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Problem(f"'{url}' is no endpoint: https://cloud.example:8770, say.")
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def trusted(state: Path) -> Path | None:
    """The certificate by which the cloud in `state` is known; None where there is none of its own."""
    certificate = state / "ca.pem"
    return certificate if certificate.exists() else None
