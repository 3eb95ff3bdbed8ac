"""Contents that a launch puts into its guest: files with their owners, and the password of root."""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from pileus.model import bounds, sha512crypt
from pileus.model.errors import InvalidValue
from pileus.model.noun import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATH = 255
"""Characters, as in OpenStack."""

_OWNER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}|[0-9]{1,5}", re.ASCII)
_MODE = re.compile(r"[0-7]{3,4}", re.ASCII)
_HASH = re.compile(r"\$(?:5|6|7|y|gy|2[aby])\$[./A-Za-z0-9$,=+-]{10,240}", re.ASCII)


class InjectedFile(Part, frozen=True, kw_only=True):
    """A file of a guest: `content` base64, `mode` octal; names or numbers of its owner and group (empty: the owner's).

    Folders above it that are missing are made.
    """

    path: Annotated[str, Meta(max_length=_PATH)]
    content: Annotated[str, Meta(max_length=-(-bounds.FILES_SIZE.most // 3) * 4)] = ""
    owner: Annotated[str, Meta(max_length=32)] = "root"
    group: Annotated[str, Meta(max_length=32)] = ""
    mode: Annotated[str, Meta(max_length=4)] = "0644"

    @property
    def data(self) -> bytes:
        """The content itself."""
        return base64.b64decode(self.content)


InjectedFiles = Annotated[tuple[InjectedFile, ...], Meta(max_length=bounds.FILES.most)]
Password = Annotated[str, Meta(max_length=bounds.PASSWORD.most)]


def check_files(files: Sequence[InjectedFile]) -> None:
    """Whether a guest can be given these files. Raises InvalidValue."""
    if len(files) > bounds.FILES.most:
        raise InvalidValue(f"An instance is given at most {bounds.FILES.most} files.", reason="files")
    if len({file.path for file in files}) < len(files):
        raise InvalidValue("A file is named twice.", reason="files")
    if sum(_checked_size(file) for file in files) > bounds.FILES_SIZE.most:
        raise InvalidValue(f"The files of an instance have at most {bounds.FILES_SIZE.most} bytes.", reason="files")


def _checked_size(file: InjectedFile) -> int:
    path = file.path
    inside = path.startswith("/") and posixpath.normpath(path) == path and path not in ("/", "//")
    if not (inside and path.isprintable() and len(path) <= _PATH and not path.startswith("//")):
        text = f"'{path[:40]}' is no path of a file: it is absolute, without '.' and '..', of up to {_PATH} characters."
        raise InvalidValue(text, ident=path[:40], reason="files")
    if not (_OWNER.fullmatch(file.owner) and (not file.group or _OWNER.fullmatch(file.group))):
        text = f"The owner and the group of {path} are names or numbers of up to five digits."
        raise InvalidValue(text, ident=path, reason="files")
    if not _MODE.fullmatch(file.mode):
        raise InvalidValue(f"The mode of {path} is octal, as 0644.", ident=path, reason="files")
    try:
        return len(base64.b64decode(file.content, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"The content of {path} is not base64.", ident=path, reason="files") from error


def hashed(password: str) -> str:
    """The password as shadow(5) has it: as it is where it is a hash already. Raises InvalidValue, which shows none."""
    if not password or _HASH.fullmatch(password):
        return password
    if not (password.isprintable() and len(password) <= bounds.PASSWORD.most):
        text = f"A password has up to {bounds.PASSWORD.most} printable characters."
        raise InvalidValue(text, reason="password")
    return sha512crypt.hashed(password)
