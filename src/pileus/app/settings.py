"""This cloud's settings: defaults, overridden by PILEUS_* in the environment, overridden by the command line."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from pileus.app import origins
from pileus.app.processes import holds_secret
from pileus.cli.problem import Problem
from pileus.model import addresses, directory
from pileus.model.addresses import IPV6, OUTSIDE
from pileus.model.bounds import BOUNDS, Bound
from pileus.model.host import Overcommit
from pileus.model.kit import Kit
from pileus.model.placement import Policy

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "PILEUS_"
"""The prefix of the variables' names; a setting's own name follows in capitals."""

OTHERS = ("PILEUS_STATE", "PILEUS_DEBIAN_MIRROR")
"""Variables that commands read, and that are no settings of a cloud's."""

SECRET = frozenset({"store", "bus", "broker_admin"})
"""Settings that may hold passwords, beside those that are named as secrets are: never shown."""


def _says(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that an operator may choose. Sizes in bytes, times in seconds."""

    region: Annotated[str, _says("the region that clients are told")] = "us-east-1"
    zone: Annotated[str, _says("the availability zone that clients are told")] = "us-east-1a"
    tls: Annotated[
        str,
        _says(
            "own: the faces prove themselves by a certificate of the cloud's own authority; CERT.pem:KEY.pem: by these "
            "files, taken anew when they change; empty: they speak plain HTTP"
        ),
    ] = ""
    names: Annotated[
        str,
        _says(
            "names and addresses, with commas between them, by which clients reach the cloud, beside 127.0.0.1 and "
            "localhost; the first one is in the URLs"
        ),
    ] = ""
    listen: Annotated[
        str, _says("the address at which the faces listen; another one than 127.0.0.1 for clients elsewhere, with tls")
    ] = "127.0.0.1"
    internal: Annotated[
        str,
        _says(
            "ADDRESS:PORT at which hosts on other machines join, and fetch what they start instances from, over TLS; "
            "empty: all hosts are on this machine"
        ),
    ] = ""
    channels: Annotated[
        str,
        _says(
            "ADDRESS:PORT at which a host that joined gives consoles and streams to the cloud; empty: a free port of "
            "the address by which it reached the cloud"
        ),
    ] = ""
    host_metrics: Annotated[
        str,
        _says(
            "ADDRESS:PORT at which a host tells Prometheus what its instances use, GET /metrics, by TLS where it has "
            "joined a cloud; empty: nowhere"
        ),
    ] = ""
    southbound: Annotated[
        str,
        _says(
            "where the network controllers of hosts on other machines find OVN's southbound database: ssl:ADDRESS:PORT"
        ),
    ] = ""
    broker_admin: Annotated[
        str,
        _says(
            "URL of the broker's management, https://USER:PASSWORD@HOST:PORT, where hosts get their accounts, and lose "
            "them when they are removed; empty: the operator makes and removes them"
        ),
    ] = ""
    store: Annotated[
        str,
        _says(
            "the database, postgresql://USER:PASSWORD@HOST:PORT/DATABASE or mariadb://…; empty: SQLite in the state "
            "directory (see docs/operating.md, The database)"
        ),
    ] = ""
    store_sync: Annotated[
        Literal["normal", "full"],
        _says("full: what was acknowledged survives a power cut; normal: the death of every process"),
    ] = "normal"
    floating_cidr: Annotated[str, _says("the outside network: routers and floating addresses have theirs from it")] = (
        OUTSIDE
    )
    ipv6_cidr: Annotated[
        str,
        _says(
            "the cloud's IPv6 addresses: each VPC has a /56 of it, the outside network the first; that network's "
            "gateway has the first address, and reaches all the others there"
        ),
    ] = IPV6
    overcommit_cpu: Annotated[
        float, Meta(gt=0), _says("how many times over a host's processors are given away, unless it has its own")
    ] = 16.0
    overcommit_memory: Annotated[float, Meta(gt=0), _says("the same for memory")] = 1.0
    overcommit_disk: Annotated[float, Meta(gt=0), _says("the same for disk: overlays grow only as guests write")] = 2.0
    placement: Annotated[
        Literal["spread", "stack"],
        _says("spread: instances go to the emptiest host; stack: to the fullest that has room"),
    ] = "spread"
    bus: Annotated[
        str,
        _says(
            "URL of a RabbitMQ broker between cloud and hosts, amqps://USER:PASSWORD@HOST:PORT/VHOST (see "
            "docs/operating.md); empty: a socket on this machine"
        ),
    ] = ""
    loop_workers: Annotated[int, Meta(ge=1, le=64), _says("threads that run the loops")] = 4
    threads: Annotated[int, Meta(ge=1, le=256), _says("threads that answer requests")] = 16
    threads_share: Annotated[
        int,
        Meta(ge=1, le=256),
        _says("threads that answer requests of one project at once while other projects have some"),
    ] = 1
    rate_reads: Annotated[
        float,
        Meta(ge=0),
        _says("calls a second that only read, by each user; 0: any number (see docs/operating.md, Rates)"),
    ] = 500.0
    rate_changes: Annotated[
        float, Meta(ge=0), _says("calls a second that change something, by each user; 0: any number")
    ] = 200.0
    rate_launches: Annotated[
        float, Meta(ge=0), _says("instances that each user launches in a second; 0: any number")
    ] = 100.0
    rate_refusals: Annotated[
        float, Meta(ge=0), _says("calls a second without a good credential, from each address; 0: any number")
    ] = 50.0
    audit_size: Annotated[int, Meta(ge=4096), _says("bytes of one file of the audit log")] = 16 << 20
    audit_files: Annotated[int, Meta(ge=1, le=1000), _says("files of the audit log that are kept")] = 10
    largest_request: Annotated[int, Meta(ge=1024), _says("bytes of a request's body")] = 2 << 20
    connections: Annotated[
        int, Meta(ge=16), _says("connections to the faces at once; fewer where descriptors are few")
    ] = 4000
    address_connections: Annotated[
        int,
        Meta(ge=4),
        _says(
            "connections from one address at once, at most half of all; raise both where clients come through a proxy"
        ),
    ] = 1000
    request_patience: Annotated[
        float,
        Meta(gt=0),
        _says("seconds without a TLS handshake, a whole head, or progress of a body, after which a connection ends"),
    ] = 20.0
    largest_image: Annotated[int, _says("bytes of an uploaded image")] = 64 << 30
    keep_objects: Annotated[
        int,
        Meta(ge=0),
        _says(
            "days for which an image's bytes stay after no image and no disk names them any more: at least as many as "
            "the age of any copy of the database that may be put back; sooner where the project's "
            "quota has no room for them beside its images; 0: for ever"
        ),
    ] = 7
    ldap_url: Annotated[
        str,
        _says(
            "ldaps://HOST or ldap://HOST of the directory that proves users by their passwords (see docs/operating.md, "
            "The directory); empty: the cloud has its own users alone"
        ),
    ] = ""
    ldap_tls: Annotated[
        Literal["require", "off"],
        _says("require: a connection to ldap:// is encrypted by StartTLS before anything is said; off: it is not"),
    ] = "require"
    ldap_ca: Annotated[
        str, _says("file with the certificates by which the directory is verified; empty: those of the machine")
    ] = ""
    ldap_user: Annotated[
        str, _says("distinguished name as which the cloud searches the directory; empty: anonymously")
    ] = ""
    ldap_password: Annotated[str, _says("the password of that name")] = ""
    ldap_base: Annotated[str, _says("distinguished name below which users are: ou=Users,dc=example,dc=com")] = ""
    ldap_filter: Annotated[str, _says("filter of the entries that are users")] = "(objectClass=person)"
    ldap_name: Annotated[
        str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]*$"), _says("attribute of a user's name: uid, or sAMAccountName")
    ] = "uid"
    ldap_group_base: Annotated[str, _says("distinguished name below which groups are; empty: where users are")] = ""
    ldap_roles: Annotated[
        str,
        _says(
            "GROUP=PROJECT:ROLE, with commas between several: members of the group have the role reader, member, admin "
            "or administrator; their home is the project of their first group; missing projects are made"
        ),
    ] = ""
    metrics_allow: Annotated[
        str,
        _says(
            "ranges of addresses, with commas between them, from which /metrics is answered; other callers show an "
            "administrator's token"
        ),
    ] = "127.0.0.0/8,::1"
    log_level: Annotated[
        Literal["debug", "info", "warning"],
        _says("what the processes log; debug: requests that change nothing, too"),
    ] = "info"

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be used."""
        if not 16 <= ipaddress.IPv4Network(self.floating_cidr).prefixlen <= 28:
            raise ValueError("the outside network has a prefix of 16 to 28 bits")
        if not 16 <= ipaddress.IPv6Network(self.ipv6_cidr).prefixlen <= 48:
            raise ValueError("the range of IPv6 addresses has a prefix of 16 to 48 bits")
        for name in ("internal", "channels", "host_metrics"):
            if (where := getattr(self, name)) and not addresses.is_socket_address(where):
                raise ValueError(f"{name} is an address of this machine and a port: 10.0.0.1:8774")
        origins.ranges(self.metrics_allow)
        directory.mappings(self.ldap_roles)
        if self.ldap_url and not re.fullmatch(r"ldaps?://[^/?#\s]+/?", self.ldap_url):
            raise ValueError("the directory is at ldaps://HOST, ldap://HOST or one of these with :PORT")
        if self.tls not in ("", "own") and not re.fullmatch(r"/[^:]+:/[^:]+", self.tls):
            raise ValueError("tls is 'own', or the absolute paths of a certificate and its key: CERT.pem:KEY.pem")

    def __repr__(self) -> str:
        """Nothing of what is set: some of it is secret."""
        return "Settings(…)"

    def database(self, own: str) -> str:
        """The store's URL: the one that is set, else `own`."""
        return self.store or own

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names of the cloud, the name in URLs first."""
        cloud_names = [name.strip() for name in self.names.split(",") if name.strip()]
        return tuple(dict.fromkeys([*cloud_names, "127.0.0.1", "localhost"]))

    def bounds(self, own: msgspec.Struct | None = None) -> dict[str, Bound]:
        """The bounds in force, by name: those of the table, with what these settings and a provider's `own` change."""
        chosen = {**(msgspec.structs.asdict(own) if own else {}), **msgspec.structs.asdict(self)}
        return {
            name: msgspec.structs.replace(bound, most=chosen[bound.setting]) if bound.setting in chosen else bound
            for name, bound in BOUNDS.items()
        }

    @property
    def policy(self) -> Policy:
        """How hosts are chosen."""
        ratios = Overcommit(vcpus=self.overcommit_cpu, memory=self.overcommit_memory, disk=self.overcommit_disk)
        return Policy(overcommit=ratios, strategy=self.placement)


def read(environment: Mapping[str, str] = os.environ, kit: Kit | None = None) -> Settings:
    """The settings that `environment` has, the rest as they are by default. Problem names a variable of no use.

    A `kit` may have other defaults for those that are not there, or empty.
    """
    return _read(Settings, with_defaults(environment, kit))


def with_defaults(environment: Mapping[str, str], kit: Kit | None) -> Mapping[str, str]:
    """The environment with a kit's defaults for the settings that are not there, or empty."""
    defaults = {variable(name): value for name, value in kit.defaults.items()} if kit is not None else {}
    unset = {name: value for name, value in defaults.items() if not environment.get(name)}
    return {**environment, **unset}


def read_own(kit: Kit, environment: Mapping[str, str] = os.environ) -> msgspec.Struct | None:
    """The kit's own settings, as `read` does; None for one that has none."""
    return None if kit.settings is None else _read(kit.settings, environment)


def choose(kit: Kit, options: Mapping[str, str]) -> None:
    """Set the kit's settings `options`, by name, in this process's environment. Problem where the kit has no such."""
    for name, value in options.items():
        if kit.settings is None or name not in kit.settings.__struct_fields__:
            raise Problem(
                f"A cloud over '{kit.name}' has no packets, so --{name.partition('_')[0]} has no meaning there."
            )
        os.environ[variable(name)] = value


def read_face(kind: type[T], face: str, environment: Mapping[str, str] = os.environ) -> T:
    """The settings of a face, as `read` does; its name is in those of its variables."""
    return _read(kind, environment, face)


def _read(kind: type[T], environment: Mapping[str, str], owner: str = "") -> T:
    names = {name: variable(name, owner) for name in kind.__struct_fields__}
    raw_settings = {name: environment[names[name]] for name in names if names[name] in environment}
    for name, value in raw_settings.items():
        try:
            msgspec.convert({name: value}, kind, strict=False, dec_hook=_path)
        except (msgspec.ValidationError, ValueError) as error:
            # What msgspec adds to its words is where the value stood: the variable says it better.
            why = str(error).partition(" - at ")[0]
            shown = "" if name in SECRET or holds_secret(names[name]) else f"={value}"
            raise Problem(f"{names[name]}{shown} cannot be used: {why}.") from error
    return msgspec.convert(raw_settings, kind, strict=False, dec_hook=_path)


def misspelt(kits: Iterable[Kit], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that look like settings and are none, each with the one that was meant, perhaps; else ""."""
    strange = {name for name in environment if name.startswith(PREFIX)} - {*variables(()), *OTHERS}
    valid_names: set[str] = set()
    if strange:
        from pileus.app import faces  # noqa: PLC0415  (looking for faces is dear, and few settings are theirs)

        # The kits and faces are looked at where that may matter.
        valid_names = {*variables(kits), *OTHERS, *faces.variables()}
    strange -= valid_names
    return {name: next(iter(difflib.get_close_matches(name, valid_names, 1, 0.8)), "") for name in sorted(strange)}


def kinds(kits: Iterable[Kit]) -> tuple[type[msgspec.Struct], ...]:
    """The structs of all settings: the cloud's own, and those of the kits."""
    return (Settings, *(kit.settings for kit in kits if kit.settings is not None))


def variables(kits: Iterable[Kit]) -> set[str]:
    """The environment's names of all settings."""
    return {variable(name) for kind in kinds(kits) for name in kind.__struct_fields__}


def variable(name: str, owner: str = "") -> str:
    """The environment's name of a setting, of the face `owner` where it is one's."""
    return PREFIX + (f"{owner}_{name}" if owner else name).upper()


def _path(_type: type, value: object) -> Path:
    return Path(str(value))
