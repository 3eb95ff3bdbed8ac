"""The way of requests between the edge and the faces: one tenant's, or one hung host's, keep no other waiting."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import pytest

from pileus.app import requests
from pileus.app.audit import Audit, Journal
from pileus.app.processes import until
from pileus.app.rates import BURST
from pileus.app.requests import Requests
from pileus.app.settings import Settings
from pileus.app.wiring import CLOUD
from pileus.faces.rest.face import RestFace
from pileus.faces.wire import signing
from pileus.faces.wire.http import Request, Response
from pileus.model import bounds
from pileus.model.errors import Unavailable
from pileus.model.instance import Instance
from pileus.verbs import credential
from tests.faces.ec2.cloud import Account, Cloud, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pileus.bus.messages import Open
    from pileus.model.provider import Access

CLIENT = "192.0.2.7"


class HungHost:
    """A host that takes calls and does not answer them until `answers` is set."""

    def __init__(self) -> None:
        self.calls: list[Open] = []
        self.answers = threading.Event()

    def send(self, host: str, order: object) -> None:
        """Take an order."""

    def open(self, host: str, request: Open) -> Access:
        """Wait."""
        self.calls.append(request)
        assert self.answers.wait(30)
        raise Unavailable("The host does not answer now; try again later.", noun="host")


class Site:
    """A cloud's faces behind `Requests`, in this process; `hosts` hang."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.cloud = Cloud()
        self.hosts = HungHost()
        self.log = folder / "audit.log"
        object.__setattr__(self.cloud.core, "hosts", self.hosts)
        self.audit = Audit(Journal(self.log, 1 << 20, 3))
        parts: Any = SimpleNamespace(
            settings=settings,
            authority=self.cloud.authority,
            audit=self.audit,
            processes=lambda: 1,
            role=CLOUD,
            core=self.cloud.core,
        )
        self.requests = Requests(parts)
        self.rest = RestFace(self.cloud.core, self.cloud.authority)

    def run(self, test: Callable[[], Any]) -> None:
        """Run a test's coroutine."""
        try:
            asyncio.run(asyncio.wait_for(test(), 60))
        finally:
            self.hosts.answers.set()

    async def ask(self, account: Account, client: str = CLIENT, **params: str) -> Response:
        """The answer to an EC2 call of `account`."""
        body = urlencode({"Version": "2016-11-15", **params}).encode()
        request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, body)
        signer = signing.SigningCredential(account.access_key, account.secret_key.encode(), "r", "ec2")
        headers = signing.sign(request, signer, self.cloud.core.store.now())
        answer = await self.requests.answer(self.cloud.face, Request("POST", "/", "", headers, body), client)
        assert answer is not None
        return answer

    def placed(self, account: Account) -> str:
        """An instance on the host."""
        (ident,) = account.launch()
        with self.cloud.core.store.write() as tx:
            instance = tx.by_ec2(Instance, [ident])[ident]
            tx.assign(instance, msgspec.structs.replace(instance.assigned, host="host-1"))
        return ident

    def lines(self) -> list[dict[str, Any]]:
        """What the audit log says."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


async def first(futures: Sequence[asyncio.Future[Response]], count: int) -> list[Response]:
    """The first answers that come, so many."""
    coming = iter(asyncio.as_completed(futures))
    return [await next(coming) for _ in range(count)]


@pytest.fixture
def settings() -> Settings:
    """The settings; the defaults unless a test says others."""
    return Settings()


@pytest.fixture
def site(tmp_path: Path, settings: Settings) -> Iterator[Site]:
    """A cloud of the test's own."""
    cloud_site = Site(tmp_path, settings)
    yield cloud_site
    cloud_site.hosts.answers.set()
    cloud_site.requests.close()
    cloud_site.audit.close()


def test_a_hung_host_and_64_requests_to_it_keep_nobody_waiting(site: Site) -> None:
    ann, bob = site.cloud.account(), site.cloud.account()
    idents = {account: site.placed(account) for account in (ann, bob)}

    async def test() -> None:
        ask = site.ask
        futures = [
            asyncio.ensure_future(ask(ann, Action="GetConsoleOutput", InstanceId=idents[ann])) for _ in range(64)
        ]
        # The host hangs for the few that wait for it; the rest is refused at once.
        most = bounds.PROJECT_HOST_WAITS.most
        refused = await first(futures, 64 - most)
        assert {code_of(response) for response in refused} == {"RequestLimitExceeded"}
        assert all(response.status == 503 and response.headers["retry-after"] for response in refused)
        for account in (ann, bob):
            assert (await ask(account, Action="DescribeInstances")).status == 200
            assert (await ask(account, Action="CreateKeyPair", KeyName="k", KeyType="ed25519")).status == 200
        # Another project has room for calls of its own at that host.
        other = asyncio.ensure_future(ask(bob, Action="GetConsoleOutput", InstanceId=idents[bob]))
        await asyncio.to_thread(until, lambda: len(site.hosts.calls) > most, 10)
        waiting = [future for future in futures if not future.done()]
        assert len(waiting) == len(site.hosts.calls) - 1 == most
        waiting.append(other)
        site.hosts.answers.set()
        assert {code_of(await future) for future in waiting} == {"Unavailable"}

    site.run(test)


