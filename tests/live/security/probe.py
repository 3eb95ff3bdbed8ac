"""What somebody can open and reach on this machine: asked by a program that has become him.

`reached(who, paths)` runs the program below. It enters the mount and network namespaces of a process if asked to, takes
on the user, the groups and the capabilities (none) of an attacker, and tries each path in turn.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROGRAM = """
import ctypes, fcntl, json, os, socket, struct, sys
asked = json.load(sys.stdin)
libc = ctypes.CDLL(None, use_errno=True)
if asked["process"]:
    for kind, flag in (("mnt", 0x20000), ("net", 0x40000000)):
        handle = os.open(f"/proc/{asked['process']}/ns/{kind}", os.O_RDONLY)
        if libc.setns(handle, flag):
            raise OSError(ctypes.get_errno(), kind)
# Opened as root: whether others may open the device itself differs between machines.
tun = [os.open("/dev/net/tun", os.O_RDWR) for kind in asked["paths"].values() if kind == "tap"]
if asked["uid"] is not None:
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)
    os.setgroups(asked["groups"])
    os.setresgid(*[asked["gid"]] * 3)
    os.setresuid(*[asked["uid"]] * 3)
    libc.prctl(38, 1, 0, 0, 0)
found = {"read": [], "write": [], "connect": [], "list": [], "signal": [], "trace": [], "tap": []}
def attempt(kind, name, work):
    try:
        work()
    except (OSError, ValueError):
        return
    found[kind].append(name)
def connect(path):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(path)
def take(name):
    device = tun.pop()
    try:
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", name.encode(), 0x1002).ljust(40, bytes(1)))
    finally:
        os.close(device)
for path in asked["paths"]:
    kind = asked["paths"][path]
    if kind == "tap":
        attempt("tap", path, lambda: take(path))
    elif kind == "socket":
        attempt("connect", path, lambda: connect(path))
    elif kind == "folder":
        attempt("list", path, lambda: os.listdir(path))
        attempt("write", path, lambda: os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY)))
    else:
        attempt("read", path, lambda: os.close(os.open(path, os.O_RDONLY)))
        attempt("write", path, lambda: os.close(os.open(path, os.O_WRONLY)))
for pid in asked["pids"]:
    attempt("signal", pid, lambda: os.kill(pid, 0))
    attempt("trace", pid, lambda: os.listdir(f"/proc/{pid}/fd"))
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Somebody:
    """A user (None: root as he is) with groups, seen from inside the namespaces of `process` (0: the machine's own)."""

    uid: int | None = None
    gid: int = 0
    groups: tuple[int, ...] = ()
    process: int = 0


@dataclass(frozen=True)
class Reached:
    """What could be opened, connected to, listed, attached to; and which processes could be signalled and traced."""

    read: frozenset[str]
    write: frozenset[str]
    connect: frozenset[str]
    list: frozenset[str]
    tap: frozenset[str]
    signal: frozenset[int]
    trace: frozenset[int]


def reached(who: Somebody, paths: dict[str, str], pids: Iterable[int] = (), through: Sequence[str] = ()) -> Reached:
    """What of `paths` (each a "file", "folder", "socket" or "tap") and `pids` is open to him.

    `through` is a command that runs another one somewhere else, such as in a network namespace.
    """
    asked = {
        "uid": who.uid,
        "gid": who.gid,
        "groups": list(who.groups),
        "process": who.process,
        "paths": paths,
        "pids": list(pids),
    }
    done = subprocess.run(
        [*through, "/usr/bin/python3", "-I", "-c", PROGRAM],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sys.stderr.write(done.stderr)
    return Reached(**{name: frozenset(values) for name, values in json.loads(done.stdout).items()})
