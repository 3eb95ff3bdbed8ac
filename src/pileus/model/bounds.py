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


class Bound(msgspec.Struct, frozen=True):
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

TAGS: Final = Bound("tags", "noun", 50, "QuotaExceeded (TagLimitExceeded)")
TAG_KEY: Final = Bound("characters of a tag's key", "noun", 127, "InvalidValue")
TAG_VALUE: Final = Bound("characters of a tag's value", "noun", 256, "InvalidValue")
NAME: Final = Bound("characters of a name", "noun", 255, "InvalidValue")
DESCRIPTION: Final = Bound("characters of the description of an image, a group or a rule", "noun", 255, "InvalidValue")
USERGROUP_MEMBERS: Final = Bound("users of a group of users", "noun", 500, "QuotaExceeded")
REVOKED_TOKENS: Final = Bound(
    "tokens of a user that are revoked one by one and have not expired", "noun", 100, "all tokens of the user end"
)
TOKEN_LIFETIME: Final = Bound("seconds that a signed token is good for", "request", 7 * 86400, "InvalidValue")
USER_PASSWORD: Final = Bound("characters of a user's password", "noun", 128, "InvalidValue")
WRONG_PASSWORDS: Final = Bound(
    "wrong passwords of a user in a burst; one more is looked at every 3 seconds", "process", 20, "Throttled"
)
PASSWORD_CHECKS: Final = Bound(
    "passwords that are looked at at once", "process", 2, "the request waits 5 seconds, then Throttled"
)
REVOKED_CERTIFICATES: Final = Bound(
    "certificates on the revocation list that have not expired", "cloud", 1000, "the earliest to expire leave the list"
)
DIRECTORY_QUERIES: Final = Bound(
    "logins that ask the directory at once", "process", 4, "the request waits 5 seconds, then Throttled"
)
DIRECTORY_USERS: Final = Bound("users of the directory that its filter matches", "cloud", 10_000, "Conflict")
DIRECTORY_GROUPS: Final = Bound("groups of a user in the directory", "request", 1000, "Conflict")
KEY_USES: Final = Bound(
    "access keys whose last use is not written yet", "process", 10_000, "further uses are not written"
)
RULES: Final = Bound(
    "rules of a security group in each direction", "noun", 60, "QuotaExceeded (RulesPerSecurityGroupLimitExceeded)"
)
IMAGE_ACCOUNTS: Final = Bound(
    "accounts that a private image is shared with", "noun", 1000, "QuotaExceeded (ResourceLimitExceeded)"
)
PREFIX_LIST_ENTRIES: Final = Bound("entries of a prefix list", "noun", 1000, "InvalidValue")
PREFIX_LIST_VERSIONS: Final = Bound(
    "earlier versions of a prefix list", "noun", 10, "the oldest is forgotten: it cannot be shown or restored"
)
LAUNCH_TEMPLATE_VERSIONS: Final = Bound("versions of a launch template", "noun", 100, "QuotaExceeded")
LAUNCH_TEMPLATE_DATA: Final = Bound(
    "bytes of the data of all versions of a launch template", "noun", 256 << 10, "QuotaExceeded"
)
TRUST_POLICY: Final = Bound(
    "characters of the trust policy of a role", "noun", 2048, "InvalidValue (MalformedPolicyDocument)"
)
IDENTITIES: Final = Bound("users and roles of a project that IAM makes", "noun", 1000, "QuotaExceeded (LimitExceeded)")
DHCP_SERVERS: Final = Bound(
    "servers of one kind of a DHCP option set", "noun", 4, "InvalidValue (InvalidParameterValue)"
)
ACL_ENTRIES: Final = Bound(
    "entries of a network ACL in each direction", "noun", 20, "QuotaExceeded (NetworkAclEntryLimitExceeded)"
)
FLOW_LOG_TEXT: Final = Bound("characters of each text of a flow log", "noun", 2048, "InvalidValue")
ROUTES: Final = Bound(what="routes of a route table", per="noun", most=50, answer="QuotaExceeded (RouteLimitExceeded)")
GROUPS: Final = Bound(
    "security groups of a port", "noun", 16, "QuotaExceeded (SecurityGroupsPerInterfaceLimitExceeded)"
)
ADDRESSES: Final = Bound("private addresses of a port", "noun", 16, "QuotaExceeded (PrivateIpAddressLimitExceeded)")
NETWORK_TAGS: Final = Bound("network tags of a port, or of a rule", "noun", 64, "QuotaExceeded")
INTERFACES: Final = Bound("network interfaces of an instance", "instance", 4, "QuotaExceeded (AttachmentLimitExceeded)")

