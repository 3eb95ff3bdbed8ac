"""Looks through a container's root file system in an archive: whether it is one that launches take, and its size.

`python -m pileus.providers.local.container.unpackedsize`, a tar archive on its standard input. It prints a
`rootfs.UnpackedSize` as JSON, or ends with status 3 and a reason; whoever starts it bounds its memory and time.
"""

from __future__ import annotations

import json
import sys
import tarfile
from typing import IO

from pileus.model.rootfs import ArchiveMeter, Member, RefusedError, headers

REFUSED = 3


def main() -> int:
    """Look through standard input; an exit status."""
    try:
        meter = count(sys.stdin.buffer)
    except RefusedError as error:
        return _end(str(error))
    except (tarfile.TarError, UnicodeError, MemoryError, OverflowError, ValueError) as error:
        return _end(f"the archive cannot be read: {str(error) or type(error).__name__}")
    json.dump({"bytes": meter.bytes, "entries": meter.entries}, sys.stdout)
    return 0


def count(archive: IO[bytes]) -> ArchiveMeter:
    """Return the size of the archive's content. Raises RefusedError and tarfile's errors."""
    meter = ArchiveMeter()
    with tarfile.open(fileobj=archive, mode="r|", tarinfo=Member, encoding="utf-8") as tar:
        for member in headers(tar):
            meter.entry(member)
    return meter


def _end(text: str) -> int:
    sys.stderr.write(ascii(text)[1:-1][-300:] + "\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
