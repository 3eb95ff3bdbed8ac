"""Each kind of thing on a machine is compared both ways: what is left over, and what is missing."""

from __future__ import annotations

import dataclasses
import fcntl
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pileus.model.securitygroup import Rule
from pileus.model.spec import ImageSpec, Ingress
from pileus.model.views import BookView, EngineRow, StoreView
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.doctor import cache, captures, domains, folders, links, listeners, namespaces, ovn
from pileus.providers.local.doctor.domains import Domain
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.doctor.ovn import Row
from pileus.providers.local.guestnet import portlisteners
from pileus.providers.local.images import hook
from pileus.providers.local.network import acl, floatingip, router
from pileus.providers.local.network.rows import derived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.finding import Finding
    from tests.providers.local.doctor.conftest import Machine

INSTANCE = "aaaaaaaa-0000-4000-8000-000000000001"
PORT = "bbbbbbbb-0000-4000-8000-000000000002"
NETWORK = "cccccccc-0000-4000-8000-000000000003"
PORT = "bbbbbbbb-0000-4000-8000-000000000002"
VOLUME = "eeeeeeee-0000-4000-8000-000000000005"
SUBNET = "dddddddd-0000-4000-8000-000000000004"
GROUP = "ffffffff-0000-4000-8000-000000000006"
LEFT, OTHER = "tap00000000000", "tap11111111111"
STRANGER = "99999999-0000-4000-8000-000000000009"


def codes(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(one.code, one.ident) for one in found]


# -- guests -----------------------------------------------------------------------------------------------------------


def guests(machine: Machine, *found: Domain, running: dict[str, int] | None = None, **more: Any) -> list[Any]:
    return codes(domains.compare(machine.expected(**more), found, running or {}))


def test_a_guest_and_its_order_agree(machine: Machine) -> None:
    assert guests(machine, machine.domain, running={"i-1": 4}) == []


def test_a_guest_that_is_missing_or_has_another_power_is_told(machine: Machine) -> None:
    assert guests(machine) == [("DomainMissing", INSTANCE)]
    off = Domain("own", "i-1", running=False, spec=machine.spec)
    assert guests(machine, off) == [("DomainPower", INSTANCE)]
    machine.row = msgspec.structs.replace(machine.row, settled=False)
    assert guests(machine) == guests(machine, off) == []


def test_a_guest_without_an_order_is_a_leak_only_if_its_removal_is_known(machine: Machine) -> None:
    machine.gone()
    assert guests(machine, machine.domain) == [("DomainLeaked", INSTANCE)]
    machine.removed = {INSTANCE: (0, 6)}
    assert guests(machine, machine.domain) == [("DomainUnknown", INSTANCE)], "a later order made it"
    unknown = Domain("x", "i-9", running=True, spec=msgspec.structs.replace(machine.spec, uuid=STRANGER))
    assert guests(machine, unknown) == [("DomainUnknown", STRANGER)]
    template = msgspec.structs.replace(machine.spec, uuid=STRANGER, project="")
    assert guests(machine, Domain("x", "template", running=True, spec=template)) == [], "it is its host's own"


def test_guests_of_others_and_stray_processes_are_told(machine: Machine) -> None:
    foreign = Domain("own-uuid", "by-hand", running=True)
    assert guests(machine, machine.domain, foreign) == [("DomainForeign", "own-uuid")]
    assert guests(machine, machine.domain, running={"i-8": 77}) == [("ProcessUnknown", "i-8")]


def test_a_template_in_the_making_is_no_disagreement(machine: Machine) -> None:
    template = Domain(f"{hook.SERIAL}0123456789ab", "template-0123456789ab", running=True)
    assert guests(machine, machine.domain, template, running={template.name: 77}) == []


# -- disk -------------------------------------------------------------------------------------------------------------


def disks(machine: Machine, **more: Any) -> list[Any]:
    found = folders.folders(machine.layout)
    return codes(folders.compare(machine.expected(**more), machine.layout, found))


def test_disks_are_where_orders_say(machine: Machine) -> None:
    assert disks(machine) == [("DiskMissing", INSTANCE)]
    folder = machine.layout.instances / INSTANCE
    folder.mkdir(parents=True)
    (folder / "disk.qcow2").touch()
    assert disks(machine) == []
    assert disks(machine, store=False) == []


