"""The declaration of a face: all that `app` knows of it, as data. An entry point of the group GROUP loads one.

A declaration is light: the modules that answer requests are imported by its functions, not beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from pileus.model import bounds
from pileus.model.bounds import Bound

if TYPE_CHECKING:
    from pileus.faces.wire.http import Identified, Request, Response
    from pileus.model.errors import PileusError
    from pileus.objects import ObjectStore
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

GROUP = "pileus.faces"
"""The entry points of the faces that a process of the cloud serves."""

GUESTS = "pileus.guestfaces"
"""The entry point of the service that hosts give inside guests' networks: a function of a secret, which makes it.

Its argument `credentials` returns those of the role of a spec's instance, None for none.
"""


class FaceContext(NamedTuple):
    """The arguments of a face's factory; `settings` are the face's own, None for a face without any."""

    core: Core
    authority: Authority
    settings: Any
    objects: ObjectStore


class RunningFace(Protocol):
    """A face that identifies its callers. It keeps no state; any number of threads may call it at once."""

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks; the answer where that is refused, or where anybody may ask. May read the store.

        A body that comes in parts is not there yet; nor has the handshake of a websocket any.
        """

    def refused(self, error: PileusError) -> Response:
        """Return the answer to a request that is refused before anything is known of it."""


class OpenFace(Protocol):
    """A face of a dialect without credentials, on a listener of its own: whoever reaches it is answered."""

    def open(self) -> None:
        """Make what its answers need; the store can be written. Raises DamagedRow where it cannot be served."""

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is refused for its head; None to have its body read."""

    def handle(self, request: Request) -> Response:
        """Answer a whole request. Blocks while verbs do."""

    def page(self, status: int, text: str = "") -> Response:
        """Return the answer to a request that the edge refuses, by its status."""


class FacePaths(NamedTuple):
    """The paths of a face: `exact` ones, and all below `prefixes`, each of which ends with a slash."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()


class RequestHead(NamedTuple):
    """A request before its body was read; `path` is decoded, `headers` are by lower-case name, `query` is raw."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""


class OpenCalls(NamedTuple):
    """The bounds of a face without credentials: the addresses of its clients take turns at `threads` threads.

    One address has `share` of them at once while others call. `waiting` bounds the calls of one address that wait for
    a thread, `total` those of all, `body` the bytes of a body. `allowed` returns the ranges of addresses that are
    answered, with commas between them, empty for all.
    """

    threads: int
    share: int
    waiting: Bound
    total: Bound
    body: Bound
    allowed: Callable[[Any], str]


@dataclass(frozen=True)
class FaceListener:
    """A listening socket of a face's own.

    `address` returns ADDRESS:PORT (port 0: the one of the last start, else a free one), or "off", by the face's own
    settings. Without `calls` its requests are shared out as those of all faces; where it is `shared`, the requests to
    it are for all faces, as at the port that faces share, and the face is at that port, too.
    """

    address: Callable[[Any], str]
    calls: OpenCalls | None = None
    shared: bool = False


class UploadBounds(NamedTuple):
    """How many bodies of a face are received in parts at once: for one project, and for all."""

    project: Bound = bounds.PROJECT_UPLOADS
    total: Bound = bounds.UPLOADS


class ActionSummary(NamedTuple):
    """An action, as the reference lists it. `waits`: it waits for a host."""

    says: str
    waits: bool = False


ActionKey = tuple[str, str]
"""The (service, name) of an action; faces of one service have an empty one."""


@dataclass(frozen=True)
class FaceDeclaration:
    """A face, as its entry point declares it.

    - `make` is the factory; `authentication` says in a sentence how requests are authenticated.
    - Requests come to the face by `paths`, or where `takes` says so of a head; all those to its own `listener` do too.
    - `takes_form` tells whole requests at another face's exact path that are for this face by their parameters.
    - `streams` tells heads of requests whose bodies are received in parts, within the bounds of `uploads`.
    - `settings` is a struct, whose fields are the variables PILEUS_NAME_FIELD, each with its meaning as a description;
      one that holds a secret ends in `token`, `password` or `secret`.
    - `endpoints` are paths by the names that they have in endpoints.json; at `guide` anybody reads what there is.
    - `actions` and `errors` (code and status by the core's code, noun and reason) load the face.
    """

    name: str
    make: Callable[[FaceContext], Any]
    authentication: str
    paths: FacePaths = field(default_factory=FacePaths)
    takes: Callable[[RequestHead], bool] | None = None
    takes_form: Callable[[Request], bool] | None = None
    streams: Callable[[RequestHead], bool] | None = None
    uploads: UploadBounds = field(default_factory=UploadBounds)
    settings: type[msgspec.Struct] | None = None
    listener: FaceListener | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    guide: str = ""
    actions: Callable[[], Mapping[ActionKey, ActionSummary]] = dict
    errors: Callable[[], Mapping[tuple[str, str, str], tuple[str, int]]] = dict