DISK: Final = Bound("GiB of a disk", "noun", 65536, "InvalidValue")
PUBLIC_KEY: Final = Bound("characters of a public key", "noun", 16384, "InvalidValue (InvalidKey.Format)")
PUBLIC_KEYS: Final = Bound("public keys of an instance", "instance", 16, "InvalidValue")
PUBLIC_KEYS_SIZE: Final = Bound("characters of an instance's public keys", "instance", 16384, "InvalidValue")
RSA_BITS: Final = Bound("bits of an imported RSA key", "noun", 16384, "InvalidValue (InvalidKey.Format)")
USER_DATA: Final = Bound("bytes of user data", "instance", 16384, "InvalidValue")
FILES: Final = Bound("files that a launch gives to its guest", "instance", 16, "InvalidValue")
FILES_SIZE: Final = Bound("bytes of an instance's injected files", "instance", 64 << 10, "InvalidValue")
PASSWORD: Final = Bound("characters of an instance's password, or of its hash", "instance", 256, "InvalidValue")
LAUNCHES: Final = Bound("instances of one launch", "request", 1000, "InvalidValue")
TOKEN: Final = Bound("characters of a client token", "request", 64, "InvalidValue")
IDENT: Final = Bound("characters of an id, or of a name, that a request refers to", "request", 255, "InvalidValue")
TRAITS: Final = Bound("traits of a flavor or a host", "noun", 100, "InvalidValue")
LISTED: Final = Bound("elements of one list of a request", "request", 1000, "InvalidValue (InvalidParameterValue)")
PARAMETERS: Final = Bound("parameters of a query request", "request", 10_000, "400 (MalformedQueryString)")
FILTERS: Final = Bound("filters", "request", 50, "InvalidValue (FilterLimitExceeded)")
FILTER_VALUES: Final = Bound("values of all filters", "request", 200, "InvalidValue (FilterLimitExceeded)")
FILTER_VALUE: Final = Bound("characters of a filter's value", "request", 255, "InvalidValue")
FILTER_PATTERNS: Final = Bound(
    "characters of all filter values with wildcards", "request", 1024, "InvalidValue (FilterLimitExceeded)"
)

# -- HTTP: connections, heads, bodies ------------------------------------------------------------------------------

REQUEST_BODY: Final = Bound("bytes of a request's body", "request", 2 << 20, "413", setting="largest_request")
CONNECTIONS: Final = Bound(
    "connections to the faces",
    "process",
    4000,
    "the waiting connection that was silent longest is closed; where none waits: 503",
    setting="connections",
)
ADDRESS_CONNECTIONS: Final = Bound(
    "connections to the faces (an IPv6 address counts by its /64)",
    "address",
    1000,
    "the waiting connection of that address that was silent longest is closed; where none waits: 503",
    setting="address_connections",
)
SECONDARY_LISTENER_CONNECTIONS: Final = Bound(
    "connections of joined hosts, and connections of the mcc tools",
    "process",
    1000,
    "the waiting connection that was silent longest is closed; where none waits: 503",
)
ADDRESS_SECONDARY_LISTENER_CONNECTIONS: Final = Bound(
    "connections of joined hosts, and connections of the mcc tools",
    "address",
    400,
    "the waiting connection of that address that was silent longest is closed; where none waits: 503",
)
HEAD_BYTES: Final = Bound(
    "bytes in a row that are no body: a head, the trailers of a body", "connection", 64 << 10, "431"
)
BODY_PARTS: Final = Bound("parts of a body that may be shorter than 64 bytes on average", "request", 1000, "431")
HEADERS: Final = Bound("headers and trailers", "request", 100, "431")
PIPELINED: Final = Bound(
    "requests that wait for the answer to an earlier one",
    "connection",
    8,
    "the connection is closed after the answers to these",
)
REQUEST_PATIENCE: Final = Bound(
    "seconds without a TLS handshake, a whole head, or progress of a body or of an answer",
    "connection",
    20,
    "408, or the connection is closed",
    setting="request_patience",
)
IDLE: Final = Bound("seconds between two requests", "connection", 75, "the connection is closed")
BODIES: Final = Bound("bytes of bodies and answers in memory", "process", 256 << 20, "Throttled")
ADDRESS_BODIES: Final = Bound("bytes of bodies and answers in memory", "address", 64 << 20, "Throttled")
UNREAD: Final = Bound(
    "bytes of a refused request that are read and dropped, so that its client can read the answer",
    "connection",
    64 << 20,
    "the connection is closed",
)
SIGNED_FORM: Final = Bound("bytes of a form with a signature in it", "request", 64 << 10, "413")
SIGNED_PARAMETERS: Final = Bound("parameters of a query or signed form", "request", 2000, "400")
QUERY: Final = Bound("parameters of a REST call's query", "request", 100, "InvalidValue")
HOST_BODY: Final = Bound("bytes of a joined host's request body", "request", 64 << 10, "413")
MCC_BODY: Final = Bound("bytes of the body of an mcc tool's call", "request", 256 << 10, "413")

