"""The authorizer: which tokens are accepted, and whose."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from chalicelib import config
from chalicelib.http import auth
from tests.integration.http.issuer import AUDIENCE, EC, OTHER_RSA, RSA, Ask, Issuer, allowed, public


class TestValidToken:
    @pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
    def test_subject_is_the_owner_on_every_route(self, ask: Ask, issuer: Issuer, key: Any, algorithm: str) -> None:
        response = ask(f"Bearer {issuer.token(key, algorithm, exp=2_000_000_000)}")

        assert allowed(response) == ["arn:aws:execute-api:us-east-1:123456789012:abc/api/*/*"]
        assert response["principalId"] == "ann"
        assert response["context"] == {"expiresAt": str(2_000_000_000 + auth.LEEWAY)}

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": ["x", AUDIENCE]},
            {"aud": "another"},
            {"aud": None, "client_id": AUDIENCE},  # Cognito's access tokens
            {"nbf": 0},
            {"sub": "auth0|5f7c"},
            {"sub": "x" * 255},
            {"token_use": "id", "at_hash": "x", "nonce": "x"},  # Cognito's id tokens
            {"typ": "Bearer", "azp": AUDIENCE},  # Keycloak
            {"typ": "ID"},
            {"iat": None},
        ],
    )
    def test_other_valid_claims_are_accepted(self, ask: Ask, issuer: Issuer, claims: dict[str, Any]) -> None:
        assert allowed(ask(f"Bearer {issuer.token(**claims)}"))

    def test_another_claim_can_name_the_owner(self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OIDC_OWNER_CLAIM", "org_id")
        config.settings.cache_clear()

        assert ask(f"Bearer {issuer.token(org_id='org_1')}")["principalId"] == "org_1"
        assert allowed(ask(f"Bearer {issuer.token()}")) == []

    @pytest.mark.parametrize("type_", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"])
    def test_types_of_access_and_id_tokens_are_accepted(self, ask: Ask, issuer: Issuer, type_: str | None) -> None:
        assert allowed(ask(f"Bearer {of_type(issuer, type_)}"))

    def test_clocks_may_differ_by_seconds(self, ask: Ask, issuer: Issuer) -> None:
        now = time.time()

        assert allowed(ask(f"Bearer {issuer.token(exp=now - 10)}"))
        assert allowed(ask(f"Bearer {issuer.token(nbf=now + 10, iat=now + 10)}"))

    @pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
    def test_scheme_is_case_insensitive(self, ask: Ask, issuer: Issuer, scheme: str) -> None:
        assert allowed(ask(scheme + issuer.token()))


def of_type(issuer: Issuer, type_: object) -> str:
    """Return a valid token with this ``typ``, or without one; PyJWT would write its own."""
    header, claims = ({"alg": "RS256", "kid": "rsa"}, issuer.token().split(".")[1])
    if type_ is not None:
        header["typ"] = type_  # type: ignore[assignment]
    signed = f"{b64(json.dumps(header).encode())}.{claims}"
    return f"{signed}.{b64(RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), RSA))}"


def signed_with_the_public_key(issuer: Issuer) -> str:
    """Return a token signed by HS256 with the RSA public key; a library that trusts the header would accept it."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header, payload, _ = issuer.token().split(".")
    header = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa"}).encode())
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{header}.{payload}".encode(), pem
    )
    return f"{header}.{payload}.{b64(signature)}"


