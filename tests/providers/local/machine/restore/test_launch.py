"""Which machines start as copies, of what; and that one which never ran is known by its marker."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.model.spec import InstanceSpec
from pileus.providers.local.images import hook
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import kvm
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.hypervisor import Hypervisor
from pileus.providers.local.machine.images import ImageCache
from pileus.providers.local.machine.restore import launch
from pileus.providers.local.machine.restore.freezer import is_template, model
from pileus.providers.local.machine.restore.launch import Restores, emulator, key_of
from pileus.providers.local.machine.restore.template import Template, Templates, digest
from tests.providers.local.machine import specs
from tests.providers.local.machine.test_images import Source, digest_of, image

DIGEST = "d" * 64
MODEL = specs.UUID.replace("0f", "1f", 1)
SPEC = specs.instance(disks=(specs.disk(DIGEST),), nics=(specs.nic(),))


def key(spec: InstanceSpec = SPEC, version: int = 1, accelerator: Any = "tcg", qemu: str = "q") -> str | None:
    return key_of(spec, version, accelerator, qemu)


def other(**changes: Any) -> InstanceSpec:
    return msgspec.structs.replace(SPEC, **changes)


@pytest.mark.parametrize(
    "spec",
    [
        other(uuid="b" * 36, ec2_id="i-b", name="b", tags={"a": "b"}, revision=(7, 7), project="p", key_name="k"),
        other(user_data="c2VjcmV0", public_keys=("ssh-ed25519 A",), hostname="b", domain="b", account_id="1"),
        other(
            nics=(specs.nic(uuid="c" * 36, mac="02:00:00:00:00:99", address="10.0.0.9", network="n", groups=("g",)),)
        ),
        other(disks=(specs.disk(DIGEST, uuid="c" * 36, ec2_id="vol-b"),)),
    ],
)
def test_who_a_machine_is_makes_no_difference(spec: InstanceSpec) -> None:
    assert key(spec) == key()


def test_what_it_is_made_of_does() -> None:
    keys = [
        key(),
        key(version=2),
        key(qemu="other"),
        key(accelerator="kvm"),
        key(other(vcpus=2)),
        key(other(memory=256)),
        key(other(nics=())),
        key(other(nics=(specs.nic(mtu=1500),))),
        key(other(disks=(specs.disk(DIGEST, size=2),))),
        key(other(disks=(specs.disk("e" * 64),))),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "spec",
    [
        other(machine="container"),
        other(disks=()),
        other(disks=(specs.disk(),)),
        other(disks=(specs.disk(DIGEST), specs.disk(uuid="b" * 36))),
        other(nics=(specs.nic(), specs.nic(uuid="b" * 36, index=1))),
    ],
)
def test_some_can_be_no_copies(spec: InstanceSpec) -> None:
    assert key(spec) is None


def test_a_template_is_nobody() -> None:
    secret = other(user_data="c2VjcmV0", public_keys=("ssh-ed25519 A",), hostname="b", project="p", name="n")
    shape = model(secret, "0123456789ab")
    told = msgspec.json.encode(shape).decode()
    assert all(word not in told for word in ("c2VjcmV0", "ssh-ed25519", SPEC.uuid, SPEC.ec2_id, SPEC.nics[0].mac))
    assert shape.nics[0].mac == "06:01:23:45:67:89"
    assert shape.nics[0].uuid != shape.disks[0].uuid
    assert is_template(shape.uuid)
    assert not is_template(SPEC.uuid)


def test_the_emulator_is_known_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "qemu"
    assert emulator(file) == ""
    file.write_bytes(b"1")
    first = emulator(file)
    file.write_bytes(b"22")
    assert emulator(file) != first


class Own(Layout):
    """A layout that shares nothing with other clouds."""

    @property
    def images(self) -> Path:
        return self.state / "images"

    @property
    def templates(self) -> Path:
        return self.state / "templates"


class Rig:
    """A host's decisions over an image with a hook; what is to be made is noted instead of made."""

    def __init__(self, folder: Path, limit: int = 1 << 30, version: int = hook.VERSION) -> None:
        self.layout = Own(folder, cache=folder / "cache")
        source = Source(image(folder))
        self.digest = digest_of(source.path)
        self.layout.images.mkdir()
        (self.layout.images / "broken.json").write_text("{")
        described = {"sha256": self.digest, "hook": version} if version else {"sha256": self.digest}
        (self.layout.images / "tiny.json").write_text(json.dumps(described))
        cache = ImageCache(self.layout.cache, source)
        self.disks = Disks(self.layout, cache)
        self.restores = Restores(self.layout, Hypervisor(self.layout), cache, self.disks, limit)
        self.spec = specs.instance(disks=(specs.disk(self.digest),))
        self.made: list[str] = []
        self.news = threading.Event()

        def make(key: str, spec: InstanceSpec) -> None:
            self.made.append(key)
            self.news.set()

        self.restores._freezer.make = make  # type: ignore[method-assign]

    def template(self) -> Template:
        """Publish one for the spec, whose disk is an overlay that says so."""
        found = key_of(self.spec, hook.VERSION, "tcg", emulator())
        assert found is not None
        templates = Templates(self.layout.templates, 1 << 30)
        aside = templates.aside(found, "cloud")
        self.disks.ensure(specs.instance(uuid=MODEL, disks=self.spec.disks), frozenset())
        (self.disks.folder(MODEL) / "disk.qcow2").rename(aside / "disk")
        with (aside / "disk").open("ab") as file:
            file.write(b"TEMPLATE")
        (aside / "ram").write_bytes(b"r")
        (aside / "state").write_bytes(b"s")
        ram = (aside / "ram").stat()
        template = Template(
            key=found,
            page=0,
            places={},
            state_places={},
            size=1,
            changed=ram.st_mtime_ns,
            state=digest(aside / "state"),
            disk=digest(aside / "disk"),
        )
        templates.publish(aside, template)
        return template

    @property
    def disk(self) -> Path:
        """The instance's root disk."""
        return self.disks.folder(specs.UUID) / "disk.qcow2"


