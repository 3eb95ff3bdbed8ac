"""Launch templates and their versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance import shape
from pileus.faces.ec2.instance.launch import form
from pileus.faces.ec2.instance.part import InstanceParts
from pileus.faces.ec2.instance.template import VERSION_WORDS, chosen, launch_args, version_word
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model import sizes, tag
from pileus.model.errors import InvalidValue
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.launchtemplate import LaunchTemplate, LaunchTemplateVersion
from pileus.rules.instance.view import InstanceView
from pileus.rules.launchtemplate import version_of
from pileus.verbs import launchtemplate as verbs
from pileus.verbs.instance import view as instances


@action("CreateLaunchTemplate")
def create(call: Call) -> dict[str, Any]:
    """Make a template with its first version, whose parameters are checked as those of a launch."""
    args = call.args
    template = verbs.create(
        call.caller,
        call.core,
        args["LaunchTemplateName"],
        _checked(args["LaunchTemplateData"]),
        args.get("VersionDescription", ""),
        specified(args, "launch-template")["launch-template"],
        args.get("ClientToken", ""),
    )
    return {"LaunchTemplate": _template(call, template)}


@action("CreateLaunchTemplateVersion")
def add_version(call: Call) -> dict[str, Any]:
    """Add a version to a template, over the parameters of another version if SourceVersion names one."""
    args, template = call.args, chosen(call, call.args)
    source = version_word(args["SourceVersion"]) if args.get("SourceVersion") else ""
    data = args["LaunchTemplateData"]
    _checked({**(version_of(template, source).data if source else {}), **data})
    text, token = args.get("VersionDescription", ""), args.get("ClientToken", "")
    template, version = verbs.add_version(call.caller, call.core, template.uuid, data, text, source, token)
    return {"LaunchTemplateVersion": _version(call, template, version)}


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """The data, whose parameters RunInstances would take as well. Raises as that does."""
    launch = form(launch_args(data))
    sizes.check_user_data(launch.user_data)
    sizes.check(launch)
    for tags in (launch.tags, launch.volume_tags, launch.port_tags):
        tag.check(tags)
    return data


@action("ModifyLaunchTemplate")
def modify(call: Call) -> dict[str, Any]:
    """Make a version of a template the default one."""
    template, word = chosen(call, call.args), call.args.get("DefaultVersion", "")
    if not word:
        raise missing("DefaultVersion")
    changed = verbs.set_default(call.caller, call.core, template.uuid, version_word(word))
    return {"LaunchTemplate": _template(call, changed)}


@action("DeleteLaunchTemplate")
def delete(call: Call) -> dict[str, Any]:
    """Delete a template with all of its versions."""
    deleted = verbs.delete(call.caller, call.core, chosen(call, call.args).uuid)
    return {"LaunchTemplate": _template(call, deleted)}


@action("DeleteLaunchTemplateVersions")
def delete_versions(call: Call) -> dict[str, Any]:
    """Delete versions of a template, but for the default one: the answer tells each that is left."""
    template, words = chosen(call, call.args), [version_word(word) for word in call.args["Versions"]]
    for word in words:
        if not word.isdecimal():
            text = "Versions are deleted by their numbers."
            raise InvalidValue(text, noun=LaunchTemplate.KIND, reason="version-number")
    result = verbs.delete_versions(call.caller, call.core, template.uuid, [int(word) for word in words])
    same = {"LaunchTemplateId": template.ec2_id, "LaunchTemplateName": template.name}
    refused = {
        **dict.fromkeys(result.default, ("unexpectedError", "The default version cannot be deleted.")),
        **dict.fromkeys(result.unknown, ("launchTemplateVersionDoesNotExist", "The version does not exist.")),
    }
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": [{**same, "VersionNumber": number} for number in result.deleted],
        "UnsuccessfullyDeletedLaunchTemplateVersions": [
            {**same, "VersionNumber": number, "ResponseError": {"Code": code, "Message": text}}
            for number, (code, text) in refused.items()
        ],
    }


@action("DescribeLaunchTemplates")
def describe(call: Call) -> dict[str, Any]:
    """List templates, by id, by name, or all."""
    args = call.args
    names, ids = args.get("LaunchTemplateNames", ()), args.get("LaunchTemplateIds", ())
    templates = verbs.listing(call.caller, call.core, names, uuids_of(call, LaunchTemplate, ids))
    return elements.listed(call, "LaunchTemplates", "LaunchTemplate", templates, _template, _FILTERS)


@action("DescribeLaunchTemplateVersions")
def describe_versions(call: Call) -> dict[str, Any]:
    """List the versions of a template, the newest first, or the latest and default ones of all templates."""
    args, words = call.args, list(dict.fromkeys(call.args.get("Versions", ())))
    if args.get("LaunchTemplateId") or args.get("LaunchTemplateName"):
        template = chosen(call, args)
        items = [_version(call, template, each) for each in _selected(args, template, words)]
    else:
        if not words:
            raise missing("LaunchTemplateId, LaunchTemplateName or Versions")
        if any(word not in VERSION_WORDS for word in words) or "MinVersion" in args or "MaxVersion" in args:
            text = "Without a launch template, Versions has $Latest and $Default alone."
            raise InvalidValue(text, noun=LaunchTemplate.KIND, reason="combination")
        templates = verbs.listing(call.caller, call.core)
        items = [_version(call, each, version) for each in templates for version in _named(each, words)]
    return paging.listed(args, "LaunchTemplateVersions", items, _VERSION_FILTERS)


def _selected(args: dict[str, Any], template: LaunchTemplate, words: list[str]) -> list[LaunchTemplateVersion]:
    """The versions of a template that a request names, or those between its bounds."""
    if words:
        if "MinVersion" in args or "MaxVersion" in args:
            text = "Versions cannot be used together with MinVersion and MaxVersion."
            raise InvalidValue(text, noun=LaunchTemplate.KIND, reason="combination")
        return _named(template, words)
    least, most = (args.get(name) and int(version_word(args[name])) for name in ("MinVersion", "MaxVersion"))
    return [
        version
        for version in reversed(template.wanted.versions)
        if (not least or version.number >= least) and (not most or version.number <= most)
    ]


def _named(template: LaunchTemplate, words: Iterable[str]) -> list[LaunchTemplateVersion]:
    """The versions with these numbers and words, each once, the newest first."""
    versions = {version.number: version for word in words for version in [version_of(template, version_word(word))]}
    return [versions[number] for number in sorted(versions, reverse=True)]


@action("GetLaunchTemplateData")
def data_of(call: Call) -> dict[str, Any]:
    """The parameters of an instance in the form of a template, but for its addresses."""
    views, _ = instances.listing(call.caller, call.core, [uuid_of(call, Instance, call.args["InstanceId"])])
    return {"LaunchTemplateData": _data(views[0], InstanceParts(call.core.place))}


def _data(view: InstanceView, parts: InstanceParts) -> dict[str, Any]:
    wanted, image = view.instance.wanted, view.image.ec2_id if view.image else ec2_id(Image, view.instance.wanted.image)
    metadata = {name: value for name, value in shape.metadata_options(wanted).items() if name != "State"}
    tagged = [("instance", view.instance.tags), *(("volume", volume.tags) for volume in view.volumes)]
    placement = {name: text for name, text in parts.placement(view).items() if text and name != "GroupId"}
    data = {
        "ImageId": image,
        "InstanceType": view.flavor.name,
        "KeyName": wanted.key_name,
        "UserData": wanted.user_data,
        "EbsOptimized": False,
        "Monitoring": {"Enabled": False},
        "Placement": placement,
        "DisableApiTermination": wanted.protected,
        "InstanceInitiatedShutdownBehavior": wanted.on_shutdown,
        "MetadataOptions": metadata,
        "BlockDeviceMappings": [
            {
                "DeviceName": volume.wanted.device,
                "Ebs": {
                    "DeleteOnTermination": volume.wanted.delete_on_termination,
                    "VolumeSize": volume.wanted.size,
                    "VolumeType": volume.wanted.type,
                },
            }
            for volume in view.volumes
        ],
        "NetworkInterfaces": [
            {
                "DeviceIndex": nic.port.wanted.index,
                "SubnetId": nic.subnet.ec2_id,
                "Groups": [group.ec2_id for group in nic.groups],
                "Description": nic.port.wanted.description,
                "AssociatePublicIpAddress": nic.port.wanted.map_public,
                "DeleteOnTermination": True,
            }
            for nic in view.nics
        ],
        "TagSpecifications": [{"ResourceType": kind, "Tags": shown(tags)} for kind, tags in tagged if tags],
    }
    return {name: value for name, value in data.items() if value not in ("", [])}


def _arn(call: Call, author: str) -> str:
    return f"arn:aws:iam::{call.caller.account_id}:user/{author}"


def _template(call: Call, template: LaunchTemplate) -> dict[str, Any]:
    versions = template.wanted.versions
    return {
        "LaunchTemplateId": template.ec2_id,
        "LaunchTemplateName": template.name,
        "CreateTime": _time(template.created),
        "CreatedBy": _arn(call, versions[0].author),
        "DefaultVersionNumber": template.wanted.default,
        "LatestVersionNumber": template.latest,
        "Tags": shown(template.tags),
    }


def _version(call: Call, template: LaunchTemplate, version: LaunchTemplateVersion) -> dict[str, Any]:
    text = {"VersionDescription": version.description} if version.description else {}
    return {
        "LaunchTemplateId": template.ec2_id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        **text,
        "CreateTime": _time(version.created),
        "CreatedBy": _arn(call, version.author),
        "DefaultVersion": version.number == template.wanted.default,
        "LaunchTemplateData": version.data,
    }


def _time(at: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)


def _created(item: dict[str, Any]) -> list[str]:
    return [item["CreateTime"].strftime("%Y-%m-%dT%H:%M:%S.000Z")]


_FILTERS = {**filters.of_members("LaunchTemplateName"), "create-time": _created}
_VERSION_FILTERS = filters.of_members(
    others={
        "ebs-optimized": "LaunchTemplateData.EbsOptimized",
        "http-endpoint": "LaunchTemplateData.MetadataOptions.HttpEndpoint",
        "http-protocol-ipv4": "LaunchTemplateData.MetadataOptions.HttpEndpoint",
        "http-tokens": "LaunchTemplateData.MetadataOptions.HttpTokens",
        "image-id": "LaunchTemplateData.ImageId",
        "instance-type": "LaunchTemplateData.InstanceType",
        "is-default-version": "DefaultVersion",
    },
    absent=(
        *("hibernation-configured", "host-resource-group-arn", "iam-instance-profile", "kernel-id"),
        *("license-configuration-arn", "network-card-index", "ram-disk-id"),
    ),
) | {"create-time": _created}
