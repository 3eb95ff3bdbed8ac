"""Where one cloud keeps its things on this machine, and what its machine-wide names are.

Machine-wide names (namespaces, interfaces) carry a hash of the state directory: several clouds run side by side.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

SHARED = Path("/var/lib/pileus")
"""Engine root, built images and the image cache, shared between the clouds of this machine."""


@dataclass(frozen=True)
class Layout:
    """Paths and names that follow from the state directory `state` alone (an absolute path).

    `cache` is where images are kept ready by their digest, for all clouds that name the same folder.
    """

    state: Path
    cache: Path = SHARED / "cache"

    @property
    def digest(self) -> str:
        """Eight hex digits that tell this cloud's machine-wide names from others'."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def netns(self) -> str:
        """The namespace in which switch, guests' QEMU and libvirtd live."""
        return f"pileus-{self.digest}"

    def network_netns(self, network: str) -> str:
        """The namespace of one network's localport, by the network's uuid."""
        return f"pileus-{self.digest}-{network[:8]}"

    def tap(self, port: str) -> str:
        """The TAP of a port, by the port's uuid (at most 15 characters); private to this cloud's namespace."""
        return f"tap{port.replace('-', '')[:11]}"

    @property
    def prefix_file(self) -> Path:
        """The second octet of the instances' addresses in 127.0.0.0/8, as `prefix` keeps it."""
        return self.state / "prefix.json"

    @property
    def prefixes(self) -> Path:
        """Which cloud of this machine holds which of these octets."""
        return SHARED / "prefixes"

    @property
    def run(self) -> Path:
        """Sockets and pid files of `host`; only root enters."""
        return self.state / "run"

    @property
    def engine(self) -> Path:
        """The switch's and OVN's databases, sockets, pid files and logs."""
        return self.state / "engine"

    @property
    def northbound(self) -> str:
        """OVN's northbound database, as a connection string; the user `pileus` may open it."""
        return f"unix:{self.engine}/nb/ovnnb_db.sock"

    @property
    def southbound(self) -> str:
        """OVN's southbound database, as a connection string."""
        return f"unix:{self.engine}/run/ovnsb_db.sock"

    @property
    def switch(self) -> str:
        """Open vSwitch's own database, as a connection string."""
        return f"unix:{self.engine}/run/db.sock"

    @property
    def libvirt(self) -> Path:
        """libvirtd's configuration, state and logs."""
        return self.state / "libvirt"

    @property
    def libvirt_uri(self) -> str:
        """How to reach this cloud's own libvirtd."""
        return f"qemu+unix:///system?socket={self.libvirt}/sock/libvirt-sock"

    @property
    def instances(self) -> Path:
        """One folder per instance: root disk, console log, sockets."""
        return self.state / "instances"

    @property
    def containers(self) -> Path:
        """One folder per container: disk, order, console log, what LXC is told."""
        return self.state / "containers"

    @property
    def captures(self) -> Path:
        """One folder per capture: its order, and its bytes until the cloud has them."""
        return self.state / "captures"

    @property
    def lxcfs(self) -> Path:
        """The folder of lxcfs, which shows containers their own figures: pid file, and mount (in a namespace)."""
        return self.state / "lxcfs"

    @property
    def ranges(self) -> Path:
        """Which project of which cloud of this machine holds which range of user ids."""
        return SHARED / "ranges"

    @property
    def images(self) -> Path:
        """Images that were built here, with their descriptions."""
        return SHARED / "images"

    @property
    def bases(self) -> Path:
        """Root file systems of containers, unpacked, by the digest of their image."""
        return self.cache / ".bases"

    @property
    def templates(self) -> Path:
        """The folder of templates, from which guests are restored instead of booting."""
        return SHARED / "templates"


def localport_name(network: str) -> str:
    """The logical port of a network's metadata service, by the network's uuid."""
    if not re.fullmatch(r"[0-9a-f-]{36}", network):
        raise ValueError(f"not a uuid: {network}")
    return f"md-{network}"
