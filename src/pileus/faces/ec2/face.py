"""EC2's requests to actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.ec2 import (  # noqa: F401  (importing a noun's file registers its actions)
    account,
    address,
    answercache,
    dhcpoptions,
    egressgateway,
    errors,
    flavor,
    flowlog,
    groupreference,
    image,
    imageattribute,
    imageregistration,
    instance,
    internetgateway,
    keypair,
    launchtemplate,
    ledger,
    listed,
    natgateway,
    networkacl,
    peering,
    place,
    placementgroup,
    port,
    prefixlist,
    routerattachment,
    routetable,
    rule,
    securitygroup,
    setting,
    snapshot,
    subnet,
    tag,
    transitgateway,
    transittable,
    unsupported,
    volume,
    vpc,
)
from pileus.faces.ec2.call import ACTIONS, Action, Call
from pileus.faces.ec2.instance import power
from pileus.faces.wire import query, scalars
from pileus.faces.wire.queryface import QueryFace
from pileus.model import bounds
from pileus.model.errors import DryRun, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.faces.wire.errors import ErrorResponse
    from pileus.faces.wire.model import ServiceModel
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

FACE = "ec2"
"""How the journal names this face."""


class Ec2Face(QueryFace):
    """Answers EC2 requests. Keeps no state; any number of threads may call it at once."""

    NAME = FACE
    SERVICES = ("ec2",)
    READS = ("Describe", "Get")
    HEADS = (*QueryFace.HEADS, "MaxCount")

    def __init__(self, core: Core, authority: Authority) -> None:
        super().__init__(core, authority, ACTIONS)

    def result(self, service: ServiceModel, action: str, call: Call, params: Mapping[str, str]) -> dict[str, Any]:
        """The result of an action; dry runs are answered here where the action does not know of them."""
        entry = ACTIONS.get((service.name, action))
        if entry is None:
            raise ledger.LEDGER.refusal(service, action)
        if action in power.OF_INSTANCES and not any(param.startswith("InstanceId") for param in params):
            # An empty list leaves no trace in a query.
            raise InvalidValue("No instances specified", reason="combination")
        _, args = query.parse(service, params)
        unsupported.check(action, args)
        if args.get("DryRun") and not entry.dry:
            call.caller.require("reader" if self.reads(action) else "member")
            raise DryRun("Request would have succeeded, but DryRun flag is set.")
        return entry.run(call._replace(args=args))

    def told(self, error: Exception) -> ErrorResponse | None:
        """The error by this face's table."""
        return errors.told(error)

    def internal(self) -> ErrorResponse:
        """Amazon's error for a mistake of the service."""
        return errors.INTERNAL

    def body(self, caller: Caller, action: str, params: Mapping[str, str], make: Callable[[], bytes]) -> bytes:
        """The body of an answer, which lists keep until they change."""
        return answercache.answer(self._core, caller, action, params, make)

    def launches(self, action: str, params: Mapping[str, str]) -> int:
        """The number of instances that a launch asks for; the verb looks at it closely."""
        if action != "RunInstances":
            return 0
        try:
            count = scalars.to_integer(params.get("MaxCount", ""))
        except ValueError:
            return 1
        return count if 1 <= count <= bounds.LAUNCHES.most else 1


def registered() -> Mapping[tuple[str, str], Action]:
    """Every action, by service and name: importing this module has registered them."""
    return ACTIONS
