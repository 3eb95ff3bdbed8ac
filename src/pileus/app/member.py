"""A machine that joined a cloud: its daemons and its host process."""

from __future__ import annotations

import os
from collections.abc import Callable

from pileus.app import joining, kits, processes, rollback, supervise
from pileus.app.state import StateDirectory
from pileus.app.up import begin, down, start_host, supervised_parts
from pileus.cli.problem import Problem
from pileus.model.kit import Kit
from pileus.posix.files import read_json, write_json
from pileus.posix.locks import locked

Say = Callable[[str], None]


def up(state: StateDirectory, provider: str, say: Say) -> str:
    """Start what of this host does not run; in words, what it is then. Raises Problem."""
    start_options = read_json(state.started) or {}
    kit = kits.load(provider or str(start_options.get("provider") or ""))
    if not kit.own_process:
        raise Problem(f"{state.root} is a host's: over '{kit.name}' there are no host processes.")
    if kit.needs_root and os.geteuid() != 0:
        raise Problem("Running machines needs root: use sudo.")
    state.claim()
    with rollback.on_failure(state, down, say) as start:
        _start(start, kit, say)
    return _standing(state)


def _start(start: rollback.StartAttempt, kit: Kit, say: Say) -> None:
    state = start.state
    state.prepare()
    with kits.as_problems():
        kept_options = kit.kept(kits.site(kit, state))
    with locked(state.run / "up.lock"):
        start.begin()
        write_json(state.started, {"provider": kit.name, **kept_options}, 0o644)
        begin(kit, state, say)
        start_host(kit, state, say)
        if processes.owner(state.pidfile("supervisor")) is None:
            with supervise.starting(state, supervised_parts(kit, state), -1):
                pass


def _standing(state: StateDirectory) -> str:
    cloud = joining.joined(state)
    if cloud is None:
        return "this machine is a host of no cloud"
    try:
        refusal = joining.refusal(state, cloud)
    except (Problem, OSError) as trouble:
        return f"{cloud.name} runs what it was ordered. {getattr(trouble, 'message', trouble)}"
    return refusal or f"{cloud.name} is a host of the cloud at {cloud.url}"
