"""Certificate: an X.509 certificate of a user, by the cloud's issuer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pileus.model.noun import Claim, Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`pem` is the certificate; its private key is not stored.

    `serial` is in hex, `until`, its end, in seconds since the epoch.
    """

    user: Annotated[str, Ref("user", "owned")]
    pem: str
    serial: str
    until: float
    gone: bool = False


class Certificate(Noun, frozen=True, kw_only=True):
    """A certificate of a user by the cloud's issuer; a deleted certificate is on the issuer's revocation list."""

    KIND: ClassVar[str] = "certificate"
    PREFIX: ClassVar[str] = "crt"
    QUOTA: ClassVar[dict[str, int]] = {"certificates": 100}
    TAGGED: ClassVar[bool] = False
    DROPPED: ClassVar[dict[str, Any]] = {"pem": ""}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The serial number, by which a certificate is found."""
        return (("certificate", self.wanted.serial),)
