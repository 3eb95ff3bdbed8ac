"""An account of a cloud, as programs use it: endpoints, keys, and boto3's clients where boto3 is installed."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.cli import shells
from pileus.cli.client import Client
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    import boto3

_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Session variables of botocore (name in files, environment variable, default, conversion) that read no profile."""


@dataclass(frozen=True)
class CloudAccount:
    """Keys for one project of a cloud. `endpoints` are the URLs of the faces by name; `ca` is None for plain HTTP."""

    project: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    endpoints: Mapping[str, str]
    ca: Path | None = None
    region: str = shells.REGION

    @property
    def endpoint(self) -> str:
        """The URL for AWS clients."""
        return self.endpoints["ec2"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which AWS clients use this account."""
        return shells.aws(self.endpoint, self.access_key, self.secret_key, self.ca)

    @property
    def rest(self) -> Client:
        """A client of Pileus's own API."""
        return Client(self.endpoints["rest"], self.token, self.ca)

    @functools.cached_property
    def session(self) -> boto3.Session:
        """A boto3 session with the keys; the user's AWS profiles have no effect. Raises Problem without boto3."""
        try:
            import boto3  # noqa: PLC0415  (not everybody has it)
        except ModuleNotFoundError as error:
            hint = "pip install boto3, or give the account's endpoint and keys to another client."
            raise Problem(f"boto3 is not installed: {hint}") from error
        import botocore.session  # noqa: PLC0415  (dear)

        own = botocore.session.get_session(_FILES)
        own.register_component("data_loader", _service_models())
        return boto3.Session(self.access_key, self.secret_key, region_name=self.region, botocore_session=own)

    def client(self, service: str) -> Any:
        """A boto3 client for an AWS service, such as `ec2` or `sts`. Raises Problem without boto3."""
        return self.session.client(  # type: ignore[call-overload]  # boto3's stubs list the services by name
            service, endpoint_url=self.endpoint, verify=str(self.ca) if self.ca else None
        )

    def clear(self) -> None:
        """Have the account's instances and NAT gateways end, and release its addresses. Does not wait for any of them.

        Protected instances run on, and addresses that are still in use stay: no other project sees them. Raises Problem
        where the cloud does not answer.
        """
        rest = self.rest
        for nouns in ("instances", "natgateways", "floatingips"):
            for document in rest.all(nouns):
                with contextlib.suppress(Problem):  # a refusal
                    rest.delete(nouns, document["id"])


@functools.cache
def _service_models() -> Any:
    """Return a loader of service models for all sessions of this process: to read that of EC2 takes 0.2 s."""
    import botocore.loaders  # noqa: PLC0415  (dear)

    return botocore.loaders.create_loader()
