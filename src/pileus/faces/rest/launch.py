"""A launch by this face: nouns by id, uuid or name, where the verb has uuids alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.faces.rest import documents
from pileus.model.image import Image
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.keypair import KeyPair
from pileus.model.network import Network
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.sizes import Ident, Idents
from pileus.model.subnet import Subnet
from pileus.rules import securitygroup as securitygroup_rules
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.faces.wire.typed import TypedRequest
    from pileus.model.caller import Caller
    from pileus.rules.instance.interface import LaunchInterface
    from pileus.store.reader import Reader


class NewInstances(Launch, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a launch, with nouns by id, uuid or name.

    `key_name` is another word for `keypair`. `group_names` are further groups: of the subnet's router, or the default.
    """

    key_name: Ident = ""
    group_names: Idents = ()


def read(request: TypedRequest) -> Launch:
    """The launch that the body describes. Raises NotFound."""
    new = request.read(NewInstances)
    with request.core.store.read() as tx:
        fields = {name: getattr(new, name) for name in Launch.__struct_fields__}
        return Launch(**{**fields, **_nouns(request.caller, tx, new)})


def _nouns(caller: Caller, tx: Reader, new: NewInstances) -> dict[str, Any]:
    """The fields that name nouns, by uuid."""

    def uuid(cls: Any, ident: str) -> str:
        return documents.one(caller, tx, cls, ident).uuid if ident else ""

    def interface(each: LaunchInterface) -> LaunchInterface:
        groups = tuple(uuid(SecurityGroup, ident) for ident in each.groups)
        port, subnet = uuid(Port, each.port), uuid(Subnet, each.subnet)
        return msgspec.structs.replace(each, port=port, subnet=subnet, groups=groups)

    subnet, router = uuid(Subnet, new.subnet), ""
    if subnet and new.group_names:
        router = tx.need(Network, tx.need(Subnet, subnet).wanted.network).wanted.router or ""
    named_groups = (securitygroup_rules.named(caller, tx, name, router).uuid for name in new.group_names)
    return {
        "image": uuid(Image, new.image),
        "keypair": uuid(KeyPair, new.keypair or new.key_name),
        "subnet": subnet,
        "groups": (*(uuid(SecurityGroup, ident) for ident in new.groups), *named_groups),
        "placementgroup": uuid(PlacementGroup, new.placementgroup),
        "instanceprofile": uuid(InstanceProfile, new.instanceprofile),
        "interfaces": tuple(interface(each) for each in new.interfaces),
    }
