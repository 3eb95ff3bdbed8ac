"""The nouns that a verb makes one by one for a project: a way to make each, for tests of what holds for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pileus.model.caller import Caller
from pileus.model.dhcpoptionset import Wanted as Options
from pileus.model.flowlog import Wanted as FlowLogWanted
from pileus.model.placementgroup import Wanted as GroupWanted
from pileus.model.project import Project
from pileus.model.transitgateway import Wanted as TransitGatewayWanted
from pileus.rules.core import Core
from pileus.rules.port import NewPort
from pileus.verbs import (
    dhcpoptionset,
    egressgateway,
    floatingip,
    flowlog,
    instanceprofile,
    internetgateway,
    keypair,
    launchtemplate,
    natgateway,
    network,
    networkacl,
    peering,
    placementgroup,
    port,
    prefixlist,
    router,
    routerattachment,
    routetable,
    securitygroup,
    subnet,
    transitgateway,
)

Make = Callable[[Caller, Core, str, Mapping[str, str]], object]
"""Makes a noun of this name with these tags."""


def make_natgateway(caller: Caller, core: Core) -> object:
    """Make a NAT gateway in the default subnet, with an address of its own."""
    subnet, address = network.subnets(caller, core)[0].subnet, floatingip.allocate(caller, core)
    return natgateway.create(caller, core, subnet.uuid, address.uuid)


def make_peering(caller: Caller, core: Core) -> object:
    """Ask for a link of the default router with a new one of the same project."""
    with core.store.read() as tx:
        account = tx.need(Project, caller.project).wanted.account_id
    asked = router.create(caller, core, "10.250.0.0/16").ec2_id
    return peering.create(caller, core, network.routers(caller, core)[0].uuid, asked, account)


def make_routerattachment(caller: Caller, core: Core) -> object:
    """Attach a new router with a subnet to a new transit gateway."""
    gateway = transitgateway.create(caller, core, TransitGatewayWanted())
    attached = router.create(caller, core, "10.249.0.0/16")
    of_router = subnet.create(caller, core, attached.uuid, "10.249.1.0/24")
    return routerattachment.create(caller, core, gateway.uuid, attached.uuid, [of_router.uuid])


def _routetable(caller: Caller, core: Core, _: str, tags: Mapping[str, str]) -> object:
    return routetable.create(caller, core, network.routers(caller, core)[0].uuid, tags)


def _networkacl(caller: Caller, core: Core, _: str, tags: Mapping[str, str]) -> object:
    return networkacl.create(caller, core, network.routers(caller, core)[0].uuid, tags)


MAKE: Final[dict[str, Make]] = {
    "dhcpoptionset": lambda caller, core, _, tags: dhcpoptionset.create(caller, core, Options(domain="lab"), tags),
    "egressgateway": lambda caller, core, _, tags: egressgateway.create(
        caller, core, network.routers(caller, core)[0].uuid, tags
    ),
    "floatingip": lambda caller, core, _, tags: floatingip.allocate(caller, core, tags),
    "flowlog": lambda caller, core, name, tags: flowlog.create(
        caller,
        core,
        [FlowLogWanted(kind="router", resource=network.routers(caller, core)[0].uuid, log_group=name)],
        tags,
    ),
    "instanceprofile": lambda caller, core, name, _: instanceprofile.create(
        msgspec.structs.replace(caller, admin=True), core, name
    ),
    "internetgateway": lambda caller, core, _, tags: internetgateway.create(caller, core, tags),
    "keypair": lambda caller, core, name, tags: keypair.create(caller, core, name, tags=tags),
    "launchtemplate": lambda caller, core, name, tags: launchtemplate.create(caller, core, f"of-{name}", {}, tags=tags),
    "network": lambda caller, core, name, tags: network.create(caller, core, "", name, tags),
    "networkacl": _networkacl,
    "port": lambda caller, core, _, tags: port.create(
        caller, core, NewPort(subnet=network.subnets(caller, core)[0].subnet.uuid), tags
    ),
    "placementgroup": lambda caller, core, name, tags: placementgroup.create(caller, core, name, GroupWanted(), tags),
    "prefixlist": lambda caller, core, name, tags: prefixlist.create(caller, core, name, 5, tags=tags),
    "routetable": _routetable,
    "transitgateway": lambda caller, core, _, tags: transitgateway.create(caller, core, TransitGatewayWanted(), tags),
    "securitygroup": lambda caller, core, name, tags: securitygroup.create(caller, core, name, "d", tags=tags),
}
"""By the kind of the noun. A kind of noun with a quota belongs here, or to OTHERWISE."""

OTHERWISE: Final = {
    "certificate",
    "credential",
    "grant",
    "image",
    "instance",
    "natgateway",
    "network",
    "networkacl",
    "peering",
    "port",
    "router",
    "routerattachment",
    "routetable",
    "subnet",
    "transittable",
    "usergroup",
    "volume",
}
"""The kinds of nouns with a quota that tests make in other ways: of a user, of bytes, or together with others."""
