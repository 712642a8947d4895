"""Who comes in: the bearer tokens (RFC 6750) of one OpenID Connect issuer, and the owners that they name.

The authorizer alone imports this: it brings cryptography, which no other function has to load.
"""

from __future__ import annotations

import functools
import json
import re
import urllib.request
from typing import Any, NamedTuple

import jwt
from jwt.exceptions import InvalidSubjectError

from chalicelib import telemetry
from chalicelib.config import ConfigError, Issuer, https, settings

ALGORITHMS = ("RS256", "ES256")
"""Signatures by a key that only the issuer has. None of those that can be made with what everybody knows."""

OWNER_CLAIM = "sub"
"""Which claim of a token names the owner: a person, or whatever else an issuer's tokens say that they belong to."""

LEEWAY = 30
"""Seconds that the issuer's clock and ours may differ."""

_KEYS_KEPT = 600  # seconds; an unknown key id has them fetched again before, at most every 30 s
_TIMEOUT = 3  # seconds; API Gateway waits ten for the authorizer

_SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")  # OpenID Connect Core 1.0, section 2: ``sub``
_BEARER = re.compile(r"bearer +([\w.~+/=-]+)", re.IGNORECASE | re.ASCII)  # RFC 6750, section 2.1


class UnknownKeyError(jwt.InvalidTokenError):
    """A token names a key that its issuer does not have."""


class Caller(NamedTuple):
    """Who asks: the owner whose things they may reach, and until when (Unix seconds) their token lets them."""

    owner: str
    until: int


def caller(authorization: str) -> Caller | None:
    """Who sends this ``Authorization`` header, or None where it opens nothing; the log says why, never with the token.

    Raises where the issuer's keys cannot be had: that is nobody's refusal, and must not be remembered as one.
    """
    with telemetry.invocation(None):
        try:
            return _caller(authorization, settings().issuer)
        except jwt.InvalidTokenError as problem:
            telemetry.count("SignInRefused")
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
    claims = jwt.decode(
        token,
        _key(jwt.get_unverified_header(token), issuer),
        algorithms=ALGORITHMS,
        issuer=issuer.url,
        leeway=LEEWAY,
        # Whom it is for is looked at below: Cognito's access tokens say that in another claim.
        options={"require": ["exp", "iss", OWNER_CLAIM], "verify_aud": False, "enforce_minimum_key_length": True},
    )
    if not _audiences(claims) & set(issuer.audiences):
        raise jwt.InvalidAudienceError
    owner = claims[OWNER_CLAIM]
    if not (isinstance(owner, str) and _SUBJECT.fullmatch(owner)):
        raise InvalidSubjectError
    return Caller(owner, int(claims["exp"]) + LEEWAY)


def _audiences(claims: dict[str, Any]) -> set[str]:
    """Whom a token is for: its ``aud``, or, where it has none, as in Cognito's access tokens, its ``client_id``."""
    said = claims.get("aud", claims.get("client_id"))
    return {one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)}


def _key(header: dict[str, Any], issuer: Issuer) -> jwt.PyJWK:
    """The issuer's key that a token's header names. Raises InvalidTokenError where there is none for such a token."""
    if header.get("alg") not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    if "kid" not in header:
        raise UnknownKeyError
    keys = _keys(issuer)
    keys.get_signing_keys()  # that it has any is not this token's matter: no refusal where it fails
    try:
        key = keys.get_signing_key(header["kid"])
    except jwt.PyJWKClientConnectionError:
        raise
    except jwt.PyJWKClientError:
        raise UnknownKeyError from None
    if key.algorithm_name != header["alg"]:
        raise jwt.InvalidAlgorithmError
    return key


@functools.cache
def _keys(issuer: Issuer) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(issuer.jwks_url or _discovered(issuer.url), lifespan=_KEYS_KEPT, timeout=_TIMEOUT)


def _discovered(url: str) -> str:
    """Where an issuer says that its keys lie (OpenID Connect Discovery 1.0, section 4)."""
    address = f"{url.rstrip('/')}/.well-known/openid-configuration"
    with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
        document = json.load(answer)
    if document.get("issuer") != url:
        raise ConfigError(f"OIDC_ISSUER is {url!r}, and what stands there calls itself {document.get('issuer')!r}.")
    return https("jwks_uri", document["jwks_uri"])