def unsigned(issuer: Issuer, algorithm: str = "none", kid: Any = "rsa") -> str:
    _, payload, signature = issuer.token().split(".")
    header = b64(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
    return f"{header}.{payload}.{'' if algorithm.lower() == 'none' else signature}"


def altered(issuer: Issuer) -> str:
    header, payload, signature = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{b64(json.dumps(claims | {'sub': 'bob'}).encode())}.{signature}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


INVALID_TOKENS: dict[str, Callable[[Issuer], str]] = {
    "alg none": unsigned,
    "alg None": lambda issuer: unsigned(issuer, "None"),
    "HS256 with the public key as its secret": signed_with_the_public_key,
    "HS256 with a secret": lambda issuer: issuer.token("x" * 32, "HS256"),
    "RS512, by the right key": lambda issuer: issuer.token(RSA, "RS512"),
    "ES256, under the name of the other key": lambda issuer: issuer.token(EC, "ES256", {"kid": "rsa"}),
    "wrong issuer": lambda issuer: issuer.token(iss="https://another.example"),
    "wrong issuer by a slash": lambda issuer: issuer.token(iss=f"{issuer.url}/"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "wrong audience": lambda issuer: issuer.token(aud="client-2"),
    "wrong audiences": lambda issuer: issuer.token(aud=["client-2", "client-3"]),
    "an audience beside the right client": lambda issuer: issuer.token(aud="client-2", client_id=AUDIENCE),
    "no audience": lambda issuer: issuer.token(aud=None),
    "wrong client": lambda issuer: issuer.token(aud=None, client_id="client-2"),
    "a client that is no text": lambda issuer: issuer.token(aud=None, client_id=7),
    "expired": lambda issuer: issuer.token(exp=time.time() - 60),
    "without an end": lambda issuer: issuer.token(exp=None),
    "not yet valid": lambda issuer: issuer.token(nbf=time.time() + 600),
    "issued in the future": lambda issuer: issuer.token(iat=time.time() + 600),
    "no subject": lambda issuer: issuer.token(sub=None),
    "an empty subject": lambda issuer: issuer.token(sub=""),
    "a subject that is too long": lambda issuer: issuer.token(sub="x" * 256),
    "a subject beyond ASCII": lambda issuer: issuer.token(sub="jürgen"),
    "a subject that is no text": lambda issuer: issuer.token(sub=["ann"]),
    "an altered payload": altered,
    "a signature cut short": lambda issuer: issuer.token()[:-8],
    "no signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "an unknown key": lambda issuer: issuer.token(header={"kid": "nobody's"}),
    "another's key under the right name": lambda issuer: issuer.token(OTHER_RSA),
    "no key id": lambda issuer: issuer.token(header={"kid": None}),
    "a number as key id": lambda issuer: unsigned(issuer, "RS256", 7),
    "where its own keys lie": lambda issuer: issuer.token(OTHER_RSA, header={"jku": "https://evil.example/keys"}),
    "its own key": lambda issuer: issuer.token(OTHER_RSA, header={"jwk": public(OTHER_RSA, "rsa")}),
    "a logout token": lambda issuer: of_type(issuer, "logout+jwt"),
    "a logout token with its media type": lambda issuer: of_type(issuer, "application/logout+jwt"),
    "a security event": lambda issuer: of_type(issuer, "secevent+jwt"),
    "a proof of possession": lambda issuer: of_type(issuer, "dpop+jwt"),
    "an assertion of a client": lambda issuer: of_type(issuer, "client-authentication+jwt"),
    "an response of token introspection": lambda issuer: of_type(issuer, "token-introspection+jwt"),
    "an unknown type": lambda issuer: of_type(issuer, "x"),
    "an empty type": lambda issuer: of_type(issuer, ""),
    "a type that is no text": lambda issuer: of_type(issuer, 7),
    "a logout token without a type": lambda issuer: issuer.token(
        events={"http://schemas.openid.net/event/backchannel-logout": {}}
    ),
    "a refresh token of Cognito": lambda issuer: issuer.token(token_use="refresh"),
    "a refresh token of Keycloak": lambda issuer: issuer.token(typ="Refresh"),
    "an offline token of Keycloak": lambda issuer: issuer.token(typ="Offline"),
    "a logout token of Keycloak": lambda issuer: issuer.token(typ="Logout"),
    "a registration token of Keycloak": lambda issuer: issuer.token(typ="InitialAccessToken"),
    "bound to a key by DPoP": lambda issuer: issuer.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    "bound to a certificate": lambda issuer: issuer.token(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN"}),
    "bound to nothing": lambda issuer: issuer.token(cnf=""),
    "an endless end": lambda issuer: issuer.token(exp=float("inf")),
    "an end that is no number": lambda issuer: issuer.token(exp=float("nan")),
    "an end of many digits": lambda issuer: issuer.token(exp=[10**4000]),
    "issued before all time": lambda issuer: issuer.token(iat=-(10**4000)),
    "issued never": lambda issuer: issuer.token(iat=float("-inf")),
    "no token": lambda issuer: "",
    "no dots": lambda issuer: "abc",
    "two dots": lambda issuer: "..",
    "no JSON": lambda issuer: "YWJj.YWJj.YWJj",
    "two tokens": lambda issuer: f"{issuer.token()} {issuer.token()}",
    "very long": lambda issuer: "a" * 100_000,
}


class TestInvalidToken:
    @pytest.mark.parametrize("make", INVALID_TOKENS.values(), ids=INVALID_TOKENS.keys())
    def test_invalid_token_is_denied(self, ask: Ask, issuer: Issuer, make: Callable[[Issuer], str]) -> None:
        response = ask(f"Bearer {make(issuer)}")

        assert allowed(response) == []
        assert response["principalId"] == "nobody"

    @pytest.mark.parametrize("scheme", ["", "Basic ", "Bearer", "Token ", "Bearer\n", "Bearer Bearer "])
    def test_other_scheme_is_denied(self, ask: Ask, issuer: Issuer, scheme: str) -> None:
        assert allowed(ask(scheme + issuer.token())) == []

    def test_reason_is_logged_without_the_token(self, ask: Ask, issuer: Issuer, logged: Callable[[], str]) -> None:
        token = issuer.token(exp=1)

        ask(f"Bearer {token}")

        lines = logged()
        assert "ExpiredSignatureError" in lines
        assert not any(part in lines for part in token.split("."))
        assert "SignInRefused" in lines

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    def test_too_short_key_is_an_error_of_the_issuer(self, ask: Ask, issuer: Issuer) -> None:
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        issuer.keys = [public(short, "rsa")]

        with pytest.raises(jwt.InvalidKeyError):
            ask(f"Bearer {issuer.token(short)}")


class TestIssuer:
    def test_without_an_issuer_all_tokens_are_denied(
        self, monkeypatch: pytest.MonkeyPatch, issuer: Issuer, ask: Ask, logged: Callable[[], str]
    ) -> None:
        monkeypatch.delenv("OIDC_ISSUER")
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}")) == []
        assert "All tokens are rejected" in logged()

    def test_user_pool_of_the_stage_is_the_default_issuer(
        self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer
    ) -> None:
        monkeypatch.delenv("OIDC_ISSUER")
        monkeypatch.delenv("OIDC_AUDIENCE")
        monkeypatch.setenv("USER_POOL_ISSUER", issuer.url)
        monkeypatch.setenv("USER_POOL_CLIENT_ID", AUDIENCE)
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.requested == ["/.well-known/jwks.json"]

    def test_keys_are_not_fetched_for_other_algorithms(self, ask: Ask, issuer: Issuer) -> None:
        ask(f"Bearer {unsigned(issuer)}")

        assert issuer.requested == []
