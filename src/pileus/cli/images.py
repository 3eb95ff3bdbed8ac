"""Bringing images into a cloud: from files, from addresses, and those that were built on this machine."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from pileus.cli import progress
from pileus.cli.client import Client
from pileus.cli.problem import Problem

_CHUNK = 1 << 20
_SUFFIXES = {"qcow2": ".qcow2", "tar": ".tar.zst"}


def add(client: Client, source: str, **query: str) -> dict[str, Any]:
    """Upload a file, or what an http(s) address gives; the image's document."""
    if urlsplit(source).scheme in ("http", "https"):
        with tempfile.TemporaryFile() as file:
            _download(source, file)
            file.seek(0)
            return _upload(client, file, **query)
    try:
        with Path(source).open("rb") as opened:
            return _upload(client, opened, **query)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise Problem(f"{source} cannot be read: {error.strerror}.") from error


def _download(url: str, file: BinaryIO) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  (http and https alone get here)
            total, done = int(answer.headers.get("content-length") or 0), 0
            with progress.transfer("downloading", total) as report:
                while part := answer.read(_CHUNK):
                    file.write(part)
                    done += len(part)
                    report(done)
            if total and done != total:
                raise Problem(f"{url} gave {done} of {total} bytes: try again.")
    except OSError as error:
        raise Problem(f"{url} cannot be downloaded: {error}") from error


def _upload(client: Client, file: BinaryIO, **query: str) -> dict[str, Any]:
    size = file.seek(0, 2)
    file.seek(0)
    with progress.transfer("uploading", size) as report:
        return client.upload(file, size, report, **query)


def add_built(client: Client, folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Register the images built into `folder`, each described by a NAME.json, as public ones, unless they are there."""
    digests = {image["wanted"]["digest"] for image in client.all("images")}
    added = []
    for path in sorted(folder.glob("*.json")):
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            digest, name = about["sha256"], about["name"]
            file = path.with_suffix(_SUFFIXES[about.get("format", "qcow2")])
        except (OSError, ValueError, KeyError, TypeError):
            say(f"{path} describes no image; left out")
            continue
        if digest in digests:
            continue
        say(f"adding the image {name}")
        added.append(
            add(
                client,
                str(file),
                name=name,
                digest=digest,
                public="true",
                login_user=about.get("login_user", "root"),
                min_memory=str(about.get("min_memory_mib", 64)),
                min_disk=str(about.get("min_disk_gib", 1)),
                architecture=about.get("architecture", "x86_64"),
                description=about.get("description", ""),
            )
        )
    return added
