"""Hosts' accounts on the broker, made and removed over its management API."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from pileus.bus.rabbitmq import topology
from pileus.model.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

TAG = "pileus-host"
"""Marks the users that are hosts: no other one is ever changed or removed."""

CONNECTIONS = 8
"""Connections that a host may have at a time: it uses two, and the broker may still count some that broke."""


class Accounts:
    """`url` is that of the management plugin, `user` an administrator of the broker, `vhost` where the cloud's bus is.

    `ca` is the authority of an https URL's certificate, the system's when not given. All methods raise Unavailable when
    the broker does not answer, or refuses.
    """

    def __init__(self, url: str, user: str, password: str, *, vhost: str = "/", ca: Path | None = None) -> None:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/api/", auth=(user, password), verify=context, timeout=10.0, trust_env=False
        )
        self._vhost = quote(vhost, safe="")

    admits = True
    """Hosts come when they were added, and no sooner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def hosts(self) -> set[str]:
        """Return the names of hosts with full access; rights are the last that an account gets."""
        tagged = {user["name"] for user in self._list("users") if TAG in _words(user.get("tags", ""))}
        return tagged & {permission["user"] for permission in self._list(f"vhosts/{self._vhost}/permissions")}

    def add(self, host: str, password: str = "") -> None:
        """Let a host in, with what a host may and no more; again is no harm.

        Without a password its certificate alone opens: one of the authority that the broker trusts, whose common name
        is `host`. Raises Conflict when somebody who is no host has that name, ValueError when it is no host's name.
        """
        user = quote(topology.checked(host), safe="")
        self._free(host, user)
        credential = {"password": password} if password else {"password_hash": ""}
        self._call("PUT", f"users/{user}", {**credential, "tags": TAG})
        # What limits comes before what allows.
        self._call("PUT", f"user-limits/{user}/max-connections", {"value": CONNECTIONS})
        self._call("PUT", f"topic-permissions/{self._vhost}/{user}", topology.topic_permissions(host))
        self._call("PUT", f"permissions/{self._vhost}/{user}", topology.permissions(host))

    def remove(self, host: str) -> None:
        """End a host's connections, remove its account and its queues; none is no harm. Raises Conflict as `add`."""
        user = quote(topology.checked(host), safe="")
        self._free(host, user)
        self._call("DELETE", f"users/{user}", missing=True)
        for queue in (topology.of_host(host), topology.of_reports(host)):
            self._call("DELETE", f"queues/{self._vhost}/{quote(str(queue.name), safe='')}", missing=True)

    def _free(self, host: str, user: str) -> None:
        account = self._call("GET", f"users/{user}", missing=True)
        if account is not None and TAG not in _words(account.get("tags", "")):
            raise Conflict(f"The broker has a user '{host}' who is no host.", noun="host", ident=host, reason="user")

    def _call(self, method: str, path: str, body: object = None, *, missing: bool = False) -> dict[str, Any] | None:
        answer = self._answer(method, path, body)
        if missing and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        _check(answer)
        return dict(answer.json()) if method == "GET" else {}

    def _list(self, path: str) -> list[dict[str, Any]]:
        answer = self._answer("GET", path, None)
        _check(answer)
        return list(answer.json())

    def _answer(self, method: str, path: str, body: object) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(f"The broker's management does not answer: {error}", noun="host") from error


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise Unavailable(f"The broker's management refuses: {answer.status_code} {answer.text[:200]}", noun="host")


def _words(tags: Any) -> list[str]:
    """A user's tags: a list, or words with commas between them in older brokers."""
    return tags if isinstance(tags, list) else str(tags).split(",")
