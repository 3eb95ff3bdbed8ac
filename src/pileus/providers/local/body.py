"""The body of a host on this machine: its provider, with what the host says of the machine."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from pileus.model.kit import HostBody, HostServices, Site
from pileus.providers.local.guestnet.upstream import RESOLV_CONF, host_servers
from pileus.providers.local.provider import LocalProvider, capacity, traits
from pileus.providers.local.site import fabric_of, has_uplink, layout_of


def body_of(site: Site, services: HostServices) -> HostBody:
    """The guests of this machine, as the settings have them; not started."""
    layout, settings = layout_of(site), site.settings
    provider = LocalProvider(
        layout,
        services.fetch,
        services.channels,
        services.metadata(),
        functools.partial(host_servers, resolv_conf(site)),
        templates=settings.template_cache if settings.boot_restore else 0,
        cache_bytes=settings.image_cache,
        cache_entries=settings.image_cache_entries,
    )
    return HostBody(
        provider,
        provider.statistics,
        chassis=fabric_of(site).chassis,
        capacity=capacity(layout),
        traits=traits(),
        on_specs=provider.serve,
        start=provider.start,
        stop=provider.stop,
    )


def resolv_conf(site: Site) -> Path:
    """The file that names the resolvers for names that are no guest's."""
    return Path(site.settings.resolv_conf or (RESOLV_CONF if has_uplink(site) else os.devnull))
