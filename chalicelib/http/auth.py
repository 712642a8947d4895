"""Verify the bearer tokens (RFC 6750) of one OpenID Connect issuer, and return the owners that they name.

Only the authorizer imports this module, because it imports cryptography, which no other function needs.
"""

from __future__ import annotations

import functools
from typing import Any

import jwt
from jwt.exceptions import InvalidSubjectError

from chalicelib import telemetry
from chalicelib.config import Issuer, settings
from chalicelib.http import token_rules
from chalicelib.http.issuer_keys import IssuerKeys, UnknownKeyError
from chalicelib.http.token_rules import ALGORITHMS, BEARER, LEEWAY, SignedInOwner


class TokenTypeError(jwt.InvalidTokenError):
    """The token is neither an access token nor an id token."""


class BoundTokenError(jwt.InvalidTokenError):
    """The token requires a proof that its sender has a key, which Vitrine does not verify."""


def authenticate(authorization: str) -> SignedInOwner | None:
    """Return the owner for an ``Authorization`` header. If it has no valid token, log the reason and return None.

    Raise an exception if the issuer's keys are not available, because API Gateway would cache a denial for minutes.
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
    bearer = BEARER.fullmatch(authorization.strip())
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
    if not token_rules.is_access_or_id_token(header, claims):
        raise TokenTypeError
    if token_rules.is_bound(claims):
        raise BoundTokenError
    if not token_rules.audiences(claims) & set(issuer.audiences):
        raise jwt.InvalidAudienceError
    if not token_rules.is_owner(claims[issuer.owner_claim]):
        raise InvalidSubjectError


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
