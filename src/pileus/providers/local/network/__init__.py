"""Networks by OVN: the one writer of its northbound database."""

from pileus.providers.local.network.provider import NetworkProvider

__all__ = ["NetworkProvider"]
