"""What a noun waits for is said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.faces.rest.explain import waits_for
from pileus.model.instance import Instance, Power
from pileus.model.noun import SeenFault
from pileus.model.port import Port

if TYPE_CHECKING:
    from pileus.verbs.user import Account
    from tests.faces.rest.cloud import Cloud


def test_a_settled_instance_waits_for_nothing(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    path = f"explain/instance/{one['id']}"
    cloud.until(lambda: cloud.get(account, path)["settled"])
    found = cloud.get(account, path)
    assert found["waits_for"] == ["nothing: it is as wanted"]
    assert found["state"] == "running"
    assert [row["verb"] for row in found["journal"]] == ["instance.launch"]
    for part in ("wanted", "assigned", "seen", "due", "generation"):
        assert part in found


def test_a_gone_instance_is_explained_too(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    cloud.post(account, f"instances/{one['id']}/terminate")
    cloud.until(lambda: cloud.get(account, f"explain/instance/{one['id']}")["state"] == "terminated")
    found = cloud.get(account, f"explain/instance/{one['id']}")
    assert found["settled"]
    assert [row["outcome"] for row in found["journal"]][-1] == "done"


def test_others_get_no_explanation(cloud: Cloud, account: Account) -> None:
    one = cloud.post(cloud.admin, "instances", {"image": cloud.image()})["instances"][0]
    assert cloud.refused(account, "GET", f"explain/instance/{one['id']}") == "NotFound"


def test_each_thing_that_is_waited_for_is_named(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    cloud.until(lambda: cloud.get(account, f"explain/instance/{one['id']}")["settled"])
    with cloud.core.store.read() as tx:
        instance = tx.need(Instance, one["uuid"])
        port = tx.referring(Port, [instance.uuid])[0]
        now = cloud.core.store.now()
        wanted, assigned, seen = instance.wanted, instance.assigned, instance.seen
        change = msgspec.structs.replace
        cases = {
            "which has never reported": change(instance, assigned=change(assigned, host="nowhere")),
            "no host has been chosen": change(instance, assigned=change(assigned, host=None)),
            "its old body is gone": change(instance, assigned=change(assigned, clear={"old": (1, 1)})),
            "its body is gone": change(instance, wanted=change(wanted, gone=True)),
            "to apply revision 9.9": change(instance, revision=(9, 9)),
            "to have it stopped": change(instance, wanted=change(wanted, power=Power(state="stopped", n=2))),
            "to reboot it": change(instance, wanted=change(wanted, reboot=1)),
            "trying again cannot help": change(
                instance, seen=change(seen, fault=SeenFault(code="X", message="y", permanent=True))
            ),
        }
        for words, noun in cases.items():
            assert any(words in wait for wait in waits_for(tx, noun, now)), words
        assert "which was last heard of" in waits_for(tx, instance, now + 1000)[0]
        late = change(port, revision=(9, 9), seen=change(port.seen, fault=SeenFault(code="NB", message="down")))
        assert [wait.partition(":")[0] for wait in waits_for(tx, late, now)] == [
            "the network engine, which said NB",
            "the network engine to hold revision 9.9 (it holds "
            + ".".join(str(number) for number in port.seen.revision)
            + ")",
        ]
        going = change(port, wanted=change(port.wanted, gone=True))
        assert "the network engine to remove it" in waits_for(tx, going, now)


def test_a_running_instance_waits_for_its_port(cloud: Cloud, account: Account) -> None:
    one = cloud.post(account, "instances", {"image": cloud.image()})["instances"][0]
    cloud.until(lambda: cloud.get(account, f"explain/instance/{one['id']}")["settled"])
    with cloud.core.store.write() as tx:
        port = tx.referring(Port, [one["uuid"]])[0]
        tx.see(port, msgspec.structs.replace(port.seen, fault=SeenFault(code="NB", message="down")))
    found = cloud.get(account, f"explain/instance/{one['id']}")
    assert found["state"] == "running"
    assert found["waits_for"] == [f"port {port.ec2_id}: the network engine, which said NB: down"]


def test_a_route_that_leads_nowhere_and_a_request_are_explained(cloud: Cloud, account: Account) -> None:
    vpcs = [cloud.post(account, "routers", {"cidr": f"10.{number}.0.0/16"})["id"] for number in (9, 10)]
    link = cloud.post(account, "peerings", {"router": vpcs[0], "peer": vpcs[1]})
    assert cloud.get(account, f"explain/peering/{link['id']}")["waits_for"] == [
        "the other router's project to accept it"
    ]
    cloud.post(account, f"peerings/{link['id']}/accept")
    table = cloud.post(account, "routetables", {"router": vpcs[0]})["id"]
    route = {"cidr": "10.10.0.0/16", "target": "peering", "to": link["id"]}
    cloud.post(account, f"routetables/{table}/routes", route)
    assert cloud.get(account, f"explain/routetable/{table}")["settled"]
    cloud.ask(account, "DELETE", f"peerings/{link['id']}")
    (wait,) = cloud.get(account, f"explain/routetable/{table}")["waits_for"]
    assert wait == f"the peering {link['uuid']}, to which the route to 10.10.0.0/16 leads, to be there"
