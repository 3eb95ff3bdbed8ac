"""Credential: what a client proves itself with."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

from pileus.model.noun import Claim, Noun, Part, Ref


class SessionSecret(NamedTuple):
    """The secret that a session's requests are signed with, and the end of the session in seconds since the epoch."""

    secret: bytes
    until: float


class Wanted(Part, frozen=True, kw_only=True):
    """`aws`: `key` is the access key id, `sealed` the encrypted secret. `token`: `key` is the sha256 of the token.

    Neither lets anybody in unless it is `enabled`. `join` lets one host in, once: `key` is the token's sha256, `host`
    the name that it is for (any if empty), `until` the time (seconds since the epoch) after which it is worthless.
    """

    type: Literal["aws", "token", "join"]
    key: str
    user: Annotated[str, Ref("user", "owned")]
    sealed: str = ""
    host: str = ""
    until: float = 0.0
    enabled: bool = True
    gone: bool = False


class Credential(Noun, frozen=True, kw_only=True):
    """Acts for its user in its project; secrets are never stored in the clear."""

    KIND: ClassVar[str] = "credential"
    PREFIX: ClassVar[str] = "crd"
    SECRET: ClassVar[tuple[str, ...]] = ("sealed",)
    QUOTA: ClassVar[dict[str, int]] = {"credentials": 100}
    TAGGED: ClassVar[bool] = False
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def claims(self) -> tuple[Claim, ...]:
        """The key by which callers are found; tokens of hosts that join are found by their ids."""
        return () if self.wanted.type == "join" else (("credential", self.wanted.key),)