# -- fair shares: threads, streams, waits, rates -------------------------------------------------------------------

REQUEST_THREADS: Final = Bound(
    "requests that verbs work on at once", "process", 16, "the request waits", setting="threads"
)
PROJECT_THREADS: Final = Bound(
    "requests that verbs work on at once while other projects have some",
    "project",
    1,
    "the request waits",
    setting="threads_share",
)
REQUESTS_WAITING: Final = Bound("requests that wait for a thread", "project", 256, "Throttled (RequestLimitExceeded)")
ARRIVALS_WAITING: Final = Bound(
    "requests whose caller is not identified yet", "address", 1024, "Throttled (RequestLimitExceeded)"
)
IDENTIFYING: Final = Bound("requests whose caller is identified at once", "process", 2, "the request waits")
HOST_WAITS: Final = Bound("requests that wait for hosts", "process", 32, "Throttled (RequestLimitExceeded)")
PROJECT_HOST_WAITS: Final = Bound("requests that wait for hosts", "project", 8, "Throttled (RequestLimitExceeded)")
HOST_CALLS: Final = Bound("requests that wait for one host", "host", 12, "Unavailable")
STREAMS: Final = Bound("streams to instances", "process", 512, "the websocket is closed, 1013")
PROJECT_STREAMS: Final = Bound("streams to instances", "project", 64, "the websocket is closed, 1013")
INSTANCE_SESSIONS: Final = Bound(
    "commands, consoles and followed logs at once", "instance", 16, "the websocket is closed, 1011"
)
HOST_SESSIONS: Final = Bound(
    "commands, consoles and followed logs at once", "host", 64, "the websocket is closed, 1011"
)
EXECUTION_FRAME: Final = Bound(
    "bytes of a frame of a command's stream, the command among them", "connection", 128 << 10, "the stream is closed"
)
CONSOLE_OUTPUT: Final = Bound("bytes of a console's output that are shown", "instance", 64 << 10, "the end is shown")
CONTROL_FRAMES: Final = Bound(
    "pings or pongs a second (20 times as many in a burst)", "connection", 10, "it is closed, 1008"
)
WEBSOCKET_TIME: Final = Bound(
    "percent of time for streams while a request is answered", "process", 20, "the frames wait"
)
WAITS: Final = Bound("requests that wait for a change", "process", 16_000, "Throttled")
PROJECT_WAITS: Final = Bound("requests that wait for a change", "project", 12_000, "Throttled")
UPLOADS: Final = Bound("images on their way in", "process", 32, "Throttled")
PROJECT_UPLOADS: Final = Bound("images on their way in", "project", 4, "Throttled")
MCC_CALLS: Final = Bound(
    "calls of the mcc tools that wait for a thread",
    "process",
    512,
    "the oldest call of the address with most of them: 503; where no address has more than the caller's: 503",
)
ADDRESS_MCC_CALLS: Final = Bound(
    "calls of the mcc tools that wait for a thread (addresses take turns)", "address", 128, "503"
)
RATE_READS: Final = Bound(
    "calls a second that only read (20 times as many in a burst)",
    "caller",
    500,
    "Throttled (RequestLimitExceeded)",
    setting="rate_reads",
)
RATE_CHANGES: Final = Bound(
    "calls a second that change something (20 times as many in a burst)",
    "caller",
    200,
    "Throttled (RequestLimitExceeded)",
    setting="rate_changes",
)
RATE_LAUNCHES: Final = Bound(
    "instances launched a second (20 times as many in a burst)",
    "caller",
    100,
    "Throttled (RequestLimitExceeded)",
    setting="rate_launches",
)
RATE_REFUSALS: Final = Bound(
    "calls a second without a good credential (20 times as many in a burst)",
    "address",
    50,
    "Throttled, except for credentials that were good there before; /healthz repeats its answer for a second",
    setting="rate_refusals",
)
RATE_KEYS: Final = Bound("callers, or addresses, whose rates are known", "process", 10_000, "the oldest is forgotten")
AUDITED_REFUSALS: Final = Bound(
    "refused calls a second in the audit log (20 times as many in a burst)",
    "caller",
    10,
    "a line counts those left out",
)
AUDITED_CHANGES: Final = Bound(
    "accepted calls a minute in the audit log (ten times as many in a burst)",
    "project",
    300,
    "a line counts those left out",
)
AUDITED_STRANGERS: Final = Bound(
    "refused calls a second without a good credential in the audit log (20 times as many in a burst)",
    "process",
    50,
    "a line counts those left out",
)
LOGGED_REFUSALS: Final = Bound(
    "lines a second of refusals and of trouble in a process's own log (20 times as many in a burst)",
    "address",
    1,
    "a line counts those left out",
)
LOGGED_TROUBLE: Final = Bound(
    "lines a second of refusals and of clients' trouble in a process's own log (20 times as many in a burst)",
    "process",
    5,
    "a line counts those left out",
)
AUDIT_BYTES: Final = Bound(
    "bytes of one file of the audit log", "cloud", 16 << 20, "the file is set aside", setting="audit_size"
)
AUDIT_FILES: Final = Bound("files of the audit log", "cloud", 10, "the oldest is removed", setting="audit_files")

