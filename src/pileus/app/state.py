"""The state directory of one cloud: where its processes keep and find their things, and what it was started with."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from pileus.cli.problem import Problem

LONGEST = 80
"""Bytes that a state directory's path may have: the kernel takes 107 for a socket below it (unix(7))."""

ACCOUNT_KEYS = (
    "user",
    "password",
    "project",
    "account_id",
    "canonical_id",
    "access_key",
    "secret_key",
    "token",
)
"""The keys of admin.json."""


@dataclass(frozen=True)
class StateDirectory:
    """Paths that follow from the state directory `root` (absolute)."""

    root: Path

    @property
    def endpoints(self) -> Path:
        """URL of every face, there while the cloud serves."""
        return self.root / "endpoints.json"

    @property
    def admin(self) -> Path:
        """The administrator's credentials, mode 0600."""
        return self.root / "admin.json"

    @property
    def started(self) -> Path:
        """The provider and port of the cloud's last start."""
        return self.root / "started.json"

    @property
    def cloud(self) -> Path:
        """All that the cloud process owns; nobody else but root enters."""
        return self.root / "cloud"

    @property
    def database(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.cloud}/pileus.db"

    @property
    def key(self) -> Path:
        """32 bytes that seal the secrets in the store."""
        return self.cloud / "secret.key"

    @property
    def audit(self) -> Path:
        """The audit log, mode 0600; older files of it are beside it."""
        return self.cloud / "audit.log"

    @property
    def objects(self) -> Path:
        """The object store."""
        return self.cloud / "objects"

    @property
    def ca(self) -> Path:
        """The certificate by which clients know the cloud, for everybody; not there when it is none of its own."""
        return self.root / "ca.pem"

    @property
    def anchor(self) -> Path:
        """The cloud's own copy of it."""
        return self.cloud / "ca.pem"

    @property
    def authority(self) -> Path:
        """The certificate of the cloud's authority, by which broker and hosts are known."""
        return self.cloud / "authority.pem"

    @property
    def bus_identity(self) -> Path:
        """Key and certificate that the cloud's processes show the broker."""
        return self.cloud / "bus.pem"

    @property
    def bus(self) -> Path:
        """The socket at which the cloud hears its host."""
        return self.cloud / "bus.sock"

    @property
    def internal(self) -> Path:
        """The socket at which a host fetches objects."""
        return self.cloud / "http.sock"

    @property
    def ready(self) -> Path:
        """The cloud's own copy of the endpoints, written last of all when it serves."""
        return self.cloud / "endpoints.json"

    @property
    def account(self) -> Path:
        """The cloud's own copy of the administrator's credentials."""
        return self.cloud / "admin.json"

    @property
    def recovery(self) -> Path:
        """The progress or result of the recovery at this start, absent without one."""
        return self.cloud / "recovery.json"

    @property
    def recover(self) -> Path:
        """There while somebody wants the store recovered whether or not it is behind its hosts."""
        return self.cloud / "recover.asked"

    @property
    def joined(self) -> Path:
        """The cloud that this machine joined, mode 0600; not there where the cloud is on this machine."""
        return self.root / "joined.json"

    @property
    def identity(self) -> Path:
        """The folder of the certificate and key of a machine that joined; root's alone."""
        return self.root / "identity"

    @property
    def run(self) -> Path:
        """Pid files and locks of the processes."""
        return self.root / "run"

    @property
    def host(self) -> Path:
        """The host's book of orders."""
        return self.root / "host"

    @property
    def channels(self) -> Path:
        """The socket at which the host gives the bytes of channels; the cloud's group may pass its folder."""
        return self.root / "channels" / "channels.sock"

    def face_port(self, face: str) -> Path:
        """The port of the last listening socket of a face that has its own."""
        return self.cloud / f"{face}.port"

    def log(self, process: str) -> Path:
        """The log file of a process."""
        return self.root / "log" / f"{process}.log"

    def pidfile(self, process: str) -> Path:
        """Locked by a process for life."""
        return self.run / f"{process}.pid"

    def prepare(self) -> None:
        """Make the folders; what only some users may enter is closed to the others from the beginning.

        Raises Problem where somebody else controls the state directory.
        """
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Only now: before, somebody else could still make it.
        _check_owner(self.root)
        for folder in (self.cloud, self.run, self.host, self.root / "log", self.channels.parent):
            folder.mkdir(mode=0o700, exist_ok=True)


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
