"""Instances that a process of an earlier version wrote have no size, and are charged for all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Size
from pileus.rules import recount
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def test_a_row_without_a_size_gets_one_and_is_not_charged_twice(site: Site, ann: Caller, tiny: Image) -> None:
    (instance,) = site.launch(ann, Launch(image=tiny.ec2_id))
    with site.store.write() as tx:
        usage = tx.usage()
        tx.assign(instance, msgspec.structs.replace(instance.assigned, size=Size()))
        tx.count({key: amount - tx.usage().get(key, 0) for key, amount in usage.items()})
    site.settle()
    assert site.row(instance.uuid).assigned.size == instance.assigned.size
    with site.store.read() as tx:
        assert tx.usage() == usage
        assert recount.differences(tx) == []
    power.terminate(ann, site.core, [instance.ec2_id])
    site.settle()
    with site.store.read() as tx:
        assert recount.differences(tx) == []
