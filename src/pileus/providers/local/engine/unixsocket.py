"""Connections to unix sockets, however long their path."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def connect(path: Path, timeout: float) -> socket.socket:
    """A stream connected to `path` within `timeout` seconds; OSError when nobody listens there.

    The kernel takes at most 107 bytes of path (unix(7)); through the folder's descriptor every path is short.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout)
        stream.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        stream.close()
        raise
    finally:
        os.close(folder)
    return stream


def answers(path: Path, question: bytes = b"", patience: float = 1.0) -> bool:
    """Whether somebody listens at `path`, and answers `question`, if there is one, within `patience` seconds.

    A socket file that a killed process left does not count, and one that hangs only accepts connections.
    """
    try:
        with connect(path, patience) as stream:
            if not question:
                # Nothing is sent, not even no bytes: the other side may have closed the connection already.
                return True
            stream.sendall(question)
            return len(stream.recv(1)) > 0
    except OSError:
        return False
