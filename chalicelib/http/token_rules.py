"""Rules for the header and claims of a token. Its signature is verified elsewhere, so they need no cryptography."""

from __future__ import annotations

import binascii
import re
import time
from base64 import urlsafe_b64decode
from typing import Any, NamedTuple

import msgspec

from chalicelib.config import Issuer
from chalicelib.values import ids

ALGORITHMS = ("RS256", "ES256")
"""Asymmetric signatures: only the issuer has the key. HMAC and ``none`` are not accepted."""

LEEWAY = 30
"""Seconds by which the clocks of the issuer and of AWS may differ."""

_TYPES = ("jwt", "at+jwt")  # RFC 7519, section 5.1, and RFC 9068, section 2.1; most tokens have no "typ"
# Values of Keycloak's claim "typ".
_OTHER_TYPES = ("refresh", "offline", "logout", "initialaccesstoken", "registrationaccesstoken")

_PART = r"[\w=-]+"
# RFC 6750, section 2.1, and RFC 7515, section 3.1. A REST API applies the same rule (infra/package.json).
BEARER = re.compile(rf"bearer +({_PART}\.{_PART}\.{_PART})", re.IGNORECASE | re.ASCII)


class SignedInOwner(NamedTuple):
    """The owner that a valid token names, and the Unix time in seconds until which the token is accepted."""

    owner: str
    expires_at: int


def is_access_or_id_token(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether a JSON Web Token is an access or id token (RFC 8725, sections 3.11 and 3.12)."""
    type_ = header.get("typ", "JWT")
    return (
        isinstance(type_, str)
        and type_.lower().removeprefix("application/") in _TYPES
        and claims.get("token_use", "access") in ("access", "id")  # Cognito
        and str(claims.get("typ")).lower() not in _OTHER_TYPES
        and "events" not in claims  # RFC 8417, section 2.2: a security event, such as a logout token
    )


def is_bound(claims: dict[str, Any]) -> bool:
    """Return whether the token requires a proof that its sender has a key, which Vitrine does not verify.

    DPoP (RFC 9449) and mutual TLS (RFC 8705) bind a token to a key (RFC 7800, section 3.1). Accepting it without
    verifying the proof would turn it into a bearer token.
    """
    return "cnf" in claims


def audiences(claims: dict[str, Any]) -> set[str]:
    """Return the audiences of a token: its ``aud``, or its ``client_id``, as in Cognito's access tokens."""
    value = claims.get("aud", claims.get("client_id"))
    return {audience for audience in (value if isinstance(value, list) else [value]) if isinstance(audience, str)}


def is_owner(claim: Any) -> bool:
    """Return whether the value of a claim can be an owner."""
    return isinstance(claim, str) and ids.is_owner(claim)


def owner_of_verified(authorization: str, verified: dict[str, Any], issuer: Issuer) -> str | None:
    """Return the owner in a token that the JWT authorizer of an HTTP API has verified, or None if it is not accepted.

    ``verified`` are the claims that the authorizer passes on, as text. It has checked the signature, the issuer, the
    audience and the times (API Gateway Developer Guide, "Control access to HTTP APIs with JWT authorizers"), but not
    the type of the token, so the same rules are applied here as in ``http/auth.py``. They need values that are not
    converted to text, so the token is decoded again.
    """
    bearer = BEARER.fullmatch(authorization.strip())
    if bearer is None:
        return None
    try:
        header, claims = (_json_object(part) for part in bearer[1].split(".")[:2])
        expires_at = float(claims["exp"]) + LEEWAY
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    owner = claims.get(issuer.owner_claim)
    accepted = (
        header.get("alg") in ALGORITHMS
        and is_access_or_id_token(header, claims)
        and not is_bound(claims)
        and audiences(claims) & set(issuer.audiences)
        and expires_at > time.time()
        and is_owner(owner)
        and verified.get(issuer.owner_claim) == owner  # It is the token that was verified.
    )
    return str(owner) if accepted else None


def _json_object(part: str) -> dict[str, Any]:
    """Return a part of a token as a dictionary. Raise ValueError if it is not one."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=dict[str, Any])
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError from error
