"""A base is unpacked once, whole, and nothing in an archive reaches beyond it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import bounds, rootfs
from pileus.model.errors import Fault
from pileus.providers.local.container import bases
from pileus.providers.local.container.bases import Bases
from pileus.providers.local.container.unpack import FULL
from tests.providers.contract import until
from tests.providers.local.container.tars import INIT, link, member, tar
from tests.providers.local.machine.test_images import Source, digest_of

if TYPE_CHECKING:
    from pathlib import Path


def unpacked(folder: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    """The base of an archive."""
    path = tar(folder / "archive.tar", *members, mode=mode)
    return Bases(folder / "bases", Source(path)).path(digest_of(path))


def refusal(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    """Why the archive is not taken; and nothing of it is left, or was made elsewhere."""
    with pytest.raises(Fault) as caught:
        unpacked(folder, *members)
    assert caught.value.code == "ImageRefused"
    assert caught.value.permanent
    assert left(folder / "bases") == []
    return caught.value.message


def left(folder: Path) -> list[str]:
    """What is in a folder of bases but locks and uses."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock" and path.name != ".uses")


def test_files_are_as_the_archive_has_them(tmp_path: Path) -> None:
    capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    ping = member("bin/ping", b"ping", mode=0o755, mtime=1000)
    ping[0].pax_headers = {"SCHILY.xattr.security.capability": capability.decode()}
    root = unpacked(
        tmp_path,
        member("./", kind=tarfile.DIRTYPE, mode=0o700),
        member("./home/ada/", kind=tarfile.DIRTYPE, mode=0o710, uid=1000, gid=1001, mtime=5),
        member("./home/ada/letter", b"dear", mode=0o640, uid=1000, gid=1001),
        link("home/ada/copy", "./home/ada/letter", tarfile.LNKTYPE),
        link("lib", "usr/lib"),
        member("usr/lib/", kind=tarfile.DIRTYPE),
        member("lib/x.so", b"x"),
        member("/sbin/sudo", b"sudo", mode=0o4755),
        member("run/pipe", kind=tarfile.FIFOTYPE, mode=0o600),
        ping,
        INIT,
    )
    letter = (root / "home/ada/letter").stat()
    assert (letter.st_uid, letter.st_gid, stat.S_IMODE(letter.st_mode), letter.st_nlink) == (1000, 1001, 0o640, 2)
    home = (root / "home/ada").stat()
    assert (home.st_uid, stat.S_IMODE(home.st_mode), home.st_mtime) == (1000, 0o710, 5)
    assert (root / "usr/lib/x.so").read_bytes() == b"x"
    assert stat.S_IMODE((root / "sbin/sudo").stat().st_mode) == 0o4755
    assert stat.S_ISFIFO((root / "run/pipe").stat().st_mode)
    assert os.getxattr(root / "bin/ping", "security.capability") == capability
    assert (root / "bin/ping").stat().st_mtime == 1000
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    # Nobody but root comes as far as to a setuid program in there.
    assert stat.S_IMODE((tmp_path / "bases").stat().st_mode) == 0o700


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd", "bzip2"])
def test_compressed_archives_are_unpacked(tmp_path: Path, packer: str) -> None:
    plain = tar(tmp_path / "plain.tar", INIT, member("etc/name", b"x" * 100_000))
    packed = tmp_path / "packed"
    with packed.open("wb") as file:
        subprocess.run([packer, "-c", str(plain)], stdout=file, check=True)
    root = Bases(tmp_path / "bases", Source(packed)).path(digest_of(packed))
    assert (root / "etc/name").stat().st_size == 100_000


def test_launches_that_want_one_image_share_one_base(tmp_path: Path) -> None:
    path = tar(tmp_path / "archive.tar", INIT)
    source = Source(path)
    bases = [Bases(tmp_path / "bases", source) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: bases[number % 2].path(digest_of(path)), range(8)))
    assert source.fetched == 1
    assert found == {tmp_path / "bases" / digest_of(path) / "rootfs"}
    assert left(tmp_path / "bases") == [digest_of(path)]


