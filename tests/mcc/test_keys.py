"""Keys are files that nobody else reads, in one folder."""

from pathlib import Path

import pytest

from pileus.mcc import Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A keystore that does not exist yet."""
    return Keys(tmp_path / "home" / ".mcc" / "keys")


def test_a_key_is_kept_as_it_is_with_a_newline(keys: Keys) -> None:
    assert keys.names() == []
    keys.add("doylenet", "ssh-rsa AAAA mykey")
    keys.add("a.pub.b", "x")
    assert keys.names() == ["a.pub.b", "doylenet"], ".pub goes at the end alone"
    assert keys.text("doylenet") == "ssh-rsa AAAA mykey\n"
    path = keys.folder / "doylenet.pub"
    assert [each.stat().st_mode & 0o777 for each in (keys.folder.parent, keys.folder, path)] == [0o700, 0o700, 0o600]
    keys.remove("doylenet")
    assert keys.names() == ["a.pub.b"]


def test_names_are_used_once_and_lost_ones_are_missed(keys: Keys) -> None:
    keys.add("k", "one")
    with pytest.raises(FileExistsError):
        keys.add("k", "two")
    assert keys.text("k") == "one\n"
    for work in (keys.text, keys.remove):
        with pytest.raises(FileNotFoundError):
            work("other")


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/x", "../x", "a/b", "a\0b", "a\nb", "\x1b[2J"])
def test_names_that_lead_elsewhere_are_refused(keys: Keys, name: str) -> None:
    for work in (lambda: keys.add(name, "x"), lambda: keys.text(name), lambda: keys.remove(name)):
        with pytest.raises(ValueError, match="Invalid key name"):
            work()
    assert list(keys.folder.iterdir()) == []


def test_a_link_is_not_followed_when_a_key_is_kept(keys: Keys, tmp_path: Path) -> None:
    (keys.folder / "k.pub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        keys.add("k", "x")
    assert not (tmp_path / "elsewhere").exists()
