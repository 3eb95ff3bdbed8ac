"""The cipher of a cloud: secrets are stored, and handed out in tokens, sealed with it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

if TYPE_CHECKING:
    from pileus.rules.core import Core


def cipher(core: Core) -> Fernet:
    """Return the cipher that seals the secret keys and the session tokens of this cloud."""
    return Fernet(base64.urlsafe_b64encode(core.key))
