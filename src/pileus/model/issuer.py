"""Issuer: the cloud's certificate authority for users."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pileus.model.noun import Claim, Noun, Part


class RevokedCertificate(msgspec.Struct, frozen=True):
    """A revoked certificate: its serial number in hex, when it was revoked, and until when it would have held.

    Both times are in seconds since the epoch.
    """

    serial: str
    at: float
    until: float


class Wanted(Part, frozen=True, kw_only=True):
    """`pem` is the authority's own certificate, `sealed` its encrypted private key; `revoked` has not expired yet."""

    pem: str
    sealed: str
    revoked: tuple[RevokedCertificate, ...] = ()
    gone: bool = False


class Issuer(Noun, frozen=True, kw_only=True):
    """Signs the certificates of users. A cloud has one issuer, from the first certificate on, in no project."""

    KIND: ClassVar[str] = "issuer"
    PREFIX: ClassVar[str] = "iss"
    SEEN_BY: ClassVar[Literal["project", "everybody", "administrators"]] = "administrators"
    SECRET: ClassVar[tuple[str, ...]] = ("sealed",)
    TAGGED: ClassVar[bool] = False
    ONLY: ClassVar[Claim] = ("issuer", "users")
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The place that one issuer has."""
        return (self.ONLY,)
