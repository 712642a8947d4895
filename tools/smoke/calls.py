"""HTTP as the walk needs it: what was answered is held to what was expected, in one sentence."""

from __future__ import annotations

import http.client
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

_TIMEOUT = 35.0  # seconds; API Gateway gives up after 29


class BrokenError(Exception):
    """The stage does not do what it should; the message says what it did instead."""


class Answer(NamedTuple):
    """What a request came back with, whatever its status."""

    what: str
    """What was asked, for a sentence: ``GET /items``."""
    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, a JSON object. Raises BrokenError where it is none."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise BrokenError(f"{self.what} answered {self.status} with something that is no JSON object")
        return said

    def expect(self, *statuses: int, error: str | None = None) -> Answer:
        """Itself. Raises BrokenError where it has another status, or another error code."""
        wanted = " or ".join(map(str, statuses))
        if self.status not in statuses:
            raise BrokenError(f"{self.what} answered {self.status} instead of {wanted}{self._sentence()}")
        if error is not None and self.json().get("error") != error:
            raise BrokenError(f"{self.what} answered {self.status}, and not for {error}{self._sentence()}")
        return self

    def header(self, name: str) -> str:
        """A header. Raises BrokenError where there is none."""
        value: str | None = self.headers.get(name)
        if value is None:
            raise BrokenError(f"{self.what} answered without {name}")
        return value

    def _sentence(self) -> str:
        try:
            said = self.json()
        except BrokenError:
            return ""
        return f" ({said.get('error', '?')}: {said.get('message', '?')})"


def check(holds: object, otherwise: str) -> None:
    """Raises BrokenError, saying what is there ``otherwise``, unless something holds."""
    if not holds:
        raise BrokenError(otherwise)


def send(
    method: str, url: str, what: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send a request, following no redirect. Raises BrokenError where no answer comes."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    try:
        with _opener.open(request, timeout=_TIMEOUT) as answer:
            return Answer(what, answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(what, error.code, error.headers, error.read())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise BrokenError(f"{what} got no answer: {reason}") from None


def form(fields: Mapping[str, str], file: bytes, content_type: str) -> tuple[bytes, str]:
    """Fields, and the file last, as multipart/form-data (RFC 7578): the body and its content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="smoke"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return "".join(
        parts
    ).encode() + file + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)
