"""Who gets in: good tokens of the one issuer, and nothing else that looks like one."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

import app
from chalicelib import auth, config

AUDIENCE = "client-1"
ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/api/GET/items"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """An OpenID Connect issuer on this machine: its keys, and how often each of its pages was asked for."""

    def __init__(self) -> None:
        issuer = self
        self.keys: list[dict[str, Any]] = [public(RSA, "rsa"), public(EC, "ec")]
        self.broken = False
        self.calls_itself: str | None = None
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                self.send_response(500 if issuer.broken else 200)
                self.end_headers()
                self.wfile.write(json.dumps(issuer.page(self.path)).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def page(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.calls_itself or self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": self.keys}

    def token(
        self, key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A good token, but for the ``claims`` that are named; a claim that is None is left out."""
        good = {"iss": self.url, "aud": AUDIENCE, auth.OWNER_CLAIM: "ann", "exp": time.time() + 600, "iat": time.time()}
        said = {name: value for name, value in (good | claims).items() if value is not None}
        named = {"kid": "ec" if algorithm == "ES256" else "rsa"} | (header or {})
        return jwt.encode(said, key, algorithm, {name: value for name, value in named.items() if value is not None})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def public(key: Any, kid: str, **changed: Any) -> dict[str, Any]:
    of_its_kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    known: dict[str, Any] = of_its_kind.to_jwk(key.public_key(), as_dict=True)  # type: ignore[attr-defined]
    algorithm = "RS256" if of_its_kind is RSAAlgorithm else "ES256"
    return {**known, "kid": kid, "use": "sig", "alg": algorithm, **changed}


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    issuer = Issuer()
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setenv("AUTH_MODE", "oidc")
    monkeypatch.setenv("OIDC_ISSUER", issuer.url)
    monkeypatch.setenv("OIDC_AUDIENCE", f"another,{AUDIENCE}")
    config.settings.cache_clear()
    auth._keys.cache_clear()
    yield issuer
    issuer.close()
    monkeypatch.undo()
    config.settings.cache_clear()
    auth._keys.cache_clear()


Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(issuer: Issuer) -> Ask:
    """What the authorizer answers to an Authorization header."""

    def authorize(authorization: str) -> dict[str, Any]:
        return app.authorize({"type": "TOKEN", "authorizationToken": authorization, "methodArn": ARN}, None)

    return authorize


def allowed(answer: dict[str, Any]) -> list[str]:
    [statement] = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    return list(statement["Resource"])


class TestGood:
    @pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
    def test_its_subject_is_the_owner_on_every_route(self, ask: Ask, issuer: Issuer, key: Any, algorithm: str) -> None:
        answer = ask(f"Bearer {issuer.token(key, algorithm, exp=2_000_000_000)}")

        assert allowed(answer) == ["arn:aws:execute-api:us-east-1:123456789012:abc/api/*/*"]
        assert answer["principalId"] == "ann"
        assert answer["context"] == {"until": str(2_000_000_000 + auth.LEEWAY)}

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": ["x", AUDIENCE]},
            {"aud": "another"},
            {"aud": None, "client_id": AUDIENCE},  # Cognito's access tokens
            {"nbf": 0},
            {auth.OWNER_CLAIM: "auth0|5f7c"},
            {auth.OWNER_CLAIM: "x" * 255},
        ],
    )
    def test_it_may_look_like_this_too(self, ask: Ask, issuer: Issuer, claims: dict[str, Any]) -> None:
        assert allowed(ask(f"Bearer {issuer.token(**claims)}"))

    def test_clocks_may_differ_by_a_little(self, ask: Ask, issuer: Issuer) -> None:
        now = time.time()

        assert allowed(ask(f"Bearer {issuer.token(exp=now - 10)}"))
        assert allowed(ask(f"Bearer {issuer.token(nbf=now + 10, iat=now + 10)}"))

    @pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
    def test_the_scheme_may_be_written_in_any_case(self, ask: Ask, issuer: Issuer, scheme: str) -> None:
        assert allowed(ask(scheme + issuer.token()))


def signed_by_what_everybody_knows(issuer: Issuer) -> str:
    """RS256's public key as the secret of HS256: what a library does that believes the token's own header."""
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
    return f"{header}.{b64(json.dumps(claims | {auth.OWNER_CLAIM: 'bob'}).encode())}.{signature}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


BAD: dict[str, Callable[[Issuer], str]] = {
    "alg none": unsigned,
    "alg None": lambda issuer: unsigned(issuer, "None"),
    "HS256 with the public key as its secret": signed_by_what_everybody_knows,
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
    "no subject": lambda issuer: issuer.token(**{auth.OWNER_CLAIM: None}),
    "an empty subject": lambda issuer: issuer.token(**{auth.OWNER_CLAIM: ""}),
    "a subject that is too long": lambda issuer: issuer.token(**{auth.OWNER_CLAIM: "x" * 256}),
    "a subject beyond ASCII": lambda issuer: issuer.token(**{auth.OWNER_CLAIM: "jürgen"}),
    "a subject that is no text": lambda issuer: issuer.token(**{auth.OWNER_CLAIM: ["ann"]}),
    "an altered payload": altered,
    "a signature cut short": lambda issuer: issuer.token()[:-8],
    "no signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "an unknown key": lambda issuer: issuer.token(header={"kid": "nobody's"}),
    "another's key under the right name": lambda issuer: issuer.token(OTHER_RSA),
    "no key named": lambda issuer: issuer.token(header={"kid": None}),
    "a key named by a number": lambda issuer: unsigned(issuer, "RS256", 7),
    "where its own keys lie": lambda issuer: issuer.token(OTHER_RSA, header={"jku": "https://evil.example/keys"}),
    "its own key": lambda issuer: issuer.token(OTHER_RSA, header={"jwk": public(OTHER_RSA, "rsa")}),
    "no token": lambda issuer: "",
    "no dots": lambda issuer: "abc",
    "two dots": lambda issuer: "..",
    "no JSON": lambda issuer: "YWJj.YWJj.YWJj",
    "two tokens": lambda issuer: f"{issuer.token()} {issuer.token()}",
    "very long": lambda issuer: "a" * 100_000,
}


