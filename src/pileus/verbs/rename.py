"""Renaming: one verb for every noun whose name is its user's (`Noun.RENAMED`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pileus.model.errors import Conflict, Duplicate, Forbidden, Unsupported
from pileus.model.image import Image
from pileus.model.noun import Noun
from pileus.model.securitygroup import SecurityGroup
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.rules import find, identityname, securitygroup, user, usergroup
from pileus.rules.image import check_name
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer

N = TypeVar("N", bound=Noun)


@requires("member")
def rename(caller: Caller, core: Core, cls: type[N], uuid: str, name: str) -> N:
    """Give the noun with this uuid another name; the name that it has changes nothing.

    Users and groups of users are renamed by those who look after them. Raises NotFound; Forbidden for another project's
    noun; Unsupported for a kind whose names stay; Conflict for a default group; InvalidValue; Duplicate for a name that
    has to be unique and is another noun's.
    """
    with core.store.write() as tx:
        noun = find.living(caller, tx, cls, uuid)
        if noun.project != caller.project and not caller.admin:
            raise Forbidden(f"You may not rename the {noun.label}.", noun=noun.KIND, ident=uuid)
        if not cls.RENAMED:
            raise Unsupported(f"The name of a {cls.KIND} stays as it is.", noun=cls.KIND, ident=uuid, reason="rename")
        if noun.name == name:
            return noun
        _check(caller, tx, noun, name)
        try:
            renamed = tx.want(noun, name=name)
        except Duplicate as error:
            raise _duplicate(noun, name) from error
        tx.add_journal_line(
            caller, renamed, f"{noun.KIND}.rename", goal=renamed.generation, outcome="done", detail=name
        )
        for kind, carrier in renamed.carriers():
            tx.wake_all(kind, [carrier])
        if isinstance(noun, SecurityGroup):
            # Guests read the names of their groups.
            securitygroup.wake_members(tx, [uuid])
        return renamed


def _check(caller: Caller, tx: Writer, noun: Noun, name: str) -> None:
    """Whether a noun may have this name from this caller, beside the bounds of all names."""
    if isinstance(noun, User):
        user.managed(caller, tx, noun.uuid)
        identityname.check(name, noun.KIND, user.LONGEST_NAME)
    elif isinstance(noun, UserGroup):
        caller.require("admin")
        identityname.check(name, noun.KIND, usergroup.LONGEST_NAME)
    elif isinstance(noun, SecurityGroup):
        if noun.wanted.default:
            raise Conflict(f"The {noun.label} is a default group, whose name stays.", noun=noun.KIND, ident=noun.uuid)
        securitygroup.check_name(name)
    elif isinstance(noun, Image):
        check_name(name)
        if any(not image.wanted.gone for image in tx.list(Image, project=noun.project, name=name)):
            raise _duplicate(noun, name)


def _duplicate(noun: Noun, name: str) -> Duplicate:
    return Duplicate(f"The {noun.KIND} '{name}' exists already.", noun=noun.KIND, ident=name, reason="name")
