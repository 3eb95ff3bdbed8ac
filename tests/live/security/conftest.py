"""The switch that the attempts on packets share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live.daemons import purge_engine
from tests.live.security.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two projects on a real switch, with the host's listeners."""
    layout = Layout(tmp_path_factory.mktemp("state"))
    try:
        chassis.up(layout)
        provider = NetworkProvider(layout.northbound, gateway=layout.netns)
        made = Site(layout, provider)
        yield made
        made.close()
        provider.close()
    finally:
        purge_engine(layout)