# -- images: uploads, inspections, archives, caches ----------------------------------------------------------------

IMAGE_BYTES: Final = Bound("bytes of an uploaded image", "request", 64 << 30, "InvalidValue", setting="largest_image")
VIRTUAL_DISK: Final = Bound("bytes of an image's disk", "request", 16 << 40, "InvalidValue")
INSPECTIONS: Final = Bound("uploaded images inspected at once", "process", 6, "the inspection waits")
PROJECT_INSPECTIONS: Final = Bound("uploaded images inspected at once", "project", 2, "the inspection waits")
WAITING_INSPECTIONS: Final = Bound("uploaded images inspected or waiting for it", "project", 16, "Throttled")
INSPECTION_SECONDS: Final = Bound(
    "seconds of an inspection, and one more for each 4 MiB of the upload", "request", 60, "InvalidValue"
)
INSPECTION_SECONDS_IN_ALL: Final = Bound(
    "seconds of an inspection, however large the upload", "request", 900, "InvalidValue"
)
ARCHIVE_BYTES: Final = Bound(
    "bytes of the files of a container's image, holes counted", "request", 64 << 30, "InvalidValue"
)
ARCHIVE_ENTRIES: Final = Bound("files, folders and links of a container's image", "request", 500_000, "InvalidValue")
CACHE_BYTES: Final = Bound(
    "bytes of images kept ready, beside those in use",
    "host",
    50 << 30,
    "those used least lately are removed",
    setting="image_cache",
)
CACHE_ENTRIES: Final = Bound(
    "files, folders and links of unpacked images kept ready, beside those in use",
    "host",
    1_000_000,
    "those used least lately are removed",
    setting="image_cache_entries",
)
CACHE_IDLE: Final = Bound("seconds that an unpacked image stays after its last use", "host", 86_400, "it is removed")
CACHE_TREE: Final = Bound(
    "files, folders and links of an unpacked image that stays after its last use",
    "host",
    100_000,
    "it is removed with the last instance of it",
)
FREE_DISK: Final = Bound(
    "bytes of the cloud's disk that uploads and captures leave free (a twentieth of a disk of less than 20 GiB)",
    "cloud",
    1 << 30,
    "Unavailable",
)
FREE_INODES: Final = Bound(
    "percent of a host's inodes that unpacking an image leaves free",
    "host",
    5,
    "HostDiskFull: unused images are removed, or the instance waits",
)
DELETED_IMAGE: Final = Bound(
    "seconds after their last use for which a deleted image's bytes stay that the quota has no room for beside the"
    " project's images",
    "project",
    120,
    "they are removed within a minute, those used least lately first",
)
INSPECTION_MESSAGE: Final = Bound("bytes of a message about an image", "request", 2 << 10, "the message is cut")

