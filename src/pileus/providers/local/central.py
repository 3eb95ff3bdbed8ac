"""OVN's databases and northd, for a cloud whose hosts are machines of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pileus.model.errors import InvalidValue
from pileus.model.kit import Central, ProcessDeclaration, Say, Site
from pileus.posix.files import write_file
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import daemons
from pileus.providers.local.engine.fabric import Fabric, OvnTlsFiles
from pileus.providers.local.site import layout_of

_END = "-----END CERTIFICATE-----\n"


class LocalCentral(Central):
    """The databases' part in the networks. Raises InvalidValue for want of a setting."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._layout, self._fabric = layout_of(site), fabric(site)
        self.address = self._layout.northbound

    def begin(self, say: Say) -> None:
        """Start the daemons that do not run."""
        chassis.up(self._layout, fabric=self._fabric)

    def processes(self) -> Sequence[ProcessDeclaration]:
        """The daemons."""
        return [daemon.declaration for daemon in daemons(self._layout, fabric=self._fabric)]

    def end(self, say: Say, *, instances: bool) -> None:
        """End the daemons."""
        chassis.down(self._layout, fabric=self._fabric)


def fabric(site: Site) -> Fabric:
    """The databases' part in the networks. Raises InvalidValue for want of a setting."""
    listen = site.settings.southbound_listen
    if not listen:
        raise InvalidValue("PILEUS_SOUTHBOUND_LISTEN=ADDRESS:PORT has to say where the hosts' controllers come.")
    address, _, port = listen.rpartition(":")
    return Fabric(
        chassis="central",
        switches=False,
        listen=f"pssl:{port}:{address}",
        tls=_papers(site.state / "run" / "authority.pem", Path(site.settings.southbound_certificate)),
    )


def _papers(authority_file: Path, file: Path) -> OvnTlsFiles:
    """The file that `pileus certificate` printed, and of it the authority's certificate alone, which is the last."""
    try:
        pem_text = file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        text = "PILEUS_SOUTHBOUND_CERTIFICATE has to name a file with what 'pileus certificate ADDRESS' printed"
        raise InvalidValue(f"{text}: {error}.") from error
    authority = pem_text.split(_END)[-2:-1]
    if not authority or pem_text.count(_END) < 2 or "PRIVATE KEY" not in pem_text:
        text = f"{file} lacks a key, its certificate or the authority's: 'pileus certificate' prints all three."
        raise InvalidValue(text)
    write_file(authority_file, (authority[0] + _END).encode("ascii"))
    return OvnTlsFiles(key=file, certificate=file, ca=authority_file)
