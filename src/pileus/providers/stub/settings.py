"""The stub's settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class StubSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The stub's settings. Times in seconds."""

    stub_latency: Annotated[float, Meta(ge=0, description="seconds that the stub pretends to work at each step")] = 0.0
