"""A stage whose tokens come from an issuer on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import app
from chalicelib import config
from chalicelib.http import auth
from tests.integration.http.issuer import ARN, AUDIENCE, Ask, Issuer


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    issuer = Issuer()
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setenv("AUTH_MODE", "oidc")
    monkeypatch.setenv("OIDC_ISSUER", issuer.url)
    monkeypatch.setenv("OIDC_AUDIENCE", f"another,{AUDIENCE}")
    config.settings.cache_clear()
    auth._issuer_keys.cache_clear()
    yield issuer
    issuer.close()
    monkeypatch.undo()
    config.settings.cache_clear()
    auth._issuer_keys.cache_clear()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the monotonic clock."""
    passed, real = 0.0, time.monotonic

    def forward(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr(time, "monotonic", lambda: real() + passed)

    return forward


@pytest.fixture
def ask(issuer: Issuer) -> Ask:
    """Call the authorizer with an Authorization header."""

    def authorize(authorization: str) -> dict[str, Any]:
        return app.authorize({"type": "TOKEN", "authorizationToken": authorization, "methodArn": ARN}, None)

    return authorize
