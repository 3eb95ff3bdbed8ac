"""A host at work: its body, agent, runner and metrics, in a process of its own or within the cloud's."""

from __future__ import annotations

import functools
import secrets
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.app import faces, hostmetrics
from pileus.app.settings import Settings
from pileus.app.state import StateDirectory
from pileus.host.agent import Agent
from pileus.host.book import FileBook
from pileus.host.rolecredentials import RoleCredentialsKeeper
from pileus.host.runner import HostRunner
from pileus.model.kit import HostBody, HostServices, Respond
from pileus.model.provider import Channels
from pileus.posix.files import keep_once

if TYPE_CHECKING:
    from pileus.host.runner import Link
    from pileus.model.spec import InstanceSpec


def services(
    state: StateDirectory,
    fetch: Callable[[str, Path], None],
    channels: Channels,
    roles: RoleCredentialsKeeper | None = None,
) -> HostServices:
    """The services for a kit's body. Guests are given the credentials that `roles` holds."""
    return HostServices(fetch, channels, functools.partial(_metadata, state, roles))


def _metadata(state: StateDirectory, roles: RoleCredentialsKeeper | None) -> Respond:
    """The guest metadata service; the key that seals the tokens of guests outlives this process."""
    secret = keep_once(state.host / "token.secret", lambda: secrets.token_bytes(32))
    respond: Respond = faces.guest_service()(secret, **({"credentials": roles.of} if roles is not None else {}))
    return respond


class HostBodyRunner:
    """Makes the orders of the cloud behind `link` true with `body`, under the host name `name`.

    `tls` is what it proves itself with to whoever asks for its metrics. `roles` holds credentials for its instances.
    """

    def __init__(
        self,
        name: str,
        body: HostBody,
        link: Link,
        state: StateDirectory,
        settings: Settings,
        *,
        zone: str = "",
        tls: Callable[[], ssl.SSLContext] | None = None,
        roles: RoleCredentialsKeeper | None = None,
    ) -> None:
        self._body = body
        self._roles = roles
        self._agent = Agent(
            name,
            body.provider,
            FileBook(state.host),
            zone=zone or settings.zone,
            chassis=body.chassis,
            capacity=body.capacity,
            traits=body.traits,
        )
        self._runner = HostRunner(self._agent, link, on_specs=self._serve)
        self._metrics = hostmetrics.of(settings, self._agent, body.measure, tls)

    def start(self) -> None:
        """Begin to work."""
        if self._roles is not None:
            self._roles.start()
        self._serve(self._agent.specs().values())
        self._body.start()
        self._runner.start()
        self._metrics.start()

    def stop(self) -> None:
        """End; bodies go on."""
        self._metrics.stop()
        self._runner.stop()
        self._body.stop()
        if self._roles is not None:
            self._roles.stop()

    def _serve(self, specs: Iterable[InstanceSpec]) -> None:
        instances = list(specs)
        if self._roles is not None:
            self._roles.serve(instances)
        if self._body.on_specs is not None:
            self._body.on_specs(instances)
