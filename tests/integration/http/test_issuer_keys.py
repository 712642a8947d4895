"""The issuer's keys: discovered, kept, rotated, and missing while the issuer fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import config
from chalicelib.http import auth, issuer_keys
from tests.integration.http.issuer import OTHER_RSA, RSA, Ask, Issuer, allowed, public


class TestFetch:
    def test_keys_are_discovered_and_kept(self, ask: Ask, issuer: Issuer) -> None:
        for _ in range(3):
            assert allowed(ask(f"Bearer {issuer.token()}"))

        assert issuer.requested == ["/.well-known/openid-configuration", "/keys"]

    def test_setting_gives_the_url_of_the_keys(self, monkeypatch: pytest.MonkeyPatch, ask: Ask, issuer: Issuer) -> None:
        monkeypatch.setenv("OIDC_JWKS_URL", f"{issuer.url}/elsewhere")
        config.settings.cache_clear()

        assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.requested == ["/elsewhere"]

    def test_failing_issuer_denies_nobody(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None], logged: Callable[[], str]
    ) -> None:
        issuer.broken = True
        with pytest.raises(issuer_keys.KeysUnavailableError, match="500"):
            ask(f"Bearer {issuer.token()}")
        assert "Token verification failed" in logged()

        issuer.broken = False
        pass_time(issuer_keys.PAUSE)
        assert allowed(ask(f"Bearer {issuer.token()}"))

    @pytest.mark.parametrize("keys", [[], [{"kty": "RSA"}], [public(RSA, "rsa", use="enc")], 7])
    def test_issuer_without_keys_denies_nobody(self, ask: Ask, issuer: Issuer, keys: Any) -> None:
        issuer.keys = keys

        with pytest.raises(issuer_keys.KeysUnavailableError):
            ask(f"Bearer {issuer.token()}")

    @pytest.mark.parametrize("claimed", ["https://another.example", "http://0.example"])
    def test_discovery_document_of_another_issuer_is_rejected(self, ask: Ask, issuer: Issuer, claimed: str) -> None:
        issuer.claimed_issuer = claimed

        with pytest.raises(issuer_keys.KeysUnavailableError, match=f"document names '{claimed}'"):
            ask(f"Bearer {issuer.token()}")

    @pytest.mark.parametrize("page", ["/.well-known/openid-configuration", "/keys"])
    def test_redirects_are_not_followed(self, ask: Ask, issuer: Issuer, page: str) -> None:
        issuer.redirects[page] = f"{issuer.url}/elsewhere"

        with pytest.raises(issuer_keys.KeysUnavailableError, match="302"):
            ask(f"Bearer {issuer.token()}")
        assert "/elsewhere" not in issuer.requested

    def test_keys_without_tls_are_not_fetched(self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
        page = {"issuer": issuer.url, "jwks_uri": "http://keys.example/keys"}
        monkeypatch.setattr(issuer, "page", lambda _: page)

        with pytest.raises(issuer_keys.KeysUnavailableError, match="must begin with https"):
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
        assert issuer.requested.count("/keys") == 2

    def test_made_up_key_does_not_deny_a_new_key(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        assert allowed(ask(made_up(issuer))) == []

        token = rotated(issuer)
        with pytest.raises(issuer_keys.KeysUnavailableError, match="not fetched again yet"):
            ask(token)
        pass_time(issuer_keys.PAUSE)

        assert allowed(ask(token))

    def test_made_up_keys_cause_few_fetches(self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]) -> None:
        ask(f"Bearer {issuer.token()}")
        for number in range(50):
            with contextlib.suppress(issuer_keys.KeysUnavailableError):
                assert allowed(ask(made_up(issuer, number))) == []
            assert allowed(ask(f"Bearer {issuer.token()}"))
        assert issuer.requested.count("/keys") == 2

        pass_time(issuer_keys.PAUSE)
        assert allowed(ask(made_up(issuer))) == []
        assert issuer.requested.count("/keys") == 3

    def test_old_token_is_denied_without_a_fetch(self, ask: Ask, issuer: Issuer) -> None:
        ask(f"Bearer {issuer.token()}")

        for number in range(20):
            assert allowed(ask(made_up(issuer, number, iat=time.time() - auth.LEEWAY - 5))) == []

        assert issuer.requested.count("/keys") == 1

    @pytest.mark.parametrize("claims", [{"exp": 1}, {"aud": "another's"}, {"iss": "https://a.example"}, {"cnf": {}}])
    def test_token_with_invalid_claims_is_denied_without_a_fetch(
        self, ask: Ask, issuer: Issuer, claims: dict[str, Any]
    ) -> None:
        issuer.broken = True

        assert allowed(ask(made_up(issuer, **claims))) == []
        assert issuer.requested == []

    def test_removed_key_is_denied_after_the_next_fetch(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        token = f"Bearer {issuer.token()}"
        assert allowed(ask(token))
        issuer.keys = [public(OTHER_RSA, "new")]
        pass_time(issuer_keys.MAX_AGE)

        assert allowed(ask(token)) == []


class TestFailingIssuer:
    def test_known_keys_stay_valid_for_a_day(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None], logged: Callable[[], str]
    ) -> None:
        token = f"Bearer {issuer.token(exp=time.time() + 100_000)}"
        ask(token)
        issuer.broken = True

        pass_time(issuer_keys.MAX_AGE)
        assert allowed(ask(token))
        assert "Fetching the issuer's keys failed" in logged()
        pass_time(issuer_keys.MAX_AGE_WHILE_FAILING - issuer_keys.MAX_AGE - 1)
        assert allowed(ask(token))
        pass_time(1)
        with pytest.raises(issuer_keys.KeysUnavailableError):
            ask(token)

    def test_old_token_is_not_denied_after_the_keys_expire(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        token = f"Bearer {issuer.token(iat=time.time() - 1000, exp=time.time() + 100_000)}"
        assert allowed(ask(token))
        issuer.broken = True
        pass_time(issuer_keys.MAX_AGE_WHILE_FAILING)

        with pytest.raises(issuer_keys.KeysUnavailableError):
            ask(token)

    def test_failed_fetch_is_not_repeated_at_once(
        self, ask: Ask, issuer: Issuer, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        issuer.broken = True
        pass_time(issuer_keys.MAX_AGE)
        issuer.requested.clear()

        for _ in range(20):
            assert allowed(ask(f"Bearer {issuer.token()}"))
        assert len(issuer.requested) == 1

        pass_time(issuer_keys.PAUSE)
        issuer.broken = False
        assert allowed(ask(rotated(issuer)))

    @pytest.mark.parametrize("known", [True, False])
    def test_fifty_made_up_keys_cause_one_fetch_and_no_denial(self, ask: Ask, issuer: Issuer, known: bool) -> None:
        if known:
            ask(f"Bearer {issuer.token()}")
        issuer.broken = True
        issuer.requested.clear()

        for number in range(50):
            with pytest.raises(issuer_keys.KeysUnavailableError):
                ask(made_up(issuer, number))

        assert len(issuer.requested) == 1

    def test_simultaneous_tokens_cause_one_fetch(self, ask: Ask, issuer: Issuer) -> None:
        tokens = [f"Bearer {issuer.token()}" for _ in range(16)]

        with ThreadPoolExecutor(16) as pool:
            assert all(allowed(response) for response in pool.map(ask, tokens))

        assert issuer.requested == ["/.well-known/openid-configuration", "/keys"]

    @pytest.mark.parametrize("drips", [b"x", b"y\r\nZ: ", b"\r\n\r\n[", b"\r\n\r\n "])
    def test_endless_response_is_aborted(
        self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, drips: bytes
    ) -> None:
        monkeypatch.setattr(issuer_keys, "DEADLINE", 0.3)
        issuer.drips = drips

        with pytest.raises(issuer_keys.KeysUnavailableError):
            ask(f"Bearer {issuer.token()}")

        assert issuer.connection_closed.wait(10), "the connection stays open"

    def test_too_long_response_is_not_read(self, ask: Ask, issuer: Issuer) -> None:
        issuer.keys = [public(RSA, "rsa", x5c=["x" * issuer_keys.MAX_BYTES])]

        with pytest.raises(issuer_keys.KeysUnavailableError, match="more than"):
            ask(f"Bearer {issuer.token()}")

    def test_moved_keys_are_found(
        self, ask: Ask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
    ) -> None:
        ask(f"Bearer {issuer.token()}")
        moved = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/moved"}
        pages = {"/.well-known/openid-configuration": moved, "/moved": {"keys": issuer.keys}, "/keys": {}}
        monkeypatch.setattr(issuer, "page", pages.__getitem__)
        pass_time(issuer_keys.MAX_AGE)
        ask(f"Bearer {issuer.token()}")
        pass_time(issuer_keys.PAUSE)

        assert allowed(ask(rotated_at(issuer, pages)))


def rotated_at(issuer: Issuer, pages: dict[str, Any]) -> str:
    token = rotated(issuer)
    pages["/moved"] = {"keys": issuer.keys}
    return token
