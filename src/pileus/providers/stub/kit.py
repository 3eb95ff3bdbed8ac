"""The stub's kit: hosts and networks that only pretend, with nothing of the machine's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from pileus.model.kit import CloudEngine, HostBody, HostServices, Kit, Site, StockImage
from pileus.providers.stub.settings import StubSettings

_SIZE = 1 << 20


class StubKit(Kit):
    """The kit of the reference provider."""

    name = "stub"
    real = "the API, its checks and errors are real; instances, networks and images only pretend"
    settings = StubSettings
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType({"mcc_listen": "127.0.0.1:0"})

    def body(self, site: Site, services: HostServices) -> HostBody:
        """A host whose guests pretend to run."""
        from pileus.providers.stub.provider import StubProvider  # noqa: PLC0415  (a kit is loaded quickly)

        provider = StubProvider(latency=site.settings.stub_latency, channels=services.channels)
        return HostBody(provider, provider.statistics)

    def engine(self, site: Site, *, shared: bool) -> CloudEngine:
        """Networks that pretend to be: of several processes, they are in a file."""
        from pileus.providers.stub.provider import StubProvider  # noqa: PLC0415  (a kit is loaded quickly)

        database = site.state / "cloud" / "engine.db" if shared else None
        return CloudEngine(StubProvider(latency=site.settings.stub_latency, database=database))

    def images(self) -> Sequence[StockImage]:
        """Placeholders, for nothing ever boots them; the machine first."""
        return (
            StockImage(
                name="stub-machine",
                kind="machine",
                content=b"stub-machine\n".ljust(_SIZE, b"\0"),
                format="raw",
                virtual_size=_SIZE,
                login_user="admin",
                description="A machine that only pretends to run.",
            ),
            StockImage(
                name="stub-container",
                kind="container",
                content=b"stub-container\n".ljust(_SIZE, b"\0"),
                format="tar",
                virtual_size=_SIZE,
                description="A container that only pretends to run.",
            ),
        )


KIT = StubKit()
