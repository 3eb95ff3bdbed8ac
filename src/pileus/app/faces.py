"""The faces of a cloud: found by their entry points, made with their settings, and chosen for each request."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from pileus.app import entrypoints, settings
from pileus.cli.problem import Problem
from pileus.faces.wire.absent import AbsentServices
from pileus.faces.wire.face import GROUP, GUESTS, FaceContext, FaceDeclaration, RequestHead
from pileus.model.errors import DamagedRow
from pileus.model.kit import Kit

if TYPE_CHECKING:
    from pileus.faces.wire.http import Request
    from pileus.objects import ObjectStore
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

log = structlog.get_logger()


class MountedFace(NamedTuple):
    """A face of this process: its declaration, its settings, and what answers its requests."""

    declaration: FaceDeclaration
    settings: Any
    running: Any


@functools.cache
def declared() -> tuple[FaceDeclaration, ...]:
    """Return the declarations of all installed faces, by name. Raises Problem for one of no use, and for a conflict."""
    declarations: tuple[FaceDeclaration, ...] = tuple(
        entrypoints.load(point, FaceDeclaration) for point in entrypoints.of(GROUP)
    )
    holders: dict[tuple[str, str], FaceDeclaration] = {}
    for face in declarations:
        for prefix in face.paths.prefixes:
            if not prefix.endswith("/"):
                raise Problem(f"The face '{face.name}' has the prefix '{prefix}', which does not end with a slash.")
        keys = [("name", face.name), *(("path", path) for path in (*face.paths.exact, *face.paths.prefixes))]
        keys += [("endpoint", name) for name in face.endpoints]
        keys += [("setting", name) for name in _variables_of(face)]
        for what in keys:
            holder = holders.setdefault(what, face)
            if holder is not face:
                raise Problem(f"The faces '{holder.name}' and '{face.name}' have the same {what[0]} '{what[1]}'.")
    return declarations


def guest_service() -> Callable[[bytes], Any]:
    """Return the service of hosts inside guests' networks: a function of a secret. Raises Problem."""
    points = entrypoints.of(GUESTS)
    if len(points) != 1:
        raise Problem(f"{GUESTS} has {' and '.join(point.name for point in points) or 'nothing'}: hosts need one.")
    service: Callable[[bytes], Any] = entrypoints.load(points[0], FunctionType)
    return service


def chosen(environment: Mapping[str, str] = os.environ, kit: Kit | None = None) -> dict[str, Any]:
    """Return the settings of each face that has any, by its name. Problem names a variable of no use.

    A `kit` may have other defaults for those that are not there, or empty.
    """
    values = settings.with_defaults(environment, kit)
    of_the_cloud = {*settings.variables([kit] if kit is not None else []), *settings.OTHERS}
    own_settings = {}
    for face in declared():
        if face.settings is not None:
            for name in sorted(of_the_cloud.intersection(_variables_of(face))):
                raise Problem(f"The face '{face.name}' has a setting {name}, and so has the cloud.")
            own_settings[face.name] = settings.read_face(face.settings, face.name, values)
    return own_settings


def variables() -> set[str]:
    """Return the variables of all settings of faces."""
    return {name for face in declared() for name in _variables_of(face)}


def _variables_of(face: FaceDeclaration) -> list[str]:
    fields = face.settings.__struct_fields__ if face.settings is not None else ()
    return [settings.variable(field, face.name) for field in fields]


def mount(core: Core, authority: Authority, objects: ObjectStore, kit: Kit) -> tuple[MountedFace, ...]:
    """Put all faces together with their settings, which the kit may have defaults for."""
    own_settings = chosen(kit=kit)
    return tuple(
        MountedFace(
            face,
            own_settings.get(face.name),
            face.make(FaceContext(core, authority, own_settings.get(face.name), objects)),
        )
        for face in declared()
    )


def open_all(mounted: Sequence[MountedFace], served: Callable[[MountedFace], bool]) -> None:
    """Let the faces that are `served` make what they need of the store, which is open."""
    for face in mounted:
        make = getattr(face.running, "open", None)
        if make is None or not served(face):
            continue
        try:
            make()
        except DamagedRow as error:
            log.warning("a face is not served until the next start", face=face.declaration.name, reason=error.message)


class FaceRouter:
    """Chooses the face of a request at the port that faces share, by its head; open faces have ports of their own."""

    def __init__(self, mounted: Sequence[MountedFace]) -> None:
        shared = [face for face in mounted if not (face.declaration.listener and face.declaration.listener.calls)]
        self._exact = {path: face for face in shared for path in face.declaration.paths.exact}
        prefixes = [(prefix, face) for face in shared for prefix in face.declaration.paths.prefixes]
        # What no other face takes, at whatever path.
        absent = AbsentServices(name for face in shared for name in face.declaration.endpoints)
        self._absent = MountedFace(absent.declaration, None, absent)
        # The longest one that fits is meant.
        self._prefixes = sorted(prefixes, key=lambda each: -len(each[0]))
        forms = [(face.declaration.takes_form, face) for face in shared]
        self._form_takers = [(takes, face) for takes, face in forms if takes is not None]
        self._takers = [(face.declaration.takes, face) for face in shared if face.declaration.takes is not None]

    def face_of_form(self, face: MountedFace, request: Request) -> MountedFace:
        """Return the face that a whole request is for, which was for `face` by its head."""
        if request.path not in face.declaration.paths.exact:
            return face
        return next((other for takes, other in self._form_takers if takes(request)), face)

    def face(self, head: RequestHead) -> MountedFace | None:
        """Return the face that a request is for; None where it is for none."""
        for takes, face in self._takers:
            if takes(head):
                return face
        if self._absent.running.takes(head):
            return self._absent
        exact = self._exact.get(head.path)
        if exact is not None:
            return exact
        return next((face for prefix, face in self._prefixes if head.path.startswith(prefix)), None)
