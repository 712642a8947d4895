"""What stands before the emulator: requests of other sites and names, and of callers without a key, get no further.

ministack itself takes the access key ``test``, an empty one and any 12 digits for an account's root, unchecked. Here
they are refused. Root is instead a key with the secret of this installation, whose signatures ministack verifies.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from chalicelib.http import loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = "/_ministack/health"
API = "/_aws/execute-api/"
"""Below it a packaged API is served, which has an authorizer of its own."""

_OF_AN_API = re.compile(rf"{API}[^/]+/.*", re.DOTALL)
"""ministack takes other paths below ``API`` for any service's, by a header or the query."""
_KEYS = re.compile(r"/[a-z0-9-]+_[A-Za-z0-9]+/\.well-known/(jwks\.json|openid-configuration)")  # of a user pool
_DELETE_USER = "AWSCognitoIdentityProviderService.DeleteUser"
"""It is not signed (Cognito, "DeleteUser"): it takes the token of the user who is to be deleted."""
_SIGNS_A_FORM = {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "awsaccesskeyid", "signature"}
_NOT_WITH_A_FORM = {
    "authorization",
    "content-encoding",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-target",
}
_BUCKET = re.compile(r"/[a-z0-9.-]{3,63}/?")
_ROOT_KEY = re.compile(r"ROOT(\d{12})")
_LARGEST_FORM = 64 * 1024 * 1024  # bytes; S3's own limit is 5 GB, an upload to an item has 20 MB


class Emulated(Protocol):
    """What is asked of ministack: it decides whom a request comes from, and nothing here may see it otherwise."""

    def access_key(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """Return the access key that a request names, or ""."""

    def is_unchecked_root(self, access_key: str) -> bool:
        """Return whether the key is root with no signature checked."""

    def add_root(self, access_key: str, account: str) -> None:
        """Let ``access_key`` be the root of ``account``, with the secret of this installation."""

    def form_fields(self, content_type: str, body: bytes) -> set[str]:
        """Return the names, in lower case, of a form's fields."""


class Guard:
    """The ASGI application that refuses, or passes on to ``app``."""

    def __init__(self, app: App, emulated: Emulated, port: int, ports: Path) -> None:
        self._app = app
        self._emulated = emulated
        self._port = port
        self._ports = ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or have the application answer."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # RFC 6455, section 7.4.1: policy violation
            return
        if scope["type"] == "http":
            request = _read(scope, self._emulated)
            if reason := self._reason(request):
                await _refuse(send, reason)
                return
            if request.is_unsigned_form:
                body = await _body(receive)
                if body is None or not self._emulated.form_fields(request.content_type, body) & _SIGNS_A_FORM:
                    await _refuse(send, _UNSIGNED)
                    return
                receive = _again(body, receive)
        await self._app(scope, receive, send)

    def _reason(self, request: Request) -> str | None:
        if request.path.startswith("/_") and request.path != HEALTH and not request.path.startswith(API):
            return f"Of the emulator's own paths only {HEALTH} and {API} are served."
        origins = _origins(self._port, self._ports)
        reason = loopback.rejection(request.target, request.headers, self._port, origins, request.is_presigned_read)
        return reason or self._unknown_caller(request)

    def _unknown_caller(self, request: Request) -> str | None:
        if root := _ROOT_KEY.fullmatch(request.access_key):
            self._emulated.add_root(request.access_key, root[1])
        if not request.access_key:
            return None if request.needs_no_key or request.is_unsigned_form else _UNSIGNED
        return _ROOT if self._emulated.is_unchecked_root(request.access_key) else None


class Request(NamedTuple):
    """What of a request decides."""

    method: str
    path: str
    target: str
    headers: list[tuple[str, str]]
    access_key: str
    is_presigned_for_s3: bool

    @property
    def content_type(self) -> str:
        """The type of its body."""
        return next((value for name, value in self.headers if name == "content-type"), "")

    @property
    def operations(self) -> list[str]:
        """The operations that it names: one, in a request of the JSON protocols."""
        return [value for name, value in self.headers if name == "x-amz-target"]

    @property
    def is_presigned_read(self) -> bool:
        """Whether it is a URL to read an object that somebody with a key made: ministack checks the signature.

        A signature for S3 is good for no other service (SigV4, "credential scope").
        """
        return self.method in ("GET", "HEAD") and self.is_presigned_for_s3

    @property
    def is_unsigned_form(self) -> bool:
        """Whether it is a form for a bucket, whose signature is a field (S3, "POST Object"), or missing.

        A header that would have ministack decode the body, or take the request for another service's, makes it none.
        """
        return (
            self.method == "POST"
            and not self.access_key
            and _BUCKET.fullmatch(self.target) is not None
            and self.content_type.startswith("multipart/form-data")
            and not {name for name, _ in self.headers} & _NOT_WITH_A_FORM
        )

    @property
    def needs_no_key(self) -> bool:
        """Whether it is for everybody: the packaged API, a user pool's public keys and its users, a preflight."""
        return (
            self.path == HEALTH
            or _OF_AN_API.fullmatch(self.path) is not None
            or self.method == "OPTIONS"
            or (self.method == "GET" and not self.content_type and not self.operations and self._is_for_keys)
            or (self.method == "POST" and self.target == "/" and self.operations == [_DELETE_USER])
        )

    @property
    def _is_for_keys(self) -> bool:
        return _KEYS.fullmatch(self.target) is not None


_UNSIGNED = "The request is not signed: use the credentials that AWS_CONFIG_FILE=.local/aws-config has."
_ROOT = "This access key has no rights here: use the credentials that AWS_CONFIG_FILE=.local/aws-config has."


def _read(scope: Scope, emulated: Emulated) -> Request:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    # ministack reads headers of one name as one, joined (RFC 9110, section 5.2).
    joined = {name: ", ".join(value for same, value in headers if same == name) for name, _ in headers}
    return Request(
        scope["method"],
        scope["path"],
        scope["raw_path"].decode("latin-1") + ("?" if scope["query_string"] else ""),
        headers,
        emulated.access_key(joined, query),
        "authorization" not in joined
        and {"X-Amz-Algorithm", "X-Amz-Signature"} <= query.keys()
        and all(scope.endswith("/s3/aws4_request") for scope in query.get("X-Amz-Credential", [""])),
    )


def _origins(port: int, servers: Path) -> set[str]:
    """Return the origins whose pages may ask: those of this server and of ``servers``, and those that they allow."""
    files = [entry for entry in servers.glob("*") if entry.name.isdecimal()]
    allowed = {origin for file in files for origin in file.read_text(encoding="utf-8").split()}
    return loopback.own_origins({port, *(int(file.name) for file in files)}) | allowed


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large or its sender has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _LARGEST_FORM:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives ``body`` first, then what comes after it."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> MutableMapping[str, Any]:
        return left.pop() if left else await receive()

    return receive_again


async def _refuse(send: Send, reason: str) -> None:
    body = loopback.error_body(reason)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the request is not read
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
