"""The services on the host for guests and users: each network's metadata and names, and loopback listeners."""

from pileus.providers.local.guestnet.namespaces import ensure_network, remove_network, remove_networks
from pileus.providers.local.guestnet.server import GuestNet
from pileus.providers.local.guestnet.stream import dial

__all__ = ["GuestNet", "dial", "ensure_network", "remove_network", "remove_networks"]
