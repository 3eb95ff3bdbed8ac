"""An instance's spec as libvirt domain XML, and what can be read back from a domain's XML.

The fixed devices sit on the root bus and spare root ports wait for those plugged in later: every PCI bridge costs
firmware and kernel time at boot, which an emulated machine has little of.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from pileus.model.allowance import Allowance
from pileus.model.spec import DiskSpec, InstanceSpec, NicSpec, encode

NAMESPACE = "https://pileus.cloud/libvirt/instance/1"
"""Of our element in a domain's metadata; an identifier, nothing is there."""

PREFIX = "pileus"

CONFIG_DRIVE = "config-drive.iso"
"""The file of a configuration drive, in its machine's folder."""

SPARE_PORTS = 4
"""Devices that can be plugged in while the guest runs; 16 cost a tenth of a small guest's boot, 4 a third of that."""

Accelerator = Literal["tcg", "kvm"]

_TRANSLATION_CACHE = (32, 256)
"""MiB of translated code that emulated CPUs keep, at least and at most; between, a quarter of the guest's memory.

Debian 12 with cloud-init boots with 51 s of CPU time on 32 MiB, 38 on 64, 35 on 128, 33 on 256. A guest of 128 MiB
gains nothing beyond 32, and pays in the host's memory.
"""

_HIDDEN = ("erms", "tsc")
"""Features that emulated CPUs do not show.

Guests that see erms copy by `rep movsb`, which an emulator does byte by byte: a seventh of a boot. With tsc, Linux
measures its speed against the PIT, and by it for how long it measures the local APIC's timer (`quick_pit_calibrate` in
arch/x86/kernel/tsc.c, `calibrate_APIC_clock` in apic/apic.c). A machine that is not run in the middle of that gets both
wrong, and nothing puts the timer right again. Without it the time comes from the HPET, whose speed is known.
"""

_FIRST_SLOT = 3
"""On the root bus: slot 1 is the screen's, 2 the root ports', 31 the chipset's."""

_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

ET.register_namespace(PREFIX, NAMESPACE)
ET.register_namespace("qemu", _QEMU)


@dataclass(frozen=True)
class MachinePaths:
    """Where on this host the parts of one machine are, and what runs its code.

    `disks` (file, base image's file and format) by volume, `taps` by port; `owner` the user and group ids of QEMU.
    """

    folder: Path
    disks: Mapping[str, DiskFile]
    taps: Mapping[str, str]
    owner: tuple[int, int]
    partition: str | None = None
    accelerator: Accelerator = "tcg"
    memory: MemoryFile | None = None


@dataclass(frozen=True)
class MemoryFile:
    """A file that is a machine's memory: `shared`, written by it, or mapped by one that waits to be sent its state."""

    path: Path
    shared: bool


@dataclass(frozen=True)
class DiskFile:
    """A volume's qcow2 file and what lies beneath it."""

    path: Path
    base: Path | None = None
    base_format: str = "qcow2"


@dataclass(frozen=True)
class Mark:
    """The content of our metadata element: the spec last ensured, and the volumes whose files were made once.

    `moving` are the ports (uuids) whose NICs were being plugged in or taken away.
    """

    spec: InstanceSpec
    made: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()


def domain_uuid(instance: str) -> str:
    """The domain's uuid: the instance's, its first three digits changed.

    cloud-init takes a machine for one of EC2's if SMBIOS uuid and serial are equal and begin with ec2 (its
    sources/DataSourceEc2.py), and libvirt wants the SMBIOS uuid to be the domain's.
    """
    return f"ec2{instance[3:]}"


