"""An image is rebuilt when what it is made from changed, and not for another image's sake."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local import images
from pileus.providers.local.images.recipe import described_recipe, recipe_digest

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {"disk.py": "a", "tiny.py": "b", "debian.py": "c", "files/tiny/rc": "d", "files/debian-12/etc/x": "e"}


def lay(folder: Path) -> Path:
    for name, text in SOURCES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("changed", "tiny", "debian"),
    [
        ("disk.py", True, True),
        ("files/hook/new.c", True, True),
        ("tiny.py", True, False),
        ("files/tiny/rc", True, False),
        ("debian.py", False, True),
        ("tinycontainer.py", False, False),
        ("files/debian-12-container/etc/x", False, False),
        ("files/debian-12/etc/x", False, True),
        ("__pycache__/disk.cpython-311.pyc", False, False),
    ],
)
def test_a_recipe_is_all_that_makes_the_image(tmp_path: Path, changed: str, *, tiny: bool, debian: bool) -> None:
    folder = lay(tmp_path)
    before = recipe_digest(folder, "tiny"), recipe_digest(folder, "debian-12")
    assert before == (recipe_digest(folder, "tiny"), recipe_digest(folder, "debian-12"))
    (folder / changed).parent.mkdir(parents=True, exist_ok=True)
    (folder / changed).write_text("changed")
    after = recipe_digest(folder, "tiny"), recipe_digest(folder, "debian-12")
    assert (before[0] != after[0], before[1] != after[1]) == (tiny, debian)


def test_an_image_is_current_by_its_description(tmp_path: Path) -> None:
    assert not images.current("tiny", tmp_path)
    (tmp_path / "tiny.qcow2").write_bytes(b"")
    for text in ("{", "[]", "{}", '{"recipe": "old"}'):
        (tmp_path / "tiny.json").write_text(text)
        assert not images.current("tiny", tmp_path)
    digest = recipe_digest(resources.files(images), "tiny")
    (tmp_path / "tiny.json").write_text(f'{{"recipe": "{digest}"}}')
    assert described_recipe(tmp_path / "tiny.json") == digest
    assert images.current("tiny", tmp_path)
    digest = recipe_digest(resources.files(images), "tiny-container")
    (tmp_path / "tiny-container.json").write_text(f'{{"recipe": "{digest}"}}')
    assert not images.current("tiny-container", tmp_path)
    (tmp_path / "tiny-container.tar.zst").write_bytes(b"")
    assert images.current("tiny-container", tmp_path)
    (tmp_path / "tiny.qcow2").unlink()
    assert not images.current("tiny", tmp_path)
