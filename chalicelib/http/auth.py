"""Who comes in: the bearer tokens (RFC 6750) of one OpenID Connect issuer, and the owners that they name.

The authorizer alone imports this: it brings cryptography, which no other function has to load.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import jwt
from jwt.exceptions import InvalidSubjectError

from chalicelib import telemetry
from chalicelib.config import Issuer, settings
from chalicelib.http.signing_keys import SigningKeys, UnknownKeyError
from chalicelib.values import ids

ALGORITHMS = ("RS256", "ES256")
"""Signatures by a key that only the issuer has. None of those that can be made with what everybody knows."""

OWNER_CLAIM = "sub"
"""Which claim of a token names the owner: a person, or whatever else an issuer's tokens say that they belong to."""

LEEWAY = 30
"""Seconds that the issuer's clock and ours may differ."""

_TYPES = ("jwt", "at+jwt")  # RFC 7519, section 5.1, and RFC 9068, section 2.1; in most tokens there is none
_OTHER_TYPES = ("refresh", "offline", "logout", "initialaccesstoken", "registrationaccesstoken")  # Keycloak's claim

_PART = r"[\w=-]+"
# RFC 6750, section 2.1, and RFC 7515, section 3.1. API Gateway holds a deployed stage to the same (infra/package.json).
_BEARER = re.compile(rf"bearer +({_PART}\.{_PART}\.{_PART})", re.IGNORECASE | re.ASCII)


class TokenTypeError(jwt.InvalidTokenError):
    """A token that is neither an access token nor an id token."""


class BoundTokenError(jwt.InvalidTokenError):
    """A token that is good only with a proof that its sender has a key, which is not checked here."""


class Caller(NamedTuple):
    """Who asks: the owner whose things they may reach, and until when (Unix seconds) their token lets them."""

    owner: str
    until: int


def caller(authorization: str) -> Caller | None:
    """Return who sends this ``Authorization`` header, or None if it is refused; the log says why, without the token.

    Raise if the issuer's keys are not available: API Gateway caches a refusal for minutes, and an error not at all.
    """
    with telemetry.invocation(None):
        try:
            return _caller(authorization, settings().issuer)
        except jwt.InvalidTokenError as problem:
            telemetry.add_count("SignInRefused")
            telemetry.logger.info("A token was refused", reason=type(problem).__name__)
            return None
        except Exception:
            telemetry.logger.exception("Tokens cannot be checked")
            raise


def _caller(authorization: str, issuer: Issuer | None) -> Caller:
    if issuer is None:
        telemetry.logger.error(
            "Nobody gets in: this stage knows no issuer of tokens. Provision it, or set OIDC_ISSUER and OIDC_AUDIENCE."
        )
        raise jwt.InvalidIssuerError
    bearer = _BEARER.fullmatch(authorization.strip())
    if bearer is None:
        raise jwt.DecodeError
    token = bearer[1]
    # Claims are checked before the signature: an expired token, or one for another audience, is refused without a fetch
    # of keys.
    try:
        unproven = _decoded(token, issuer, None)
        header, claims = unproven["header"], unproven["payload"]
        _check(header, claims, issuer)
        issued_at = float(claims.get("iat", "inf"))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise jwt.DecodeError from error  # a claim such as "exp": 1e999, which PyJWT does not expect
    _decoded(token, issuer, _key(header, issuer, issued_at))
    return Caller(claims[OWNER_CLAIM], int(claims["exp"]) + LEEWAY)


def _decoded(token: str, issuer: Issuer, key: jwt.PyJWK | None) -> dict[str, Any]:
    """Return a token's header and payload, after a check of its times and issuer, and with a key of its signature."""
    return jwt.decode_complete(
        token,
        key or "",
        algorithms=ALGORITHMS,
        issuer=issuer.url,
        leeway=LEEWAY,
        options={
            "require": ["exp", "iss", OWNER_CLAIM],
            "verify_signature": key is not None,
            "enforce_minimum_key_length": True,
            "verify_exp": True,
            "verify_nbf": True,
            "verify_iat": True,
            "verify_iss": True,
            # Whom it is for is looked at in _check: Cognito's access tokens say that in another claim.
            "verify_aud": False,
        },
    )


def _check(header: dict[str, Any], claims: dict[str, Any], issuer: Issuer) -> None:
    """Raise InvalidTokenError unless this is an access or id token of some owner, for one of our audiences."""
    if header.get("alg") not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    if not _is_access_or_id_token(header, claims):
        raise TokenTypeError
    if "cnf" in claims:
        # RFC 7800, section 3.1: DPoP (RFC 9449) and mutual TLS (RFC 8705) bind a token to a key. Without a check of the
        # proof it would be a bearer token, which its client has asked it not to be.
        raise BoundTokenError
    if not _audiences(claims) & set(issuer.audiences):
        raise jwt.InvalidAudienceError
    owner = claims[OWNER_CLAIM]
    if not (isinstance(owner, str) and ids.is_owner(owner)):
        raise InvalidSubjectError


def _is_access_or_id_token(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether a token is no other kind of its issuer's JSON Web Tokens (RFC 8725, sections 3.11 and 3.12)."""
    type_ = header.get("typ", "JWT")
    return (
        isinstance(type_, str)
        and type_.lower().removeprefix("application/") in _TYPES
        and claims.get("token_use", "access") in ("access", "id")  # Cognito
        and str(claims.get("typ")).lower() not in _OTHER_TYPES
        and "events" not in claims  # RFC 8417, section 2.2: a security event, such as a logout token
    )


def _audiences(claims: dict[str, Any]) -> set[str]:
    """Whom a token is for: its ``aud``, or, where it has none, as in Cognito's access tokens, its ``client_id``."""
    said = claims.get("aud", claims.get("client_id"))
    return {one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)}


def _key(header: dict[str, Any], issuer: Issuer, issued_at: float) -> jwt.PyJWK:
    """Return the issuer's key that a token's header names. Raise InvalidTokenError if it has none for such a token."""
    if "kid" not in header:
        raise UnknownKeyError
    # An issuer shows a key before it signs with it.
    key = _keys(issuer).find(header["kid"], in_use_by=issued_at + LEEWAY)
    if key.algorithm_name != header["alg"]:
        raise jwt.InvalidAlgorithmError
    return key


@functools.cache
def _keys(issuer: Issuer) -> SigningKeys:
    return SigningKeys(issuer)
