"""Security groups: their names, their defaults, and the ports that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import Rule, SecurityGroup, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def check_name(name: str) -> None:
    """Whether a user may call a group that. Raises InvalidValue, Duplicate."""
    if not name or len(name) > 255 or name.startswith("sg-") or not name.isascii() or not name.isprintable():
        text = f"Invalid security group name '{name}': 1 to 255 ASCII characters, not starting with sg-."
        raise InvalidValue(text, noun="securitygroup", ident=name, reason="name")
    if name == "default":
        text = f"Cannot use reserved security group name: {name}"
        raise Duplicate(text, noun="securitygroup", ident=name, reason="reserved")


def anywhere(*, ipv6: bool = False) -> tuple[Rule, ...]:
    """The egress rules that every new group has: all traffic, to anywhere; of a router with IPv6, by that too."""
    cidrs = ("0.0.0.0/0", "::/0") if ipv6 else ("0.0.0.0/0",)
    return tuple(Rule(id=new_ec2("sgr"), direction="egress", cidr=cidr) for cidr in cidrs)


_DEFAULT, _OF_PROJECT = "default VPC security group", "default security group"


def admit_ipv6(tx: Writer, router: str) -> list[SecurityGroup]:
    """Let the groups of a router (by uuid) out by IPv6 that are let out to anywhere and have no other egress rules.

    The groups that were changed.
    """
    changed = []
    for group in tx.referring(SecurityGroup, [router]):
        egress = [rule for rule in group.wanted.rules if rule.direction == "egress"]
        if not group.wanted.gone and [rule.match() for rule in egress] == [rule.match() for rule in anywhere()]:
            rules = (*group.wanted.rules, anywhere(ipv6=True)[1])
            changed.append(tx.want(group, msgspec.structs.replace(group.wanted, rules=rules)))
    return changed


def default(tx: Writer, project: str, router: str | None, *, ipv6: bool = False) -> SecurityGroup:
    """Make the group that ports are in when none is named: its members reach each other.

    It is a part of a new router; without one it is for the networks of a project that have no router.
    """
    uuid = new_uuid()
    rules = (Rule(id=new_ec2("sgr"), group=uuid), *anywhere(ipv6=ipv6))
    wanted = Wanted(
        router=router, description=_DEFAULT if router else _OF_PROJECT, rules=rules, selectors=(uuid,), default=True
    )
    group = SecurityGroup(uuid=uuid, project=project, name="default", wanted=wanted)
    return tx.add(group)


def defaults(caller: Caller, tx: Reader, router: str) -> list[SecurityGroup]:
    """The default group of a router, or for no router the caller's project's; none where that was deleted."""
    if router:
        own = tx.referring(SecurityGroup, [router])
        return [group for group in own if group.name == "default" and not group.wanted.gone]
    holder = tx.claimed(f"securitygroup:{caller.project}", "default")
    return [tx.need(SecurityGroup, holder[1])] if holder else []


def open_(tx: Writer, project: str, router: str, name: str) -> SecurityGroup:
    """A group that admits everything, from anywhere. Part of a network that has no filters."""
    everything = Rule(id=new_ec2("sgr"), cidr="0.0.0.0/0")
    wanted = Wanted(router=router, description="everything from anywhere", rules=(everything, *anywhere()))
    group = SecurityGroup(uuid=new_uuid(), project=project, name=name, wanted=wanted)
    return tx.add(group)


def default_router(caller: Caller, tx: Reader) -> Router:
    """The project's default router; NotFound when it was deleted."""
    for router in tx.list(Router, project=caller.project):
        if router.wanted.default and not router.wanted.gone:
            return router
    raise NotFound("The project has no default router: name one.", noun="router", reason="default")


def absent(name: str) -> NotFound:
    """The error for a name that no group has."""
    text = f"The project's default router has no security group '{name}'."
    return NotFound(text, noun="securitygroup", ident=name, reason="name")


def within(groups: Iterable[SecurityGroup], router: str, where: str) -> None:
    """Whether ports on a router's networks may be in these groups: its own, and the project's. Raises InvalidValue.

    `where` is the noun that is on the router.
    """
    for group in groups:
        if group.wanted.router and group.wanted.router != router:
            text = f"The {group.label} is not in the VPC of the {where}."
            raise InvalidValue(text, noun="securitygroup", ident=group.uuid, reason="other-vpc")


def named(caller: Caller, tx: Reader, name: str, router: str = "") -> SecurityGroup:
    """The living group with this name on a router (by uuid), or on the project's default one. Raises NotFound."""
    holder = tx.claimed(f"securitygroup:{router or default_router(caller, tx).uuid}", name)
    group = tx.get(SecurityGroup, holder[1]) if holder else None
    if group is None or group.wanted.gone:
        raise absent(name)
    return group


def unknown_rule(rule_id: str) -> NotFound:
    """The error for a rule id that names nothing here."""
    return NotFound(f"The security group rule ID '{rule_id}' does not exist", noun="securitygrouprule", ident=rule_id)


def wake_members(tx: Writer, groups: Iterable[str]) -> None:
    """Wake the instances whose ports are in these groups: their hosts listen for what the rules admit."""
    ports = tx.referring(Port, groups)
    tx.wake_all("instance", [port.wanted.instance for port in ports if port.wanted.instance])
