"""Networks' namespaces on this host, and the links that join them to the switch's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pileus.model.finding import Finding
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.guestnet.namespaces import NETNS, identity, outside, remove_network
from pileus.providers.local.layout import Layout

KIND = "network"


def networks(layout: Layout) -> list[str]:
    """The first eight digits of each network that has a namespace here."""
    names = sorted(path.name for path in NETNS.glob(layout.network_netns("") + "*"))
    return [name.rpartition("-")[2] for name in names if identity(name) is not None]


def compare(expected: Expected, found: Iterable[str], links: Iterable[str], *, serves: bool) -> Iterator[Finding]:
    """Namespaces and `links` of networks without orders; missing ones too if the host `serves` them."""
    there, wanted = set(found), {network[:8]: network for network in expected.networks}
    prefix = outside("")
    for short in sorted(there | {link.removeprefix(prefix) for link in links if link.startswith(prefix)}):
        if short not in wanted:
            yield Finding(code="NamespaceLeaked", kind=KIND, ident=short)
    for short, network in wanted.items():
        if serves and short not in there:
            yield Finding(code="NamespaceMissing", kind=KIND, ident=short, detail=network)


def remove(layout: Layout, short: str) -> None:
    """Remove what is left of a network here. Raises Fault."""
    remove_network(layout, short)
