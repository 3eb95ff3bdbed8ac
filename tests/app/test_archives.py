"""Containers' images on their way in: archives of every shape become root file systems, and what is none is refused."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app.internal import fetch, near
from tests.providers.local.container.tars import INIT, link, member, tar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.app.stub import Stub

Members = tuple[tuple[tarfile.TarInfo, bytes], ...]


class Kept(tarfile.TarInfo):
    """An entry with its contents."""

    data: bytes


def upload(stub: Stub, path: Path, **query: str) -> dict[str, Any]:
    """Upload a file; the JSON of the answer."""
    words = "&".join(f"{key}={value}" for key, value in {"name": path.stem, **query}.items())
    answer: dict[str, Any] = json.loads(stub.http("POST", f"/v1/images?{words}", path.read_bytes())[2])
    return answer


def kept(stub: Stub, folder: Path, image: dict[str, Any]) -> dict[str, Kept]:
    """What is in the archive that a host would get, by name; with the contents of files as `data`."""
    target = folder / "fetched"
    target.unlink(missing_ok=True)
    digest = image["wanted"]["digest"]
    fetch(functools.partial(near, stub.state.internal), digest, target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    entries: dict[str, Kept] = {}
    with tarfile.open(target, tarinfo=Kept) as archive:
        for entry in archive:
            assert isinstance(entry, Kept)
            entries[entry.name.removeprefix("./")] = entry
            file = archive.extractfile(entry) if entry.isreg() else None
            entry.data = file.read() if file else b""
    return entries


def bundle(path: Path, layers: list[Members], *, architecture: str = "amd64", gzipped: bool = True) -> Path:
    """An OCI layout of these layers, lowest first, in an archive."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    packed = [blob(packed_layer(path, layer, "w:gz" if gzipped else "w")) for layer in layers]
    config = blob(json.dumps({"architecture": architecture, "os": "linux"}).encode())
    manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": packed}).encode())
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode(),
        **blobs,
    }
    return tar(path, *(member(name, data) for name, data in files.items()))


def packed_layer(path: Path, layer: Members, mode: str) -> bytes:
    return tar(path.with_suffix(".layer"), *layer, mode=mode).read_bytes()


LOWER: Members = (
    member("sbin/init", b"init", mode=0o755),
    member("etc/", kind=tarfile.DIRTYPE),
    member("etc/passwd", b"root", uid=0),
    member("etc/gone", b"x"),
    member("old/", kind=tarfile.DIRTYPE, mode=0o700),
    member("old/one", b"1"),
    member("usr/lib/a.so", b"a"),
    link("lib", "usr/lib"),
    member("cache/deep/file", b"x"),
    link("usr/lib/same.so", "usr/lib/a.so", tarfile.LNKTYPE),
)
UPPER: Members = (
    member("etc/.wh.gone"),
    member("old/", kind=tarfile.DIRTYPE, mode=0o711, uid=7),
    member("old/.wh..wh..opq"),
    member("old/two", b"2", uid=1000, gid=1000, mode=0o4755),
    member(".wh.cache"),
    member("lib/b.so", b"b"),
    member("etc/passwd", b"root and ada"),
)


def check_flat(entries: dict[str, Kept]) -> None:
    assert entries["etc/passwd"].data == b"root and ada"
    assert entries["sbin/init"].mode == 0o755
    assert {"etc/gone", "old/one", "cache", "cache/deep/file"} & entries.keys() == set()
    assert (entries["old"].mode, entries["old"].uid) == (0o711, 7)
    assert (entries["old/two"].mode, entries["old/two"].uid) == (0o4755, 1000)
    assert entries["lib"].linkname == "usr/lib"
    assert entries["usr/lib/b.so"].data == b"b"
    same = [entries[name] for name in ("usr/lib/a.so", "usr/lib/same.so")]
    assert sorted(entry.islnk() for entry in same) == [False, True]
    assert not [name for name in entries if ".wh." in name]


@pytest.mark.parametrize("packer", ["", "gzip", "xz", "zstd"])
def test_an_archive_of_a_root_file_system_is_kept_as_it_is(stub: Stub, tmp_path: Path, packer: str) -> None:
    path = tar(tmp_path / "system.tar", INIT, member("etc/x", b"x" * 1000, uid=1000))
    if packer:
        done = subprocess.run([packer, "-c", str(path)], capture_output=True, check=True)
        path.write_bytes(done.stdout)
    wanted = upload(stub, path, name=f"plain-{packer}", public="1")["wanted"]
    assert (wanted["format"], wanted["kind"]) == ("tar", "container")
    assert wanted["digest"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert wanted["virtual_size"] == 1000 + len(INIT[1])


@pytest.mark.parametrize("gzipped", [True, False])
def test_the_layers_of_an_oci_layout_become_one(stub: Stub, tmp_path: Path, *, gzipped: bool) -> None:
    path = bundle(tmp_path / "layout.tar", [LOWER, UPPER], gzipped=gzipped)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    image = upload(stub, path, digest=digest)
    assert (image["wanted"]["format"], image["wanted"]["kind"]) == ("tar", "container")
    check_flat(kept(stub, tmp_path, image))
    assert (stub.state.objects / "owners" / image["project"] / image["wanted"]["digest"]).exists()
    # The same upload is the same image.
    assert upload(stub, path)["wanted"]["digest"] == image["wanted"]["digest"]
    assert upload(stub, path, digest="0" * 64)["error"]["reason"] == "digest"


def test_what_docker_saves_is_flattened_too(stub: Stub, tmp_path: Path) -> None:
    members = [
        member("manifest.json", json.dumps([{"Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"]}]).encode()),
        member("c.json", b'{"architecture": "amd64"}'),
        member("a/layer.tar", packed_layer(tmp_path / "a", LOWER, "w")),
        member("b/layer.tar", packed_layer(tmp_path / "b", UPPER, "w")),
    ]
    path = tar(tmp_path / "saved.tar", *members, mode="w:gz")
    check_flat(kept(stub, tmp_path, upload(stub, path)))


