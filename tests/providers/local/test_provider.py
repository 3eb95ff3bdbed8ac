"""The channels to bodies of each kind, as a host gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.bus.channels import ChannelServer, read_all
from pileus.model.errors import Fault
from pileus.model.provider import BodyRef
from pileus.providers.local.capture.folders import About, CaptureFolders
from pileus.providers.local.layout import Layout
from pileus.providers.local.provider import LocalProvider
from tests.providers.local.capture.test_provider import spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[LocalProvider]:
    """Of an empty state directory, not started."""
    channels = ChannelServer(tmp_path / "c.sock")
    channels.start()
    yield LocalProvider(Layout(tmp_path, cache=tmp_path / "cache"), lambda *_: None, channels, None)
    channels.stop()


def test_a_capture_has_its_bytes_and_no_other_channel(provider: LocalProvider, tmp_path: Path) -> None:
    image = spec()
    ref = BodyRef(kind="image", uuid=image.uuid)
    with pytest.raises(Fault, match="CaptureMissing"):
        provider.open(ref, "bytes")
    folders = CaptureFolders(Layout(tmp_path).captures)
    folders.hold(image)
    folders.begin(image.uuid).write_bytes(b"disk")
    folders.keep(image.uuid, About("0" * 64, 4, 1 << 30))
    for _ in range(2):
        assert read_all(provider.open(ref, "bytes")) == b"disk"
    with pytest.raises(Fault, match="Unsupported"):
        provider.open(ref, "log")
