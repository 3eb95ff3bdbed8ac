"""Bounds: the limit of each thing that a request, a tenant, a guest or a host can use up, as data.

Every limit in the source is one `Bound` of the table `BOUNDS`; code reads its number as `bounds.TAGS.most`, or from the
setting that the bound names. `docs/reference/limits.md` is made from this table and from the default quotas of a
project (`model/project.py`).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Scope = Literal["request", "connection", "address", "caller", "project", "noun", "instance", "host", "process", "cloud"]
"""The scope of a bound: `process` is one process of the cloud or of a host, `cloud` is all processes of the cloud."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of one thing.

    `what` names the thing that is counted, in the plural, with its unit. `most` is the default. `setting` names the
    field of the settings that changes it; empty: the bound is fixed. `answer` says what happens at the limit: a code of
    the core's errors, an HTTP status, or one sentence.
    """

    what: str
    per: Scope
    most: int
    answer: str
    setting: str = ""


# -- nouns and the values that requests give them ------------------------------------------------------------------

TAGS: Final = Bound(what="tags", per="noun", most=50, answer="QuotaExceeded (TagLimitExceeded)")
TAG_KEY: Final = Bound(what="characters of a tag's key", per="noun", most=127, answer="InvalidValue")
TAG_VALUE: Final = Bound(what="characters of a tag's value", per="noun", most=256, answer="InvalidValue")
NAME: Final = Bound(what="characters of a name", per="noun", most=255, answer="InvalidValue")
DESCRIPTION: Final = Bound(
    what="characters of the description of an image, a group or a rule", per="noun", most=255, answer="InvalidValue"
)
RULES: Final = Bound(
    what="rules of a security group in each direction",
    per="noun",
    most=60,
    answer="QuotaExceeded (RulesPerSecurityGroupLimitExceeded)",
)
GROUPS: Final = Bound(
    what="security groups of a port",
    per="noun",
    most=16,
    answer="QuotaExceeded (SecurityGroupsPerInterfaceLimitExceeded)",
)

DISK: Final = Bound(what="GiB of a disk", per="noun", most=65536, answer="InvalidValue")
PUBLIC_KEY: Final = Bound(
    what="characters of a public key", per="noun", most=16384, answer="InvalidValue (InvalidKey.Format)"
)
PUBLIC_KEYS: Final = Bound(what="public keys of an instance", per="instance", most=16, answer="InvalidValue")
PUBLIC_KEYS_SIZE: Final = Bound(
    what="characters of an instance's public keys", per="instance", most=16384, answer="InvalidValue"
)
RSA_BITS: Final = Bound(
    what="bits of an imported RSA key", per="noun", most=16384, answer="InvalidValue (InvalidKey.Format)"
)
USER_DATA: Final = Bound(what="bytes of user data", per="instance", most=16384, answer="InvalidValue")
LAUNCHES: Final = Bound(what="instances of one launch", per="request", most=1000, answer="InvalidValue")
TOKEN: Final = Bound(what="characters of a client token", per="request", most=64, answer="InvalidValue")
IDENT: Final = Bound(
    what="characters of an id, or of a name, that a request refers to", per="request", most=255, answer="InvalidValue"
)
TRAITS: Final = Bound(what="traits of a flavor or a host", per="noun", most=100, answer="InvalidValue")
LISTED: Final = Bound(
    what="elements of one list of a request", per="request", most=1000, answer="InvalidValue (InvalidParameterValue)"
)
PARAMETERS: Final = Bound(
    what="parameters of a query request", per="request", most=10_000, answer="400 (MalformedQueryString)"
)
FILTERS: Final = Bound(what="filters", per="request", most=50, answer="InvalidValue (FilterLimitExceeded)")
FILTER_VALUES: Final = Bound(
    what="values of all filters", per="request", most=200, answer="InvalidValue (FilterLimitExceeded)"
)
FILTER_VALUE: Final = Bound(what="characters of a filter's value", per="request", most=255, answer="InvalidValue")
FILTER_PATTERNS: Final = Bound(
    what="characters of all filter values with wildcards",
    per="request",
    most=1024,
    answer="InvalidValue (FilterLimitExceeded)",
)

# -- HTTP: connections, heads, bodies ------------------------------------------------------------------------------

REQUEST_BODY: Final = Bound(
    what="bytes of a request's body", per="request", most=2 << 20, setting="largest_request", answer="413"
)
CONNECTIONS: Final = Bound(
    what="connections to the faces",
    per="process",
    most=4000,
    setting="connections",
    answer="the waiting connection that was silent longest is closed; where none waits: 503",
)
ADDRESS_CONNECTIONS: Final = Bound(
    what="connections to the faces (an IPv6 address counts by its /64)",
    per="address",
    most=1000,
    setting="address_connections",
    answer="the waiting connection of that address that was silent longest is closed; where none waits: 503",
)
SECONDARY_LISTENER_CONNECTIONS: Final = Bound(
    what="connections of joined hosts, and connections of the mcc tools",
    per="process",
    most=1000,
    answer="the waiting connection that was silent longest is closed; where none waits: 503",
)
ADDRESS_SECONDARY_LISTENER_CONNECTIONS: Final = Bound(
    what="connections of joined hosts, and connections of the mcc tools",
    per="address",
    most=400,
    answer="the waiting connection of that address that was silent longest is closed; where none waits: 503",
)
HEAD_BYTES: Final = Bound(
    what="bytes in a row that are no body: a head, the trailers of a body",
    per="connection",
    most=64 << 10,
    answer="431",
)
BODY_PARTS: Final = Bound(
    what="parts of a body that may be shorter than 64 bytes on average", per="request", most=1000, answer="431"
)
HEADERS: Final = Bound(what="headers and trailers", per="request", most=100, answer="431")
PIPELINED: Final = Bound(
    what="requests that wait for the answer to an earlier one",
    per="connection",
    most=8,
    answer="the connection is closed after the answers to these",
)
REQUEST_PATIENCE: Final = Bound(
    what="seconds without a TLS handshake, a whole head, or progress of a body or of an answer",
    per="connection",
    most=20,
    setting="request_patience",
    answer="408, or the connection is closed",
)
IDLE: Final = Bound(what="seconds between two requests", per="connection", most=75, answer="the connection is closed")
BODIES: Final = Bound(what="bytes of bodies and answers in memory", per="process", most=256 << 20, answer="Throttled")
ADDRESS_BODIES: Final = Bound(
    what="bytes of bodies and answers in memory", per="address", most=64 << 20, answer="Throttled"
)
UNREAD: Final = Bound(
    what="bytes of a refused request that are read and dropped, so that its client can read the answer",
    per="connection",
    most=64 << 20,
    answer="the connection is closed",
)
SIGNED_FORM: Final = Bound(what="bytes of a form with a signature in it", per="request", most=64 << 10, answer="413")
SIGNED_PARAMETERS: Final = Bound(what="parameters of a query or signed form", per="request", most=2000, answer="400")
QUERY: Final = Bound(what="parameters of a REST call's query", per="request", most=100, answer="InvalidValue")
HOST_BODY: Final = Bound(what="bytes of a joined host's request body", per="request", most=64 << 10, answer="413")
MCC_BODY: Final = Bound(what="bytes of the body of an mcc tool's call", per="request", most=256 << 10, answer="413")

# -- fair shares: threads, streams, waits, rates -------------------------------------------------------------------

REQUEST_THREADS: Final = Bound(
    what="requests that verbs work on at once", per="process", most=16, setting="threads", answer="the request waits"
)
PROJECT_THREADS: Final = Bound(
    what="requests that verbs work on at once while other projects have some",
    per="project",
    most=1,
    setting="threads_share",
    answer="the request waits",
)
REQUESTS_WAITING: Final = Bound(
    what="requests that wait for a thread", per="project", most=256, answer="Throttled (RequestLimitExceeded)"
)
ARRIVALS_WAITING: Final = Bound(
    what="requests whose caller is not identified yet",
    per="address",
    most=1024,
    answer="Throttled (RequestLimitExceeded)",
)
IDENTIFYING: Final = Bound(
    what="requests whose caller is identified at once", per="process", most=2, answer="the request waits"
)
HOST_WAITS: Final = Bound(
    what="requests that wait for hosts", per="process", most=32, answer="Throttled (RequestLimitExceeded)"
)
PROJECT_HOST_WAITS: Final = Bound(
    what="requests that wait for hosts", per="project", most=8, answer="Throttled (RequestLimitExceeded)"
)
HOST_CALLS: Final = Bound(what="requests that wait for one host", per="host", most=12, answer="Unavailable")
STREAMS: Final = Bound(what="streams to instances", per="process", most=512, answer="the websocket is closed, 1013")
PROJECT_STREAMS: Final = Bound(
    what="streams to instances", per="project", most=64, answer="the websocket is closed, 1013"
)
CONTROL_FRAMES: Final = Bound(
    what="pings or pongs a second (20 times as many in a burst)", per="connection", most=10, answer="it is closed, 1008"
)
WEBSOCKET_TIME: Final = Bound(
    what="percent of time for streams while a request is answered", per="process", most=20, answer="the frames wait"
)
WAITS: Final = Bound(what="requests that wait for a change", per="process", most=16_000, answer="Throttled")
PROJECT_WAITS: Final = Bound(what="requests that wait for a change", per="project", most=12_000, answer="Throttled")
UPLOADS: Final = Bound(what="images on their way in", per="process", most=32, answer="Throttled")
PROJECT_UPLOADS: Final = Bound(what="images on their way in", per="project", most=4, answer="Throttled")
MCC_CALLS: Final = Bound(
    what="calls of the mcc tools that wait for a thread",
    per="process",
    most=512,
    answer="the oldest call of the address with most of them: 503; where no address has more than the caller's: 503",
)
ADDRESS_MCC_CALLS: Final = Bound(
    what="calls of the mcc tools that wait for a thread (addresses take turns)", per="address", most=128, answer="503"
)
RATE_READS: Final = Bound(
    what="calls a second that only read (20 times as many in a burst)",
    per="caller",
    most=500,
    setting="rate_reads",
    answer="Throttled (RequestLimitExceeded)",
)
RATE_CHANGES: Final = Bound(
    what="calls a second that change something (20 times as many in a burst)",
    per="caller",
    most=200,
    setting="rate_changes",
    answer="Throttled (RequestLimitExceeded)",
)
RATE_LAUNCHES: Final = Bound(
    what="instances launched a second (20 times as many in a burst)",
    per="caller",
    most=100,
    setting="rate_launches",
    answer="Throttled (RequestLimitExceeded)",
)
RATE_REFUSALS: Final = Bound(
    what="calls a second without a good credential (20 times as many in a burst)",
    per="address",
    most=50,
    setting="rate_refusals",
    answer="Throttled, except for credentials that were good there before; /healthz repeats its answer for a second",
)
RATE_KEYS: Final = Bound(
    what="callers, or addresses, whose rates are known", per="process", most=10_000, answer="the oldest is forgotten"
)
AUDITED_REFUSALS: Final = Bound(
    what="refused calls a second in the audit log (20 times as many in a burst)",
    per="caller",
    most=10,
    answer="a line counts those left out",
)
AUDITED_CHANGES: Final = Bound(
    what="accepted calls a minute in the audit log (ten times as many in a burst)",
    per="project",
    most=300,
    answer="a line counts those left out",
)
AUDITED_STRANGERS: Final = Bound(
    what="refused calls a second without a good credential in the audit log (20 times as many in a burst)",
    per="process",
    most=50,
    answer="a line counts those left out",
)
LOGGED_REFUSALS: Final = Bound(
    what="lines a second of refusals and of trouble in a process's own log (20 times as many in a burst)",
    per="address",
    most=1,
    answer="a line counts those left out",
)
LOGGED_TROUBLE: Final = Bound(
    what="lines a second of refusals and of clients' trouble in a process's own log (20 times as many in a burst)",
    per="process",
    most=5,
    answer="a line counts those left out",
)
AUDIT_BYTES: Final = Bound(
    what="bytes of one file of the audit log",
    per="cloud",
    most=16 << 20,
    setting="audit_size",
    answer="the file is set aside",
)
AUDIT_FILES: Final = Bound(
    what="files of the audit log", per="cloud", most=10, setting="audit_files", answer="the oldest is removed"
)

# -- images: uploads, inspections, archives, caches ----------------------------------------------------------------

IMAGE_BYTES: Final = Bound(
    what="bytes of an uploaded image", per="request", most=64 << 30, setting="largest_image", answer="InvalidValue"
)
VIRTUAL_DISK: Final = Bound(what="bytes of an image's disk", per="request", most=16 << 40, answer="InvalidValue")
INSPECTIONS: Final = Bound(
    what="uploaded images inspected at once", per="process", most=6, answer="the inspection waits"
)
PROJECT_INSPECTIONS: Final = Bound(
    what="uploaded images inspected at once", per="project", most=2, answer="the inspection waits"
)
WAITING_INSPECTIONS: Final = Bound(
    what="uploaded images inspected or waiting for it", per="project", most=16, answer="Throttled"
)
INSPECTION_SECONDS: Final = Bound(
    what="seconds of an inspection, and one more for each 4 MiB of the upload",
    per="request",
    most=60,
    answer="InvalidValue",
)
INSPECTION_SECONDS_IN_ALL: Final = Bound(
    what="seconds of an inspection, however large the upload", per="request", most=900, answer="InvalidValue"
)
ARCHIVE_BYTES: Final = Bound(
    what="bytes of the files of a container's image, holes counted", per="request", most=64 << 30, answer="InvalidValue"
)
ARCHIVE_ENTRIES: Final = Bound(
    what="files, folders and links of a container's image", per="request", most=500_000, answer="InvalidValue"
)
CACHE_BYTES: Final = Bound(
    what="bytes of images kept ready, beside those in use",
    per="host",
    most=50 << 30,
    setting="image_cache",
    answer="those used least lately are removed",
)
CACHE_ENTRIES: Final = Bound(
    what="files, folders and links of unpacked images kept ready, beside those in use",
    per="host",
    most=1_000_000,
    setting="image_cache_entries",
    answer="those used least lately are removed",
)
CACHE_IDLE: Final = Bound(
    what="seconds that an unpacked image stays after its last use", per="host", most=86_400, answer="it is removed"
)
CACHE_TREE: Final = Bound(
    what="files, folders and links of an unpacked image that stays after its last use",
    per="host",
    most=100_000,
    answer="it is removed with the last instance of it",
)
FREE_DISK: Final = Bound(
    what="bytes of the cloud's disk that uploads and captures leave free (a twentieth of a disk of less than 20 GiB)",
    per="cloud",
    most=1 << 30,
    answer="Unavailable",
)
FREE_INODES: Final = Bound(
    what="percent of a host's inodes that unpacking an image leaves free",
    per="host",
    most=5,
    answer="HostDiskFull: unused images are removed, or the instance waits",
)
DELETED_IMAGE: Final = Bound(
    what="seconds after their last use for which a deleted image's bytes stay that the quota has no room for beside the"
    " project's images",
    per="project",
    most=120,
    answer="they are removed within a minute, those used least lately first",
)
INSPECTION_MESSAGE: Final = Bound(
    what="bytes of a message about an image", per="request", most=2 << 10, answer="the message is cut"
)

# -- hosts and guests: listeners, descriptors, kernel resources ----------------------------------------------------

BANDWIDTH: Final = Bound(
    what="Mbit/s that an interface sends, for each processor, unless the flavor has its own",
    per="instance",
    most=1000,
    answer="packets are dropped",
)
CONTROLLER_PACKETS: Final = Bound(
    what="packets a second of a network, and of a router, that the network controller of a host answers",
    per="noun",
    most=1000,
    answer="packets are dropped",
)
DISK_OPERATIONS: Final = Bound(
    what="operations a second of a machine's disk, for each processor, unless the flavor has its own",
    per="instance",
    most=10_000,
    answer="the operation waits",
)
DISK_THROUGHPUT: Final = Bound(
    what="MiB/s of a machine's disk, for each processor, unless the flavor has its own",
    per="instance",
    most=500,
    answer="the operation waits",
)
PACKETS: Final = Bound(
    what="packets a second that an interface sends, for each processor, unless the flavor has its own",
    per="instance",
    most=100_000,
    answer="packets are dropped",
)
LOOPBACK_CONNECTIONS: Final = Bound(
    what="connections to instances' loopback addresses (an eighth of the host's descriptors where that is less)",
    per="host",
    most=2048,
    answer="the connection is reset",
)
LOOPBACK_CONNECTIONS_OF_PROJECT: Final = Bound(
    what="connections to the loopback addresses of a project's instances, on one host",
    per="project",
    most=1024,
    answer="the connection is reset",
)
LOOPBACK_CONNECTIONS_OF_INSTANCE: Final = Bound(
    what="connections to an instance's loopback address", per="instance", most=256, answer="the connection is reset"
)
LOOPBACK_ADDRESSES: Final = Bound(
    what="loopback addresses that one socket listens for", per="host", most=65024, answer="doctor: ListenerMissing"
)
LOOPBACK_BLOCKS: Final = Bound(
    what="blocks of ports that are admitted at all loopback addresses",
    per="host",
    most=1 << 18,
    answer="connections to ports that no rule admits are reset, not refused",
)
LOOPBACK_BLOCKS_OF_INSTANCE: Final = Bound(
    what="blocks of ports (2 to the power of n ports each) that are admitted at a loopback address",
    per="instance",
    most=1024,
    answer="connections to ports that no rule admits are reset, not refused",
)
LOOPBACK_LISTENERS: Final = Bound(
    what="listeners on loopback addresses, on kernels without sk_lookup (an eighth of the host's descriptors where that"
    " is less)",
    per="host",
    most=4096,
    answer="doctor: ListenerLeftOut",
)
LOOPBACK_LISTENERS_OF_PROJECT: Final = Bound(
    what="listeners on loopback addresses, on kernels without sk_lookup, on one host",
    per="project",
    most=1024,
    answer="doctor: ListenerLeftOut",
)
LOOPBACK_LISTENERS_OF_INSTANCE: Final = Bound(
    what="listeners on a loopback address, on kernels without sk_lookup",
    per="instance",
    most=32,
    answer="doctor: ListenerLeftOut",
)
METADATA_CONNECTIONS: Final = Bound(
    what="connections to the metadata service (an eighth of the host's descriptors where that is less)",
    per="host",
    most=1024,
    answer="the connection is closed",
)
METADATA_CONNECTIONS_OF_PROJECT: Final = Bound(
    what="connections of a project's instances to the metadata service, on one host",
    per="project",
    most=512,
    answer="the connection is closed",
)
METADATA_CONNECTIONS_OF_INSTANCE: Final = Bound(
    what="connections of an instance's port to the metadata service",
    per="instance",
    most=32,
    answer="the connection is closed",
)
METADATA_REQUESTS: Final = Bound(
    what="requests a second to the metadata service", per="instance", most=200, answer="the answer waits"
)
METADATA_KEYS: Final = Bound(
    what="public keys that the metadata service shows", per="instance", most=1000, answer="further keys are not shown"
)
METADATA_HEAD: Final = Bound(
    what="bytes of a metadata request's line and headers", per="request", most=16 << 10, answer="431"
)
METADATA_BODY: Final = Bound(what="bytes of a metadata request's body", per="request", most=4 << 10, answer="413")
RESOLVER_QUESTIONS: Final = Bound(
    what="questions under way at the host's resolvers, and connections to the guests' resolver",
    per="host",
    most=256,
    answer="SERVFAIL, or the connection is closed",
)
RESOLVER_QUESTIONS_OF_PROJECT: Final = Bound(
    what="the same, of a project's instances on one host",
    per="project",
    most=128,
    answer="SERVFAIL, or the connection is closed",
)
RESOLVER_QUESTIONS_OF_INSTANCE: Final = Bound(
    what="the same, of an instance's port", per="instance", most=16, answer="SERVFAIL, or the connection is closed"
)
CONTAINER_PROCESSES: Final = Bound(
    what="processes and threads of a container (one for each MiB of memory, from 256), unless the flavor has its own",
    per="instance",
    most=4096,
    answer="fork fails (EAGAIN)",
)
CONTAINER_FILES: Final = Bound(
    what="open files of one process in a container", per="instance", most=65536, answer="open fails (EMFILE)"
)
CONTAINER_TERMINALS: Final = Bound(
    what="pseudo terminals of a container's /dev/pts", per="instance", most=256, answer="open fails (ENOSPC)"
)
GUEST_PROCESSES: Final = Bound(
    what="per cent of the machine's process numbers, for all guests together",
    per="host",
    most=75,
    answer="fork fails (EAGAIN)",
)

# -- the bus and the protocol: queues, frames, removals ------------------------------------------------------------

BUS_FRAME: Final = Bound(
    what="bytes of one message", per="connection", most=64 << 20, answer="the connection is closed"
)
ANSWER_PAGE: Final = Bound(
    what="bytes of one page of a host's answer", per="request", most=4 << 20, answer="the answer has another page"
)
ANSWER_PAGES: Final = Bound(
    what="pages of a host's answer", per="request", most=64, answer="the store is opened without the host"
)
REMOVALS: Final = Bound(
    what="removals that a host remembers",
    per="host",
    most=20_000,
    answer="the cloud vouches for them, and the host forgets the older half",
)

HOST_STEPS: Final = Bound(
    what="steps of bodies that a host does at once, for each backend", per="host", most=6, answer="the step waits"
)

PROJECT_HOST_STEPS: Final = Bound(
    what="steps of one project's instances that a host does at once, for each backend",
    per="project",
    most=4,
    answer="the step waits",
)

HOST_ORDERS: Final = Bound(
    what="orders that wait to be taken by a host, one of each noun (projects take turns)",
    per="host",
    most=10_000,
    answer="the order is dropped: it will be sent again",
)

WAITING_REPORTS: Final = Bound(
    what="reports of one host that wait to be taken in by a process",
    per="host",
    most=8,
    answer="the oldest is dropped, and the connection waits; a host repeats what it said",
)
REPORT_QUEUE: Final = Bound(
    what="reports of one host that the broker keeps", per="host", most=500, answer="the oldest is dropped"
)
MESSAGE_QUEUE: Final = Bound(
    what="messages that any other queue of the broker, or a connection, keeps",
    per="host",
    most=10_000,
    answer="the oldest, or on a connection the newest, is dropped: it will be sent again",
)

# -- the store: journal, tombstones, tokens, waits -----------------------------------------------------------------

HELD_UP_WRITERS: Final = Bound(
    what="writers that wait behind one that another program's lock on the database holds up",
    per="process",
    most=4,
    answer="Unavailable",
)
JOURNAL: Final = Bound(
    what="settled lines of the journal", per="noun", most=200, answer="the oldest are erased within half a minute"
)
OPEN_JOURNAL: Final = Bound(
    what="lines of the journal that wait for their outcome",
    per="noun",
    most=200,
    answer="the oldest are erased within half a minute",
)
TOMBSTONES: Final = Bound(
    what="ended nouns of one kind that are still known (as many as the quota has of that kind, where that is more)",
    per="project",
    most=1000,
    answer="those that ended first are forgotten within half a minute, and not after a day",
)
UNLIMITED_TOMBSTONES: Final = Bound(
    what="ended nouns of one kind that are still known, of a project without a quota of that kind",
    per="project",
    most=20_000,
    answer="those that ended first are forgotten within half a minute, and not after a day",
)
TOKENS: Final = Bound(
    what="client tokens that are remembered, each for a day",
    per="project",
    most=100_000,
    answer="QuotaExceeded (ResourceLimitExceeded)",
)


BOUNDS: Final[dict[str, Bound]] = {
    name.lower().replace("_", "-"): value for name, value in sorted(globals().items()) if isinstance(value, Bound)
}
"""Every bound by its name: `request-body`."""