def test_an_lxc_image_in_one_file_loses_its_description(stub: Stub, tmp_path: Path) -> None:
    path = tar(
        tmp_path / "lxc.tar",
        member("metadata.yaml", b"architecture: x86_64"),
        member("templates/hostname.tpl", b"x"),
        member("rootfs/", kind=tarfile.DIRTYPE),
        member("rootfs/sbin/init", b"init", mode=0o755),
        member("rootfs/etc/x", b"x", uid=1000),
        link("rootfs/etc/y", "rootfs/etc/x", tarfile.LNKTYPE),
        mode="w:xz",
    )
    entries = kept(stub, tmp_path, upload(stub, path))
    assert sorted(entries) == ["etc/x", "etc/y", "sbin/init"]
    assert (entries["etc/y"].islnk(), entries["etc/y"].linkname, entries["etc/x"].uid) == (True, "etc/x", 1000)


def test_what_would_not_start_is_refused_in_words(stub: Stub, tmp_path: Path) -> None:
    stolen = bundle(tmp_path / "wrong.tar", [LOWER])
    stolen.write_bytes(stolen.read_bytes().replace(b'"os": "linux"', b'"os": "bsd  "'))
    squash = tmp_path / "rootfs.squashfs"
    squash.write_bytes(b"hsqs" + bytes(5000))
    disk = tmp_path / "disk.gz"
    disk.write_bytes(subprocess.run(["gzip", "-c"], input=bytes(1 << 20), capture_output=True, check=True).stdout)
    short = tmp_path / "short.tar"
    short.write_bytes(tar(tmp_path / "whole.tar", INIT, member("x", b"x" * 5000)).read_bytes()[:2000])
    for path, phrase in (
        (tar(tmp_path / "app.tar", member("usr/bin/app", b"x")), "no /sbin/init"),
        (bundle(tmp_path / "layers.tar", [(member("app", b"x"),)]), "no /sbin/init"),
        (bundle(tmp_path / "arm.tar", [LOWER], architecture="arm64"), "arm64"),
        (bundle(tmp_path / "escape.tar", [LOWER, (member("../x", b"x"),)]), "leads out"),
        (bundle(tmp_path / "circle.tar", [LOWER, (link("loop", "loop"),), (member("loop/x", b"x"),)]), "circles"),
        (bundle(tmp_path / "dangling.tar", [LOWER, (link("l", "nowhere", tarfile.LNKTYPE),)]), "not there"),
        (tar(tmp_path / "meta.tar", member("metadata.yaml", b"x")), "rootfs.tar.xz"),
        (tar(tmp_path / "alien.tar", INIT, member("x", uid=100000)), "users end at 65535"),
        (tar(tmp_path / "escape2.tar", INIT, member("../x", b"x")), "leads out"),
        (stolen, "other bytes"),
        (squash, "SquashFS"),
        (disk, "nothing in it"),
        (short, "cannot be read"),
    ):
        refused = upload(stub, path)["error"]
        assert refused["code"] == "InvalidValue", path
        assert phrase in refused["message"], path


def test_machines_and_containers_are_not_taken_for_each_other(stub: Stub, tmp_path: Path) -> None:
    path = tar(tmp_path / "system.tar", INIT)
    assert upload(stub, path, kind="machine")["error"]["reason"] == "kind"
    assert upload(stub, path, format="qcow2")["error"]["reason"] == "format"
    assert upload(stub, path, kind="container", format="tar")["wanted"]["kind"] == "container"
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(1 << 20))
    assert upload(stub, raw)["error"]["reason"] == "format"
    assert upload(stub, raw, format="raw")["wanted"]["kind"] == "machine"
    assert upload(stub, raw, kind="container")["error"]["code"] == "InvalidValue"


def test_nothing_is_left_of_what_was_refused_or_made_plain(stub: Stub, tmp_path: Path) -> None:
    before = {path.name for path in stub.state.objects.rglob("*") if path.is_file()}
    before.add("known.json")  # the collector's, which may look meanwhile
    assert "error" in upload(stub, tar(tmp_path / "none.tar", member("x", b"x")))
    image = upload(stub, bundle(tmp_path / "left.tar", [LOWER]))
    after = {path.name for path in stub.state.objects.rglob("*") if path.is_file()}
    assert after - before <= {image["wanted"]["digest"]}


def test_the_stubs_container_is_one(stub: Stub) -> None:
    wanted = stub.client.get("images", "stub-container")["wanted"]
    assert (wanted["format"], wanted["kind"]) == ("tar", "container")
