"""Rows of the database that are damaged: what is listed lacks what they say, and nothing is a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import literal, text, update

from pileus.faces.ec2.call import ACTIONS
from pileus.model.flavor import Flavor
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.keypair import KeyPair
from pileus.model.network import Network
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume
from pileus.store import tables
from pileus.store.cache import Cache
from tests.faces.ec2.cloud import Account, Cloud, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.noun import Noun

SHARED: list[type[Noun]] = [Flavor, Image]
OWN: list[type[Noun]] = [Instance, KeyPair, Network, PlacementGroup, Port, Router, SecurityGroup, Subnet, Volume]
DAMAGE = '{"cidr": 7'


@pytest.fixture
def neighbour(cloud: Cloud, account: Account) -> Iterator[Account]:
    """Another tenant; each has an instance, a key pair and a placement group, which go with the test."""
    with cloud.undone():
        other = cloud.account()
        for tenant in (account, other):
            tenant.ec2.create_key_pair(KeyName="key")
            tenant.ec2.create_placement_group(GroupName="group", Strategy="cluster")
            tenant.launch()
        yield other
    cloud.core.store._cache = Cache()


def damage(cloud: Cloud, account: Account, cls: type[Noun]) -> None:
    """Damage all rows of a kind that are the account's, or everybody's."""
    shown = ids(account)
    with cloud.core.store.write() as tx:
        (home,) = {row.project for row in tx.list(Instance) if row.ec2_id in shown}
        table = tables.nouns[cls.KIND]
        owned = literal(value=True) if cls in SHARED else table.c.project == home
        tx.sql.execute(update(table).where(owned).values(wanted=text(f"'{DAMAGE}'")))
    cloud.core.store._cache = Cache()


def ids(account: Account) -> list[str]:
    """The ids of the account's instances."""
    reservations = account.ec2.describe_instances()["Reservations"]
    return [instance["InstanceId"] for each in reservations for instance in each["Instances"]]


@pytest.mark.parametrize("cls", SHARED + OWN)
def test_no_list_fails(cloud: Cloud, account: Account, neighbour: Account, cls: type[Noun]) -> None:
    damage(cloud, account, cls)
    failed = {}
    for _, name in ACTIONS:
        if name.startswith("Describe"):
            answer = account.post(params={"Action": name})
            if answer.status not in (200, 400):
                failed[name] = answer.status, answer.body
    assert failed == {}
    assert neighbour.post(params={"Action": "DescribeInstances"}).status == 200
    assert (ids(neighbour) == []) == (cls is Flavor)


def test_an_instance_that_is_named_is_shown_whole_or_not_at_all(
    cloud: Cloud, account: Account, neighbour: Account
) -> None:
    """A tool that declares what there is would make anew what is missing."""
    (ident,) = ids(account)
    damage(cloud, account, Network)
    with refused("Unavailable", 503, match="damaged"):
        account.ec2.describe_instances(InstanceIds=[ident])
    assert ids(account) == [ident]
    (theirs,) = ids(neighbour)
    assert neighbour.show(theirs)["NetworkInterfaces"]
