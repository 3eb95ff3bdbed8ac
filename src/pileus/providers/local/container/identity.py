"""Write a new container's identity into its root before the first start: name, keys, password, and its user's files.

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

from pileus.model import guestdata
from pileus.model.injection import InjectedFile
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
        with _tolerating():
            _set_password(inside, spec.password)
        for file in spec.files:
            with _tolerating():
                _inject(inside, file)
    finally:
        os.close(descriptor)


def write_config_drive(folder: Path, spec: InstanceSpec, base: int) -> None:
    """Write the contents of a configuration drive, which root alone reads as on a machine's. Raises OSError."""
    for path, content in guestdata.drive(spec).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o400)
    for entry in (folder, *folder.rglob("*")):
        os.chown(entry, base, base)
    folder.chmod(0o500)


def _authorize_login(inside: _Inside, spec: InstanceSpec) -> None:
    keys = "".join(f"{key.strip()}\n" for key in spec.public_keys)
    lines = (line.split(":") for line in inside.read("/etc/passwd").splitlines())
    account = next((line for line in lines if line[0] == spec.login_user and len(line) > 5), None)
    if keys and account is not None and _NUMBER.fullmatch(account[2]) and _NUMBER.fullmatch(account[3]):
        user, group = int(account[2]), int(account[3])
        inside.folder(f"{account[5]}/.ssh", user, group)
        inside.write(f"{account[5]}/.ssh/authorized_keys", keys, 0o600, user, group)


def _set_password(inside: _Inside, password: str) -> None:
    """Make this hash root's password, in shadow(5) or, where there is none, in passwd(5)."""
    if not password:
        return
    path = "/etc/shadow" if inside.read("/etc/shadow") else "/etc/passwd"
    accounts = [line.split(":") for line in inside.read(path).splitlines()]
    for account in accounts:
        if account[0] == "root" and len(account) > 1:
            account[1] = password
    mode, user, group = inside.status(path)
    inside.write(path, "".join(f"{':'.join(account)}\n" for account in accounts), mode, user, group)


def _inject(inside: _Inside, file: InjectedFile) -> None:
    """Write a file of the user's; one whose owner the container does not have is root's."""
    user = _number_of(inside, "/etc/passwd", file.owner)
    group = _number_of(inside, "/etc/group", file.group or file.owner)
    parent = file.path.rpartition("/")[0]
    ends = [index for index, letter in enumerate(parent) if letter == "/" and index]
    for end in [*ends, len(parent)] if parent else []:
        inside.folder(parent[:end], 0, 0, 0o755)
    inside.write(file.path, file.data, int(file.mode, 8), user, group)


def _number_of(inside: _Inside, path: str, name: str) -> int:
    if _NUMBER.fullmatch(name):
        return int(name)
    lines = (line.split(":") for line in inside.read(path).splitlines())
    number = next((line[2] for line in lines if line[0] == name and len(line) > 2), "")
    return int(number) if _NUMBER.fullmatch(number) else 0


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

    def status(self, path: str) -> tuple[int, int, int]:
        """The mode of a file, and the numbers of its user and group in the container."""
        descriptor = kernel.open_below(self.root, path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return stat.S_IMODE(status.st_mode), max(0, status.st_uid - self.base), max(0, status.st_gid - self.base)

    def write(self, path: str, content: str | bytes, mode: int = 0o644, user: int = 0, group: int = 0) -> None:
        """Make the file anew with `content`: a link or pipe that was there goes, whatever it led to stays."""
        parent, _, name = path.rpartition("/")
        folder = kernel.open_below(self.root, parent or "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                self._give(file.fileno(), mode, user, group)
        finally:
            os.close(folder)

    def folder(self, path: str, user: int, group: int, mode: int = 0o700) -> None:
        """Make a folder, by default one that only `user` enters, unless there is something of this name."""
        parent, _, name = path.rpartition("/")
        above = kernel.open_below(self.root, parent or "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=above)
                descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
                try:
                    self._give(descriptor, mode, user, group)
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