def domain_xml(spec: InstanceSpec, paths: MachinePaths, made_volumes: Iterable[str]) -> str:
    """The whole definition of `spec`'s domain; `made_volumes` as in Mark."""
    root = ET.Element("domain", type="kvm" if paths.accelerator == "kvm" else "qemu")
    _text(root, "name", spec.ec2_id)
    _text(root, "uuid", domain_uuid(spec.uuid))
    ET.SubElement(root, "metadata").append(_mark(Mark(spec, frozenset(made_volumes)), f"{{{NAMESPACE}}}instance"))
    _text(root, "memory", str(spec.memory), unit="MiB")
    _text(root, "vcpu", str(spec.vcpus))
    _text(ET.SubElement(root, "cputune"), "shares", str(1024 * spec.vcpus))
    if paths.partition:
        _text(ET.SubElement(root, "resource"), "partition", paths.partition)
    _platform(root, spec, paths.accelerator)
    # The files are given away by whoever makes them: libvirt is not to change any.
    label = ET.SubElement(root, "seclabel", type="static", model="dac", relabel="no")
    _text(label, "label", "+{}:+{}".format(*paths.owner))
    devices = ET.SubElement(root, "devices")
    _text(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    _devices(devices, spec, paths)
    if paths.memory is not None:
        _memory_file(root, spec, paths.memory)
    return ET.tostring(root, encoding="unicode")


def mark_xml(mark: Mark) -> str:
    """Our metadata element alone, as libvirt takes and gives it: without its namespace, which it adds itself."""
    return ET.tostring(_mark(mark, "instance"), encoding="unicode")


def read_mark(text: str) -> Mark | None:
    """The mark in our metadata element, or None when it is not one of ours."""
    try:
        element = ET.fromstring(text)  # noqa: S314  (from our own libvirtd, which parsed it before us)
        spec = msgspec.json.decode(element.text or "", type=InstanceSpec)
    except (ET.ParseError, msgspec.MsgspecError):
        return None
    made, moving = (frozenset(element.get(name, "").split()) for name in ("made", "moving"))
    return Mark(spec, made, moving)


def _mark(mark: Mark, tag: str) -> ET.Element:
    element = ET.Element(tag, made=" ".join(sorted(mark.made)))
    if mark.moving:
        element.set("moving", " ".join(sorted(mark.moving)))
    # XML cannot carry every character that a name or a tag may have; JSON can say each of them in ASCII.
    element.text = _BEYOND_ASCII.sub(_escaped, encode(mark.spec).decode())
    return element


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _platform(root: ET.Element, spec: InstanceSpec, accelerator: Accelerator) -> None:
    """Firmware, SMBIOS, CPU, clock, and what follows when the guest ends."""
    system = ET.SubElement(ET.SubElement(root, "sysinfo", type="smbios"), "system")
    for name, value in (
        ("manufacturer", "Pileus"),
        ("product", "Pileus Instance"),
        ("serial", domain_uuid(spec.uuid)),
        ("uuid", domain_uuid(spec.uuid)),
    ):
        _text(system, "entry", value, name=name)
    system_type = ET.SubElement(root, "os")
    _text(system_type, "type", "hvm", arch="x86_64", machine="q35")
    ET.SubElement(system_type, "smbios", mode="sysinfo")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if accelerator == "tcg":
        least, most = _TRANSLATION_CACHE
        cache = min(max(least, spec.memory // 4), most)
        _text(ET.SubElement(features, "tcg"), "tb-cache", str(cache), unit="MiB")
        cpu = ET.SubElement(root, "cpu", mode="maximum")
        for name in _HIDDEN:
            ET.SubElement(cpu, "feature", policy="disable", name=name)
    else:
        ET.SubElement(root, "cpu", mode="host-passthrough", migratable="on")
    clock = ET.SubElement(root, "clock", offset="utc")
    if accelerator == "tcg":
        ET.SubElement(clock, "timer", name="hpet", present="yes")
    for name, value in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(root, name, value)
    # A guest that sleeps cannot be woken through any API of ours.
    sleep = ET.SubElement(root, "pm")
    ET.SubElement(sleep, "suspend-to-mem", enabled="no")
    ET.SubElement(sleep, "suspend-to-disk", enabled="no")


def _devices(devices: ET.Element, spec: InstanceSpec, paths: MachinePaths) -> None:
    slots = iter(range(_FIRST_SLOT, 31))
    ET.SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
    for index in range(1, SPARE_PORTS + 1):
        ET.SubElement(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    ET.SubElement(devices, "controller", type="usb", model="none")
    _slot(ET.SubElement(devices, "controller", type="virtio-serial", index="0"), next(slots))
    for number, disk in enumerate(spec.disks):
        device = _disk(devices, disk, paths.disks[disk.uuid], first=number == 0)
        _bound(device, spec.allowance)
        if number == 0:
            _slot(device, next(slots))
    for number, nic in enumerate(sorted(spec.nics, key=lambda nic: nic.index)):
        device = _nic(devices, nic, paths.taps[nic.uuid])
        if number == 0:
            _slot(device, next(slots))
    _console(devices, paths.folder)
    _balloon(devices, next(slots), mapped=paths.memory is not None)
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    _slot(rng, next(slots))
    if spec.config_drive:
        _slot(_config_drive(devices, paths.folder), next(slots))


def _config_drive(devices: ET.Element, folder: Path) -> ET.Element:
    """A disk that cannot be written, and not a CD: every guest that has a disk here has its driver."""
    device = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(device, "driver", name="qemu", type="raw")
    ET.SubElement(device, "source", file=str(folder / CONFIG_DRIVE))
    ET.SubElement(device, "target", dev="vdz", bus="virtio")
    ET.SubElement(device, "readonly")
    _text(device, "serial", "config-drive")
    return device


def _disk(devices: ET.Element, disk: DiskSpec, file: DiskFile, *, first: bool) -> ET.Element:
    device = ET.SubElement(devices, "disk", type="file", device="disk")
    # When the host's disk is full the guest stands still until it is not, instead of losing what it wrote.
    ET.SubElement(device, "driver", name="qemu", type="qcow2", discard="unmap", error_policy="enospace")
    ET.SubElement(device, "source", file=str(file.path))
    # Said here and not left to the file's own header: nothing that a guest or an uploader wrote is followed.
    backing = ET.SubElement(device, "backingStore")
    if file.base:
        backing.set("type", "file")
        ET.SubElement(backing, "format", type=file.base_format)
        ET.SubElement(backing, "source", file=str(file.base))
        ET.SubElement(backing, "backingStore")
    ET.SubElement(device, "target", dev=Path(disk.device).name, bus="virtio")
    # A virtio disk's serial number has 20 bytes: EC2's id without its dash, as EC2 itself shows it.
    _text(device, "serial", disk.ec2_id.replace("-", "")[:20])
    if first:
        ET.SubElement(device, "boot", order="1")
    ET.SubElement(device, "alias", name=f"ua-{disk.uuid}")
    return device


def _bound(device: ET.Element, allowance: Allowance) -> None:
    """Have QEMU hold the disk to the allowance."""
    bounds = {"total_bytes_sec": allowance.throughput << 20, "total_iops_sec": allowance.iops}
    if any(bounds.values()):
        tune = ET.SubElement(device, "iotune")
        for name, most in bounds.items():
            if most:
                _text(tune, name, str(most))


def _nic(devices: ET.Element, nic: NicSpec, tap: str) -> ET.Element:
    device = ET.SubElement(devices, "interface", type="ethernet")
    ET.SubElement(device, "mac", address=nic.mac)
    ET.SubElement(device, "target", dev=tap, managed="no")
    ET.SubElement(device, "model", type="virtio")
    ET.SubElement(device, "driver", name="qemu")
    ET.SubElement(device, "mtu", size=str(nic.mtu))
    ET.SubElement(device, "rom", enabled="no")
    ET.SubElement(device, "alias", name=f"ua-{nic.uuid}")
    return device


def nic_xml(nic: NicSpec, tap: str) -> str:
    """The device of a NIC alone, as libvirt plugs it into a guest that runs."""
    return ET.tostring(_nic(ET.Element("devices"), nic, tap), encoding="unicode")


def _console(devices: ET.Element, folder: Path) -> None:
    """Serial line with its log, guest agent, and a screen on a socket; root alone can reach them."""
    serial = ET.SubElement(devices, "serial", type="unix")
    ET.SubElement(serial, "source", mode="bind", path=str(folder / "tty.sock"))
    ET.SubElement(serial, "log", file=str(folder / "console.log"), append="on")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "source", mode="bind", path=str(folder / "agent.sock"))
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    # The one socket that QEMU makes itself: where libvirt lets it.
    ET.SubElement(ET.SubElement(devices, "graphics", type="vnc"), "listen", type="socket")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="vga", vram="4096")


def _balloon(devices: ET.Element, slot: int, *, mapped: bool) -> None:
    """None where memory is a file: what a guest's balloon takes, QEMU cuts out of the file, under all other guests."""
    if mapped:
        ET.SubElement(devices, "memballoon", model="none")
    else:
        _slot(ET.SubElement(devices, "memballoon", model="virtio"), slot)


def _memory_file(root: ET.Element, spec: InstanceSpec, memory: MemoryFile) -> None:
    """libvirt would choose the file's place itself, and knows no guest whose state comes from us."""
    share = "on" if memory.shared else "off"
    backend = f"memory-backend-file,id=mapped,size={spec.memory}M,mem-path={memory.path},share={share}"
    arguments = ["-object", backend, "-machine", "memory-backend=mapped"]
    if not memory.shared:
        arguments += ["-incoming", "defer"]
    commandline = ET.SubElement(root, f"{{{_QEMU}}}commandline")
    for argument in arguments:
        ET.SubElement(commandline, f"{{{_QEMU}}}arg", value=argument)


def _slot(device: ET.Element, slot: int) -> None:
    ET.SubElement(device, "address", type="pci", domain="0x0000", bus="0x00", slot=f"0x{slot:02x}", function="0x0")


def _text(parent: ET.Element, tag: str, text: str, /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