@pytest.mark.parametrize("path", ["instances/{}/console", "instances/{}/stats", "stats"])
def test_every_call_that_waits_for_a_host_waits_beside_the_request_threads(site: Site, path: str) -> None:
    ann = site.cloud.account(admin=True)
    ident = site.placed(ann)
    token = _token(site, ann)

    async def test() -> None:
        def get(where: str) -> Any:
            headers = {"authorization": f"Bearer {token}"}
            return site.requests.answer(site.rest, Request("GET", f"/v1/{where}", "", headers, b""), CLIENT)

        futures = [asyncio.ensure_future(get(path.format(ident))) for _ in range(64)]
        refused = await first(futures, 64 - bounds.PROJECT_HOST_WAITS.most)
        assert {response.status for response in refused} == {429}
        assert (await get("instances")).status == 200
        site.hosts.answers.set()
        await asyncio.gather(*futures)

    site.run(test)


def _token(site: Site, account: Account) -> str:
    return credential.create(account.caller, site.cloud.core, "token").token


@pytest.mark.parametrize(
    "settings", [msgspec.structs.replace(Settings(), rate_reads=3 / BURST, rate_changes=2 / BURST)]
)
def test_a_caller_beyond_its_rate_is_told_so_and_others_are_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "DELAY", 0.0)
    ann, bob = site.cloud.account(), site.cloud.account()

    async def test() -> None:
        codes = [code_of(await site.ask(ann, Action="DescribeRegions")) for _ in range(5)]
        assert codes == ["", "", "", "RequestLimitExceeded", "RequestLimitExceeded"]
        keys = [code_of(await site.ask(ann, Action="CreateKeyPair", KeyName=name)) for name in "abc"]
        assert keys == ["", "", "RequestLimitExceeded"]
        assert (await site.ask(bob, Action="DescribeRegions")).status == 200

    site.run(test)
    refused = [line for line in site.lines() if line["code"] == "RequestLimitExceeded"]
    assert [line["action"] for line in refused] == ["DescribeRegions", "DescribeRegions", "CreateKeyPair"]
    assert {(line["client"], line["user"], line["key"]) for line in refused} == {(CLIENT, ann.name, ann.access_key)}


@pytest.mark.parametrize("settings", [msgspec.structs.replace(Settings(), rate_refusals=3 / BURST)])
def test_answers_for_anybody_have_a_rate_by_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "DELAY", 0.0)
    ann = site.cloud.account()

    async def test() -> None:
        async def described(client: str) -> int:
            request = Request("GET", "/v1/openapi.json", "", {}, b"")
            answer = await site.requests.answer(site.rest, request, client)
            assert answer is not None
            return answer.status

        assert [await described(CLIENT) for _ in range(5)] == [200, 200, 200, 429, 429]
        assert await described("192.0.2.8") == 200
        assert (await site.ask(ann, Action="DescribeRegions")).status == 200
        assert not await site.requests.admit(CLIENT)

    site.run(test)


@pytest.mark.parametrize("settings", [msgspec.structs.replace(Settings(), rate_launches=5 / BURST)])
def test_launches_are_counted_by_instances(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "DELAY", 0.0)
    ann = site.cloud.account()
    image = site.cloud.image.ec2_id

    async def test() -> None:
        more = {"Action": "RunInstances", "ImageId": image, "InstanceType": "m1.tiny", "MinCount": "1"}
        assert (await site.ask(ann, MaxCount="4", **more)).status == 200
        assert code_of(await site.ask(ann, MaxCount="4", **more)) == "RequestLimitExceeded"
        assert (await site.ask(ann, MaxCount="1", **more)).status == 200

    site.run(test)


@pytest.mark.parametrize("settings", [msgspec.structs.replace(Settings(), rate_refusals=3 / BURST)])
def test_an_address_that_is_refused_often_keeps_its_good_callers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "DELAY", 0.0)
    ann, eve = site.cloud.account(), site.cloud.account()
    eve.access_key = "AKIA" + "Z" * 16

    async def test() -> None:
        assert (await site.ask(ann, Action="DescribeRegions")).status == 200
        codes = [code_of(await site.ask(eve, Action="DescribeRegions")) for _ in range(5)]
        assert codes == ["AuthFailure"] * 3 + ["RequestLimitExceeded"] * 2
        assert (await site.ask(ann, Action="DescribeRegions")).status == 200
        assert code_of(await site.ask(eve, client="192.0.2.8", Action="DescribeRegions")) == "AuthFailure"

    site.run(test)
    assert [(line["client"], line["key"], line["user"]) for line in site.lines()] == [
        *[(CLIENT, eve.access_key, "-")] * 5,
        ("192.0.2.8", eve.access_key, "-"),
    ]


def test_refused_and_changing_calls_are_in_the_audit_log_without_secrets(site: Site) -> None:
    ann = site.cloud.account()

    async def test() -> None:
        assert (await site.ask(ann, Action="CreateKeyPair", KeyName="k", KeyType="ed25519")).status == 200
        assert (await site.ask(ann, Action="DescribeRegions")).status == 200
        assert code_of(await site.ask(ann, Action="StopInstances", **{"InstanceId.1": "i-00000000000000000"}))
        assert code_of(await site.ask(ann, Action="DoWonders")) == "InvalidAction"
        nobody = Request("GET", "/v1/instances", "", {"authorization": "Bearer pileus_wrong"}, b"")
        refused = await site.requests.answer(site.rest, nobody, CLIENT)
        assert refused is not None
        assert refused.status == 401

    site.run(test)
    shown = [(line["face"], line["user"], line["action"], line["status"], line["code"]) for line in site.lines()]
    assert shown == [
        ("ec2", ann.name, "CreateKeyPair", 200, "-"),
        ("ec2", ann.name, "StopInstances", 400, "InvalidInstanceID.NotFound"),
        ("ec2", ann.name, "-", 400, "InvalidAction"),
        ("rest", "-", "-", 401, "Unauthorized"),
    ]
    text = site.log.read_text()
    assert ann.secret_key not in text
    assert "pileus_wrong" not in text
    assert "KEY" not in text.replace('"key"', "")
