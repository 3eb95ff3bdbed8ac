"""The credentials of the roles of a host's instances: asked of the cloud, renewed before they end, in memory alone.

No order carries them: orders are written to disk, and into the descriptions of guests. The cloud gives them to the
host of the instance alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import structlog

from pileus.model.backoff import backoff
from pileus.model.errors import Fault
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.rolecredentials import RoleCredentials
    from pileus.model.spec import InstanceSpec

LOOK = 60.0
"""Seconds between looks at which credentials are to be renewed."""

log = structlog.get_logger(__name__)


class _HeldCredentials(NamedTuple):
    """The credentials of an instance, and the role that they are of."""

    role: str
    credentials: RoleCredentials


class RoleCredentialsKeeper:
    """Holds credentials for the instances of this host that have a role. Its methods may be called from any thread.

    `fetch` asks the cloud for those of an instance, by its uuid; it raises Fault. Half of their time is left when they
    are renewed: clients of AWS ask for others a quarter of an hour before the end.
    """

    def __init__(self, fetch: Callable[[str], RoleCredentials], clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._roles: dict[str, str] = {}
        self._credentials: dict[str, _HeldCredentials] = {}
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._faults: dict[str, str] = {}
        self._tries = 0
        self._thread = Thread("role-credentials", self._work, self._stopping)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End, and forget all credentials."""
        self._stopping.set()
        self._news.set()
        self._thread.join(timeout=10)
        with self._lock:
            self._roles, self._credentials = {}, {}

    def serve(self, specs: Iterable[InstanceSpec]) -> None:
        """Hold credentials for exactly these instances from now on; those of other roles are forgotten at once."""
        roles = {spec.uuid: spec.profile.role for spec in specs if spec.profile is not None}
        with self._lock:
            self._roles = roles
            self._credentials = {uuid: each for uuid, each in self._credentials.items() if roles.get(uuid) == each.role}
            news = roles.keys() - self._credentials.keys()
        if news:
            self._news.set()

    def of(self, spec: InstanceSpec) -> RoleCredentials | None:
        """Return the credentials of an instance's role; None while the cloud has not given any that are good."""
        with self._lock:
            credentials = self._credentials.get(spec.uuid)
        if credentials is None or spec.profile is None or credentials.role != spec.profile.role:
            return None
        return credentials.credentials if credentials.credentials.until > self._clock() else None

    def renew(self) -> bool:
        """Ask for the credentials that are missing or half over; whether all are there now."""
        with self._lock:
            due = [(uuid, role) for uuid, role in self._roles.items() if self._is_due(uuid)]
        for uuid, role in due:
            try:
                credentials = self._fetch(uuid)
            except Fault as fault:
                self._complain(uuid, fault)
                continue
            with self._lock:
                self._faults.pop(uuid, None)
                if self._roles.get(uuid) == role:
                    self._credentials[uuid] = _HeldCredentials(role, credentials)
        with self._lock:
            self._faults = {uuid: text for uuid, text in self._faults.items() if uuid in self._roles}
            return not self._faults

    def _is_due(self, uuid: str) -> bool:
        credentials = self._credentials.get(uuid)
        return (
            credentials is None or self._clock() > (credentials.credentials.since + credentials.credentials.until) / 2
        )

    def _work(self) -> None:
        self._news.clear()
        complete = self.renew()
        # Where the cloud is away, or gives none, it is asked again ever less often.
        self._tries = 0 if complete else self._tries + 1
        self._news.wait(LOOK if complete else backoff(self._tries))

    def _complain(self, uuid: str, fault: Fault) -> None:
        """Log why an instance has no new credentials, once, and again when the reason changes."""
        with self._lock:
            before, self._faults[uuid] = self._faults.get(uuid), str(fault)
        if before != str(fault):
            log.warning("no credentials for the role of an instance", uuid=uuid, reason=str(fault))