class TestBad:
    @pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
    def test_a_token_that_is_not_good_opens_nothing(
        self, ask: Ask, issuer: Issuer, make: Callable[[Issuer], str]
    ) -> None:
        answer = ask(f"Bearer {make(issuer)}")

        assert allowed(answer) == []
        assert answer["principalId"] == "nobody"

    @pytest.mark.parametrize("scheme", ["", "Basic ", "Bearer", "Token ", "Bearer\n", "Bearer Bearer "])
    def test_another_scheme_opens_nothing(self, ask: Ask, issuer: Issuer, scheme: str) -> None:
        assert allowed(ask(scheme + issuer.token())) == []

    def test_what_was_refused_is_never_logged_but_why_is(
        self, ask: Ask, issuer: Issuer, logged: Callable[[], str]
    ) -> None:
        token = issuer.token(exp=1)

        ask(f"Bearer {token}")

        lines = logged()
        assert "ExpiredSignatureError" in lines
        assert not any(part in lines for part in token.split("."))
        assert "SignInRefused" in lines

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    def test_a_key_too_short_to_be_safe_is_its_issuers_mistake(self, ask: Ask, issuer: Issuer) -> None:
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        issuer.keys = [public(short, "rsa")]

        with pytest.raises(jwt.InvalidKeyError):
            ask(f"Bearer {issuer.token(short)}")


class TestIssuer:
    def test_nobody_gets_in_where_there_is_none_and_the_log_says_why(
        self, monkeypatch: pytest.MonkeyPatch, issuer: Issuer, ask: Ask, logged: Callable[[], str]
    ) -> None:
        monkeypatch.delenv("OIDC_ISSUER")
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}")) == []
        assert "Nobody gets in" in logged()

    def test_its_keys_are_found_by_its_discovery_document_and_kept(self, ask: Ask, issuer: Issuer) -> None:
        for _ in range(3):
            assert allowed(ask(f"Bearer {issuer.token()}"))

        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]

    def test_its_keys_lie_where_the_setting_says(
        self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer
    ) -> None:
        monkeypatch.setenv("OIDC_JWKS_URL", f"{issuer.url}/elsewhere")
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.asked == ["/elsewhere"]

    def test_the_user_pool_of_the_stage_is_it_where_no_other_is_named(
        self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer
    ) -> None:
        monkeypatch.delenv("OIDC_ISSUER")
        monkeypatch.delenv("OIDC_AUDIENCE")
        monkeypatch.setenv("USER_POOL_ISSUER", issuer.url)
        monkeypatch.setenv("USER_POOL_CLIENT_ID", AUDIENCE)
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.asked == ["/.well-known/jwks.json"]

    def test_a_new_key_is_fetched_once_it_is_named(
        self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        issuer.keys = [public(OTHER_RSA, "new")]
        new = f"Bearer {issuer.token(OTHER_RSA, header={'kid': 'new'})}"
        later = time.monotonic() + 31
        monkeypatch.setattr(time, "monotonic", lambda: later)

        assert allowed(ask(new))
        assert issuer.asked.count("/keys") == 2

    def test_names_of_keys_that_nobody_has_do_not_make_it_busy(self, ask: Ask, issuer: Issuer) -> None:
        for number in range(20):
            assert allowed(ask(f"Bearer {issuer.token(header={'kid': str(number)})}")) == []

        assert issuer.asked.count("/keys") == 1

    def test_algorithms_that_are_never_taken_do_not_even_reach_it(self, ask: Ask, issuer: Issuer) -> None:
        ask(f"Bearer {unsigned(issuer)}")

        assert issuer.asked == []

    def test_an_issuer_that_does_not_answer_refuses_nobody(
        self, ask: Ask, issuer: Issuer, logged: Callable[[], str]
    ) -> None:
        # API Gateway would keep a refusal for five minutes. A function that fails is asked again.
        issuer.broken = True
        with pytest.raises(Exception, match="500"):
            ask(f"Bearer {issuer.token()}")
        assert "Tokens cannot be checked" in logged()

        issuer.broken = False
        assert allowed(ask(f"Bearer {issuer.token()}"))

    @pytest.mark.parametrize("keys", [[], [{"kty": "RSA"}], [public(RSA, "rsa", use="enc")]])
    def test_an_issuer_without_keys_refuses_nobody(self, ask: Ask, issuer: Issuer, keys: list[Any]) -> None:
        issuer.keys = keys

        with pytest.raises(jwt.PyJWTError):
            ask(f"Bearer {issuer.token()}")

    def test_a_page_that_speaks_for_another_issuer_is_not_believed(self, ask: Ask, issuer: Issuer) -> None:
        issuer.calls_itself = "https://another.example"

        with pytest.raises(config.ConfigError, match=r"calls itself 'https://another\.example'"):
            ask(f"Bearer {issuer.token()}")
