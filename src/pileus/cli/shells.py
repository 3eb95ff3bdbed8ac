"""The environment variables that let other programs use a cloud."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from pileus.cli.client import documents, trusted

BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "MCC_CA")
"""Variables that name the certificates which clients trust."""

REMOVED = ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "MCC_CA")
"""Variables that would lead clients elsewhere."""

REGION = "us-east-1"


def environment(state: Path) -> dict[str, str]:
    """The variables by which AWS clients, the mcc tools and these commands find the cloud in `state`."""
    endpoints, admin = documents(state)
    proxied = any(name.lower() in ("http_proxy", "all_proxy") for name in os.environ)
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    around = ",".join(filter(None, [direct, "127.0.0.1"]))
    # Both: most programs prefer the one in small letters.
    here = {"NO_PROXY": around, "no_proxy": around} if proxied else {}
    ca = trusted(state)
    return {
        "AWS_ENDPOINT_URL": endpoints["ec2"],
        "AWS_ACCESS_KEY_ID": admin["access_key"],
        "AWS_SECRET_ACCESS_KEY": admin["secret_key"],
        "AWS_DEFAULT_REGION": REGION,
        "PILEUS_STATE": str(state),
        **({"MCC_SERVER": endpoints["mcc"].removeprefix("http://")} if "mcc" in endpoints else {}),
        **dict.fromkeys(BUNDLES if ca else (), str(ca)),
        **here,
    }


def exports(state: Path) -> str:
    """The same as lines for a shell: eval "$(pileus env)"."""
    variables = environment(state)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f"unset {' '.join(name for name in REMOVED if name not in variables)}"])
