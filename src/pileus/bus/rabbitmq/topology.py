"""Exchanges, queues and routing keys, and what a host may do with them.

    host ──report.HOST──────────▶ pileus.cloud (topic) ──▶ pileus.reports, shared by all processes with loops
    host ──answer.PROCESS.HOST──▶ pileus.cloud ──────────▶ pileus.process.PROCESS, that process's own
    cloud ──HOST────────────────▶ pileus.hosts (direct) ─▶ pileus.host.HOST, one for each host
    cloud ──────────────────────▶ pileus.wakes (fanout) ─▶ every pileus.process.PROCESS

A queue that exists cannot be declared with other arguments: whoever changes them gives the queue another name.
"""

from __future__ import annotations

import re

from kombu.entity import Exchange, Queue, binding

TTL = 60.0
"""Seconds after which a message is of no use: whoever sent it has said it again since."""

LONGEST = 10_000
"""Messages that a queue holds at most; the oldest go first."""

UNUSED = 24 * 3600.0
"""Seconds after which the queue of a host that is away, and is told nothing, goes."""

LARGEST = 64 * 1024 * 1024
"""Bytes that a queue holds at most."""

CLOUD = Exchange("pileus.cloud", "topic", durable=True)
HOSTS = Exchange("pileus.hosts", "direct", durable=True)
WAKES = Exchange("pileus.wakes", "fanout", durable=True)
EXCHANGES = (CLOUD, HOSTS, WAKES)

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9_])?", re.ASCII)
_BOUNDS = {"x-overflow": "drop-head", "x-max-length-bytes": LARGEST}


def checked(host: str) -> str:
    """The host's name, which is part of routing keys and of the broker's permissions; ValueError for another text."""
    if not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is no host's name")
    return host


def reports() -> Queue:
    """What hosts report of themselves, for whichever process takes it first."""
    return _queue("pileus.reports", exchange=CLOUD, routing_key="report.#", durable=True)


def of_host(host: str) -> Queue:
    """What a host is told."""
    return _queue(f"pileus.host.{checked(host)}", exchange=HOSTS, routing_key=host, durable=True, expires=UNUSED)


def of_process(process: str) -> Queue:
    """Answers to one process's own questions, and the nudges of all; gone when its connection is."""
    bindings = [binding(CLOUD, routing_key=f"answer.{process}.#"), binding(WAKES)]
    return _queue(f"pileus.process.{process}", bindings=bindings, durable=False, exclusive=True, auto_delete=True)


def _queue(name: str, **more: object) -> Queue:
    return Queue(name, message_ttl=TTL, max_length=LONGEST, queue_arguments=dict(_BOUNDS), **more)


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
