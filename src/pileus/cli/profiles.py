"""Profiles: a cloud's endpoint, keys and token in the files that AWS clients read, ~/.aws/config and credentials.

awscli, boto3 and the other clients take `endpoint_url`, the region and the keys of a profile; they pass over the keys
that begin with `pileus_`, which `pileus --profile NAME` reads. `pileus_cloud` says whose the section is: a section
without it, or of another cloud, is never changed. The rest of a file stays as it is, comments too.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pileus.cli.problem import Problem
from pileus.posix.files import write_file

OWNER = "pileus_cloud"
NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}", re.ASCII)

_SECTION = re.compile(r"\s*\[\s*(?P<name>[^\]]*?)\s*\]")
_APART = re.compile(r"\s*([#;].*)?$")
_SETTING = re.compile(r"(?P<key>[A-Za-z0-9_]+)\s*=\s*(?P<value>.*?)\s*$")


class Remote(NamedTuple):
    """A cloud that is reached over the network: the REST face's URL, a token, and a file of certificates to trust."""

    url: str
    token: str
    ca: Path | None


class Profile(NamedTuple):
    """The settings of a profile in the two files; `owner` is the state directory, or the URL, of its cloud."""

    name: str
    owner: str
    config: Mapping[str, str]
    credentials: Mapping[str, str]


def files() -> tuple[Path, Path]:
    """The two files, where AWS clients look for them."""
    home = Path.home() / ".aws"
    config = os.environ.get("AWS_CONFIG_FILE") or home / "config"
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    return Path(config).expanduser(), Path(credentials).expanduser()


def check(name: str, owner: str) -> None:
    """Whether a profile of this name may be written for the cloud `owner`. Raises Problem."""
    if not NAME.fullmatch(name):
        raise Problem(f"'{name}' is no name of a profile: 1 to 64 letters, digits and . _ - + @.")
    for path, heading in zip(files(), (_heading(name), name), strict=True):
        present = _read(path, heading)
        if present and present.get(OWNER) != owner:
            whose = present.get(OWNER, "another program")
            raise Problem(f"The profile '{name}' in {path} is {whose}'s, and stays: give another name.")


def write(profile: Profile) -> tuple[Path, Path]:
    """Write a profile into the two files, in place of an earlier one of its cloud. Raises Problem."""
    return _replace(profile.name, profile.owner, profile.config, profile.credentials)


def remove(name: str, owner: str) -> None:
    """Take a profile of the cloud away. Raises Problem where it is another's, or is not there."""
    if not any(settings(name)):
        raise Problem(f"There is no profile '{name}'.")
    _replace(name, owner, {}, {})


def settings(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """The settings of a profile in the two files; empty where it has none. Raises Problem."""
    config, credentials = files()
    return _read(config, _heading(name)), _read(credentials, name)


def remote(name: str) -> Remote:
    """The cloud of a profile that `pileus profile` wrote. Raises Problem."""
    config, credentials = settings(name)
    url, token = config.get("pileus_endpoint", ""), credentials.get("pileus_token", "")
    if not url or not token:
        raise Problem(f"'{name}' is no profile of Pileus in {files()[0]}: 'pileus profile {name}' writes one.")
    ca = config.get("ca_bundle")
    return Remote(url, token, Path(ca) if ca else None)


def _replace(name: str, owner: str, *sections: Mapping[str, str]) -> tuple[Path, Path]:
    """Give the sections of a profile these settings, none: no section; nothing is written unless both may be."""
    check(name, owner)
    paths, headings = files(), (_heading(name), name)
    for key, value in itertools.chain([(OWNER, owner)], *(section.items() for section in sections)):
        # A cloud elsewhere chose some: a line more would be a setting of its own, `credential_process` say.
        if not value.isprintable():
            raise Problem(f"The {key} of the profile '{name}' has signs that no setting may have: {value!r}.")
    for path, heading, section in zip(paths, headings, sections, strict=True):
        lines = [f"{key} = {value}" for key, value in {**section, OWNER: owner}.items()]
        _write(path, heading, lines if section else [])
    return paths


def _heading(name: str) -> str:
    return name if name == "default" else f"profile {name}"


def _lines(path: Path) -> list[str]:
    try:
        # As bytes: other ends of lines than \n stay as they are.
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}.") from error
    return text.removesuffix("\n").split("\n") if text else []


def _extent(lines: list[str], heading: str) -> tuple[int, int]:
    """The lines of a section: from its heading to its last setting; an empty range at the end where it is not there.

    Comments and empty lines after the last setting are the next section's.
    """
    headings = [number for number, line in enumerate(lines) if _SECTION.match(line)]
    for begin, following in itertools.pairwise([*headings, len(lines)]):
        section = _SECTION.match(lines[begin])
        if section and " ".join(section["name"].split()) == heading:
            settings_at = [at for at in range(begin + 1, following) if not _APART.match(lines[at])]
            return begin, max(settings_at, default=begin) + 1
    return len(lines), len(lines)


def _read(path: Path, heading: str) -> dict[str, str]:
    lines = _lines(path)
    begin, end = _extent(lines, heading)
    pairs = (_SETTING.match(line) for line in lines[begin + 1 : end])
    section = {pair["key"]: pair["value"] for pair in pairs if pair}
    # A section without settings is somebody's, too.
    return section or ({"": ""} if begin < end else {})


def _write(path: Path, heading: str, section: list[str]) -> None:
    lines = _lines(path)
    begin, end = _extent(lines, heading)
    before, after = lines[:begin], lines[end:]
    mine = [f"[{heading}]", *section] if section else []
    if mine and before and before[-1].strip():
        mine.insert(0, "")
    if mine and after and after[0].strip():
        mine.append("")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A link, as to a folder of settings that are kept elsewhere, stays a link.
        write_file(path.resolve(), ("\n".join([*before, *mine, *after]) + "\n").encode())
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}.") from error
