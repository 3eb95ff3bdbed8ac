"""Which certificates one end of the bus shows, and whose it believes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the authority that the other side's certificate must be of, and one's own certificate and its key."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def client(self) -> ssl.SSLContext:
        """For who connects: the other side's certificate and name are verified, one's own is shown if asked for."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
        self._load(context)
        return context

    def server(self) -> ssl.SSLContext:
        """For who listens: callers are asked for no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
