"""A domain says what its instance's spec says, and carries it whole."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.allowance import Allowance
from pileus.model.spec import InstanceSpec
from pileus.providers.local.machine.domain import (
    CONFIG_DRIVE,
    SPARE_PORTS,
    Accelerator,
    DiskFile,
    MachinePaths,
    Mark,
    domain_uuid,
    domain_xml,
    mark_xml,
    read_mark,
)
from tests.providers.local.machine import specs

DIGEST = "d" * 64


def parsed(spec: InstanceSpec, partition: str | None = None, accelerator: Accelerator = "tcg") -> ET.Element:
    folder = Path("/state/instances") / spec.uuid
    places = MachinePaths(
        folder=folder,
        disks={
            disk.uuid: DiskFile(folder / f"{number}.qcow2", Path("/cache") / disk.digest if disk.digest else None)
            for number, disk in enumerate(spec.disks)
        },
        taps={nic.uuid: f"tap{nic.uuid[:8]}" for nic in spec.nics},
        owner=(1879048193, 995),
        partition=partition,
        accelerator=accelerator,
    )
    return ET.fromstring(domain_xml(spec, places, [disk.uuid for disk in spec.disks]))  # noqa: S314  (our own)


def slots(domain: ET.Element) -> list[str]:
    return [address.get("slot", "") for address in domain.iter("address")]


@given(name=st.text(), tags=st.dictionaries(st.text(), st.text(), max_size=3), made=st.frozensets(st.uuids().map(str)))
def test_a_mark_carries_every_text_there_and_back(name: str, tags: dict[str, str], made: frozenset[str]) -> None:
    mark = Mark(specs.instance(name=name, tags=tags), made)
    text = mark_xml(mark)
    assert text.isascii()
    assert read_mark(text) == mark


@pytest.mark.parametrize("text", ["", "<a", "<instance/>", "<instance>{}</instance>", '<i>{"kind":"router"}</i>'])
def test_a_strangers_metadata_is_no_mark(text: str) -> None:
    assert read_mark(text) is None


def test_the_definition_carries_the_mark() -> None:
    spec = specs.instance(tags={"Name": "<&>\uffff\x00"})
    element = parsed(spec).find("metadata/*")
    assert element is not None
    assert read_mark(ET.tostring(element, encoding="unicode")) == Mark(spec, frozenset({spec.disks[0].uuid}))


def test_cloud_init_is_told_that_this_is_ec2() -> None:
    domain = parsed(specs.instance())
    uuid = domain.findtext("uuid")
    assert uuid == domain_uuid(specs.UUID)
    assert uuid is not None
    assert uuid.startswith("ec2")
    assert uuid[3:] == specs.UUID[3:]
    entries = {entry.get("name"): entry.text for entry in domain.findall("sysinfo/system/entry")}
    assert entries["uuid"] == entries["serial"] == uuid


def test_size_name_and_power_are_the_specs() -> None:
    domain = parsed(specs.instance(vcpus=2, memory=512), partition="/pileus-x")
    assert domain.get("type") == "qemu"
    assert domain.findtext("name") == specs.instance().ec2_id
    assert domain.findtext("vcpu") == "2"
    assert domain.findtext("cputune/shares") == "2048"
    memory = domain.find("memory")
    assert memory is not None
    assert (memory.text, memory.get("unit")) == ("512", "MiB")
    assert domain.findtext("resource/partition") == "/pileus-x"
    ends = {name: domain.findtext(name) for name in ("on_poweroff", "on_reboot", "on_crash")}
    assert ends == {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}


@pytest.mark.parametrize(("memory", "cache"), [(64, "32"), (128, "32"), (512, "128"), (8192, "256")])
def test_larger_guests_keep_more_translated_code(memory: int, cache: str) -> None:
    assert parsed(specs.instance(memory=memory)).findtext("features/tcg/tb-cache") == cache


def test_emulated_guests_have_no_clock_whose_speed_they_would_have_to_measure() -> None:
    domain = parsed(specs.instance())
    hidden = {feature.get("name") for feature in domain.iterfind("cpu/feature[@policy='disable']")}
    assert hidden == {"erms", "tsc"}
    timers = {timer.get("name"): timer.get("present") for timer in domain.iterfind("clock/timer")}
    assert timers == {"hpet": "yes"}


def test_the_hardware_runs_the_code_where_it_can() -> None:
    domain = parsed(specs.instance(), accelerator="kvm")
    assert domain.get("type") == "kvm"
    cpu = domain.find("cpu")
    assert cpu is not None
    assert cpu.get("mode") == "host-passthrough"
    assert cpu.find("feature") is None
    assert domain.find("clock/timer") is None
    assert domain.find("features/tcg") is None


def test_disks_follow_no_file_that_the_spec_does_not_name() -> None:
    data = specs.disk(uuid="1" * 8, ec2_id="vol-2", device="/dev/vdb")
    domain = parsed(specs.instance(disks=(specs.disk(DIGEST), data)))
    root, second = domain.findall("devices/disk")
    base = root.find("backingStore/source")
    assert base is not None
    assert base.get("file") == f"/cache/{DIGEST}"
    assert root.find("backingStore/backingStore") is not None
    assert root.findtext("serial") == "vol7fb0c1d23e4f4a5b8"
    assert root.find("boot") is not None
    assert second.find("boot") is None
    assert second.find("backingStore/source") is None
    targets = [target.get("dev") for target in domain.iterfind("devices/disk/target")]
    assert targets == ["vda", "vdb"]


def test_disks_are_held_to_the_allowance_and_those_of_older_orders_to_none() -> None:
    bound = Allowance(iops=3000, throughput=100)
    root = parsed(specs.instance(disks=(specs.disk(DIGEST),), allowance=bound)).find("devices/disk")
    assert root is not None
    assert root.findtext("iotune/total_iops_sec") == "3000"
    assert root.findtext("iotune/total_bytes_sec") == str(100 << 20)
    assert parsed(specs.instance(disks=(specs.disk(DIGEST),))).find("devices/disk/iotune") is None


def test_nics_are_ready_taps_in_their_order() -> None:
    second = specs.nic(uuid="5" * 8, mac="02:00:00:00:00:06", index=1, mtu=1400)
    domain = parsed(specs.instance(nics=(second, specs.nic())))
    found = domain.findall("devices/interface")
    assert [device.find("mac").get("address") for device in found] == [specs.nic().mac, second.mac]  # type: ignore[union-attr]
    assert {device.find("target").get("managed") for device in found} == {"no"}  # type: ignore[union-attr]
    assert [device.find("mtu").get("size") for device in found] == ["1442", "1400"]  # type: ignore[union-attr]
    assert {device.find("rom").get("enabled") for device in found} == {"no"}  # type: ignore[union-attr]


def test_fixed_devices_share_no_slot_and_ports_stay_free() -> None:
    domain = parsed(specs.instance(disks=(specs.disk(),), nics=(specs.nic(),)))
    assert len(slots(domain)) == len(set(slots(domain))) == 5
    ports = [port for port in domain.iterfind("devices/controller") if port.get("model") == "pcie-root-port"]
    assert len(ports) == SPARE_PORTS


def test_qemu_is_a_user_of_its_own_and_nothing_is_given_to_it() -> None:
    label = parsed(specs.instance()).find("seclabel")
    assert label is not None
    assert label.attrib == {"type": "static", "model": "dac", "relabel": "no"}
    assert label.findtext("label") == "+1879048193:+995"


def test_sockets_and_log_are_in_the_instances_folder() -> None:
    domain = parsed(specs.instance())
    paths = [element.get("path") for element in domain.iter("source") if element.get("path")]
    assert sorted(Path(str(path)).name for path in paths) == ["agent.sock", "tty.sock"]
    assert {Path(str(path)).parent.name for path in paths} == {specs.UUID}
    log = domain.find("devices/serial/log")
    assert log is not None
    assert log.get("append") == "on"


def test_a_configuration_drive_is_a_disk_that_cannot_be_written() -> None:
    assert list(parsed(specs.instance()).iter("readonly")) == []
    domain = parsed(specs.instance(config_drive=True))
    (drive,) = [disk for disk in domain.iter("disk") if disk.find("readonly") is not None]
    source, driver = drive.find("source"), drive.find("driver")
    assert source is not None
    assert driver is not None
    assert (Path(source.get("file", "")).name, driver.get("type")) == (CONFIG_DRIVE, "raw")
    assert len(set(slots(domain))) == len(slots(domain))
