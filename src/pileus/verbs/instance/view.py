"""Looking at instances: everything that a face shows of them, in one snapshot and one query per noun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import listing as pages
from pileus.model.instance import Instance
from pileus.rules import find
from pileus.rules.ingress import admitted
from pileus.rules.instance.view import InstanceView, views_in, views_of
from pileus.rules.prefixlist import expanded_rules, lists_of
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.model.caller import Caller
    from pileus.model.spec import Ingress
    from pileus.rules.core import Core


@requires("reader")
def listing(
    caller: Caller,
    core: Core,
    uuids: Sequence[str] = (),
    *,
    keep: Callable[[InstanceView], bool] | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> tuple[list[InstanceView], str | None]:
    """The project's instances, those that ended lately too, oldest first; or those with these uuids.

    `keep` filters; `after` and `limit` page. The second value continues the list, None at its end. Raises Unavailable
    where a row is damaged without which a named instance cannot be shown whole; lists leave out what cannot be read.
    """
    start = pages.after(after)
    with core.store.read() as tx:
        if uuids:
            with tx.complete():
                views = views_of(tx, find.known(caller, tx, Instance, uuids, dead=True))
        else:
            # Filtered pages are cut after filtering; unfiltered ones in the query.
            in_query = limit is not None and keep is None
            cached_views = views_in(tx, caller.project, cached_only=in_query)
            if cached_views is None:
                bound = limit + 1 if limit is not None else None
                instances = tx.list(Instance, project=caller.project, dead=True, after=start, limit=bound)
                cached_views = views_of(tx, instances)
            views = cached_views
    if keep is not None:
        views = [view for view in views if keep(view)]
    return pages.page(views, lambda view: view.instance.id, start, limit)


@requires("reader")
def ingress(caller: Caller, core: Core, uuid: str) -> tuple[Instance, list[Ingress]]:
    """The TCP ingress from IPv4 ranges that the security groups of an instance admit. Raises NotFound."""
    with core.store.read() as tx:
        instance = find.known(caller, tx, Instance, [uuid], dead=True)[0]
        (shown,) = views_of(tx, [instance])
        lists = lists_of(tx, [group for nic in shown.nics for group in nic.groups])
        admissions = {
            each: None
            for nic in shown.nics
            for each in admitted(
                [rule for group in nic.groups for rule in expanded_rules(group.wanted.rules, lists)],
                nic.port.wanted.network_tags,
            )
        }
        return instance, list(admissions)


@requires("reader")
def launched(caller: Caller, core: Core, uuids: Sequence[str]) -> list[InstanceView]:
    """The views of instances by uuid, in that order: what a launch answers."""
    with core.store.read() as tx:
        instances = tx.many(Instance, uuids)
        return views_of(
            tx, [instances[uuid] for uuid in uuids if uuid in instances and find.visible(caller, instances[uuid])]
        )