def test_a_folder_is_a_leak_only_if_its_instance_is_known_to_be_gone(machine: Machine) -> None:
    machine.gone()
    (machine.layout.instances / INSTANCE).mkdir(parents=True)
    (machine.layout.instances / "notes").mkdir()
    assert disks(machine) == [("FolderLeaked", INSTANCE), ("FolderUnknown", "notes")]
    machine.removed = {}
    assert disks(machine)[0] == ("FolderLeaked", INSTANCE), "the tombstone knows it too"
    assert disks(machine, complete=False) == [], "a guest that cannot be seen may have it"
    folders.remove(machine.layout, INSTANCE)
    assert disks(machine) == [("FolderUnknown", "notes")]


def test_a_capture_is_a_leak_only_if_its_removal_is_known(machine: Machine) -> None:
    folders, wanted, gone, other = CaptureFolders(machine.layout.captures), INSTANCE, VOLUME, PORT
    for uuid in (wanted, gone, other):
        folders.hold(ImageSpec(uuid=uuid, ec2_id="ami-1", instance=INSTANCE, disk=VOLUME))
    host = BookView(captures=(wanted,), removed={gone: (0, 8)})

    def found() -> list[tuple[str, str]]:
        told = captures.compare(Expected(host), machine.layout, captures.captures(machine.layout))
        return sorted((finding.code, finding.ident) for finding in told)

    assert found() == [("CaptureLeaked", gone), ("CaptureUnknown", other)]
    captures.remove(machine.layout, gone)
    assert found() == [("CaptureUnknown", other)]


def test_a_base_image_that_is_not_cached_is_told(machine: Machine) -> None:
    (machine.layout.instances / INSTANCE).mkdir(parents=True)
    (machine.layout.instances / INSTANCE / "disk.qcow2").touch()
    disk = msgspec.structs.replace(machine.spec.disks[0], digest="0" * 64)
    machine.spec = msgspec.structs.replace(machine.spec, disks=(disk,))
    machine.held = msgspec.structs.replace(machine.held, spec=machine.spec)
    assert disks(machine) == [("BaseMissing", INSTANCE)]


