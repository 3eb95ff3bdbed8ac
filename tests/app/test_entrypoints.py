"""Entry points of other packages: one that cannot be used is named in one line, and two that conflict are."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from pileus.app import faceports, faces, kits
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.faces.wire.face import FaceDeclaration, FaceListener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACE = """
import msgspec
from pileus.faces.wire.face import FaceDeclaration, FacePaths
FACE = FaceDeclaration(name={name!r}, make=lambda context: None, authentication="", {stated})
"""


@pytest.fixture(autouse=True)
def _no_other_test_sees_it() -> Iterator[None]:
    """The package's module and the declarations of faces are forgotten again."""
    faces.declared.cache_clear()
    yield
    faces.declared.cache_clear()
    sys.modules.pop("broken", None)


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, points: str) -> None:
    (folder / "broken.py").write_text(module)
    metadata = folder / "broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import nothere", "ModuleNotFoundError: No module named 'nothere'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'broken' has no attribute 'POINT'"),
        ("POINT = 1", "is not of this version"),
    ],
)
def test_one_that_cannot_be_used_is_named(
    module: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "".join(f"[pileus.{group}]\nbroken = broken:POINT\n" for group in ("faces", "providers"))
    _install(tmp_path, monkeypatch, module, points)
    for group, ask in (("faces", faces.declared), ("providers", lambda: kits.load("broken"))):
        with pytest.raises(Problem) as caught:
            ask()
        assert f"'broken' of pileus.{group}, broken:POINT," in caught.value.message
        assert caught.value.message.endswith(f"{why}.")
    assert [kit.name for kit in kits.every()] == ["local", "stub"]


@pytest.mark.parametrize(
    ("name", "stated", "what"),
    [
        ("rest", "", "name 'rest'"),
        ("other", "paths=FacePaths(prefixes=('/v1/',))", "path '/v1/'"),
        ("other", "paths=FacePaths(exact=frozenset({'/'}))", "path '/'"),
        ("other", "endpoints={'sts': ''}", "endpoint 'sts'"),
    ],
)
def test_two_faces_that_conflict_are_named(
    name: str, stated: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FACE.format(name=name, stated=stated)
    _install(tmp_path, monkeypatch, module, "[pileus.faces]\nbroken = broken:FACE\n")
    with pytest.raises(Problem, match=f"'{name}'.* {what}"):
        faces.declared()


@pytest.mark.parametrize(
    ("name", "stated", "message"),
    [
        ("other", "paths=FacePaths(prefixes=('/other',))", "'other' has the prefix '/other', .* with a slash"),
        ("log", "settings=msgspec.defstruct('Own', [('level', str, '')])", "'log' has a setting PILEUS_LOG_LEVEL"),
        (
            "boot",
            "settings=msgspec.defstruct('Own', [('restore', str, '')])",
            "'boot' has a setting PILEUS_BOOT_RESTORE",
        ),
    ],
)
def test_a_face_that_hides_paths_or_settings_is_refused(
    name: str, stated: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FACE.format(name=name, stated=stated)
    _install(tmp_path, monkeypatch, module, "[pileus.faces]\nbroken = broken:FACE\n")
    with pytest.raises(Problem, match=message):
        faces.chosen({}, kits.load("local"))


def test_hosts_have_one_guest_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, points = "def make(secret):\n    return None\n", "[pileus.guestfaces]\nbroken = broken:make\n"
    _install(tmp_path, monkeypatch, module, points)
    with pytest.raises(Problem, match=r"pileus\.guestfaces has broken and metadata"):
        faces.guest_service()


@pytest.mark.parametrize("where", ["127.0.0.1:99999", "nonsense"])
def test_an_address_of_no_use_is_said(where: str, tmp_path: Path) -> None:
    face = FaceDeclaration("toy", lambda _: None, "", listener=FaceListener(lambda _: where))
    with pytest.raises(Problem, match=f"face toy cannot listen at '{where}'"):
        faceports.listen(StateDirectory(tmp_path), face, None)