# -- hosts and guests: listeners, descriptors, kernel resources ----------------------------------------------------

BANDWIDTH: Final = Bound(
    "Mbit/s that an interface sends, for each processor, unless the flavor has its own",
    "instance",
    1000,
    "packets are dropped",
)
CONTROLLER_PACKETS: Final = Bound(
    "packets a second of a network, and of a router, that the network controller of a host answers",
    "noun",
    1000,
    "packets are dropped",
)
DISK_OPERATIONS: Final = Bound(
    "operations a second of a machine's disk, for each processor, unless the flavor has its own",
    "instance",
    10_000,
    "the operation waits",
)
DISK_THROUGHPUT: Final = Bound(
    "MiB/s of a machine's disk, for each processor, unless the flavor has its own",
    "instance",
    500,
    "the operation waits",
)
PACKETS: Final = Bound(
    "packets a second that an interface sends, for each processor, unless the flavor has its own",
    "instance",
    100_000,
    "packets are dropped",
)
LOOPBACK_CONNECTIONS: Final = Bound(
    "connections to instances' loopback addresses (an eighth of the host's descriptors where that is less)",
    "host",
    2048,
    "the connection is reset",
)
LOOPBACK_CONNECTIONS_OF_PROJECT: Final = Bound(
    "connections to the loopback addresses of a project's instances, on one host",
    "project",
    1024,
    "the connection is reset",
)
LOOPBACK_CONNECTIONS_OF_INSTANCE: Final = Bound(
    "connections to an instance's loopback address", "instance", 256, "the connection is reset"
)
LOOPBACK_ADDRESSES: Final = Bound(
    "loopback addresses that one socket listens for", "host", 65024, "doctor: ListenerMissing"
)
LOOPBACK_BLOCKS: Final = Bound(
    "blocks of ports that are admitted at all loopback addresses",
    "host",
    1 << 18,
    "connections to ports that no rule admits are reset, not refused",
)
LOOPBACK_BLOCKS_OF_INSTANCE: Final = Bound(
    "blocks of ports (2 to the power of n ports each) that are admitted at a loopback address",
    "instance",
    1024,
    "connections to ports that no rule admits are reset, not refused",
)
LOOPBACK_LISTENERS: Final = Bound(
    "listeners on loopback addresses, on kernels without sk_lookup (an eighth of the host's descriptors where that"
    " is less)",
    "host",
    4096,
    "doctor: ListenerLeftOut",
)
LOOPBACK_LISTENERS_OF_PROJECT: Final = Bound(
    "listeners on loopback addresses, on kernels without sk_lookup, on one host",
    "project",
    1024,
    "doctor: ListenerLeftOut",
)
LOOPBACK_LISTENERS_OF_INSTANCE: Final = Bound(
    "listeners on a loopback address, on kernels without sk_lookup", "instance", 32, "doctor: ListenerLeftOut"
)
METADATA_CONNECTIONS: Final = Bound(
    "connections to the metadata service (an eighth of the host's descriptors where that is less)",
    "host",
    1024,
    "the connection is closed",
)
METADATA_CONNECTIONS_OF_PROJECT: Final = Bound(
    "connections of a project's instances to the metadata service, on one host",
    "project",
    512,
    "the connection is closed",
)
METADATA_CONNECTIONS_OF_INSTANCE: Final = Bound(
    "connections of an instance's port to the metadata service", "instance", 32, "the connection is closed"
)
METADATA_REQUESTS: Final = Bound("requests a second to the metadata service", "instance", 200, "the answer waits")
METADATA_KEYS: Final = Bound(
    "public keys that the metadata service shows", "instance", 1000, "further keys are not shown"
)
SCREEN: Final = Bound("bytes of the picture of a machine's screen", "instance", 16 << 20, "HypervisorFailed")
METADATA_HEAD: Final = Bound("bytes of a metadata request's line and headers", "request", 16 << 10, "431")
METADATA_BODY: Final = Bound("bytes of a metadata request's body", "request", 4 << 10, "413")
RESOLVER_QUESTIONS: Final = Bound(
    "questions under way at the host's resolvers, and connections to the guests' resolver",
    "host",
    256,
    "SERVFAIL, or the connection is closed",
)
RESOLVER_QUESTIONS_OF_PROJECT: Final = Bound(
    "the same, of a project's instances on one host", "project", 128, "SERVFAIL, or the connection is closed"
)
RESOLVER_QUESTIONS_OF_INSTANCE: Final = Bound(
    "the same, of an instance's port", "instance", 16, "SERVFAIL, or the connection is closed"
)
UPLINK_CONNECTIONS: Final = Bound(
    "connections of guests by the uplink (`pileus up --internet`)", "cloud", 8192, "ICMP: administratively prohibited"
)
UPLINK_CONNECTIONS_OF_ADDRESS: Final = Bound(
    "the same, of one address of the outside network: a router, or a floating address",
    "address",
    2048,
    "ICMP: administratively prohibited",
)
CONTAINER_PROCESSES: Final = Bound(
    "processes and threads of a container (one for each MiB of memory, from 256), unless the flavor has its own",
    "instance",
    4096,
    "fork fails (EAGAIN)",
)
CONTAINER_FILES: Final = Bound("open files of one process in a container", "instance", 65536, "open fails (EMFILE)")
CONTAINER_TERMINALS: Final = Bound("pseudo terminals of a container's /dev/pts", "instance", 256, "open fails (ENOSPC)")
GUEST_PROCESSES: Final = Bound(
    "per cent of the machine's process numbers, for all guests together", "host", 75, "fork fails (EAGAIN)"
)

