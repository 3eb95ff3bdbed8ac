"""The tiny images' answer to DHCP: a second interface takes the default route from nobody."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pileus.providers.local import images

FILES = Path(images.__file__).parent / "files"
SCRIPTS = ("busybox/udhcpc", "tiny-container/udhcpc")
CLASSLESS = {"staticroutes": "169.254.169.254/32 10.0.0.2 0.0.0.0/0 10.0.0.1 10.9.0.0/16 0.0.0.0"}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("options", [CLASSLESS, {"router": "10.0.0.1"}])
def test_routes_of_a_later_interface_come_behind_those_of_the_first(
    script: str, options: dict[str, str], tmp_path: Path
) -> None:
    commands = tmp_path / "commands"
    ip = tmp_path / "ip"
    ip.write_text(f'#!/bin/sh\necho "$@" >>{commands}\n')
    ip.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ip": "10.0.0.5", "mask": "24", **options}
    metrics = {}
    for interface in ("eth0", "eth1", "eth10"):
        commands.write_text("")
        subprocess.run(["/bin/sh", FILES / script, "bound"], check=True, env={**environment, "interface": interface})
        routes = [line for line in commands.read_text().splitlines() if line.startswith("route replace")]
        assert routes
        (metrics[interface],) = {line.partition(" metric ")[2] for line in routes}
    assert metrics == {"eth0": "0", "eth1": "1", "eth10": "10"}
