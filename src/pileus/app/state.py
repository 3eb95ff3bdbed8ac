"""The state directory of one cloud: where its processes keep and find their things, and what it was started with."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from pileus.cli.problem import Problem

LONGEST = 80
"""Bytes that a state directory's path may have: the kernel takes 107 for a socket below it (unix(7))."""

ACCOUNT_KEYS = ("user", "password", "project", "account_id", "canonical_id", "access_key", "secret_key", "token")
"""The keys of admin.json."""


class StatePath:
    """An attribute of a state directory: the path that `parts` make below its root."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __get__(self, state: StateDirectory, _owner: type) -> Path:
        """Return the path."""
        return state.root.joinpath(*self.parts)


@dataclass(frozen=True)
class StateDirectory:
    """Paths that follow from the state directory `root` (absolute)."""

    root: Path

    endpoints = StatePath("endpoints.json")
    """URL of every face, there while the cloud serves."""

    admin = StatePath("admin.json")
    """The administrator's credentials, mode 0600."""

    started = StatePath("started.json")
    """The provider and port of the cloud's last start."""

    cloud = StatePath("cloud")
    """All that the cloud process owns; nobody else but root enters."""

    @property
    def database(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.cloud}/pileus.db"

    key = StatePath("cloud", "secret.key")
    """32 bytes that seal the secrets in the store."""

    audit = StatePath("cloud", "audit.log")
    """The audit log, mode 0600; older files of it are beside it."""

    objects = StatePath("cloud", "objects")
    """The object store."""

    ca = StatePath("ca.pem")
    """The certificate by which clients know the cloud, for everybody; not there when it is none of its own."""

    anchor = StatePath("cloud", "ca.pem")
    """The cloud's own copy of it."""

    authority = StatePath("cloud", "authority.pem")
    """The certificate of the cloud's authority, by which broker and hosts are known."""

    bus_identity = StatePath("cloud", "bus.pem")
    """Key and certificate that the cloud's processes show the broker."""

    bus = StatePath("cloud", "bus.sock")
    """The socket at which the cloud hears its host."""

    internal = StatePath("cloud", "http.sock")
    """The socket at which a host fetches objects."""

    ready = StatePath("cloud", "endpoints.json")
    """The cloud's own copy of the endpoints, written last of all when it serves."""

    account = StatePath("cloud", "admin.json")
    """The cloud's own copy of the administrator's credentials."""

    recovery = StatePath("cloud", "recovery.json")
    """The progress or result of the recovery at this start, absent without one."""

    recover = StatePath("cloud", "recover.asked")
    """There while somebody wants the store recovered whether or not it is behind its hosts."""

    joined = StatePath("joined.json")
    """The cloud that this machine joined, mode 0600; not there where the cloud is on this machine."""

    identity = StatePath("identity")
    """The folder of the certificates and key of a machine that joined; root's alone."""

    host_identity = StatePath("identity", "host.pem")
    """Its key and certificate, mode 0600. They change together: one file."""

    host_authority = StatePath("identity", "ca.pem")
    """The certificate of its cloud's authority, mode 0600."""

    run = StatePath("run")
    """Pid files and locks of the processes."""

    host = StatePath("host")
    """The host's book of orders."""

    channels = StatePath("channels", "channels.sock")
    """The socket at which the host gives the bytes of channels; the cloud's group may pass its folder."""

    def face_port(self, face: str) -> Path:
        """The port of the last listening socket of a face that has its own."""
        return self.cloud / f"{face}.port"

    def log(self, process: str) -> Path:
        """The log file of a process."""
        return self.root / "log" / f"{process}.log"

    def pidfile(self, process: str) -> Path:
        """Locked by a process for life."""
        return self.run / f"{process}.pid"

    def claim(self) -> None:
        """Make the state directory itself.

        Raises Problem where somebody else controls it, and where it holds what is not a cloud's.
        """
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Only now: before, somebody else could still make it.
        _check_owner(self.root)
        if not any(path.exists() for path in (self.started, self.joined, self.channels.parent)):
            names = top_names() | {"lost+found"}
            entries = sorted(path.name for path in self.root.iterdir())
            foreign = [name for name in entries if name.removeprefix(".").removesuffix(".new") not in names]
            if foreign:
                raise Problem(
                    f"{self.root} holds {foreign[0]}, which is not a cloud's: choose another --state, new or empty."
                )

    def prepare(self) -> None:
        """Make the folders; what only some users may enter is closed to the others from the beginning.

        Raises Problem as `claim` does.
        """
        self.claim()
        for folder in (self.cloud, self.run, self.host, self.root / "log", self.channels.parent):
            folder.mkdir(mode=0o700, exist_ok=True)


def top_names() -> set[str]:
    """Return the names that a cloud's processes give at the top of its state directory."""
    paths = [path for path in vars(StateDirectory).values() if isinstance(path, StatePath)]
    return {"log", *(path.parts[0] for path in paths)}


def _check_owner(root: Path) -> None:
    """Raise a Problem where another user has the directory, or a link to it, or where others may write in it."""
    for status in (root.lstat(), root.stat()):
        if status.st_uid not in (0, os.geteuid()):
            owner = _user(status.st_uid)
            raise Problem(f"{root} belongs to {owner}, who could change a cloud there: choose another --state.")
    if root.stat().st_uid != os.geteuid():
        raise Problem(f"{root} belongs to root: use sudo, or choose another --state.")
    if root.stat().st_mode & 0o022:
        raise Problem(f"Others may write in {root}: 'chmod go-w {root}', or choose another --state.")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user with the id {number}"


def opened(root: Path) -> StateDirectory:
    """The state directory `root`, there or not; a Problem where it is another user's, who alone can say what runs."""
    state = StateDirectory(root)
    try:
        closed = state.run.exists() and not os.access(state.run, os.R_OK | os.X_OK, effective_ids=True)
    except PermissionError:
        closed = True
    if closed:
        raise Problem(f"{root} is not yours to use: use sudo, or another --state.")
    return state