@pytest.fixture(autouse=True)
def _emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "accelerator", lambda: "tcg")
    monkeypatch.setattr(launch, "QUIET", 0.0)


def test_without_a_template_a_machine_boots_and_one_is_made(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.restores.choose(rig.spec) is None
    assert not rig.restores.pending(specs.UUID)
    assert rig.news.wait(10)
    assert rig.made == [key_of(rig.spec, hook.VERSION, "tcg", emulator())]
    rig.restores.stop()


@pytest.mark.parametrize("why", ["off", "no hook", "stopped"])
def test_some_neither_are_copies_nor_have_one_made(tmp_path: Path, why: str) -> None:
    rig = Rig(tmp_path, limit=0 if why == "off" else 1 << 30, version=0 if why == "no hook" else hook.VERSION)
    rig.template()
    spec = specs.instance("stopped", disks=rig.spec.disks) if why == "stopped" else rig.spec
    assert rig.restores.choose(spec) is None
    assert not rig.restores.pending(specs.UUID)
    rig.restores.stop()
    assert rig.made == []


def test_a_copy_is_marked_before_it_has_a_disk_and_undone_whole(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.template()
    template = rig.restores.choose(rig.spec)
    assert template is not None
    assert rig.restores.pending(specs.UUID)
    assert not rig.disk.exists()
    rig.disks.ensure(rig.spec, frozenset(), template.disk_file)
    assert rig.disk.read_bytes().endswith(b"TEMPLATE")
    # A crash came: the next one finds the marker.
    rig.restores.undo(rig.spec)
    assert not rig.restores.pending(specs.UUID)
    assert not rig.disk.read_bytes().endswith(b"TEMPLATE")
    info = subprocess.run(["qemu-img", "info", str(rig.disk)], check=True, capture_output=True, text=True).stdout
    assert str(rig.layout.cache / rig.digest) in info
    before = rig.disk.stat()
    rig.restores.undo(rig.spec)
    assert rig.disk.stat().st_ino == before.st_ino


def test_a_template_keeps_its_image_in_the_cache(tmp_path: Path) -> None:
    """Without guests too, though others were asked for later."""
    rig = Rig(tmp_path)
    rig.template()
    template = rig.restores.choose(rig.spec)
    assert template is not None
    rig.disks.remove(MODEL)
    rig.disks.remove(specs.UUID)
    base = rig.layout.cache / rig.digest
    other = Source(tmp_path / "other")
    crowded = ImageCache(rig.layout.cache, other, base.stat().st_size + 512)
    for data in (b"1", b"2"):
        other.path.write_bytes(data * 512)
        crowded.have(digest_of(other.path), "raw")
    assert sum(len(path.name) == 64 for path in rig.layout.cache.iterdir()) == 2
    assert base.exists()
    assert template.disk_file.exists()


def test_a_template_that_fails_is_dropped_and_in_the_end_not_made_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for _ in range(launch.TRIES):
        rig.template()
        template = rig.restores.choose(rig.spec)
        assert template is not None
        rig.disks.ensure(rig.spec, frozenset(), template.disk_file)
        rig.restores.failed(rig.spec, template, OSError("no"))
        assert not rig.restores.pending(specs.UUID)
        assert not rig.disk.read_bytes().endswith(b"TEMPLATE")
        rig.disks.remove(specs.UUID)
    assert rig.restores.choose(rig.spec) is None
    rig.restores.stop()
    assert rig.made == []
