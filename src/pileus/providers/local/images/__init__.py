"""Images built from Debian packages: `tiny`, small and quick for tests, and `debian-12`; of machines and containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from pileus.posix.files import put_in_place
from pileus.providers.local.images import debian, debiancontainer, tiny, tinycontainer
from pileus.providers.local.images.archive import work_folder
from pileus.providers.local.images.recipe import (
    ImageBuildError,
    ImageDescription,
    ImageName,
    ImageRecipe,
    describe,
    described_recipe,
    recipe_digest,
    write_description,
)

__all__ = [
    "BUILDERS",
    "Builder",
    "ImageBuildError",
    "ImageDescription",
    "ImageName",
    "ImageRecipe",
    "build",
    "current",
]


@dataclass(frozen=True)
class Builder:
    """A recipe and the function that makes its file: `make(work, file, progress)`, `work` an empty directory."""

    recipe: ImageRecipe
    make: Callable[[Path, Path, Callable[[str], None]], None]


BUILDERS: Mapping[ImageName, Builder] = MappingProxyType(
    {
        "tiny": Builder(tiny.RECIPE, tiny.make),
        "debian-12": Builder(debian.RECIPE, debian.make),
        "tiny-container": Builder(tinycontainer.RECIPE, tinycontainer.make),
        "debian-12-container": Builder(debiancontainer.RECIPE, debiancontainer.make),
    }
)
"""Every image that can be built, by name."""


def current(name: ImageName, out_dir: Path) -> bool:
    """Whether `out_dir` holds image `name` as today's recipe makes it (Debian's packages may be newer)."""
    made_from = described_recipe(out_dir / f"{name}.json")
    return (out_dir / BUILDERS[name].recipe.file).exists() and made_from == _digest(name)


def build(name: ImageName, out_dir: Path, progress: Callable[[str], None]) -> Path:
    """Build image `name` and return its file in `out_dir`; `out_dir/NAME.json` describes it (`ImageDescription`).

    Needs root and network access through apt. Both files appear whole or not at all, an older pair is replaced.
    `progress` gets one line per step. Raises `ImageBuildError`.
    """
    builder = BUILDERS[name]
    with work_folder(out_dir, name) as work:
        image = work / builder.recipe.file
        builder.make(work, image, progress)
        progress("measuring the image")
        description = work / f"{name}.json"
        write_description(describe(builder.recipe, image, _digest(name)), description)
        for path in (image, description):
            path.chmod(0o644)
            put_in_place(path, out_dir / path.name)
    return out_dir / image.name


def _digest(name: ImageName) -> str:
    return recipe_digest(resources.files(__package__), name)
