"""The authorizer: which tokens are accepted, and how the issuer's keys are fetched."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

import app
from chalicelib import config
from chalicelib.http import auth, signing_keys

AUDIENCE = "client-1"
ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/api/GET/items"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """An OpenID Connect issuer on this machine, with its keys, its faults, and the paths requested from it."""

    def __init__(self) -> None:
        issuer = self
        self.keys: list[dict[str, Any]] = [public(RSA, "rsa"), public(EC, "ec")]
        self.broken = False
        self.calls_itself: str | None = None
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}
        self.drips: bytes | None = None
        """Bytes that it sends repeatedly, without ending the response."""
        self.hung_up = threading.Event()
        """Set when the client closes such a connection."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                if issuer.drips:
                    issuer.drip(self.wfile)
                    return
                target = issuer.redirects.get(self.path)
                self.send_response(500 if issuer.broken else 302 if target else 200)
                if target:
                    self.send_header("Location", target)
                self.end_headers()
                with contextlib.suppress(OSError):  # the client may close the connection early
                    self.wfile.write(json.dumps(issuer.page(self.path)).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def drip(self, to: Any) -> None:
        try:
            to.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            while self.drips:
                to.write(self.drips)
                time.sleep(0.01)
        except OSError:
            self.hung_up.set()

    def page(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.calls_itself or self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": self.keys}

    def token(
        self, key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a valid token with these ``claims``; a claim that is None is left out."""
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
    auth._signing_keys.cache_clear()
    yield issuer
    issuer.close()
    monkeypatch.undo()
    config.settings.cache_clear()
    auth._signing_keys.cache_clear()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the monotonic clock."""
    passed, real = 0.0, time.monotonic

    def forward(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr(time, "monotonic", lambda: real() + passed)

    return forward


Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(issuer: Issuer) -> Ask:
    """Call the authorizer with an Authorization header."""

    def authorize(authorization: str) -> dict[str, Any]:
        return app.authorize({"type": "TOKEN", "authorizationToken": authorization, "methodArn": ARN}, None)

    return authorize


def allowed(response: dict[str, Any]) -> list[str]:
    [statement] = response["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    return list(statement["Resource"])


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
            {auth.OWNER_CLAIM: "auth0|5f7c"},
            {auth.OWNER_CLAIM: "x" * 255},
            {"token_use": "id", "at_hash": "x", "nonce": "x"},  # Cognito's id tokens
            {"typ": "Bearer", "azp": AUDIENCE},  # Keycloak
            {"typ": "ID"},
            {"iat": None},
        ],
    )
    def test_other_valid_claims_are_accepted(self, ask: Ask, issuer: Issuer, claims: dict[str, Any]) -> None:
        assert allowed(ask(f"Bearer {issuer.token(**claims)}"))

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
    return f"{header}.{b64(json.dumps(claims | {auth.OWNER_CLAIM: 'bob'}).encode())}.{signature}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


BAD: dict[str, Callable[[Issuer], str]] = {
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
    @pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
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

    def test_keys_are_discovered_and_kept(self, ask: Ask, issuer: Issuer) -> None:
        for _ in range(3):
            assert allowed(ask(f"Bearer {issuer.token()}"))

        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]

    def test_setting_gives_the_url_of_the_keys(self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer) -> None:
        monkeypatch.setenv("OIDC_JWKS_URL", f"{issuer.url}/elsewhere")
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.asked == ["/elsewhere"]

    def test_user_pool_of_the_stage_is_the_default_issuer(
        self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer
    ) -> None:
        monkeypatch.delenv("OIDC_ISSUER")
        monkeypatch.delenv("OIDC_AUDIENCE")
        monkeypatch.setenv("USER_POOL_ISSUER", issuer.url)
        monkeypatch.setenv("USER_POOL_CLIENT_ID", AUDIENCE)
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.asked == ["/.well-known/jwks.json"]

    def test_keys_are_not_fetched_for_other_algorithms(self, ask: Ask, issuer: Issuer) -> None:
        ask(f"Bearer {unsigned(issuer)}")

        assert issuer.asked == []

    def test_failing_issuer_denies_nobody(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None], logged: Callable[[], str]
    ) -> None:
        issuer.broken = True
        with pytest.raises(signing_keys.KeysUnavailableError, match="500"):
            ask(f"Bearer {issuer.token()}")
        assert "Token verification failed" in logged()

        issuer.broken = False
        pass_time(signing_keys.PAUSE)
        assert allowed(ask(f"Bearer {issuer.token()}"))

    @pytest.mark.parametrize("keys", [[], [{"kty": "RSA"}], [public(RSA, "rsa", use="enc")], 7])
    def test_issuer_without_keys_denies_nobody(self, ask: Ask, issuer: Issuer, keys: Any) -> None:
        issuer.keys = keys

        with pytest.raises(signing_keys.KeysUnavailableError):
            ask(f"Bearer {issuer.token()}")

    def test_discovery_document_of_another_issuer_is_rejected(self, ask: Ask, issuer: Issuer) -> None:
        issuer.calls_itself = "https://another.example"

        with pytest.raises(signing_keys.KeysUnavailableError, match=r"document names 'https://another\.example'"):
            ask(f"Bearer {issuer.token()}")

    @pytest.mark.parametrize("page", ["/.well-known/openid-configuration", "/keys"])
    def test_redirects_are_not_followed(self, ask: Ask, issuer: Issuer, page: str) -> None:
        issuer.redirects[page] = f"{issuer.url}/elsewhere"

        with pytest.raises(signing_keys.KeysUnavailableError, match="302"):
            ask(f"Bearer {issuer.token()}")
        assert "/elsewhere" not in issuer.asked

    def test_keys_without_tls_are_not_fetched(self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
        page = {"issuer": issuer.url, "jwks_uri": "http://keys.example/keys"}
        monkeypatch.setattr(issuer, "page", lambda _: page)

        with pytest.raises(signing_keys.KeysUnavailableError, match="must begin with https"):
            ask(f"Bearer {issuer.token()}")


def rotated(issuer: Issuer, kid: str = "new") -> str:
    """Replace the issuer's key, and return a token signed with the new one."""
    issuer.keys = [public(OTHER_RSA, kid)]
    return f"Bearer {issuer.token(OTHER_RSA, header={'kid': kid})}"


def made_up(issuer: Issuer, kid: object = "made up", **claims: Any) -> str:
    return f"Bearer {issuer.token(OTHER_RSA, header={'kid': str(kid)}, **claims)}"


class TestRotation:
    """API Gateway caches a denial for five minutes, but no error: an unknown key raises an error."""

    @pytest.mark.parametrize("seconds", [0, 5, 29, 31, 599, 601])
    def test_new_key_is_accepted_at_once(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None], seconds: float
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        pass_time(seconds)

        assert allowed(ask(rotated(issuer)))
        assert issuer.asked.count("/keys") == 2

    def test_made_up_key_does_not_deny_a_new_key(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        assert allowed(ask(made_up(issuer))) == []

        token = rotated(issuer)
        with pytest.raises(signing_keys.KeysUnavailableError, match="not fetched again yet"):
            ask(token)
        pass_time(signing_keys.PAUSE)

        assert allowed(ask(token))

    def test_made_up_keys_cause_few_fetches(self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]) -> None:
        ask(f"Bearer {issuer.token()}")
        for number in range(50):
            with contextlib.suppress(signing_keys.KeysUnavailableError):
                assert allowed(ask(made_up(issuer, number))) == []
            assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.asked.count("/keys") == 2

        pass_time(signing_keys.PAUSE)
        assert allowed(ask(made_up(issuer))) == []
        assert issuer.asked.count("/keys") == 3

    def test_old_token_is_denied_without_a_fetch(self, ask: Ask, issuer: Issuer) -> None:
        ask(f"Bearer {issuer.token()}")

        for number in range(20):
            assert allowed(ask(made_up(issuer, number, iat=time.time() - auth.LEEWAY - 5))) == []

        assert issuer.asked.count("/keys") == 1

    @pytest.mark.parametrize("claims", [{"exp": 1}, {"aud": "another's"}, {"iss": "https://a.example"}, {"cnf": {}}])
    def test_token_with_invalid_claims_is_denied_without_a_fetch(
        self, ask: Ask, issuer: Issuer, claims: dict[str, Any]
    ) -> None:
        issuer.broken = True

        assert allowed(ask(made_up(issuer, **claims))) == []
        assert issuer.asked == []

    def test_removed_key_is_denied_after_the_next_fetch(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        token = f"Bearer {issuer.token()}"
        assert allowed(ask(token))
        issuer.keys = [public(OTHER_RSA, "new")]
        pass_time(signing_keys.MAX_AGE)

        assert allowed(ask(token)) == []


class TestFailingIssuer:
    def test_known_keys_stay_valid_for_a_day(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None], logged: Callable[[], str]
    ) -> None:
        token = f"Bearer {issuer.token(exp=time.time() + 100_000)}"
        ask(token)
        issuer.broken = True

        pass_time(signing_keys.MAX_AGE)
        assert allowed(ask(token))
        assert "Fetching the issuer's keys failed" in logged()
        pass_time(signing_keys.MAX_AGE_WHILE_FAILING - signing_keys.MAX_AGE - 1)
        assert allowed(ask(token))
        pass_time(1)
        with pytest.raises(signing_keys.KeysUnavailableError):
            ask(token)

    def test_old_token_is_not_denied_after_the_keys_expire(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        token = f"Bearer {issuer.token(iat=time.time() - 1000, exp=time.time() + 100_000)}"
        assert allowed(ask(token))
        issuer.broken = True
        pass_time(signing_keys.MAX_AGE_WHILE_FAILING)

        with pytest.raises(signing_keys.KeysUnavailableError):
            ask(token)

    def test_failed_fetch_is_not_repeated_at_once(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        issuer.broken = True
        pass_time(signing_keys.MAX_AGE)
        issuer.asked.clear()

        for _ in range(20):
            assert allowed(ask(f"Bearer {issuer.token()}"))
        assert len(issuer.asked) == 1

        pass_time(signing_keys.PAUSE)
        issuer.broken = False
        assert allowed(ask(rotated(issuer)))

    @pytest.mark.parametrize("known", [True, False])
    def test_fifty_made_up_keys_cause_one_fetch_and_no_denial(self, ask: Ask, issuer: Issuer, known: bool) -> None:
        if known:
            ask(f"Bearer {issuer.token()}")
        issuer.broken = True
        issuer.asked.clear()

        for number in range(50):
            with pytest.raises(signing_keys.KeysUnavailableError):
                ask(made_up(issuer, number))

        assert len(issuer.asked) == 1

    def test_simultaneous_tokens_cause_one_fetch(self, ask: Ask, issuer: Issuer) -> None:
        tokens = [f"Bearer {issuer.token()}" for _ in range(16)]

        with ThreadPoolExecutor(16) as pool:
            assert all(allowed(response) for response in pool.map(ask, tokens))

        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]

    @pytest.mark.parametrize("drips", [b"x", b"y\r\nZ: ", b"\r\n\r\n[", b"\r\n\r\n "])
    def test_endless_response_is_aborted(
        self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, drips: bytes
    ) -> None:
        monkeypatch.setattr(signing_keys, "DEADLINE", 0.3)
        issuer.drips = drips

        with pytest.raises(signing_keys.KeysUnavailableError):
            ask(f"Bearer {issuer.token()}")

        assert issuer.hung_up.wait(10), "the connection stays open"

    def test_too_long_response_is_not_read(self, ask: Ask, issuer: Issuer) -> None:
        issuer.keys = [public(RSA, "rsa", x5c=["x" * signing_keys.MAX_BYTES])]

        with pytest.raises(signing_keys.KeysUnavailableError, match="more than"):
            ask(f"Bearer {issuer.token()}")

    def test_moved_keys_are_found(
        self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        moved = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/moved"}
        pages = {"/.well-known/openid-configuration": moved, "/moved": {"keys": issuer.keys}, "/keys": {}}
        monkeypatch.setattr(issuer, "page", pages.__getitem__)
        pass_time(signing_keys.MAX_AGE)
        ask(f"Bearer {issuer.token()}")
        pass_time(signing_keys.PAUSE)

        assert allowed(ask(rotated_at(issuer, pages)))


def rotated_at(issuer: Issuer, pages: dict[str, Any]) -> str:
    token = rotated(issuer)
    pages["/moved"] = {"keys": issuer.keys}
    return token
