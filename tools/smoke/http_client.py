"""The HTTP client of the smoke test: responses are compared with what is expected."""

from __future__ import annotations

import http.client
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

_TIMEOUT = 35.0  # seconds; API Gateway has a timeout of 29


class StepError(Exception):
    """A step of the smoke test failed. The message says what the stage did instead."""


class Response(NamedTuple):
    """The response to a request, whatever its status."""

    request: str
    """The request, for messages: ``GET /items``."""
    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body, a JSON object. Raise StepError if it is none."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise StepError(f"{self.request} returned {self.status} with a body that is not a JSON object")
        return content

    def expect(self, *statuses: int, error: str | None = None) -> Response:
        """Return the response. Raise StepError if it has another status, or another error code."""
        expected = " or ".join(map(str, statuses))
        if self.status not in statuses:
            raise StepError(f"{self.request} returned {self.status} instead of {expected}{self._error()}")
        if error is not None and self.json().get("error") != error:
            raise StepError(f"{self.request} returned {self.status}, but not with {error}{self._error()}")
        return self

    def header(self, name: str) -> str:
        """Return a header. Raise StepError if it is missing."""
        value: str | None = self.headers.get(name)
        if value is None:
            raise StepError(f"{self.request} returned no {name}")
        return value

    def _error(self) -> str:
        try:
            content = self.json()
        except StepError:
            return ""
        return f" ({content.get('error', '?')}: {content.get('message', '?')})"


def check(condition: object, problem: str) -> None:
    """Raise StepError with ``problem`` unless ``condition`` is true."""
    if not condition:
        raise StepError(problem)


def send(
    method: str, url: str, name: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Send a request without following redirects. Return the response. Raise StepError if there is none.

    ``name`` is the name of the request in messages.
    """
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    try:
        with _opener.open(request, timeout=_TIMEOUT) as response:
            return Response(name, response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(name, error.code, error.headers, error.read())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise StepError(f"{name} got no response: {reason}") from None


def multipart_form(fields: Mapping[str, str], file: bytes, content_type: str) -> tuple[bytes, str]:
    """Return a multipart/form-data body (RFC 7578), with the file last, and its content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="smoke"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    body = "".join(parts).encode() + file + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)
