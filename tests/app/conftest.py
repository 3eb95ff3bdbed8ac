"""One cloud over the stub for all tests that only use it; those that end or break one have their own.

What a test finds in the shared one beside its own nouns is other tests' work.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator


def _folder() -> Path:
    # Shorter than pytest's: sockets have to fit below it.
    return Path(tempfile.mkdtemp(prefix="pileus-test-"))


@pytest.fixture(scope="session")
def stub() -> Iterator[Stub]:
    """A running cloud, whose host tells Prometheus of its instances."""
    cloud = Stub(_folder(), PILEUS_HOST_METRICS="127.0.0.1:0")
    cloud.up()
    yield cloud
    cloud.down()
    shutil.rmtree(cloud.state.root)


@pytest.fixture(scope="session")
def was_up() -> Iterator[Path]:
    """The state directory of a cloud that was up, and is down."""
    cloud = Stub(_folder())
    cloud.up()
    cloud.down()
    for socket in cloud.state.root.rglob("*.sock"):  # of which there are no copies
        socket.unlink()
    yield cloud.state.root
    shutil.rmtree(cloud.state.root)


@pytest.fixture
def ended(own: Stub, was_up: Path) -> Stub:
    """A cloud of the test's own that was up, and is down."""
    shutil.copytree(was_up, own.state.root, dirs_exist_ok=True)
    return own


@pytest.fixture(scope="module")
def sealed() -> Iterator[Stub]:
    """A running cloud whose faces speak TLS, with a certificate of its own authority."""
    cloud = Stub(_folder(), PILEUS_TLS="own", PILEUS_NAMES="localhost,cloud.example")
    cloud.up()
    yield cloud
    cloud.down()
    shutil.rmtree(cloud.state.root)


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[Stub]:
    """A state directory of the test's own; nothing runs in it yet. What starts is the executable if it is marked so."""
    cloud = Stub(_folder(), forks=request.node.get_closest_marker("executable") is None)
    yield cloud
    cloud.pileus("down", check=False)
    shutil.rmtree(cloud.state.root)
