"""Every filter that Amazon documents for a list is one of ours."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader

from pileus.faces.ec2.call import ACTIONS
from pileus.faces.ec2.listed import EMPTY

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account

REQUIRED = {"DescribeLaunchTemplateVersions": {"LaunchTemplateVersion.1": "$Latest"}}
"""Parameters without which an action is refused before its filters are read."""

VALUES = {"critical", "high", "medium", "low", "informational"}
"""Values of a filter, which the documentation lists as it lists filters."""

_NAME = re.compile(r"<li>\s*<p>\s*<code>([^<]+)</code>")


@cache
def _model() -> dict[str, Any]:
    return dict(Loader().load_service_model("ec2", "service-2"))


def documented() -> list[tuple[str, str]]:
    """The done lists, and the filters that the documentation of each names."""
    shapes, operations = _model()["shapes"], _model()["operations"]
    pairs = []
    for service, action in sorted(ACTIONS):
        if service != "ec2" or not action.startswith("Describe") or action in EMPTY:
            continue
        members = shapes[operations[action]["input"]["shape"]]["members"] if "input" in operations[action] else {}
        text = members.get("Filters", members.get("Filter", {})).get("documentation", "")
        names = {name.strip() for name in _NAME.findall(text)} - VALUES
        pairs += [(action, "tag:key" if name == "tag" else name) for name in sorted(names)]
    return pairs


def test_there_are_many() -> None:
    assert len(documented()) > 300


@pytest.mark.parametrize(("action", "name"), documented(), ids=str)
def test_a_documented_filter_is_read(account: Account, action: str, name: str) -> None:
    answer = account.post(
        params={"Action": action, "Filter.1.Name": name, "Filter.1.Value.1": "1", **REQUIRED.get(action, {})}
    )
    assert answer.status == 200, answer.body


def test_filters_of_volumes_compare_their_times(account: Account) -> None:
    account.launch()
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    day = volume["CreateTime"].strftime("%Y-%m-%d*")
    for name in ("create-time", "attachment.attach-time"):
        for value, count in ((day, 1), ("2001-*", 0)):
            assert len(account.ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]) == count
