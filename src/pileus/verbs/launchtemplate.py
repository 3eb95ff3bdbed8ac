"""Launch templates: made, given versions and a default one, deprived of versions, deleted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model.errors import Duplicate, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.launchtemplate import LaunchTemplate, LaunchTemplateVersion, Wanted
from pileus.rules import find
from pileus.rules.launchtemplate import named, unknown, version_of
from pileus.rules.rights import requires
from pileus.rules.token import check as check_token
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer

_NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}", re.ASCII)


class DeletedVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a template that were deleted, and those that were not: the default one, and unknown ones."""

    template: LaunchTemplate
    deleted: tuple[int, ...]
    default: tuple[int, ...]
    unknown: tuple[int, ...]


@requires("member")
def create(
    caller: Caller,
    core: Core,
    name: str,
    data: Mapping[str, Any],
    description: str = "",
    tags: Mapping[str, str] | None = None,
    token: str = "",
) -> LaunchTemplate:
    """Make a template with one version, of these data. Raises InvalidValue, Duplicate for a name of the project's."""
    if not _NAME.fullmatch(name):
        text = "A launch template's name has 3 to 128 of the characters a-z, A-Z, 0-9 and ().-/_"
        raise InvalidValue(text, noun=LaunchTemplate.KIND, ident=name[:40], reason="name")
    with core.store.write() as tx:

        def make() -> LaunchTemplate:
            if tx.claimed(LaunchTemplate.names(caller.project), name) is not None:
                text = f"The launch template name '{name}' is already in use."
                raise Duplicate(text, noun=LaunchTemplate.KIND, ident=name)
            wanted = Wanted(versions=(_version(caller, tx, 1, data, description),))
            row = LaunchTemplate(
                uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags or {}), wanted=wanted
            )
            template = tx.add(row)
            tx.add_journal_line(caller, template, "launchtemplate.create", outcome="done")
            return template

        parameters = [name, dict(data), description, dict(tags or {})]
        return once(caller, tx, LaunchTemplate, token, parameters, make)


@requires("member")
def add_version(
    caller: Caller,
    core: Core,
    uuid: str,
    data: Mapping[str, Any],
    description: str = "",
    source: str = "",
    token: str = "",
) -> tuple[LaunchTemplate, LaunchTemplateVersion]:
    """Add a version: these data over those of the version `source`, if one is named. Raises NotFound."""
    verb, parameters = "launchtemplate.version", [uuid, dict(data), description, source]
    with core.store.write() as tx:
        template = find.living(caller, tx, LaunchTemplate, uuid)
        check_token(token, LaunchTemplate.KIND)
        before = tx.repeated(caller.project, verb, token, parameters) if token else None
        if before is not None:
            return template, version_of(template, str(before))
        below = version_of(template, source).data if source else {}
        version = _version(caller, tx, template.wanted.highest + 1, {**below, **data}, description)
        versions = (*template.wanted.versions, version)
        wanted = msgspec.structs.replace(template.wanted, highest=version.number, versions=versions)
        template = _wanted(caller, tx, template, wanted, verb)
        if token:
            tx.remember(caller.project, verb, token, parameters, version.number)
        return template, version


@requires("member")
def set_default(caller: Caller, core: Core, uuid: str, version: str) -> LaunchTemplate:
    """Make a version the default one. Raises NotFound."""
    with core.store.write() as tx:
        template = find.living(caller, tx, LaunchTemplate, uuid)
        number = version_of(template, version).number
        if number == template.wanted.default:
            return template
        wanted = msgspec.structs.replace(template.wanted, default=number)
        return _wanted(caller, tx, template, wanted, "launchtemplate.modify")


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> LaunchTemplate:
    """Delete a template with all of its versions; the template as it was."""
    with core.store.write() as tx:
        template = find.living(caller, tx, LaunchTemplate, uuid)
        wanted = msgspec.structs.replace(template.wanted, gone=True)
        tx.make_tombstone(_wanted(caller, tx, template, wanted, "launchtemplate.delete"))
        return template


@requires("member")
def delete_versions(caller: Caller, core: Core, uuid: str, numbers: Sequence[int]) -> DeletedVersions:
    """Delete those of these versions that the template has, but for the default one."""
    with core.store.write() as tx:
        template = find.living(caller, tx, LaunchTemplate, uuid)
        known = {version.number for version in template.wanted.versions}
        asked = tuple(dict.fromkeys(numbers))
        default = tuple(number for number in asked if number == template.wanted.default)
        deleted = tuple(number for number in asked if number in known and number not in default)
        if deleted:
            left = tuple(version for version in template.wanted.versions if version.number not in deleted)
            wanted = msgspec.structs.replace(template.wanted, versions=left)
            template = _wanted(caller, tx, template, wanted, "launchtemplate.modify")
        missing = tuple(number for number in asked if number not in known)
        return DeletedVersions(template=template, deleted=deleted, default=default, unknown=missing)


@requires("reader")
def one(caller: Caller, core: Core, ident: str = "", name: str = "") -> LaunchTemplate:
    """The template with this uuid, or else with this name. Raises NotFound."""
    with core.store.read() as tx:
        return find.living(caller, tx, LaunchTemplate, ident) if ident else named(caller, tx, name)


@requires("reader")
def listing(caller: Caller, core: Core, names: Sequence[str] = (), uuids: Sequence[str] = ()) -> list[LaunchTemplate]:
    """The project's templates, all or those named by uuid or by name; NotFound for one that does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, LaunchTemplate, names, uuids, unknown)


def _version(
    caller: Caller, tx: Writer, number: int, data: Mapping[str, Any], description: str
) -> LaunchTemplateVersion:
    return LaunchTemplateVersion(
        number=number, description=description, data=dict(data), created=tx.now, author=caller.user_name
    )


def _wanted(caller: Caller, tx: Writer, template: LaunchTemplate, wanted: Wanted, verb: str) -> LaunchTemplate:
    template = tx.want(template, wanted)
    tx.add_journal_line(caller, template, verb, outcome="done")
    return template
