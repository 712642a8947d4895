"""The signing keys of an OpenID Connect issuer: fetched within a bound, and kept while the issuer fails.

PyJWT's PyJWKClient has other rules: it denies a key that it did not have within 30 seconds of its last fetch, fetches
again for each token while the issuer fails, and has no bound on the whole fetch. PyJWT still parses the keys.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt

from chalicelib import telemetry
from chalicelib.config import ConfigError, Issuer, require_https

MAX_AGE = 600
"""Seconds after which the keys are fetched again."""

KEPT_WHILE_FAILING = 24 * 3600
"""Seconds for which the last keys are used if they cannot be fetched again."""

PAUSE = 10
"""Seconds without a fetch after one that failed, and after one for a key that the issuer did not have."""

DEADLINE = 3
"""Seconds for a whole fetch, discovery included. API Gateway waits ten for the authorizer."""

MAX_BYTES = 512 * 1024
"""The size of the longest document that is read."""


_TOO_SOON = "A key that the issuer did not have a moment ago: the keys are fetched again for it in a few seconds."


class UnknownKeyError(jwt.InvalidTokenError):
    """The issuer has no such key."""


class KeysUnavailableError(Exception):
    """Whether the issuer has such a key cannot be told now. It says nothing about the token."""


class SigningKeys:
    """The signing keys of one issuer."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._address = issuer.jwks_url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._fetched_at = float("-inf")  # when the last good fetch began: monotonic, and Unix seconds
        self._paused_until = float("-inf")
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def find(self, kid: object, in_use_by: float) -> jwt.PyJWK:
        """Return the key ``kid``, which the issuer had by ``in_use_by`` (Unix seconds) if it has it at all.

        Raise UnknownKeyError if the issuer does not have it: the keys were fetched after the call or after
        ``in_use_by``. Raise KeysUnavailableError if there are no such keys, and no fetch is allowed or it fails.
        """
        called = time.monotonic()
        with self._lock:
            if called - self._fetched >= KEPT_WHILE_FAILING:
                self._keys, self._fetched, self._fetched_at = {}, float("-inf"), float("-inf")
            if called - self._fetched >= MAX_AGE:
                self._fetch()
            if self._find(kid) is None and not self._are_newer_than(called, in_use_by) and self._fetch():
                # Anybody can make up names of keys. Regular fetches start no pause: a key that the issuer began to use
                # right after one is found at once.
                self._paused_until = time.monotonic() + PAUSE
            key = self._find(kid)
            if key is not None:
                return key
            if self._are_newer_than(called, in_use_by):
                raise UnknownKeyError
            raise KeysUnavailableError(self._failure or _TOO_SOON) from self._failure

    def _find(self, kid: object) -> jwt.PyJWK | None:
        return self._keys.get(kid) if isinstance(kid, str) else None

    def _are_newer_than(self, called: float, in_use_by: float) -> bool:
        return self._fetched >= called or self._fetched_at > in_use_by

    def _fetch(self) -> bool:
        """Fetch the keys, unless there is a pause. Return whether there are new ones."""
        began, began_at = time.monotonic(), time.time()
        if began < self._paused_until:
            return False
        try:
            self._address, self._keys = _within(DEADLINE, self._load)
        except Exception as error:  # noqa: BLE001 - whatever an issuer answers, its last keys stay good
            self._failed(error)
            return False
        self._fetched, self._fetched_at, self._failure = began, began_at, None
        return True

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._paused_until, self._failure = now + PAUSE, error
        self._address = self._issuer.jwks_url  # it may have moved
        age = now - self._fetched
        telemetry.add_count("SigningKeysFetchFailed")
        telemetry.logger.error(
            "Fetching the issuer's keys failed",
            cause=f"{type(error).__name__}: {error}",
            keys_age_s=round(age) if self._keys else None,
        )

    def _load(self, get: _Get) -> _Loaded:
        address = self._address or _discovered(self._issuer.url, get)
        keys = jwt.PyJWKSet.from_dict(get(address))
        signing = {key.key_id: key for key in keys if key.key_id and key.public_key_use in ("sig", None)}
        if not signing:
            raise jwt.PyJWKSetError("The issuer has no keys to sign with.")
        return address, signing


_Get = Callable[[str], dict[str, Any]]
_Loaded = tuple[str, dict[str, jwt.PyJWK]]  # where the keys are, and the keys by their id


def _discovered(url: str, get: _Get) -> str:
    """Return where an issuer has its keys (OpenID Connect Discovery 1.0, section 4)."""
    document = get(f"{url.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != url:
        raise ConfigError(f"OIDC_ISSUER is {url!r}, but its discovery document is of {document.get('issuer')!r}.")
    return require_https("jwks_uri", str(document["jwks_uri"]))


def _within(seconds: float, load: Callable[[_Get], _Loaded]) -> _Loaded:
    """Return what ``load`` returns. Raise what it raises, or TimeoutError after so many seconds.

    A socket's timeout is one for each byte, and none for name resolution: so ``load`` runs in a thread, which is left
    behind at the deadline with its connection closed.
    """
    documents = _Documents(time.monotonic() + seconds)
    outcome: list[_Loaded | Exception] = []

    def run() -> None:
        try:
            outcome.append(load(documents.get))
        except Exception as error:  # noqa: BLE001 - raised below
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        documents.close()
        raise TimeoutError(f"The issuer's keys did not arrive within {seconds} s.")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to a host that is not the issuer's, or to one without TLS: it is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Documents(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """JSON objects by HTTP, until a deadline (monotonic seconds)."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None
        self._opener = urllib.request.build_opener(_NoRedirect, self)

    def get(self, url: str) -> dict[str, Any]:
        """Return the object at ``url``. Raise OSError, HTTPException or ValueError."""
        with self._opener.open(url, timeout=self._left()) as answer:
            document = json.loads(self._read(answer))
        if not isinstance(document, dict):
            raise ValueError(f"There is no JSON object at {url}.")  # noqa: TRY004 - what was sent is wrong, not a type
        return document

    def close(self) -> None:
        """End the transfer under way."""
        connected = self._connection.sock if self._connection else None
        if connected:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def do_open(self, http_class: Any, req: Any, **options: Any) -> http.client.HTTPResponse:
        """Open a connection, and remember it: urllib shows none before it has read the headers."""

        def connection(*arguments: Any, **named: Any) -> http.client.HTTPConnection:
            self._connection = http_class(*arguments, **named)
            return self._connection

        return super().do_open(connection, req, **options)

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        data = b""
        while part := answer.read1(MAX_BYTES):
            data += part
            if len(data) > MAX_BYTES:
                raise ValueError(f"There are more than {MAX_BYTES} bytes at {answer.url}.")
            self._left()
        return data

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
