"""The listener for joined hosts, in this process: how often it is asked without a certificate."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.app import certificates
from pileus.app.audit import Audit, Journal
from pileus.app.hostlistener import HostApplication
from pileus.app.rates import BURST, DELAY
from pileus.app.settings import Settings
from tests.site import Site

if TYPE_CHECKING:
    from pathlib import Path


def test_requests_without_a_certificate_have_a_rate_by_address(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(Settings(), rate_refusals=3 / BURST)
    audit = Audit(Journal(tmp_path / "audit.log", 1 << 20, 2))
    parts: Any = SimpleNamespace(core=Site().core, settings=settings, processes=lambda: 1, audit=audit)
    application = HostApplication(parts, certificates.authority(tmp_path))
    shown = {"subject": ((("commonName", "h1"),),), "serialNumber": "01"}
    try:
        assert [asked(application, "192.0.2.7") for _ in range(4)] == [200, 200, 200, 429]
        began = time.monotonic()
        assert asked(application, "192.0.2.7") == 429
        assert time.monotonic() - began >= DELAY
        assert asked(application, "192.0.2.8") == 200
        assert asked(application, "192.0.2.7", shown) == 200
    finally:
        application.close()
        audit.close()


def asked(application: HostApplication, address: str, certificate: object = None) -> int:
    """The status of the answer to a request for the authority's certificate."""
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        answers.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/internal/ca",
        "query_string": b"",
        "headers": [],
    }
    scope |= {"hold": lambda _: True, "client": (address, 1), "peercert": certificate}
    asyncio.run(application(scope, receive, send))
    status: int = answers[0]["status"]
    return status
