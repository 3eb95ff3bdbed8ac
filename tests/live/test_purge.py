"""`pileus purge` of a cloud with a guest leaves nothing of it on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pileus.app.state import StateDirectory
from pileus.posix.files import write_json
from tests.live.cloud import PILEUS, running


def processes_of(*words: str) -> list[str]:
    """Command lines of living processes that name one of the words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words) and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


@pytest.mark.cost(60)
def test_purge_leaves_nothing() -> None:
    with running() as cloud:
        ident = cloud.ec2.run_instances(ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=1, MaxCount=1)[
            "Instances"
        ][0]["InstanceId"]
        cloud.wait(ident, "running")
        digest, state, prefixes = cloud.layout.digest, cloud.state, cloud.layout.prefixes
        [number] = [link.name for link in prefixes.iterdir() if link.readlink() == state]
        assert cloud.instance(ident)["PublicIpAddress"].startswith(f"127.{number}.")
        assert any("qemu" in line for line in processes_of(str(state)))
        assert list(Path("/run/netns").glob(f"pileus-{digest}*"))
        cloud.pileus("purge", "--yes")
        assert list(state.parent.iterdir()) == []
        assert state not in [link.readlink() for link in prefixes.iterdir()]
        assert processes_of(str(state), digest) == []
        assert list(Path("/run/netns").glob(f"*{digest}*")) == []
        assert list(Path("/sys/fs/cgroup").glob(f"*/*{digest}*")) == []
        assert [path for path in Path("/sys/class/net").iterdir() if digest in path.name] == []
        assert [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(state) in line] == []


@pytest.mark.cost(2)
@pytest.mark.parametrize("name", ["host", "wörk räum"])
def test_what_is_mounted_below_is_not_emptied(tmp_path: Path, name: str) -> None:
    state = StateDirectory(tmp_path / "s")
    state.prepare()
    write_json(state.started, {"provider": "stub", "port": 1})
    (state.root / name).mkdir(exist_ok=True)
    script = 'mount -t tmpfs x "$1" && touch "$1/precious" && ! "$2" purge --yes --state "$3" && test -e "$1/precious"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(state.root / name), PILEUS, str(state.root)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"mounted on {state.root / name}" in done.stderr
    assert state.started.exists()