# -- the bus and the protocol: queues, frames, removals ------------------------------------------------------------

BUS_FRAME: Final = Bound("bytes of one message", "connection", 64 << 20, "the connection is closed")
ANSWER_PAGE: Final = Bound("bytes of one page of a host's answer", "request", 4 << 20, "the answer has another page")
ANSWER_PAGES: Final = Bound("pages of a host's answer", "request", 64, "the store is opened without the host")
REMOVALS: Final = Bound(
    "removals that a host remembers", "host", 20_000, "the cloud vouches for them, and the host forgets the older half"
)

HOST_STEPS: Final = Bound("steps of bodies that a host does at once, for each backend", "host", 6, "the step waits")

PROJECT_HOST_STEPS: Final = Bound(
    "steps of one project's instances that a host does at once, for each backend", "project", 4, "the step waits"
)

HOST_ORDERS: Final = Bound(
    "orders that wait to be taken by a host, one of each noun (projects take turns)",
    "host",
    10_000,
    "the order is dropped: it will be sent again",
)

WAITING_REPORTS: Final = Bound(
    "reports of one host that wait to be taken in by a process",
    "host",
    8,
    "the oldest is dropped, and the connection waits; a host repeats what it said",
)
REPORT_QUEUE: Final = Bound("reports of one host that the broker keeps", "host", 500, "the oldest is dropped")
MESSAGE_QUEUE: Final = Bound(
    "messages that any other queue of the broker, or a connection, keeps",
    "host",
    10_000,
    "the oldest, or on a connection the newest, is dropped: it will be sent again",
)

# -- the store: journal, tombstones, tokens, waits -----------------------------------------------------------------

HELD_UP_WRITERS: Final = Bound(
    "writers that wait behind one that another program's lock on the database holds up", "process", 4, "Unavailable"
)
JOURNAL: Final = Bound(
    "settled lines of the journal, beside that of its creation",
    "noun",
    200,
    "the oldest are erased within half a minute",
)
OPEN_JOURNAL: Final = Bound(
    "lines of the journal that wait for their outcome, beside that of its creation",
    "noun",
    200,
    "the oldest are erased within half a minute",
)
TOMBSTONES: Final = Bound(
    "ended nouns of one kind that are still known (as many as the quota has of that kind, where that is more)",
    "project",
    1000,
    "those that ended first are forgotten within half a minute, and not after a day",
)
UNLIMITED_TOMBSTONES: Final = Bound(
    "ended nouns of one kind that are still known, of a project without a quota of that kind",
    "project",
    20_000,
    "those that ended first are forgotten within half a minute, and not after a day",
)
TOKENS: Final = Bound(
    "client tokens that are remembered, each for a day", "project", 100_000, "QuotaExceeded (ResourceLimitExceeded)"
)


BOUNDS: Final[dict[str, Bound]] = {
    name.lower().replace("_", "-"): value for name, value in sorted(globals().items()) if isinstance(value, Bound)
}
"""Every bound by its name: `request-body`."""
