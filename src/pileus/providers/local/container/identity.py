"""Write a new container's identity into its root before the first start: its name, and the keys that may log in.

Everything else it learns from the metadata service, as machines do. This much is needed by images that ask nothing,
and by users who log in before cloud-init has come to it. The root is a stranger's: nothing that leads out of it is
followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import kernel
from pileus.providers.local.container.ranges import SIZE

_LARGEST = 1 << 20
_OWN = "127.0.1.1 "
_NUMBER = re.compile(r"[0-9]{1,9}")
_REFUSALS = (
    *(errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOENT),
    *(errno.EXDEV, errno.ENXIO, errno.ENAMETOOLONG),
)
"""The errors of a strange root: such a root gets no identity, which harms nobody else."""


def write(root: Path, spec: InstanceSpec, base: int) -> None:
    """Write the identity of `spec` into `root`; what the root has no place for is left out. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    inside = _Inside(descriptor, base)
    name = spec.hostname or spec.ec2_id
    qualified = f"{name}.{spec.domain} {name}" if spec.domain else name
    try:
        with _tolerating():
            inside.write("/etc/hostname", f"{name}\n")
        with _tolerating():
            hosts = inside.read("/etc/hosts") or "127.0.0.1 localhost\n"
            if name not in hosts.split():
                # The name of the instance that this one's image was made of goes.
                other_lines = [line for line in hosts.rstrip().split("\n") if not line.startswith(_OWN)]
                inside.write("/etc/hosts", "\n".join([*other_lines, f"{_OWN}{qualified}", ""]))
        with _tolerating():
            _authorize_login(inside, spec)
    finally:
        os.close(descriptor)


def _authorize_login(inside: _Inside, spec: InstanceSpec) -> None:
    keys = "".join(f"{key.strip()}\n" for key in spec.public_keys)
    lines = (line.split(":") for line in inside.read("/etc/passwd").splitlines())
    account = next((line for line in lines if line[0] == spec.login_user and len(line) > 5), None)
    if keys and account is not None and _NUMBER.fullmatch(account[2]) and _NUMBER.fullmatch(account[3]):
        user, group = int(account[2]), int(account[3])
        inside.folder(f"{account[5]}/.ssh", user, group)
        inside.write(f"{account[5]}/.ssh/authorized_keys", keys, 0o600, user, group)


@dataclass(frozen=True)
class _Inside:
    """Files of a container by their paths in it; `root` is a descriptor, `base` the machine's user that is its root."""

    root: int
    base: int

    def read(self, path: str) -> str:
        """The text of a file; empty where there is none, or none that is a file."""
        try:
            descriptor = kernel.open_below(self.root, path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            return file.read(_LARGEST).decode(errors="replace")

    def write(self, path: str, text: str, mode: int = 0o644, user: int = 0, group: int = 0) -> None:
        """Make the file anew with `text`: a link or pipe that was there goes, whatever it led to stays."""
        parent, _, name = path.rpartition("/")
        folder = kernel.open_below(self.root, parent or "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "w", encoding="utf-8") as file:
                file.write(text)
                self._give(file.fileno(), mode, user, group)
        finally:
            os.close(folder)

    def folder(self, path: str, user: int, group: int) -> None:
        """A folder that only `user` enters."""
        parent, _, name = path.rpartition("/")
        above = kernel.open_below(self.root, parent or "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
                descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
                try:
                    self._give(descriptor, 0o700, user, group)
                finally:
                    os.close(descriptor)
        finally:
            os.close(above)

    def _give(self, descriptor: int, mode: int, user: int, group: int) -> None:
        os.fchown(descriptor, self.base + user % SIZE, self.base + group % SIZE)
        os.fchmod(descriptor, mode)


@contextlib.contextmanager
def _tolerating() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