def test_other_bytes_than_named_are_not_unpacked(tmp_path: Path) -> None:
    bases = Bases(tmp_path / "bases", Source(tar(tmp_path / "archive.tar", INIT)))
    with pytest.raises(Fault) as caught:
        bases.path("0" * 64)
    assert (caught.value.code, caught.value.permanent) == ("ImageCorrupt", True)
    assert left(tmp_path / "bases") == []
    with pytest.raises(Fault, match="no image"):
        bases.path("../etc")


def test_nothing_is_made_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = str(outside).lstrip("/")
    root = unpacked(
        tmp_path,
        member(str(outside / "absolute"), b"x"),
        link("way", str(outside)),
        link("up", "../../../../../../../../../../../../../../" + inside),
        member("way/through", b"x"),
        member("up/through2", b"x"),
        INIT,
    )
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in (root / inside).iterdir()) == ["absolute", "through", "through2"]


def test_a_file_of_the_host_is_neither_linked_nor_written_through(tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.write_text("secret")
    assert "cannot be made" in refusal(tmp_path, link("stolen", str(host), tarfile.LNKTYPE), INIT)
    root = unpacked(tmp_path, link("way", str(host)), member("way", b"gone"), INIT)
    assert (root / "way").read_bytes() == b"gone"
    assert host.read_text() == "secret"
    assert host.stat().st_nlink == 1


def test_devices_are_left_out_and_strange_attributes_too(tmp_path: Path) -> None:
    odd = member("odd", b"x")
    odd[0].pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.x": "y"}
    root = unpacked(
        tmp_path,
        member("dev/sda", kind=tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o666),
        member("dev/mem", kind=tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666),
        odd,
        INIT,
    )
    assert not (root / "dev/sda").exists()
    assert not (root / "dev/mem").exists()
    assert os.listxattr(root / "odd") == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (member("../escape", b"x"), "leads out"),
        (member("a/../../escape", b"x"), "leads out"),
        (link("l", "a/../../../etc/shadow", tarfile.LNKTYPE), "leads out"),
        (member("/".join(["d"] * 200), b"x"), "200 folders deep"),
        (member("alien", b"x", uid=70000), "users end at 65535"),
        (member("alien", b"x", gid=1 << 31), "users end at 65535"),
        (member("x" * 300, b"x"), "File name too long"),
        (member("sbin/init/below", b"x"), "no folder"),
        (member("loop/below", b"x"), "'loop', which is no folder"),
    ],
)
def test_what_no_honest_archive_has_is_refused(tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], said: str) -> None:
    assert said in refusal(tmp_path, INIT, link("loop", "loop"), bad)


def test_absurd_sizes_and_counts_are_refused(tmp_path: Path) -> None:
    meter = rootfs.ArchiveMeter(most_bytes=100, most_entries=3)
    meter.entry(member("a", b"x" * 60)[0])
    with pytest.raises(rootfs.RefusedError, match="more than 100 bytes"):
        meter.entry(member("b", b"x" * 60)[0])
    meter = rootfs.ArchiveMeter(most_entries=3)
    for name in "abc":
        meter.entry(member(name)[0])
    with pytest.raises(rootfs.RefusedError, match="more than 3 entries"):
        meter.entry(member("d")[0])
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(65 << 30)
    path = tmp_path / "bomb.tar"
    subprocess.run(["tar", "-C", str(tmp_path), "-S", "-cf", str(path), "sparse"], check=True)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(Fault, match="more than") as caught:
        Bases(tmp_path / "bases", Source(path)).path(digest_of(path))
    assert caught.value.permanent


def test_holes_stay_holes(tmp_path: Path) -> None:
    (tmp_path / "sbin").mkdir()
    with (tmp_path / "sbin/init").open("wb") as file:
        file.write(b"x")
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"end")
    path = tmp_path / "archive.tar"
    subprocess.run(["tar", "-C", str(tmp_path), "-S", "-cf", str(path), "sbin"], check=True)
    found = Bases(tmp_path / "bases", Source(path)).path(digest_of(path)) / "sbin/init"
    assert found.stat().st_size == (1 << 30) + 3
    assert found.stat().st_blocks * 512 < 10 << 20
    with found.open("rb") as file:
        file.seek(1 << 30)
        assert file.read() == b"end"


