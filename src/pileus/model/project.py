"""Project: who owns things, and how much of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.noun import Claim, Keeper, Noun, Part

ALIASES = "accountalias"
"""The pool of the aliases of accounts."""

UNLIMITED = -1
"""The limit of a resource of which a project may use any amount."""


class Wanted(Part, frozen=True, kw_only=True):
    """`account_id` has 12 digits, `canonical_id` 64 hex digits. `quota` maps resources to limits; empty: no limits.

    Nobody acts in a project that is not `enabled`; what it holds goes on as it is. `alias` is the name of its account
    in the whole cloud, empty for none.
    Resources: those of `quota.DEFAULTS`, whose limit holds for one that is not named; `UNLIMITED`: any amount.
    """

    account_id: str
    canonical_id: str
    quota: dict[str, int] = {}
    enabled: bool = True
    alias: str = ""
    gone: bool = False


class Project(Noun, frozen=True, kw_only=True):
    """An AWS account, an OpenStack project, a GCE project."""

    KIND: ClassVar[str] = "project"
    PREFIX: ClassVar[str] = "prj"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "cloud"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host", "engine")
    TAGGED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """Its name, the number of its account, and the account's alias."""
        alias = ((ALIASES, self.wanted.alias),) if self.wanted.alias else ()
        return (*super().claims(), ("account", self.wanted.account_id), *alias)
