"""The environment variables that let other programs use a cloud."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pileus.cli.client import Client, documents, remote, trusted
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from pileus.cli.profiles import Profile, Remote

BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "MCC_CA")
"""Variables that name the certificates which clients trust."""

REMOVED = ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "MCC_CA")
"""Variables that would lead clients elsewhere."""

REGION = "us-east-1"


def environment(state: Path) -> dict[str, str]:
    """The variables by which AWS clients, the mcc tools and these commands find the cloud in `state`."""
    if remote() is not None:
        raise Problem(
            "'pileus profile' writes a profile for a cloud elsewhere: AWS_PROFILE=NAME then has clients use it."
        )
    endpoints, admin = documents(state)
    return {
        **aws(endpoints["ec2"], admin["access_key"], admin["secret_key"], trusted(state)),
        "PILEUS_STATE": str(state),
        **({"MCC_SERVER": endpoints["mcc"].removeprefix("http://")} if "mcc" in endpoints else {}),
    }


def aws(endpoint: str, access_key: str, secret_key: str, ca: Path | None) -> dict[str, str]:
    """The variables by which AWS clients use `endpoint` with these keys; `ca` is the certificate that they trust."""
    proxied = any(name.lower() in ("http_proxy", "all_proxy") for name in os.environ)
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    around = ",".join(filter(None, [direct, "127.0.0.1"]))
    # Both: most programs prefer the one in small letters.
    here = {"NO_PROXY": around, "no_proxy": around} if proxied else {}
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": REGION,
        **dict.fromkeys(BUNDLES if ca else (), str(ca)),
        **here,
    }


def profile(name: str, state: Path, there: Remote | None) -> Profile:
    """The profile of the cloud in `state` as its administrator, or of the cloud `there` as the token's user.

    A user elsewhere has the access key of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or else that of the earlier
    profile, or else a new one. Raises Problem.
    """
    from pileus.cli.profiles import Profile, Remote, check, settings  # noqa: PLC0415  (commands start quickly)

    # Before an access key is made for it.
    check(name, there.url if there else str(state))
    if there is None:
        endpoints, admin = documents(state)
        there, server = Remote(endpoints["rest"], admin["token"], trusted(state)), endpoints["ec2"]
        owner, access = str(state), (admin["access_key"], admin["secret_key"])
    else:
        parts = urlsplit(there.url)
        server, owner = f"{parts.scheme}://{parts.netloc}", there.url
        earlier = settings(name)[1]
        pair = [os.environ.get(each.upper()) or earlier.get(each, "") for each in _ACCESS]
        if not all(pair):
            credential = Client(*there).post("credentials", body={"type": "aws"})
            pair = [credential["access_key"], credential["secret_key"]]
        access = (pair[0], pair[1])
    config = {"region": REGION, "endpoint_url": server, "pileus_endpoint": there.url}
    config |= {"ca_bundle": str(there.ca)} if there.ca else {}
    return Profile(name, owner, config, {**dict(zip(_ACCESS, access, strict=True)), "pileus_token": there.token})


_ACCESS = ("aws_access_key_id", "aws_secret_access_key")


def exports(state: Path) -> str:
    """The same as lines for a shell: eval "$(pileus env)"."""
    variables = environment(state)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f"unset {' '.join(name for name in REMOVED if name not in variables)}"])
