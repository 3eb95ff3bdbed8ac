"""The TCP ports that groups admit from addresses outside their networks: rules in their order, denials taken away."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pileus.model.spec import Ingress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.model.securitygroup import Rule


def admitted(rules: Iterable[Rule], network_tags: Sequence[str] = ()) -> list[Ingress]:
    """The TCP ingress from IPv4 ranges that rules, without prefix lists, admit to a port with these network tags.

    Rules that name groups or tags on their other side are for guests alone.
    """
    admissions: dict[Ingress, None] = {}
    denials: list[Ingress] = []
    for rule in sorted(rules, key=_order):
        span = _span(rule)
        if span is None or (rule.targets and not set(rule.targets) & set(network_tags)):
            continue
        if rule.action == "deny":
            denials.append(span)
            continue
        pieces = [span]
        for denial in denials:
            pieces = [left for piece in pieces for left in _without(piece, denial)]
        admissions |= dict.fromkeys(pieces)
    return list(admissions)


def _order(rule: Rule) -> tuple[bool, int, bool]:
    """Rules with a priority stand first, the lowest of them first, and of equal ones those that deny."""
    return rule.priority is None, rule.rank, rule.action == "allow"


def _span(rule: Rule) -> Ingress | None:
    """The range and ports of a rule; None for one that is not about TCP ingress from an IPv4 range."""
    if rule.direction != "ingress" or not rule.cidr or ":" in rule.cidr:
        return None
    if rule.protocol == "all" and rule.number in (None, 6):
        return Ingress(cidr=rule.cidr, port_min=0, port_max=65535)
    if rule.protocol != "tcp":
        return None
    high = 65535 if rule.port_max is None else rule.port_max
    return Ingress(cidr=rule.cidr, port_min=rule.port_min or 0, port_max=high)


def _without(span: Ingress, denial: Ingress) -> list[Ingress]:
    """The parts of `span` that `denial` leaves."""
    own, denied = ipaddress.IPv4Network(span.cidr, strict=False), ipaddress.IPv4Network(denial.cidr, strict=False)
    if not own.overlaps(denied) or span.port_max < denial.port_min or denial.port_max < span.port_min:
        return [span]
    inner = denied if denied.subnet_of(own) else own
    cidrs = [str(each) for each in own.address_exclude(inner)] if inner != own else []
    left = [Ingress(cidr=cidr, port_min=span.port_min, port_max=span.port_max) for cidr in cidrs]
    below, above = (span.port_min, denial.port_min - 1), (denial.port_max + 1, span.port_max)
    left += [Ingress(cidr=str(inner), port_min=low, port_max=high) for low, high in (below, above) if low <= high]
    return left
