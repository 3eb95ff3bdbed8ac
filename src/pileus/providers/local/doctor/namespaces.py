"""Networks' namespaces on this host, and the links that join them to the switch's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pileus.model.finding import Finding
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.guestnet.namespaces import NETNS, identity, outside
from pileus.providers.local.layout import Layout

KIND = "network"
_SHORT = re.compile(r"[0-9a-f]{8}")
_LINK = re.compile(rf"{outside('')}([0-9a-f]{{8}})")


def networks(layout: Layout) -> list[str]:
    """The first eight digits of each network that has a namespace here."""
    prefix = layout.network_netns("")
    names = sorted(path.name for path in NETNS.glob(f"{prefix}*") if _SHORT.fullmatch(path.name.removeprefix(prefix)))
    return [name.removeprefix(prefix) for name in names if identity(name) is not None]


def compare(expected: Expected, names: Iterable[str], links: Iterable[str], *, serves: bool) -> Iterator[Finding]:
    """Namespaces, and `links` to them, of networks that no guest is on; missing ones too, if the host `serves`."""
    there, expected_names = set(names), {network[:8] for network in expected.networks}
    ours = {match[1] for match in map(_LINK.fullmatch, links) if match}
    for short in sorted(there | ours) if expected.complete else ():
        if short not in expected_names:
            yield Finding(code="NamespaceLeaked", kind=KIND, ident=short)
    for network in sorted(expected.served):
        if serves and network[:8] not in there:
            yield Finding(code="NamespaceMissing", kind=KIND, ident=network[:8], detail=network)
