"""Credential: what a client proves itself with."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model.noun import Noun, Part, Ref


class Wanted(Part, frozen=True, kw_only=True):
    """`aws`: `key` is the access key id, `sealed` the encrypted secret. `token`: `key` is the sha256 of the token."""

    type: Literal["aws", "token"]
    key: str
    user: Annotated[str, Ref("user", "owned")]
    sealed: str = ""
    gone: bool = False


class Credential(Noun, frozen=True, kw_only=True):
    """Acts for its user in its project; secrets are never stored in the clear."""

    KIND: ClassVar[str] = "credential"
    PREFIX: ClassVar[str] = "crd"
    wanted: Wanted
    assigned: None = None
    seen: None = None
