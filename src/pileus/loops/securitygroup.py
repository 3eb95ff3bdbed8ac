"""Security groups in the network engine: a group and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.loops.enginekind import EngineKind
from pileus.model.record import record
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import SecurityGroupSpec
from pileus.rules.groupreference import rules_in_force
from pileus.rules.prefixlist import expanded_rules, lists_of

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class SecurityGroupKind(EngineKind[SecurityGroup]):
    """Groups depend on prefix lists, and on peerings where rules name groups of other routers."""

    def spec(self, tx: Reader, row: SecurityGroup, place: Place) -> SecurityGroupSpec:
        """The group with its rules, and the entries of their prefix lists. Raises Unavailable."""
        with tx.complete():
            lists, rules = lists_of(tx, [row]), rules_in_force(tx, row)
        return SecurityGroupSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            router=(row.wanted.router or "") if any(rule.tag or rule.targets for rule in row.wanted.rules) else "",
            rules=tuple(expanded_rules(rules, lists)),
            record=record([*lists.values(), row]),
        )


ENGINE_KIND = SecurityGroupKind(SecurityGroup)
