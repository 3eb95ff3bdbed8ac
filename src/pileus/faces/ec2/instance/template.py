"""Launch templates in launches: a template's data as parameters of RunInstances, below those of the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.faces.ec2 import unsupported
from pileus.faces.ec2.call import Call
from pileus.faces.ec2.ids import uuid_of
from pileus.model.errors import InvalidValue, Unsupported
from pileus.model.launchtemplate import LaunchTemplate
from pileus.rules.launchtemplate import DEFAULT_VERSION, LATEST_VERSION, version_of
from pileus.verbs import launchtemplate as verbs

VERSION_WORDS = {"$Default": DEFAULT_VERSION, "$Latest": LATEST_VERSION}
"""Amazon's words for versions, and the core's."""

_OTHERWISE = {"RamDiskId": "RamdiskId", "ElasticGpuSpecifications": "ElasticGpuSpecification"}
"""Members of a template's data that RunInstances has under other names."""

_ALTERNATIVES = ({"SecurityGroupIds", "SecurityGroups"},)
"""Parameters that say the same: if the request has one of them, it replaces all."""


def chosen(call: Call, args: Mapping[str, Any]) -> LaunchTemplate:
    """The template that `args` names by LaunchTemplateId or by LaunchTemplateName. Raises InvalidValue, NotFound."""
    ident, name = args.get("LaunchTemplateId", ""), args.get("LaunchTemplateName", "")
    if bool(ident) == bool(name):
        text = "The request must contain either LaunchTemplateId or LaunchTemplateName, and not both."
        raise InvalidValue(text, noun=LaunchTemplate.KIND, reason="combination" if ident else "missing")
    if ident:
        return verbs.one(call.caller, call.core, uuid_of(call, LaunchTemplate, ident))
    return verbs.one(call.caller, call.core, name=name)


def version_word(text: str) -> str:
    """The core's form of a version: a number, or a word. Raises InvalidValue."""
    if text in VERSION_WORDS:
        return VERSION_WORDS[text]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text)):
        text = f"Invalid launch template version '{text[:40]}': a number, $Latest or $Default."
        raise InvalidValue(text, noun=LaunchTemplate.KIND, reason="version")
    return str(int(text))


def launch_args(data: Mapping[str, Any]) -> dict[str, Any]:
    """A template's data as parameters of RunInstances. Raises Unsupported for those that this cloud cannot honour."""
    if data.get("InstanceRequirements"):
        raise Unsupported("This cloud's instances have an instance type, not InstanceRequirements.", noun="instance")
    args = {_OTHERWISE.get(name, name): value for name, value in data.items() if name != "InstanceRequirements"}
    unsupported.check("RunInstances", args)
    return args


def with_template(call: Call) -> tuple[dict[str, Any], LaunchTemplate, int]:
    """The parameters of a launch over those of its template, the template, and the number of its version."""
    named = call.args["LaunchTemplate"]
    template = chosen(call, named)
    version = version_of(template, version_word(named.get("Version", "$Default")))
    below, own = launch_args(version.data), {k: v for k, v in call.args.items() if k != "LaunchTemplate"}
    for names in _ALTERNATIVES:
        if names & own.keys():
            below = {name: value for name, value in below.items() if name not in names}
    tags = _joined_tags(below.get("TagSpecifications", ()), own.get("TagSpecifications", ()))
    return {**below, **own, "TagSpecifications": tags}, template, version.number


def _joined_tags(below: Any, own: Any) -> list[dict[str, Any]]:
    """The tags of a template and those of a request, by type and key; the request's win."""
    own_keys = {(each.get("ResourceType"), tag.get("Key")) for each in own for tag in each.get("Tags", ())}
    left = [
        {
            **each,
            "Tags": [tag for tag in each.get("Tags", ()) if (each.get("ResourceType"), tag.get("Key")) not in own_keys],
        }
        for each in below
    ]
    return [*left, *own]
