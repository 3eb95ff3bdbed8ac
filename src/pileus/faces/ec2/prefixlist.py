"""Managed prefix lists."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.prefixlist import PrefixList, PrefixListEntry
from pileus.rules import find
from pileus.rules.prefixlist import entries_of
from pileus.verbs import prefixlist as verbs
from pileus.verbs.prefixlist import PrefixListChange


@action("CreateManagedPrefixList")
def create(call: Call) -> dict[str, Any]:
    """Make a list of IPv4 ranges."""
    args = call.args
    if args["AddressFamily"] != "IPv4":
        text = f"Invalid value '{args['AddressFamily'][:40]}' for AddressFamily: this cloud's lists are of IPv4."
        raise InvalidValue(text, noun=PrefixList.KIND, reason="family")
    prefixlist = verbs.create(
        call.caller,
        call.core,
        args["PrefixListName"],
        args["MaxEntries"],
        _entries(args.get("Entries", ())),
        specified(args, "prefix-list")["prefix-list"],
        args.get("ClientToken", ""),
    )
    return {"PrefixList": _list(call, prefixlist, "create-complete")}


@action("ModifyManagedPrefixList")
def modify(call: Call) -> dict[str, Any]:
    """Change a list's name, its size, or its entries: the groups and routes that name it follow."""
    args = call.args
    change = PrefixListChange(
        name=args.get("PrefixListName"),
        max_entries=args.get("MaxEntries"),
        add=_entries(args.get("AddEntries", ())),
        remove=tuple(entry["Cidr"] for entry in args.get("RemoveEntries", ())),
        current=args.get("CurrentVersion"),
    )
    return {"PrefixList": _list(call, verbs.modify(call.caller, call.core, _uuid(call), change), "modify-complete")}


@action("RestoreManagedPrefixListVersion")
def restore(call: Call) -> dict[str, Any]:
    """Give a list the entries of an earlier version again, as a new version."""
    args = call.args
    restored = verbs.restore(call.caller, call.core, _uuid(call), args["PreviousVersion"], args["CurrentVersion"])
    return {"PrefixList": _list(call, restored, "restore-complete")}


@action("DeleteManagedPrefixList")
def delete(call: Call) -> dict[str, Any]:
    """Delete a list that no rule and no route names."""
    return {"PrefixList": _list(call, verbs.delete(call.caller, call.core, _uuid(call)), "delete-complete")}


@action("DescribeManagedPrefixLists")
def describe(call: Call) -> dict[str, Any]:
    """List prefix lists, by id or all; Amazon's own lists are not in this cloud."""
    lists = find.named_items(
        PrefixList,
        {each.ec2_id: each for each in verbs.listing(call.caller, call.core)},
        call.args.get("PrefixListIds", ()),
    )
    items = [_list(call, each, _state(each)) for each in lists]
    return paging.listed(call.args, "PrefixLists", items, _FILTERS)


@action("GetManagedPrefixListEntries")
def entries(call: Call) -> dict[str, Any]:
    """List the entries of a list, of its present version or of an earlier one."""
    prefixlist = verbs.one(call.caller, call.core, _uuid(call))
    version_entries = entries_of(prefixlist, call.args.get("TargetVersion"))
    items = [
        {"Cidr": entry.cidr} | ({"Description": entry.description} if entry.description else {})
        for entry in version_entries
    ]
    page, more = paging.paged(call.args, items)
    return {"Entries": page, **more}


@action("GetManagedPrefixListAssociations")
def associations(call: Call) -> dict[str, Any]:
    """List the security groups and the route tables that name a list."""
    users = verbs.users(call.caller, call.core, _uuid(call))
    items = [{"ResourceId": noun.ec2_id, "ResourceOwner": call.caller.account_id} for noun in users]
    page, more = paging.paged(call.args, items)
    return {"PrefixListAssociations": page, **more}


def _uuid(call: Call) -> str:
    return uuid_of(call, PrefixList, call.args["PrefixListId"])


def _entries(items: Any) -> tuple[PrefixListEntry, ...]:
    for item in items:
        if "Cidr" not in item:
            raise missing("Cidr")
    return tuple(PrefixListEntry(cidr=item["Cidr"], description=item.get("Description", "")) for item in items)


def _state(prefixlist: PrefixList) -> str:
    return "create-complete" if prefixlist.generation == 1 else "modify-complete"


def _list(call: Call, prefixlist: PrefixList, state: str) -> dict[str, Any]:
    owner, wanted = call.caller.account_id, prefixlist.wanted
    return {
        "PrefixListId": prefixlist.ec2_id,
        "PrefixListName": prefixlist.name,
        "PrefixListArn": f"arn:aws:ec2:{call.core.place.region}:{owner}:prefix-list/{prefixlist.ec2_id}",
        "AddressFamily": wanted.family,
        "State": state,
        "MaxEntries": wanted.max_entries,
        "Version": wanted.version,
        "OwnerId": owner,
        "Tags": shown(prefixlist.tags),
    }


_FILTERS = filters.of_members("OwnerId", "PrefixListId", "PrefixListName")
