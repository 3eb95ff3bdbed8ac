"""Security groups in the network engine: a group and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.loops.enginekind import EngineKind
from pileus.model.record import record
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import SecurityGroupSpec

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class SecurityGroupKind(EngineKind[SecurityGroup]):
    """Groups depend on nothing else."""

    def spec(self, tx: Reader, row: SecurityGroup, place: Place) -> SecurityGroupSpec:
        """The group with its rules."""
        return SecurityGroupSpec(
            uuid=row.uuid, name=row.name, project=row.project, rules=row.wanted.rules, record=record([row])
        )


ENGINE_KIND = SecurityGroupKind(SecurityGroup)
