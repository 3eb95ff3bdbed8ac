"""AWS Signature Version 2: verify a query request that carries one, and the signer's side.

Boto 2 and old tools send it. The signature is an HMAC, over the method, the host, the path and all parameters but
itself, and travels among those parameters, of the query or of the body. It names neither a region nor a service.

Source: "Signature Version 2 signing process" of the AWS General Reference.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import gmtime, strftime
from typing import Final, Literal
from urllib.parse import quote

from pileus.faces.wire.errors import WireError, shown
from pileus.faces.wire.signing import RawRequest
from pileus.faces.wire.sigv4 import SKEW, Codes, SecretSource, codes_of, no_session
from pileus.model.credential import SessionSecret

Method = Literal["HmacSHA1", "HmacSHA256"]

_DIGESTS: Final[Mapping[str, str]] = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
TOKEN_PARAMETER: Final = "SecurityToken"  # noqa: S105  (a parameter's name)
"""The parameter of the session token of temporary credentials."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?")


def present(params: Mapping[str, str]) -> bool:
    """Whether these parameters present a signature of this kind."""
    return "Signature" in params or "SignatureVersion" in params


class SigV2Verifier:
    """Verifies signatures. Keeps no state.

    `lookup` returns the secret of an access key, None when there is no such key (or it is switched off); it is asked
    at every request. `session` returns the same of temporary credentials, by their access key and session token. `now`
    returns seconds since the epoch.
    """

    def __init__(
        self,
        lookup: Callable[[str], bytes | None],
        now: Callable[[], float],
        session: Callable[[str, str], SessionSecret | None] = no_session,
    ) -> None:
        self._secrets = SecretSource(lookup, now, session)
        self._now = now

    def verify(self, request: RawRequest, params: Mapping[str, str], service: str) -> str:
        """Return the access key that signed; raises WireError with the codes of `service`.

        `params` are all of the request's parameters, decoded, those of the query and those of the body.
        Codes: MissingParameter, InvalidParameterValue, InvalidParameterCombination, IncompleteSignature; AuthFailure
        and RequestExpired (EC2); InvalidClientTokenId and SignatureDoesNotMatch (STS).
        """
        if "authorization" in request.headers or "X-Amz-Signature" in params:
            raise WireError("IncompleteSignature", "Only one signature is allowed: of version 2 or of version 4.")
        codes = codes_of(service)
        if _needed(params, "SignatureVersion") != "2":
            raise _invalid(params, "SignatureVersion")
        digest = _DIGESTS.get(_needed(params, "SignatureMethod"))
        if digest is None:
            raise _invalid(params, "SignatureMethod")
        access_key, presented_signature = _needed(params, "AWSAccessKeyId"), _needed(params, "Signature").encode()
        self._check_time(params, codes)
        token = params.get(TOKEN_PARAMETER, "")
        secret = self._secrets.secret(access_key, token, codes)
        texts = [_text(request, host, params) for host in _hosts(request)]
        if not any([hmac.compare_digest(_signature(secret, text, digest), presented_signature) for text in texts]):  # noqa: C419  (all, in equal time)
            raise WireError(*codes.mismatch)
        return access_key

    def _check_time(self, params: Mapping[str, str], codes: Codes) -> None:
        now, here = self._now(), strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(self._now()))
        if "Expires" in params:
            if "Timestamp" in params:
                text = "The parameter Timestamp cannot be used with the parameter Expires"
                raise WireError("InvalidParameterCombination", text)
            if now > _seconds(params, "Expires"):
                text = f"Request has expired. Expires date is {params['Expires']}; the time here is {here}."
                raise WireError(codes.expired[0], text, codes.expired[1])
        elif abs(now - _seconds(params, "Timestamp")) > SKEW:
            text = f"Request has expired. Timestamp date is {params['Timestamp']}; the time here is {here}."
            raise WireError(codes.skewed[0], text, codes.skewed[1])


def sign(
    request: RawRequest,
    params: Mapping[str, str],
    access_key: str,
    secret: bytes,
    now: float,
    method: Method = "HmacSHA256",
) -> dict[str, str]:
    """Return the parameters with those of the signature added; `now` in seconds since the epoch.

    The request needs a `host` header. With `Expires` among the parameters there will be no `Timestamp`.
    """
    added = {"AWSAccessKeyId": access_key, "SignatureMethod": method, "SignatureVersion": "2"}
    if "Expires" not in params:
        added["Timestamp"] = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))
    signed = {**params, **added}
    signature = _signature(secret, _text(request, request.headers["host"].lower(), signed), _DIGESTS[method])
    return {**signed, "Signature": signature.decode()}


def _text(request: RawRequest, host: str, params: Mapping[str, str]) -> bytes:
    pairs = [f"{quote(name, safe='')}={quote(params[name], safe='')}" for name in sorted(params) if name != "Signature"]
    return f"{request.method}\n{host}\n{request.path or '/'}\n{'&'.join(pairs)}".encode()


def _signature(secret: bytes, text: bytes, digest: str) -> bytes:
    return b64encode(hmac.digest(secret, text, digest))


def _hosts(request: RawRequest) -> list[str]:
    """The names of the host that a signer may mean: botocore signs the port too, boto 2 never does."""
    host = request.headers.get("host", "").lower()
    name, colon, port = host.rpartition(":")
    return [host, name] if colon and port.isdigit() else [host]


def _needed(params: Mapping[str, str], name: str) -> str:
    param = params.get(name)
    if not param:
        raise WireError("MissingParameter", f"The request must contain the parameter {name}")
    return param


def _invalid(params: Mapping[str, str], name: str) -> WireError:
    return WireError("InvalidParameterValue", f"Value ({shown(params[name])}) for parameter {name} is invalid.")


def _seconds(params: Mapping[str, str], name: str) -> float:
    """A time in ISO 8601, of UTC unless it says otherwise, as seconds since the epoch."""
    text = _needed(params, name)
    try:
        if _TIME.fullmatch(text) is None:
            raise _invalid(params, name)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        raise _invalid(params, name) from None
