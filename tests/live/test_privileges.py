"""The cloud process gives up root for good, and sees what it needs behind a private home."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

USER = "nobody"

# Tells, as JSON, what the process can do after it became somebody else.
PROBE = """
import json, os, sys
from pathlib import Path
from pileus.app.privileges import Needed, become
home = Path(sys.argv[1])
become(sys.argv[2], [Needed(home / "a/code"), Needed(home / "a/state", writable=True), Needed(Path("/usr"))])
def fails(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return ""
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "ids": [*os.getresuid(), *os.getresgid()],
    "groups": os.getgroups(),
    "caps": int(status["CapEff"], 16) + int(status["CapPrm"], 16),
    "no_new_privs": status["NoNewPrivs"].strip(),
    "root_again": fails(lambda: os.setuid(0)),
    "code": (home / "a/code/file").read_text(),
    "write_code": fails(lambda: (home / "a/code/file").write_text("x")),
    "write_state": fails(lambda: (home / "a/state/file").write_text("x")),
    "home": sorted(os.listdir(home)),
    "a": sorted(os.listdir(home / "a")),
    "secret": fails(lambda: (home / "secret").read_text()),
    "umask": os.umask(0),
}))
"""


def mounted(folder: str) -> list[str]:
    """What is mounted on this machine where the process mounts something, or makes it read-only, for itself."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = ("/", "/usr", "/tmp", "/home", "/root")
    return [line for line in lines if line.split()[1] in places or line.split()[1].startswith(folder)]


@pytest.mark.cost(5)
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["private", "open"])
def test_the_process_is_nobody_and_reaches_what_it_needs(mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(mode)
        for name in ("a/code", "a/state"):
            (home / name).mkdir(mode=0o755, parents=True)
        (home / "a/code/file").write_text("hello")
        (home / "secret").write_text("s")
        (home / "secret").chmod(0o600)
        entry = pwd.getpwnam(USER)
        os.chown(home / "a/state", entry.pw_uid, entry.pw_gid)
        mounts = mounted(folder)
        done = subprocess.run([sys.executable, "-c", PROBE, folder, USER], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["ids"] == [entry.pw_uid] * 3 + [entry.pw_gid] * 3
        assert set(found["groups"]) == set(os.getgrouplist(USER, entry.pw_gid))
        assert (found["caps"], found["no_new_privs"], found["umask"]) == (0, "1", 0o077)
        assert found["root_again"]
        assert (found["code"], found["write_state"]) == ("hello", "")
        assert found["write_code"] == ("Read-only file system" if mode == 0o700 else "Permission denied")
        assert found["secret"]
        assert found["home"] == (["a"] if mode == 0o700 else ["a", "secret"])
        assert found["a"] == ["code", "state"]
        assert mounted(folder) == mounts
        assert (home / "a/state/file").read_text() == "x"
