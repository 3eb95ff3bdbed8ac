"""A cloud over the stub, in one process and without sockets, behind its REST face."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pileus.bus.channels import ChannelServer
from pileus.bus.memory import MemoryBus
from pileus.faces.rest.face import RestFace
from pileus.faces.wire.http import Request
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import HostRunner
from pileus.loops.runner import Runner
from pileus.model.caller import SYSTEM
from pileus.model.image import Wanted as ImageWanted
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.rules.credential import Authority
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import certificate, flavor, image, user, usergroup
from tests import nouns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pileus.verbs.user import Account

_NAMES = itertools.count(1)


class Cloud:
    """Starts without a host; `join` gives it one."""

    def __init__(self, folder: Path) -> None:
        store = Store(f"sqlite:///{folder}/pileus.db")
        migrate(store.engine)
        self.bus = MemoryBus()
        self._channels = ChannelServer(folder / "channels.sock")
        self._channels.start()
        self.provider = StubProvider(channels=self._channels)
        self.core = Core(store, self.bus, self.provider, bytes(32))
        self.authority = Authority(self.core)
        self.face = RestFace(self.core, self.authority)
        self._parts: list[Runner | HostRunner] = [Runner(self.core, workers=1)]
        self._parts[0].start()
        flavor.seed(SYSTEM, self.core)
        self.admin = self.account(admin=True)

    def join(self) -> None:
        """Give it a host."""
        host = HostRunner(Agent("stub", self.provider, Book(), zone=self.core.place.zone), self.bus.host("stub"))
        self._parts.append(host)
        host.start()
        self.until(lambda: len(self.get(self.admin, "hosts")["hosts"]) == 1)

    def close(self) -> None:
        """End its threads."""
        for part in reversed(self._parts):
            part.stop()
        self.bus.stop()
        self._channels.stop()
        self.core.store.close()

    def account(self, *, admin: bool = False) -> Account:
        """A new user in a new project."""
        return user.create(SYSTEM, self.core, f"user{next(_NAMES)}", admin=admin)

    def furnish(self, account: Account, name: str) -> None:
        """Make a noun of each kind in `tests.nouns`, of this name where it has one, in the project of `account`."""
        caller = self.authority.by_token(account.token, "test")
        assert caller is not None
        for make in nouns.MAKE.values():
            make(caller, self.core, name, {})
        nouns.make_natgateway(caller, self.core)
        usergroup.create(caller, self.core, name)
        certificate.create(caller, self.core)
        nouns.make_peering(caller, self.core)
        nouns.make_routerattachment(caller, self.core)

    def image(self) -> str:
        """The name of a public image."""
        caller = self.authority.by_token(self.admin.token, "test")
        assert caller is not None
        wanted = ImageWanted(digest="0" * 64, size=1, virtual_size=1, public=True, login_user="ada")
        return image.register(caller, self.core, "thing", wanted).name

    def ask(
        self, account: Account | None, method: str, path: str, body: object = None, **query: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and JSON of one request; `path` below /v1."""
        headers = {"authorization": f"Bearer {account.token}"} if account else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        answer = self.face.handle(Request(method, f"/v1/{path}", urlencode(query), headers, data))
        return answer.status, answer.headers, json.loads(answer.body)

    def get(self, account: Account, path: str, **query: str) -> dict[str, Any]:
        """What GET answers; it must succeed."""
        status, _, found = self.ask(account, "GET", path, **query)
        assert status == 200, found
        return found

    def post(self, account: Account, path: str, body: object = None) -> dict[str, Any]:
        """What POST answers; it must succeed."""
        status, _, found = self.ask(account, "POST", path, body)
        assert status in (200, 201), found
        return found

    def refused(self, account: Account | None, method: str, path: str, body: object = None, **query: str) -> str:
        """The code of a refusal."""
        status, headers, found = self.ask(account, method, path, body, **query)
        assert status >= 400, found
        assert found["error"]["message"]
        assert found["error"]["request_id"] == headers["x-request-id"]
        return str(found["error"]["code"])

    def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Poll until `true()`."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it does not come true"
            time.sleep(0.01)
