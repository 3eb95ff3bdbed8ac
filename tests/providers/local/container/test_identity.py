"""A new container learns its name and keys, and nothing that leads out of its root is followed on the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.injection import InjectedFile
from pileus.providers.local.container import identity
from tests.providers.local.machine import specs

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.model.spec import InstanceSpec

BASE = 0x78010000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system with two accounts."""
    made = tmp_path / "root"
    for folder in ("etc", "root", "home/ada"):
        (made / folder).mkdir(parents=True)
    (made / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001:Ada:/home/ada:/bin/sh\n")
    return made


def spec(user: str = "root") -> InstanceSpec:
    return specs.instance(hostname="ip-10-98-0-5", domain="internal", login_user=user, public_keys=("ssh-ed25519 A a",))


def test_it_knows_its_name_and_lets_its_user_in(root: Path) -> None:
    identity.write(root, spec("ada"), BASE)
    assert (root / "etc/hostname").read_text() == "ip-10-98-0-5\n"
    assert "127.0.1.1 ip-10-98-0-5.internal ip-10-98-0-5" in (root / "etc/hosts").read_text().splitlines()
    keys = root / "home/ada/.ssh/authorized_keys"
    assert keys.read_text() == "ssh-ed25519 A a\n"
    for path, mode in ((keys, 0o600), (keys.parent, 0o700)):
        status = path.stat()
        assert (status.st_uid - BASE, status.st_gid - BASE, status.st_mode & 0o777) == (1000, 1001, mode)
    assert (root / "etc/hostname").stat().st_uid == BASE


def test_hosts_that_name_it_stay(root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost ip-10-98-0-5\n")
    identity.write(root, spec(), BASE)
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost ip-10-98-0-5\n"


def test_the_name_of_the_instance_that_its_image_was_made_of_goes(root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 older.internal older\n10.0.0.1 other")
    identity.write(root, spec(), BASE)
    expected = "127.0.0.1 localhost\n10.0.0.1 other\n127.0.1.1 ip-10-98-0-5.internal ip-10-98-0-5\n"
    assert (root / "etc/hosts").read_text() == expected


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../..{outside}"])
def test_links_lead_nowhere_but_into_the_root(root: Path, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("hostname", "passwd", "hosts"):
        (outside / name).write_text("root:x:0:0:root:/root:/bin/sh\n")
    lead = target.format(outside=outside)
    for name in ("hostname", "hosts"):
        (root / "etc" / name).symlink_to(f"{lead}/{name}")
    (root / "root/.ssh").symlink_to(lead)
    identity.write(root, spec(), BASE)
    assert all(path.read_text() == "root:x:0:0:root:/root:/bin/sh\n" for path in outside.iterdir())
    assert {path.name for path in outside.iterdir()} == {"hosts", "hostname", "passwd"}
    assert (root / "etc/hostname").read_text() == "ip-10-98-0-5\n"
    assert not (root / "etc/hostname").is_symlink()


def test_a_root_that_has_no_place_for_it_gets_none(tmp_path: Path) -> None:
    """An empty one, one whose files are folders, one whose password file is a pipe that nobody writes to."""
    empty, strange = tmp_path / "empty", tmp_path / "strange"
    empty.mkdir()
    identity.write(empty, spec(), BASE)
    assert list(empty.iterdir()) == []
    (strange / "etc/hostname/full").mkdir(parents=True)
    os.mkfifo(strange / "etc/passwd")
    os.mkfifo(strange / "etc/hosts")
    identity.write(strange, spec(), BASE)
    assert (strange / "etc/hostname/full").is_dir()


def test_a_link_within_the_root_is_followed_within_it(root: Path) -> None:
    (root / "srv").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:root:/data:/bin/sh\n")
    (root / "data").symlink_to("/srv")
    identity.write(root, spec(), BASE)
    assert (root / "srv/.ssh/authorized_keys").read_text() == "ssh-ed25519 A a\n"


@pytest.mark.parametrize(
    "account",
    [
        f"ada:x:{'9' * 5000}:0::/home/ada:",
        "ada:x:²:0::/home/ada:",
        "ada:x:-1:0::/home/ada:",
        f"ada:x:0:0::{'/a' * 3000}:",
        f"ada:x:0:0::/{'a' * 300}:",
        "ada:x:0:0::/a\0b:",
        "ada",
    ],
)
def test_an_account_that_cannot_be_leaves_everything_else_as_it_should(root: Path, account: str) -> None:
    (root / "etc/passwd").write_text(account)
    identity.write(root, spec("ada"), BASE)
    assert (root / "etc/hostname").read_text() == "ip-10-98-0-5\n"
    assert list(root.rglob("authorized_keys")) == []


def test_files_and_password_are_given_and_nothing_is_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "srv").symlink_to(outside)
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\nada:!:1:::::\n")
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    files = (
        InjectedFile(path="/opt/new/secret", content="c2VjcmV0", owner="ada", group="adm", mode="0640"),
        InjectedFile(path="/opt/other", owner="nobody-here", mode="4755"),
        InjectedFile(path="/srv/file", content="c2VjcmV0"),
        InjectedFile(path="/etc/passwd/below", content="c2VjcmV0"),
    )
    identity.write(root, msgspec.structs.replace(spec(), files=files, password="$6$salt$hash"), BASE)
    status = (root / "opt/new/secret").stat()
    assert (root / "opt/new/secret").read_bytes() == b"secret"
    assert (status.st_uid - BASE, status.st_gid - BASE, status.st_mode & 0o7777) == (1000, 4, 0o640)
    assert ((root / "opt/other").stat().st_uid - BASE, (root / "opt/other").stat().st_mode & 0o7777) == (0, 0o4755)
    assert list(outside.iterdir()) == []
    assert (root / "etc/shadow").read_text() == "root:$6$salt$hash:19000:0:99999:7:::\nada:!:1:::::\n"
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o640


def test_a_configuration_drive_is_roots_alone(tmp_path: Path) -> None:
    identity.write_config_drive(tmp_path / "drive", spec(), BASE)
    for path in (tmp_path / "drive", *(tmp_path / "drive").rglob("*")):
        assert path.stat().st_uid == BASE
    assert (tmp_path / "drive").stat().st_mode & 0o777 == 0o500
    assert (tmp_path / "drive/openstack/latest/meta_data.json").stat().st_mode & 0o777 == 0o400
