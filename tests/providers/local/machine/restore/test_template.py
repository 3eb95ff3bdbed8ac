"""Templates appear whole, are refused once damaged, and make room for each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.machine.restore.template import ABOUT, Template, Templates, digest

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 20


def publish(templates: Templates, key: str, used: float = 0.0) -> Template:
    aside = templates.aside(key, "cloud")
    (aside / "ram").write_bytes(b"r" * SIZE)
    (aside / "state").write_bytes(b"s" * 100)
    (aside / "disk").write_bytes(b"d" * 100)
    ram = (aside / "ram").stat()
    template = Template(
        key=key,
        page=0,
        places={"mac bytes": [1]},
        state_places={},
        size=ram.st_size,
        changed=ram.st_mtime_ns,
        state=digest(aside / "state"),
        disk=digest(aside / "disk"),
    )
    templates.publish(aside, template)
    if used:
        os.utime(aside.parent / key / ABOUT, (used, used))
    return template


def keys(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_template_is_found_as_it_was_published(tmp_path: Path) -> None:
    templates = Templates(tmp_path / "t", 10 * SIZE)
    assert templates.find("a") is None
    template = publish(templates, "a")
    found = templates.find("a")
    assert found is not None
    assert (found.places, found.disk) == (template.places, template.disk)
    assert found.disk_file.read_bytes() == b"d" * 100
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o710
    assert keys(tmp_path / "t") == {"a"}


@pytest.mark.parametrize("name", ["ram", "state", "disk", ABOUT])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_template_is_removed(tmp_path: Path, name: str, damage: str) -> None:
    templates = Templates(tmp_path, 10 * SIZE)
    publish(templates, "a")
    file = tmp_path / "a" / name
    if damage == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[:-1] if damage == "cut" else b"x" + content[1:])
    assert templates.find("a") is None
    assert keys(tmp_path) == set()


def test_one_under_the_wrong_name_is_no_template(tmp_path: Path) -> None:
    templates = Templates(tmp_path, 10 * SIZE)
    publish(templates, "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert templates.find("b") is None


def test_the_one_used_longest_ago_makes_room(tmp_path: Path) -> None:
    templates = Templates(tmp_path, 3 * SIZE)
    publish(templates, "a", used=1000)
    publish(templates, "b", used=2000)
    assert templates.find("a") is not None
    publish(templates, "c")
    assert keys(tmp_path) == {"a", "c"}


def test_one_larger_than_all_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="all may take"):
        publish(Templates(tmp_path, SIZE // 2), "a")
    assert keys(tmp_path) == set()


def test_what_a_crash_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    templates = Templates(tmp_path, 10 * SIZE)
    (templates.aside("a", "cloud") / "ram").write_bytes(b"half")
    old = templates.aside("b", "gone")
    os.utime(old, (1000, 1000))
    assert list(templates.aside("a", "cloud").iterdir()) == []
    assert not old.exists()
    assert templates.find("a") is None
