"""Answers of lists, kept by the process for as long as nothing changes that they show.

An answer is kept with the version of its project's lists (`store.cache`). Every write that an answer could show, by
whatever process, raises that version, so that a kept answer is what the list would be if it were made anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pileus.store.cache import CachedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core

LISTS: Final = frozenset(
    {
        "DescribeAddresses",
        "DescribeDhcpOptions",
        "DescribeEgressOnlyInternetGateways",
        "DescribeFlowLogs",
        "DescribeImages",
        "DescribeInstanceTypes",
        "DescribeInternetGateways",
        "DescribeKeyPairs",
        "DescribeLaunchTemplateVersions",
        "DescribeLaunchTemplates",
        "DescribeManagedPrefixLists",
        "DescribeNatGateways",
        "DescribeNetworkAcls",
        "DescribeNetworkInterfaces",
        "DescribePlacementGroups",
        "DescribeRouteTables",
        "DescribeSecurityGroupRules",
        "DescribeSecurityGroups",
        "DescribeSnapshots",
        "DescribeSubnets",
        "DescribeTags",
        "DescribeTransitGatewayAttachments",
        "DescribeTransitGatewayRouteTables",
        "DescribeTransitGatewayVpcAttachments",
        "DescribeTransitGateways",
        "DescribeVolumes",
        "DescribeVpcPeeringConnections",
        "DescribeVpcs",
    }
)
"""The actions whose answers follow from nouns that projects have, and from nothing else: no host, no time."""

_SIGNED = ("Signature", "X-Amz-Signature")
"""Parameters of requests that are signed in their form: no two of them are alike."""


_ID = re.compile(r"Ids?\.\d+$")
"""The end of parameters that name nouns."""


def answer(core: Core, caller: Caller, action: str, params: Mapping[str, str], make: Callable[[], bytes]) -> bytes:
    """The body of an answer with the caller's request id: a kept one, or what `make` returns, which is kept then."""
    if action not in LISTS or any(name in params for name in _SIGNED):
        return make()
    if caller.admin and any(_ID.search(name) for name in params):
        # An administrator may name what is another project's, whose version is not looked at.
        return make()
    key = (action, caller.admin, *sorted(params.items()))
    with core.store.read() as tx:
        # The version is that of before the answer is made: what changes meanwhile raises it.
        lists = tx.lists(caller.project)
    if lists is None:
        return make()
    cached_answer = lists.answers.get(key)
    if cached_answer is not None:
        return cached_answer.begin + caller.request.encode() + cached_answer.end
    body = make()
    begin, mark, end = body.partition(caller.request.encode())
    if mark:
        lists.keep(key, CachedAnswer(begin, end, request=sum(len(name) + len(value) for name, value in params.items())))
    return body
