"""Users as their projects' admins see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Forbidden, InvalidValue
from pileus.model.user import User
from pileus.rules import find

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader


def check_name(name: str) -> None:
    """Raise InvalidValue for a text that is no name of a user."""
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_.@" for c in name):
        raise InvalidValue(f"'{name}' is no user name: letters, digits, - _ . @ only, at most 64.", ident=name)


def managed(caller: Caller, tx: Reader, uuid: str) -> User:
    """The user whom the caller looks after: of its project, for that project's admins; any, for administrators.

    Raises NotFound; Forbidden for other callers, and for a user that is an administrator of the cloud.
    """
    user = find.living(caller, tx, User, uuid)
    caller.require("admin")
    if user.wanted.admin:
        caller.require("administrator", "looks after administrators")
    if user.wanted.home != caller.project and not caller.admin:
        raise Forbidden(f"The {user.label} belongs to another project.", noun=User.KIND, ident=uuid, reason="owner")
    return user


def self_or_managed(caller: Caller, tx: Reader, uuid: str) -> User:
    """The caller itself (for its own uuid or none), or a user whom it looks after. Raises NotFound, Forbidden."""
    # Its home may be another project than the one that it acts in.
    return tx.need(User, caller.user) if uuid in ("", caller.user) else managed(caller, tx, uuid)
