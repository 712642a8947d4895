"""The owner in a token that the authorizer of an HTTP API has verified."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from chalice.app import Request

from chalicelib import config
from chalicelib.config import Issuer
from chalicelib.http import requests, token_rules
from chalicelib.http.http_api_events import to_rest_event
from tests import http_api_events

ISSUER = Issuer("https://issuer.example", ("client-1", "another"), None)
CLAIMS = {"iss": ISSUER.url, "aud": "client-1", "sub": "ann", "exp": time.time() + 3600}
HEADER = {"alg": "RS256", "kid": "1"}


def token(header: Any = HEADER, claims: Any = CLAIMS) -> str:
    parts = [header, claims, "signature"]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def owner(authorization: str, verified: dict[str, Any] | None = None, issuer: Issuer = ISSUER) -> str | None:
    return token_rules.owner_of_verified(authorization, {"sub": "ann"} if verified is None else verified, issuer)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {}),
        ({"typ": "at+JWT"}, {}),
        ({"typ": "application/jwt"}, {"aud": ["x", "another"]}),
        ({}, {"aud": None, "client_id": "client-1", "token_use": "access"}),
        ({}, {"token_use": "id"}),
        ({}, {"typ": "Bearer"}),
    ],
)
def test_access_and_id_tokens_are_accepted(header: dict[str, Any], claims: dict[str, Any]) -> None:
    kept = {name: value for name, value in (CLAIMS | claims).items() if value is not None}

    assert owner(f"Bearer {token(HEADER | header, kept)}") == "ann"


def test_token_is_accepted_until_the_end_of_the_tolerance() -> None:
    for seconds, accepted in ((10, "ann"), (40, None)):
        assert owner(f"Bearer {token(claims=CLAIMS | {'exp': time.time() - seconds})}") == accepted


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": 1}, {}),
        ({"alg": "HS256"}, {}),
        ({"alg": "RS512"}, {}),
        ({}, {"token_use": "refresh"}),
        ({}, {"typ": "Refresh"}),
        ({}, {"events": {}}),
        ({}, {"cnf": {"jkt": "x"}}),
        ({}, {"aud": "other"}),
        ({}, {"aud": "other", "client_id": "client-1"}),
        ({}, {"exp": "soon"}),
        ({}, {"exp": None}),
        ({}, {"sub": None}),
        ({}, {"sub": ["ann"]}),
        ({}, {"sub": "\u00e4nn"}),
        ({}, {"sub": "bob"}),  # The verified token names ann.
    ],
)
def test_other_tokens_are_refused(header: dict[str, Any], claims: dict[str, Any]) -> None:
    assert owner(f"Bearer {token(HEADER | header, CLAIMS | claims)}") is None


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        token(),
        f"Bearer {token()},Bearer {token()}",
        f"Bearer {token([], CLAIMS)}",
        "Bearer a.b.c",
        "Bearer é",
    ],
)
def test_malformed_header_is_refused(authorization: str) -> None:
    assert owner(authorization) is None


def test_number_as_text_is_no_owner() -> None:
    # API Gateway passes all claims on as text, so only the token shows that this is a number.
    assert owner(f"Bearer {token(claims=CLAIMS | {'sub': 7})}", {"sub": "7"}) is None


def test_another_claim_can_name_the_owner() -> None:
    sent = f"Bearer {token(claims=CLAIMS | {'org': 'acme'})}"

    assert owner(sent, {"org": "acme"}, Issuer(ISSUER.url, ISSUER.audiences, None, None, "org")) == "acme"


@pytest.mark.parametrize("has_context", [True, False])
def test_owner_is_only_read_if_api_gateway_verified_the_token(
    has_context: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("AUTH_MODE", "oidc"), ("OIDC_ISSUER", ISSUER.url), ("OIDC_AUDIENCE", "client-1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STAGE", "dev")
    config.settings.cache_clear()
    event = http_api_events.event("GET", "/items", None, [("Authorization", f"Bearer {token()}")])
    if has_context:
        event["requestContext"]["authorizer"] = {"jwt": {"claims": {"sub": "ann"}, "scopes": []}}
    try:
        found = requests.signed_in_owner(Request(to_rest_event(event), None))
    finally:
        monkeypatch.undo()
        config.settings.cache_clear()

    assert found == ("ann" if has_context else None)