@pytest.mark.parametrize("size", [0, 100, 700, 1500])
def test_an_archive_that_is_cut_short_or_none_is_refused(tmp_path: Path, size: int) -> None:
    whole = tar(tmp_path / "whole.tar", member("etc/first", b"x" * 500), INIT, member("etc/last", b"x" * 5000))
    path = tmp_path / "short.tar"
    path.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(Fault) as caught:
        Bases(tmp_path / "bases", Source(path)).path(digest_of(path))
    assert caught.value.code == "ImageRefused"
    assert left(tmp_path / "bases") == []


def test_a_header_that_asks_for_all_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "_MEMORY", 200 << 20)
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 8 << 30
    path = tmp_path / "greedy.tar.zst"
    first, more = (
        subprocess.run(["zstd", "-q", "-1", "-c"], input=data, capture_output=True, check=True).stdout
        for data in (head.tobuf(tarfile.GNU_FORMAT), bytes(1 << 26))
    )
    # Packed parts, one after the other, are the whole packed: 256 MiB of it.
    path.write_bytes(first + 4 * more)
    with pytest.raises(Fault) as caught:
        Bases(tmp_path / "bases", Source(path)).path(digest_of(path))
    assert caught.value.code == "ImageRefused"


def test_what_a_death_left_is_cleared_away(tmp_path: Path) -> None:
    path = tar(tmp_path / "archive.tar", INIT)
    digest = digest_of(path)
    script = (
        "import sys, time, pathlib; from pileus.providers.local.container.bases import Bases\n"
        "def fetch(digest, target): target.write_bytes(b'half'); print('begun', flush=True); time.sleep(600)\n"
        "Bases(pathlib.Path(sys.argv[1]), fetch).path(sys.argv[2])\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "bases"), digest]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        (tmp_path / "bases" / f".{digest}.part/rootfs").mkdir(parents=True)
        process.send_signal(signal.SIGKILL)
    assert (Bases(tmp_path / "bases", Source(path)).path(digest) / "sbin/init").exists()
    assert left(tmp_path / "bases") == [digest]


def test_the_least_used_go_first_and_what_is_leaned_on_stays(tmp_path: Path) -> None:
    made = {}
    for name in ("old", "used", "new"):
        path = tar(tmp_path / f"{name}.tar", INIT, member(name, b"x" * 1000))
        made[digest_of(path)] = path
    old, used, new = made
    user = tmp_path / "instance"
    user.mkdir()

    def fetch(digest: str, target: Path) -> None:
        target.write_bytes(made[digest].read_bytes())

    bases = Bases(tmp_path / "bases", fetch, most=2500)
    bases.path(used, user)
    time.sleep(0.02)
    bases.path(old)
    time.sleep(0.02)
    bases.path(new)
    assert left(tmp_path / "bases") == sorted([used, new])
    bases.release(user)
    bases.path(old)
    assert left(tmp_path / "bases") == sorted([old, new])
    user.rmdir()


class Images:
    """Archives of some hundred files each, and bases made of them."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.archives = {}
        for name in names:
            path = tar(folder / f"{name}.tar", INIT, *(member(f"{name}/{number}") for number in range(200)))
            self.archives[digest_of(path)] = path

    def fetch(self, digest: str, target: Path) -> None:
        target.write_bytes(self.archives[digest].read_bytes())

    def bases(self, entries: int = 1_000_000, cloud: Path | None = None) -> Bases:
        return Bases(self.folder / "bases", self.fetch, entries=entries, cloud=cloud)

    def inodes(self) -> int:
        return sum(len(folders) + len(files) for _, folders, files in os.walk(self.folder / "bases"))


def test_countless_files_are_kept_within_a_bound(tmp_path: Path) -> None:
    images = Images(tmp_path, "first", "second", "third")
    bases = images.bases(entries=500)
    for digest in images.archives:
        bases.path(digest)
        time.sleep(0.02)
    assert left(tmp_path / "bases") == sorted([*images.archives][1:])


def test_what_no_container_used_for_long_is_removed_whole(tmp_path: Path) -> None:
    images = Images(tmp_path, "idle", "leaned-on", "fresh", "refused")
    idle, used, fresh, refused = images.archives
    user = tmp_path / "instance"
    user.mkdir()
    bases = images.bases(cloud=tmp_path)
    for digest in (idle, used, fresh):
        bases.path(digest, user if digest == used else None)
    images.archives[refused].write_bytes(b"another")
    with pytest.raises(Fault):
        bases.path(refused)
    for digest in (idle, used, refused):
        os.utime(tmp_path / "bases" / f".{digest}.lock", (0, 0))
    bases.tidy()
    assert left(tmp_path / "bases") == sorted([".clouds", used, fresh])
    assert not [path for path in (tmp_path / "bases").rglob("*") if idle in path.name or refused in path.name]
    assert bases.path(idle).is_dir()


def test_a_large_base_goes_with_the_last_container_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CACHE_TREE", msgspec.structs.replace(bounds.CACHE_TREE, most=250))
    images = Images(tmp_path, "small")
    (small,) = images.archives
    files = (member(f"large/{number}") for number in range(300))
    path = tar(tmp_path / "large.tar", INIT, *files)
    large = digest_of(path)
    images.archives[large] = path
    users = [tmp_path / "first", tmp_path / "second"]
    bases = images.bases()
    for user in users:
        user.mkdir()
        for digest in (small, large):
            bases.path(digest, user)
    users[0].rmdir()  # as a container's folder goes before its bases are released
    bases.release(users[0])
    assert list((tmp_path / "bases" / ".uses" / small).iterdir()) != []
    assert left(tmp_path / "bases") == sorted([small, large])
    users[1].rmdir()
    bases.release(users[1])
    assert list((tmp_path / "bases" / ".uses" / small).iterdir()) == []
    until("the large base is gone", lambda: left(tmp_path / "bases") == [small])
    assert images.inodes() < 300
    assert bases.path(large).is_dir()
    bases.tidy()
    assert left(tmp_path / "bases") == [small]


def test_a_cloud_that_is_purged_leaves_no_base_that_it_alone_used(tmp_path: Path) -> None:
    images = Images(tmp_path, "own", "shared", "leaned-on")
    _own, shared, used = images.archives
    clouds = [tmp_path / "cloud", tmp_path / "other"]
    user = tmp_path / "other" / "instance"
    user.mkdir(parents=True)
    (tmp_path / "cloud").mkdir()
    for digest in images.archives:
        images.bases(cloud=clouds[0]).path(digest)
    images.bases(cloud=clouds[1]).path(shared)
    images.bases().path(used, user)
    before = images.inodes()
    (tmp_path / "cloud").rmdir()
    images.bases().forget(clouds[0])
    assert left(tmp_path / "bases") == sorted([".clouds", shared, used])
    assert before - images.inodes() > 200
    images.bases().forget(tmp_path / "other")
    user.rmdir()
    images.bases().forget(tmp_path / "other")
    assert left(tmp_path / "bases") == [".clouds"]


def test_a_host_keeps_inodes_free(tmp_path: Path) -> None:
    path = tar(tmp_path / "archive.tar", INIT, *(member(str(number)) for number in range(20)))
    command = [sys.executable, "-m", "pileus.providers.local.container.unpack", str(tmp_path), "10"]
    with path.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert (done.returncode, "no room for more than 10 files" in done.stderr) == (FULL, True)


def test_a_tree_of_any_depth_is_removed_again(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 120)
    members = [member(f"{deep}/", kind=tarfile.DIRTYPE)]
    for number in range(10):
        members += [link(f"l{number}", f"l{number - 1}/{deep}" if number else deep)]
        members += [member(f"l{number}/{deep}/", kind=tarfile.DIRTYPE)]
    refused = member("../x")
    assert "leads out" in refusal(tmp_path, INIT, *members, refused)
