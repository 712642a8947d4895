"""Verify the bearer tokens (RFC 6750) of one OpenID Connect issuer, and return the owners that they name.

Only the authorizer imports this module, because it imports cryptography, which no other function needs.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import jwt
from jwt.exceptions import InvalidSubjectError

from chalicelib import telemetry
from chalicelib.config import Issuer, settings
from chalicelib.http.issuer_keys import IssuerKeys, UnknownKeyError
from chalicelib.values import ids

ALGORITHMS = ("RS256", "ES256")
"""Asymmetric signatures: only the issuer has the key. HMAC and ``none`` are not accepted."""

LEEWAY = 30
"""Seconds by which the clocks of the issuer and of AWS may differ."""

_TYPES = ("jwt", "at+jwt")  # RFC 7519, section 5.1, and RFC 9068, section 2.1; most tokens have no "typ"
# Values of Keycloak's claim "typ".
_OTHER_TYPES = ("refresh", "offline", "logout", "initialaccesstoken", "registrationaccesstoken")

_PART = r"[\w=-]+"
# RFC 6750, section 2.1, and RFC 7515, section 3.1. API Gateway applies the same rule in deployed stages
# (infra/package.json).
_BEARER = re.compile(rf"bearer +({_PART}\.{_PART}\.{_PART})", re.IGNORECASE | re.ASCII)


class TokenTypeError(jwt.InvalidTokenError):
    """The token is neither an access token nor an id token."""


class BoundTokenError(jwt.InvalidTokenError):
    """The token requires a proof that its sender has a key, which Vitrine does not verify."""


class SignedInOwner(NamedTuple):
    """The owner that a valid token names, and the Unix time in seconds at which the token expires."""

    owner: str
    expires_at: int


def authenticate(authorization: str) -> SignedInOwner | None:
    """Return the owner for an ``Authorization`` header. If it has no valid token, log the reason and return None.

    Raise an exception if the issuer's keys are not available: API Gateway caches a denial for minutes, but no error.
    """
    with telemetry.invocation(None):
        try:
            return _verify(authorization, settings().issuer)
        except jwt.InvalidTokenError as problem:
            telemetry.add_count("SignInRefused")
            telemetry.logger.info("Token rejected", reason=type(problem).__name__)
            return None
        except Exception:
            telemetry.logger.exception("Token verification failed")
            raise


def _verify(authorization: str, issuer: Issuer | None) -> SignedInOwner:
    if issuer is None:
        telemetry.logger.error(
            "All tokens are rejected: the stage has no issuer. Provision it, or set OIDC_ISSUER and OIDC_AUDIENCE."
        )
        raise jwt.InvalidIssuerError
    bearer = _BEARER.fullmatch(authorization.strip())
    if bearer is None:
        raise jwt.DecodeError
    token = bearer[1]
    # Claims are checked before the signature, so that no keys are fetched for a token that is rejected anyway.
    try:
        unverified = _decode(token, issuer, None)
        header, claims = unverified["header"], unverified["payload"]
        _check_claims(header, claims, issuer)
        issued_at = float(claims.get("iat", "inf"))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise jwt.DecodeError from error  # PyJWT does not expect a claim such as "exp": 1e999
    _decode(token, issuer, _signing_key(header, issuer, issued_at))
    return SignedInOwner(claims[issuer.owner_claim], int(claims["exp"]) + LEEWAY)


def _decode(token: str, issuer: Issuer, key: jwt.PyJWK | None) -> dict[str, Any]:
    """Return the header and payload of a token. Check its times and issuer, and with a ``key`` its signature."""
    return jwt.decode_complete(
        token,
        key or "",
        algorithms=ALGORITHMS,
        issuer=issuer.url,
        leeway=LEEWAY,
        options={
            "require": ["exp", "iss", issuer.owner_claim],
            "verify_signature": key is not None,
            "enforce_minimum_key_length": True,
            "verify_exp": True,
            "verify_nbf": True,
            "verify_iat": True,
            "verify_iss": True,
            # _check_claims verifies the audience: Cognito's access tokens have it in another claim.
            "verify_aud": False,
        },
    )


def _check_claims(header: dict[str, Any], claims: dict[str, Any], issuer: Issuer) -> None:
    """Raise InvalidTokenError unless this is an access or id token that names an owner, for an accepted audience."""
    if header.get("alg") not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    if not _is_access_or_id_token(header, claims):
        raise TokenTypeError
    if "cnf" in claims:
        # RFC 7800, section 3.1: DPoP (RFC 9449) and mutual TLS (RFC 8705) bind a token to a key. Accepting it without
        # verifying the proof would turn it into a bearer token.
        raise BoundTokenError
    if not _audiences(claims) & set(issuer.audiences):
        raise jwt.InvalidAudienceError
    owner = claims[issuer.owner_claim]
    if not (isinstance(owner, str) and ids.is_owner(owner)):
        raise InvalidSubjectError


def _is_access_or_id_token(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether this is no other kind of JSON Web Token (RFC 8725, sections 3.11 and 3.12)."""
    type_ = header.get("typ", "JWT")
    return (
        isinstance(type_, str)
        and type_.lower().removeprefix("application/") in _TYPES
        and claims.get("token_use", "access") in ("access", "id")  # Cognito
        and str(claims.get("typ")).lower() not in _OTHER_TYPES
        and "events" not in claims  # RFC 8417, section 2.2: a security event, such as a logout token
    )


def _audiences(claims: dict[str, Any]) -> set[str]:
    """Return the audiences of a token: its ``aud``, or its ``client_id``, as in Cognito's access tokens."""
    value = claims.get("aud", claims.get("client_id"))
    return {audience for audience in (value if isinstance(value, list) else [value]) if isinstance(audience, str)}


def _signing_key(header: dict[str, Any], issuer: Issuer, issued_at: float) -> jwt.PyJWK:
    """Return the issuer's key that a token's header names. Raise InvalidTokenError if the issuer does not have it."""
    if "kid" not in header:
        raise UnknownKeyError
    # An issuer publishes a key before it signs with it.
    key = _issuer_keys(issuer).find(header["kid"], in_use_by=issued_at + LEEWAY)
    if key.algorithm_name != header["alg"]:
        raise jwt.InvalidAlgorithmError
    return key


@functools.cache
def _issuer_keys(issuer: Issuer) -> IssuerKeys:
    return IssuerKeys(issuer)
