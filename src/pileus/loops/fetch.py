"""Bringing captures from hosts into the object store, in threads of its own: no step of a loop waits for bytes."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import structlog

from pileus.bus import channels
from pileus.bus.messages import Open
from pileus.model import disk
from pileus.model.errors import Fault, InvalidValue, PileusError, Unavailable
from pileus.model.ids import new_uuid
from pileus.model.image import Image
from pileus.model.threads import once

if TYPE_CHECKING:
    from pileus.objects import ObjectStore
    from pileus.rules.core import Hosts

MOST = 2
"""Captures that come in at once; the others wait."""

PATIENCE = 60.0
"""Seconds without a byte after which a host is given up for now."""

BRIEFLY = 0.2
"""Seconds for which a step waits: what is small is there by then."""

SPARE = 256 << 20
"""Bytes that captures leave free: the store may be on the same disk."""

CHUNK = 1 << 20

log = structlog.get_logger()


class _Fetch:
    """One that is under way, or over: `fault` is then why it failed, None when the bytes are kept."""

    def __init__(self, digest: str, owner: str) -> None:
        self.digest = digest
        self.owner = owner
        self.fault: Fault | None = None
        self.ended = threading.Event()


class Fetcher:
    """Fetches over `hosts` into `objects`. Safe to use from several threads."""

    def __init__(self, hosts: Hosts, objects: ObjectStore) -> None:
        self._hosts = hosts
        self._objects = objects
        self._lock = threading.Lock()
        self._fetches: dict[str, _Fetch] = {}

    def fetch(self, host: str, image: str, digest: str, size: int, owner: str = "") -> bool:
        """Whether the bytes with this digest are kept, as `owner`'s; False while they come in. Raises Fault."""
        with self._lock:
            fetch = self._fetches.get(image)
            if fetch is None and self._objects.use(digest, owner):
                return True
            if fetch is None:
                if sum(not other.ended.is_set() for other in self._fetches.values()) >= MOST:
                    return False
                fetch = self._fetches[image] = _Fetch(digest, owner)
                try:
                    once("fetch", lambda: self._run(fetch, host, image, size))
                except RuntimeError:
                    del self._fetches[image]
                    raise
        if not fetch.ended.wait(BRIEFLY):
            return False
        with self._lock:
            if self._fetches.get(image) is fetch:
                del self._fetches[image]
        if fetch.fault is not None:
            raise fetch.fault
        return fetch.digest == digest

    def _run(self, fetch: _Fetch, host: str, image: str, size: int) -> None:
        try:
            self._bring(fetch, host, image, size)
        except Fault as fault:
            fetch.fault = fault
        except Exception as error:
            # A thread that ended without a word would be waited for for ever.
            log.exception("capture not fetched", image=image, host=host)
            fetch.fault = Fault("CaptureUnavailable", f"it could not be fetched: {error}")
        finally:
            fetch.ended.set()

    def _bring(self, fetch: _Fetch, host: str, image: str, size: int) -> None:
        free = shutil.disk_usage(self._objects.root).free
        if free < size + SPARE:
            room = max(0, free - SPARE) >> 20
            text = f"the object store has room for {room} MiB, and the capture takes {-(-size >> 20)} MiB"
            raise Fault("CloudDiskFull", text)
        try:
            opened = self._hosts.open(host, Open(call=new_uuid(), uuid=image, channel="bytes", kind=Image.KIND))
            with channels.dial(opened, PATIENCE) as link, self._objects.incoming(fetch.digest, fetch.owner) as writing:
                while writing.size <= size and (part := link.recv(CHUNK)):
                    writing.write(part)
                if writing.size < size:
                    raise Fault("CaptureUnavailable", f"{host} gave {writing.size} of {size} bytes")
                writing.keep()
        except InvalidValue as error:
            raise Fault("CaptureCorrupt", error.message) from error
        except Unavailable as error:
            if error.noun != "object":
                raise Fault("CaptureUnavailable", error.message) from error
            raise Fault("CloudDiskFull" if error.reason == disk.FULL else "CloudDiskFailed", error.message) from error
        except (PileusError, OSError) as error:
            raise Fault("CaptureUnavailable", f"{host} does not give it now: {error}") from error
        except Fault as fault:
            if fault.code == "CaptureUnavailable":
                raise
            raise Fault("CaptureUnavailable", f"{host} does not give it now: {fault}") from fault