def test_parts_of_images_are_leaks_unless_somebody_fetches_them(machine: Machine) -> None:
    folder = machine.layout.state / "cache"
    folder.mkdir()
    machine.layout = dataclasses.replace(machine.layout, cache=folder)
    digest = "1" * 64
    (folder / digest).write_bytes(b"image")
    (folder / f".{digest}.part").write_bytes(b"ima")
    (folder / f".{digest}.lock").touch()
    found = cache.files(machine.layout)
    part = ("CacheLeaked", f".{digest}.part")
    assert codes(cache.compare(machine.layout, found, {digest: 5})) == [part]
    assert ("CacheWrong", digest) in codes(cache.compare(machine.layout, found, {digest: 6}))
    with (folder / f".{digest}.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert codes(cache.compare(machine.layout, found, {})) == []
        cache.remove(machine.layout, f".{digest}.part")
        assert (folder / f".{digest}.part").exists(), "who fetches it goes on"
    cache.remove(machine.layout, f".{digest}.part")
    assert sorted(cache.files(machine.layout)) == [digest]


# -- interfaces, namespaces, listeners ---------------------------------------------------------------------------------


def wires(machine: Machine, there: list[str], plugs: dict[str, str], **more: Any) -> list[Any]:
    return codes(links.compare(machine.expected(**more), machine.layout, there, plugs, [machine.domain]))


def test_taps_and_plugs_are_those_of_ports_that_somebody_names(machine: Machine) -> None:
    own = machine.layout.tap(PORT)
    assert wires(machine, ["lo", own], {own: PORT}) == []
    left = {own: PORT, OTHER: "p"}
    assert wires(machine, [own, LEFT], left) == [("TapLeaked", LEFT), ("PlugLeaked", OTHER)]
    assert wires(machine, [own, "tap0", "br0"], {own: PORT, "br-x": "p"}) == [], "what others may have made there"
    assert wires(machine, [own], {}) == [("PlugMissing", INSTANCE)]
    assert wires(machine, [], {}) == [("TapMissing", INSTANCE)]
    assert wires(machine, [own, LEFT], left, complete=False) == []


def test_a_tap_is_no_leak_while_anybody_names_its_port(machine: Machine) -> None:
    own = machine.layout.tap(PORT)
    machine.row = msgspec.structs.replace(machine.row, settled=False)
    machine.held = msgspec.structs.replace(machine.held, spec=None)
    assert wires(machine, [own], {}) == []
    machine.gone()
    assert wires(machine, [own], {}) == [("TapLeaked", own)]


def test_namespaces_and_their_links_are_those_of_networks_with_orders(machine: Machine) -> None:
    def compared(found: list[str], there: list[str], *, serves: bool = True) -> list[Any]:
        return codes(namespaces.compare(machine.expected(), found, there, serves=serves))

    own = NETWORK[:8]
    assert compared([own], ["lo", f"md-{own}"]) == []
    assert compared([own, "deadbeef"], []) == [("NamespaceLeaked", "deadbeef")]
    assert compared([own], ["md-deadbeef"]) == [("NamespaceLeaked", "deadbeef")]
    assert compared([], []) == [("NamespaceMissing", own)]
    assert compared([], [], serves=False) == []


def test_a_network_is_no_leak_while_a_guest_that_no_order_names_is_on_it(machine: Machine) -> None:
    own = NETWORK[:8]
    host = BookView(highest=(0, 9))
    expected = Expected(host, machine.store, (machine.spec,))
    assert codes(namespaces.compare(expected, [own], [f"md-{own}"], serves=True)) == []
    assert codes(namespaces.compare(expected, [], [], serves=True)) == [], "its host serves those of its orders"
    assert codes(namespaces.compare(Expected(host, machine.store), [own], [], serves=True)) == [
        ("NamespaceLeaked", own)
    ]


def test_loopback_ports_are_those_that_groups_admit(machine: Machine) -> None:
    def compared(ports: dict[str, Any], *, by_program: bool = True) -> list[Any]:
        return codes(listeners.compare(machine.expected(), listeners.Accepting(ports, by_program=by_program)))

    own, missing = "127.9.0.1", ("ListenerMissing", "127.9.0.1:22")
    for by_program in (True, False):
        assert compared({own: ((22, 22),)}, by_program=by_program) == []
        assert compared({}, by_program=by_program) == [missing]
        assert compared({own: ((80, 81),)}, by_program=by_program)[0] == missing
    assert compared({own: ((22, 22), (80, 95))}, by_program=False) == [("ListenerLeaked", "127.9.0.1:80-95")]
    assert compared({own: ((0, 65535),)}) == [], "a program may admit an instance's address as a whole"
    assert compared({own: ((22, 22),), "127.9.0.2": ((22, 23),)}) == [("ListenerLeaked", "127.9.0.2:22-23")]
    assert compared({own: ((0, 15), (16, 32767))}) == []


def test_ports_are_compared_after_the_end_of_the_process_that_accepts_there(machine: Machine) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        seen = listeners.listeners(process.pid)
        process.kill()
    assert seen.most == portlisteners.most_listeners()
    for by_program in (True, False):
        accepting = dataclasses.replace(seen, ports={"127.9.0.1": ((22, 22),)}, by_program=by_program)
        assert codes(listeners.compare(machine.expected(), accepting)) == []
    with pytest.raises(OSError, match="No such"):
        listeners.listeners(process.pid)


def test_ports_that_a_bound_leaves_without_a_listener_are_told(machine: Machine) -> None:
    (nic,) = machine.spec.nics
    rules = (Ingress(cidr="0.0.0.0/0", port_min=9001, port_max=9040),)
    spec = msgspec.structs.replace(machine.spec, nics=(msgspec.structs.replace(nic, ingress=rules),))
    machine.held = msgspec.structs.replace(machine.held, spec=spec)
    there = {"127.9.0.1": tuple((port, port) for port in range(9001, 9033))}
    expected = machine.expected()
    by_listeners = listeners.Accepting(there, by_program=False)
    assert codes(listeners.compare(expected, by_listeners)) == [("ListenerLeftOut", "127.9.0.1:9033-9040")]


# -- OVN --------------------------------------------------------------------------------------------------------------


def good() -> dict[str, Row]:
    localport = str(derived(NETWORK, "localport"))
    return {
        "port": Row("Logical_Switch_Port", PORT, PORT, "port", PORT, (0, 3), ("drop", GROUP)),
        "network": Row("Logical_Switch", NETWORK, NETWORK, "network", NETWORK, (0, 2)),
        "localport": Row("Logical_Switch_Port", localport, "md", "localport", NETWORK),
        "dhcp": Row("DHCP_Options", SUBNET, "", "dhcp", NETWORK),
        "drop": Row("Port_Group", "d", "pg_drop", "drop", "d"),
        "removal": Row("DHCP_Options", "r", "", "removed", STRANGER, (0, 1)),
        "outside": Row("Logical_Switch", "o", "outside", "outside"),
    }


def test_ovn_holds_what_the_rows_say(machine: Machine) -> None:
    assert codes(ovn.compare(machine.store, good().values())) == []


def test_what_ovn_lacks_or_has_by_another_order_is_told(machine: Machine) -> None:
    for missing, code in (("port", ("OvnMissing", PORT)), ("dhcp", ("OvnMissing", SUBNET))):
        rows = good()
        del rows[missing]
        assert codes(ovn.compare(machine.store, rows.values())) == [code]
    rows = good()
    rows["port"] = Row("Logical_Switch_Port", PORT, PORT, "port", PORT, (0, 2), (GROUP,))
    assert codes(ovn.compare(machine.store, rows.values())) == [("OvnBehind", PORT), ("OvnGroupsWrong", PORT)]
    machine.port = msgspec.structs.replace(machine.port, settled=False)
    assert codes(ovn.compare(machine.store, rows.values())) == []


def test_translations_ways_out_and_rules_are_compared_too(machine: Machine) -> None:
    def compared(noun: EngineRow, *rows: Row) -> list[Any]:
        store = StoreView(now=0.0, newest=0.0, highest=(0, 9), engine=(noun,))
        return codes(ovn.compare(store, rows))

    address = EngineRow(kind="floatingip", uuid=STRANGER, ec2_id="eip", revision=(0, 1), settled=True, used=True)
    kept = Row("DHCP_Options", STRANGER, "", "floatingip", STRANGER, (0, 1))
    nat = Row("NAT", str(floatingip.translation(STRANGER)), "198.51.100.9", "floatingip", STRANGER, (0, 1))
    assert compared(address, kept, nat) == []
    assert compared(address, kept) == [("OvnMissing", nat.row)]
    assert compared(msgspec.structs.replace(address, used=False), kept) == []
    assert codes(ovn.compare(StoreView(now=0.0, newest=0.0, highest=(0, 9)), [nat])) == [("OvnUnknown", nat.row)]

    way = EngineRow(kind="router", uuid=STRANGER, ec2_id="vpc", revision=(0, 1), settled=True, used=True)
    main = Row("Logical_Router", STRANGER, STRANGER, "router", STRANGER, (0, 1))
    parts = [Row(table, str(derived(STRANGER, what)), "", "outside", STRANGER) for table, what in router.WAY_OUT]
    assert compared(way, main, *parts) == []
    assert compared(way, main, *parts[1:]) == [("OvnMissing", parts[0].row)]

    rule = Rule(id="sgr-1", protocol="tcp", port_min=22, port_max=22, cidr="0.0.0.0/0")
    group = EngineRow(kind="securitygroup", uuid=GROUP, ec2_id="sg", revision=(0, 1), settled=True, rules=(rule,))
    says = acl.rule(GROUP, rule)
    told = (says["direction"], says["priority"], says["match"], says["action"])
    row = Row("Port_Group", GROUP, "sg", "securitygroup", GROUP, (0, 1), rules=(told,))
    assert compared(group, row) == []
    opened = ("to-lport", 1002, "outport == @sg && ip4", "allow-related")
    for wrong in ((), (told, told), (opened, told)):
        other = Row("Port_Group", GROUP, "sg", "securitygroup", GROUP, (0, 1), rules=wrong)
        assert compared(group, other) == [("OvnRulesWrong", GROUP)]


def test_what_ovn_has_too_much_is_a_leak_unknown_or_a_strangers(machine: Machine) -> None:
    rows = good()
    machine.gone()
    assert codes(ovn.compare(machine.store, rows.values())) == [("OvnLeaked", PORT)]
    del rows["port"]
    rows["x"] = Row("Logical_Switch_Port", STRANGER, STRANGER, "port", STRANGER, (0, 3))
    rows["y"] = Row("Logical_Switch_Port", "row", "by-hand")
    assert codes(ovn.compare(machine.store, rows.values())) == [("OvnUnknown", STRANGER), ("OvnForeign", "row")]


def test_an_end_of_a_link_without_the_other_is_told_once_routers_are_settled() -> None:
    nouns = tuple(
        EngineRow(kind="router", uuid=uuid, ec2_id="vpc", revision=(1, 2), settled=True) for uuid in (NETWORK, STRANGER)
    )
    view = StoreView(now=0.0, newest=0.0, highest=(1, 2), engine=nouns)
    mains = [Row("Logical_Router", uuid, kind="router", uuid=uuid, revision=(1, 2)) for uuid in (NETWORK, STRANGER)]
    ends = [
        Row("Logical_Router_Port", uuid, name=f"end-{uuid}", kind="peering", uuid=uuid, peer=f"end-{peer}")
        for uuid, peer in ((NETWORK, STRANGER), (STRANGER, NETWORK))
    ]
    assert codes(ovn.compare(view, [*mains, *ends])) == []
    assert codes(ovn.compare(view, [*mains, ends[0]])) == [("OvnHalfLinked", NETWORK)]
    waiting = (nouns[0], msgspec.structs.replace(nouns[1], settled=False))
    assert codes(ovn.compare(msgspec.structs.replace(view, engine=waiting), [*mains, ends[0]])) == []
