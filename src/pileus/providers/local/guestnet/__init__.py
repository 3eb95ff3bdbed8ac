"""What guests and their users reach on the host: metadata and names in each network's namespace, loopback listeners."""

from pileus.providers.local.guestnet.namespaces import ensure_network, remove_network, remove_networks
from pileus.providers.local.guestnet.server import GuestNet
from pileus.providers.local.guestnet.stream import dial

__all__ = ["GuestNet", "dial", "ensure_network", "remove_network", "remove_networks"]
