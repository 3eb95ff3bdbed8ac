"""This cloud's settings: defaults, overridden by PILEUS_* in the environment, overridden by the command line."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pileus.model.addresses import OUTSIDE


class Settings(BaseSettings):
    """What an operator may choose. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="PILEUS_")

    region: str = Field(default="us-east-1", description="the region that clients are told")
    zone: str = Field(default="us-east-1a", description="the availability zone that clients are told")
    tls: str = Field(
        default="",
        description="own: the faces prove themselves by a certificate of the cloud's own authority; CERT.pem:KEY.pem: "
        "by these files, taken anew when they change; empty: they speak plain HTTP",
    )
    names: str = Field(
        default="",
        description="names and addresses, with commas between them, by which clients reach the cloud, beside 127.0.0.1 "
        "and localhost; the first one is in the URLs",
    )
    internal: str = Field(
        default="",
        description="ADDRESS:PORT at which hosts on other machines join, and fetch what they start instances from, "
        "over TLS; empty: all hosts are on this machine",
    )
    channels: str = Field(
        default="",
        description="ADDRESS:PORT at which a host that joined gives consoles and streams to the cloud; empty: a free "
        "port of the address by which it reached the cloud",
    )
    southbound: str = Field(
        default="",
        description="where the network controllers of hosts on other machines find OVN's southbound database: "
        "ssl:ADDRESS:PORT",
    )
    broker_admin: str = Field(
        default="",
        description="URL of the broker's management, https://USER:PASSWORD@HOST:PORT, where hosts get accounts as they "
        "join; empty: the operator makes them",
    )
    resolv_conf: Path = Field(
        default=Path("/dev/null"),
        description="a resolv.conf(5) whose resolvers are asked for names that are no guest's; /dev/null: none are",
    )
    store_sync: Literal["normal", "full"] = Field(
        default="normal",
        description="full: what was acknowledged survives a power cut; normal: the death of every process",
    )
    floating_cidr: str = Field(
        default=OUTSIDE, description="the outside network: routers and floating addresses have theirs from it"
    )
    boot_restore: bool = Field(
        default=False,
        description="start new guests as copies of one that has booted, where their image can (see docs/images.md)",
    )
    template_cache: int = Field(
        default=4 << 30, ge=0, description="bytes of disk for what guests are copied from, of all clouds of a machine"
    )
    bus: str = Field(
        default="",
        description="URL of a RabbitMQ broker between cloud and hosts, amqps://USER:PASSWORD@HOST:PORT/VHOST (see"
        " docs/operating.md); empty: a socket on this machine",
    )
    loop_workers: int = Field(default=4, ge=1, le=64, description="threads that run the loops")
    threads: int = Field(default=16, ge=1, le=256, description="threads that answer requests")
    largest_request: int = Field(default=2 << 20, ge=1024, description="bytes of a request's body")
    largest_image: int = Field(default=64 << 30, description="bytes of an uploaded image")
    image_cache: int = Field(
        default=50 << 30,
        ge=0,
        description="bytes of images that a host keeps ready; those that instances lean on stay, however many",
    )
    image_cache_folder: Path = Field(
        default=Path("/var/lib/pileus/cache"), description="where they are kept, for all clouds that name this folder"
    )
    log_level: Literal["debug", "info", "warning"] = Field(
        default="info", description="what the processes log; debug: requests that change nothing, too"
    )
    stub_latency: float = Field(default=0.0, ge=0, description="seconds that the stub pretends to work at each step")

    @field_validator("internal")
    @classmethod
    def _listens(cls, value: str) -> str:
        if value and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[0-9.]+):[0-9]{1,5}", value):
            raise ValueError("internal is an address of this machine and a port: 10.0.0.1:8774")
        return value

    @field_validator("tls")
    @classmethod
    def _pair(cls, value: str) -> str:
        if value in ("", "own") or re.fullmatch(r"/[^:]+:/[^:]+", value):
            return value
        raise ValueError("tls is 'own', or the absolute paths of a certificate and its key: CERT.pem:KEY.pem")

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the cloud is called, the name in URLs first."""
        given = [name.strip() for name in self.names.split(",") if name.strip()]
        return tuple(dict.fromkeys([*given, "127.0.0.1", "localhost"]))

    @field_validator("floating_cidr")
    @classmethod
    def _range(cls, value: str) -> str:
        if not 16 <= ipaddress.IPv4Network(value).prefixlen <= 28:
            raise ValueError("the outside network has a prefix of 16 to 28 bits")
        return value
