"""The engine's daemons as data."""

from __future__ import annotations

from pathlib import Path

from pileus.providers.local.engine.daemons import daemons
from pileus.providers.local.layout import Layout


def test_each_daemon_stays_in_the_foreground_of_its_clouds_namespace() -> None:
    layout = Layout(Path("/state"))
    made = daemons(layout)
    assert len({daemon.pidfile for daemon in made}) == len(made) == 6
    for daemon in made:
        assert f"--net=/run/netns/{layout.netns}" in daemon.argv
        assert f"--pidfile=/srv/run/{daemon.name}.pid" in daemon.argv
        assert daemon.pidfile == layout.engine / "run" / f"{daemon.name}.pid"
        assert not {"--detach", "--monitor"} & set(daemon.argv)


def test_databases_come_before_who_needs_them() -> None:
    names = [daemon.name for daemon in daemons(Layout(Path("/state")))]
    assert names == ["switch-db", "northbound", "southbound", "northd", "switch", "controller"]
