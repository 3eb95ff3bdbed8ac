"""No parameter is passed over in silence: an action reads it, refuses it, or it is named here with a reason."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pileus.faces.ec2 import permission, privateaddress, tag, unsupported
from pileus.faces.ec2.call import ACTIONS
from pileus.faces.ec2.listed import EMPTY
from pileus.faces.wire.model import ServiceModel

SERVICE = ServiceModel.load("ec2")
NAMES = sorted({name for service, name in ACTIONS if service == "ec2"} - EMPTY.keys())
"""Of lists that are empty, no filter of a member could take anything away."""

EVERYWHERE = {"DryRun", "MaxResults", "NextToken", "TagSpecifications", "Filters", "Filter"}
"""Members that the face, paging, and the table of filters read."""

MEANINGLESS = {
    "AllAvailabilityZones",  # there are no zones to opt in to
    "AllRegions",
    "DeleteAssociatedSnapshots",  # a snapshot goes with its image, always
    "Force",  # a guest that does not go down is made to, always
    "IncludeDeprecated",  # nothing here is deprecated, disabled or managed by a service
    "IncludeDisabled",
    "IncludeManagedResources",
    "IncludeUnsupportedInRegion",
    "IncludeAllResources",
    "IncludeAllTagsOfInstance",
    "ResolveAlias",  # no image is named by a parameter of SSM: there is nothing to resolve
    "Latest",  # the console's output is the latest, always
    "Legacy",
}
"""Members that ask for what is so anyway, whatever their value."""


def text_of(name: str) -> str:
    """The source of an action's module, and of those that read members for several."""
    own = Path(inspect.getfile(inspect.unwrap(ACTIONS["ec2", name].run))).read_text()
    return own + "".join(Path(inspect.getfile(module)).read_text() for module in (permission, privateaddress, tag))


@pytest.mark.parametrize("name", NAMES)
def test_every_member_is_read_or_refused(name: str) -> None:
    reference = SERVICE.operations[name].input
    members = SERVICE.shapes[reference.shape].members if reference else {}
    source = text_of(name)
    refused = {path.split(".")[0] for path in unsupported.REFUSED.get(name, {})}
    unread = {member for member in members if f'"{member}"' not in source}
    if name.startswith("Describe") and not name.endswith("Attribute"):
        # Lists name their members for ids and filters, or are made from a table that does.
        unread -= {member for member in unread if member.endswith(("Ids", "Names"))}
    assert unread - EVERYWHERE - MEANINGLESS - refused == set()


@pytest.mark.parametrize("name", sorted(unsupported.REFUSED))
def test_the_table_names_what_the_model_has(name: str) -> None:
    reference = SERVICE.operations[name].input
    assert reference is not None
    for path in unsupported.REFUSED[name]:
        shape = SERVICE.shapes[reference.shape]
        for part in path.split("."):
            if shape.member is not None:
                shape = SERVICE.shapes[shape.member.shape]
            assert part in shape.members, path
            shape = SERVICE.shapes[shape.members[part].shape]
