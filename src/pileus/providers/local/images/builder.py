"""Images from Debian packages, as the kit builds them."""

from __future__ import annotations

from pathlib import Path

from pileus.model.errors import InvalidValue, Unavailable
from pileus.model.kit import Say
from pileus.providers.local.images import BUILDERS, ImageBuildError, ImageName, build, current


class LocalImageBuilder:
    """Builds every image that there is a recipe for."""

    recipes = tuple(BUILDERS)

    def current(self, name: str, folder: Path) -> bool:
        """Whether `folder` holds the image as today's recipe makes it."""
        return current(_known(name), folder)

    def build(self, name: str, folder: Path, progress: Say) -> Path:
        """Build it. Raises Unavailable."""
        try:
            return build(_known(name), folder, progress)
        except ImageBuildError as error:
            raise Unavailable(f"The image {name} was not built: {error}") from error


def _known(name: str) -> ImageName:
    for recipe in BUILDERS:
        if recipe == name:
            return recipe
    raise InvalidValue(f"There is no recipe '{name}'.")
