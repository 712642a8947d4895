"""Fetch the signing keys of an OpenID Connect issuer within a deadline, and keep them while the issuer fails.

PyJWT parses the keys, but its PyJWKClient does not fetch them here: it rejects a new key within 30 seconds of its last
fetch, fetches again for each token while the issuer fails, and has no deadline for the whole fetch.
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
from chalicelib.values import time_limit

MAX_AGE = 600
"""Seconds after which the keys are fetched again."""

MAX_AGE_WHILE_FAILING = 24 * 3600
"""Seconds for which the last keys are used if fetching them fails."""

PAUSE = 10
"""Seconds without a fetch after a failed one, and after one for a key that the issuer does not have."""

DEADLINE = 3
"""Seconds for a whole fetch, including discovery. API Gateway waits ten seconds for the authorizer."""

MAX_BYTES = 512 * 1024
"""Bytes of the largest document that is read."""

_TOO_SOON = "The issuer did not have this key some seconds ago; the keys are not fetched again yet."


class UnknownKeyError(jwt.InvalidTokenError):
    """The issuer does not have the key of this token."""


class KeysUnavailableError(Exception):
    """It is not known whether the issuer has the key, because its keys could not be fetched."""


class IssuerKeys:
    """The signing keys of one issuer."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._address = issuer.jwks_url
        self._keys: dict[str, jwt.PyJWK] = {}
        # The start of the last successful fetch: monotonic, and in Unix seconds.
        self._fetched = self._fetched_at = float("-inf")
        self._paused_until = float("-inf")
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def find(self, kid: object, in_use_by: float) -> jwt.PyJWK:
        """Return the key with the id ``kid``. ``in_use_by`` (Unix seconds) is when the issuer must have published it.

        Raise UnknownKeyError if the issuer does not have it, according to keys that were fetched after this call began
        or after ``in_use_by``. Raise KeysUnavailableError if there are no such keys and a fetch fails or must wait.
        """
        called = time.monotonic()
        with self._lock:
            if called - self._fetched >= MAX_AGE_WHILE_FAILING:
                self._keys, self._fetched, self._fetched_at = {}, float("-inf"), float("-inf")
            if called - self._fetched >= MAX_AGE:
                self._fetch()
            if self._find(kid) is None and not self._are_newer_than(called, in_use_by) and self._fetch():
                # Start a pause, because anybody can make up key ids. The regular fetch above starts none: a key that
                # the issuer uses for the first time right after that fetch must be found at once.
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
        """Fetch the keys, unless in a pause. Return whether they were fetched."""
        began, began_at = time.monotonic(), time.time()
        if began < self._paused_until:
            return False
        try:
            self._address, self._keys = _load_in_time(self._load)
        except Exception as error:  # noqa: BLE001 - after any failure, the last keys stay valid
            self._record_failure(error)
            return False
        self._fetched, self._fetched_at, self._failure = began, began_at, None
        return True

    def _record_failure(self, error: Exception) -> None:
        now = time.monotonic()
        self._paused_until, self._failure = now + PAUSE, error
        self._address = self._issuer.jwks_url  # discover it again: it may have changed
        age = now - self._fetched
        telemetry.add_count("SigningKeysFetchFailed")
        telemetry.logger.error(
            "Fetching the issuer's keys failed",
            cause=f"{type(error).__name__}: {error}",
            keys_age_s=round(age) if self._keys else None,
        )

    def _load(self, get: _Get) -> _Loaded:
        address = self._address or _discover(self._issuer.url, get)
        keys = jwt.PyJWKSet.from_dict(get(address))
        signing = {key.key_id: key for key in keys if key.key_id and key.public_key_use in ("sig", None)}
        if not signing:
            raise jwt.PyJWKSetError("The issuer has no signing keys.")
        return address, signing


_Get = Callable[[str], dict[str, Any]]
_Loaded = tuple[str, dict[str, jwt.PyJWK]]  # the URL of the keys, and the keys by id


def _discover(url: str, get: _Get) -> str:
    """Return the URL of an issuer's keys (OpenID Connect Discovery 1.0, section 4)."""
    document = get(f"{url.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != url:
        raise ConfigError(f"OIDC_ISSUER is {url!r}, but its discovery document names {document.get('issuer')!r}.")
    return require_https("jwks_uri", str(document["jwks_uri"]))


def _load_in_time(load: Callable[[_Get], _Loaded]) -> _Loaded:
    """Return what ``load`` returns. Raise what it raises, or TimeoutError after DEADLINE."""
    documents = _Documents(time.monotonic() + DEADLINE)
    return time_limit.run_within(DEADLINE, lambda: load(documents.get), documents.close)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: they could lead to another host or to one without TLS."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Documents(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Read JSON objects over HTTP until a deadline (monotonic seconds)."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None
        self._opener = urllib.request.build_opener(_NoRedirect, self)

    def get(self, url: str) -> dict[str, Any]:
        """Return the JSON object at ``url``. Raise OSError, HTTPException or ValueError."""
        with self._opener.open(url, timeout=self._seconds_left()) as response:
            document = json.loads(self._read(response))
        if not isinstance(document, dict):
            raise ValueError(f"{url} does not return a JSON object.")  # noqa: TRY004 - wrong data, not a wrong type
        return document

    def close(self) -> None:
        """Abort the current transfer."""
        connected = self._connection.sock if self._connection else None
        if connected:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def do_open(self, http_class: Any, req: Any, **options: Any) -> http.client.HTTPResponse:
        """Open a connection and keep it for ``close``. urllib itself returns it only after the headers."""

        def connection(*arguments: Any, **named: Any) -> http.client.HTTPConnection:
            self._connection = http_class(*arguments, **named)
            return self._connection

        return super().do_open(connection, req, **options)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        data = b""
        while part := response.read1(MAX_BYTES):
            data += part
            if len(data) > MAX_BYTES:
                raise ValueError(f"{response.url} returns more than {MAX_BYTES} bytes.")
            self._seconds_left()
        return data

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
