"""Exchanges, queues and routing keys, and what a host may do with them.

    host ──report.HOST──────────▶ pileus.cloud (topic) ──▶ pileus.reports (topic) ──▶ pileus.reports.HOST, one for each
                                  host, shared by all processes with loops; without one: pileus.strangers
    host ──answer.PROCESS.HOST──▶ pileus.cloud ──────────▶ pileus.process.PROCESS, that process's own
    cloud ──HOST────────────────▶ pileus.hosts (direct) ─▶ pileus.host.HOST, one for each host
    cloud ──────────────────────▶ pileus.wakes (fanout) ─▶ every pileus.process.PROCESS

A queue that exists cannot be declared with other arguments: whoever changes them gives the queue another name.
A host that floods the broker fills its own queue, and drops its own reports. The first process that hears of a host,
through the strangers' queue, makes the host's queue; from then on nothing of that host is a stranger's.
"""

from __future__ import annotations

import re
from typing import Any

from kombu.entity import Exchange, Queue, binding

from pileus.model import bounds

TTL = 60.0
"""Seconds after which a message is of no use: whoever sent it has said it again since."""

LONGEST = bounds.MESSAGE_QUEUE.most
"""Messages that a queue holds at most; the oldest go first."""

UNUSED = 24 * 3600.0
"""Seconds after which the queue of a host that is away, and is told nothing, goes."""

LARGEST = bounds.BUS_FRAME.most
"""Bytes that a queue holds at most."""

CLOUD = Exchange("pileus.cloud", "topic", durable=True)
HOSTS = Exchange("pileus.hosts", "direct", durable=True)
WAKES = Exchange("pileus.wakes", "fanout", durable=True)
STRANGERS = Exchange("pileus.strangers", "fanout", durable=True)
REPORTS = Exchange("pileus.reports", "topic", durable=True, arguments={"alternate-exchange": STRANGERS.name})

SHARED_BEFORE = "pileus.reports"
"""The queue of all hosts' reports of earlier versions: removed once no process of theirs takes from it."""

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9_])?", re.ASCII)
_BOUNDS = {"x-overflow": "drop-head", "x-max-length-bytes": LARGEST}


def is_host(name: str) -> bool:
    """Whether a text can be a host's name, which is part of routing keys and of the broker's permissions."""
    return bool(_NAME.fullmatch(name))


def checked(host: str) -> str:
    """The host's name; ValueError for a text that is none."""
    if not is_host(host):
        raise ValueError(f"{host!r} is no host's name")
    return host


def declare(channel: Any) -> None:
    """Make every exchange, and lead reports from the one to the other."""
    for exchange in (CLOUD, HOSTS, WAKES, STRANGERS, REPORTS):
        exchange(channel).declare()
    REPORTS(channel).bind_to(CLOUD.name, "report.#")


def strangers() -> Queue:
    """The reports of hosts that have no queue yet, for whichever process takes them first."""
    return _queue("pileus.strangers", exchange=STRANGERS, durable=True)


def of_reports(host: str) -> Queue:
    """The queue of a host's reports; the first process that takes a report absorbs it."""
    key, most = report_key(checked(host)), bounds.REPORT_QUEUE.most
    return _queue(f"pileus.reports.{host}", most, exchange=REPORTS, routing_key=key, durable=True, expires=UNUSED)


def of_host(host: str) -> Queue:
    """The queue of messages to a host."""
    return _queue(f"pileus.host.{checked(host)}", exchange=HOSTS, routing_key=host, durable=True, expires=UNUSED)


def of_process(process: str) -> Queue:
    """Answers to one process's own questions, and the notifications of all; gone when its connection is."""
    bindings = [binding(CLOUD, routing_key=f"answer.{process}.#"), binding(WAKES)]
    return _queue(f"pileus.process.{process}", bindings=bindings, durable=False, exclusive=True, auto_delete=True)


def _queue(name: str, most: int = LONGEST, **more: object) -> Queue:
    return Queue(name, message_ttl=TTL, max_length=most, queue_arguments=dict(_BOUNDS), **more)


def report_key(host: str) -> str:
    """The routing key of a host's reports."""
    return f"report.{host}"


def answer_key(process: str, host: str) -> str:
    """The routing key of a host's answers to one process."""
    return f"answer.{process}.{host}"


def speaker(key: str) -> str:
    """The host that a routing key is of, which the broker vouches for; empty for another key."""
    kind, _, rest = key.partition(".")
    if kind == "answer":
        return rest.partition(".")[2]
    return rest if kind == "report" else ""


def permissions(host: str) -> dict[str, str]:
    """The broker's permissions of a host: regular expressions over names of exchanges and queues."""
    name = checked(host).replace(".", r"\.")
    return {"configure": "^$", "write": r"^pileus\.cloud$", "read": rf"^pileus\.host\.{name}$"}


def topic_permissions(host: str) -> dict[str, str]:
    """The routing keys that a host may use: its own."""
    name = checked(host).replace(".", r"\.")
    return {"exchange": CLOUD.name, "write": rf"^(report|answer\.[0-9a-f]+)\.{name}$", "read": "^$"}
