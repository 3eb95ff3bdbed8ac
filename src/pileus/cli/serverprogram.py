"""Programs that are a whole cloud for the tools of one face: what their command lines ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

GROUP = "pileus.servers"
"""The entry points of such programs, by the program's name: functions that hand a `ServerLaunch` to who runs it."""


class ServerLaunch(NamedTuple):
    """A launch of a cloud for the face `face`, whose own port is at `listen`, or its end (`stops`).

    `settings` are the face's, of which a running one is `described` so. `state` is the state directory, empty for
    `root` where root asks, else for one in the home. The cloud's log has the name `log` too; with `follows` it is
    printed until somebody ends the program. `needs_root` says why a provider does that does, `no_images` that none of
    the built images fits the pattern `images`.
    """

    face: str
    log: str
    state: str
    root: Path
    provider: str
    listen: str
    settings: Mapping[str, str]
    described: str
    needs_root: str
    images: str
    no_images: str
    stops: bool
    follows: bool
