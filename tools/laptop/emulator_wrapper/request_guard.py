"""Refuse requests to the emulator from other web sites and host names, and requests without a valid access key.

ministack treats the access key ``test``, an empty one and any 12 digits as an account's root, without checking the
signature. They are refused here. Root is a key with the secret of this installation, whose signatures are checked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from chalicelib.http import local_request_guard

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = "/_ministack/health"
API = "/_aws/execute-api/"
"""The prefix of packaged APIs, which have their own authorizer."""

_API_PATH = re.compile(rf"{API}[^/]+/.*", re.DOTALL)
"""ministack may route other paths below ``API`` to any service, by a header or the query."""
_KEYS_PATH = re.compile(r"/[a-z0-9-]+_[A-Za-z0-9]+/\.well-known/(jwks\.json|openid-configuration)")  # of a user pool
_DELETE_USER = "AWSCognitoIdentityProviderService.DeleteUser"
"""An operation whose requests are not signed: they contain a token of the user to delete (Cognito, "DeleteUser")."""
_SIGNATURE_FIELDS = {
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "awsaccesskeyid",
    "signature",
}
_FORBIDDEN_FORM_HEADERS = {
    "authorization",
    "content-encoding",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-target",
}
_BUCKET_PATH = re.compile(r"/[a-z0-9.-]{3,63}/?")
_ROOT_KEY = re.compile(r"ROOT(\d{12})")
_MAX_FORM = 64 * 1024 * 1024  # bytes; S3's own limit is 5 GB, that of an upload to an item 20 MB


class Ministack(Protocol):
    """What the guard asks ministack, so that both agree on who sent a request."""

    def access_key(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """Return the access key of a request, or an empty string."""

    def is_unchecked_root(self, access_key: str) -> bool:
        """Return whether ministack takes the key for root without checking the signature."""

    def add_root(self, access_key: str, account: str) -> None:
        """Register ``access_key`` as a root key of ``account``, with the secret key of this installation."""

    def form_fields(self, content_type: str, body: bytes) -> set[str]:
        """Return the names of a form's fields, in lower case."""


class RequestGuard:
    """An ASGI application that refuses requests, or passes them to ``app``."""

    def __init__(self, app: App, ministack: Ministack, port: int, ports: Path) -> None:
        self._app = app
        self._ministack = ministack
        self._port = port
        self._ports = ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with 403, or let the application respond."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # RFC 6455, section 7.4.1: policy violation
            return
        if scope["type"] == "http":
            request = _parse(scope, self._ministack)
            if reason := self._reason(request):
                await _refuse(send, reason)
                return
            if request.is_unsigned_form:
                body = await _body(receive)
                if body is None or not self._ministack.form_fields(request.content_type, body) & _SIGNATURE_FIELDS:
                    await _refuse(send, _UNSIGNED)
                    return
                receive = _replay(body, receive)
        await self._app(scope, receive, send)

    def _reason(self, request: Request) -> str | None:
        if request.path.startswith("/_") and request.path != HEALTH and not request.path.startswith(API):
            return f"Of the emulator's own paths only {HEALTH} and {API} are served."
        origins = _origins(self._port, self._ports)
        reason = local_request_guard.rejection(
            request.target, request.headers, self._port, origins, request.is_presigned_read
        )
        return reason or self._unknown_caller(request)

    def _unknown_caller(self, request: Request) -> str | None:
        if root := _ROOT_KEY.fullmatch(request.access_key):
            self._ministack.add_root(request.access_key, root[1])
        if not request.access_key:
            return None if request.needs_no_key or request.is_unsigned_form else _UNSIGNED
        return _ROOT if self._ministack.is_unchecked_root(request.access_key) else None


class Request(NamedTuple):
    """The parts of a request that decide whether it is refused."""

    method: str
    path: str
    target: str
    headers: list[tuple[str, str]]
    access_key: str
    is_presigned_for_s3: bool

    @property
    def content_type(self) -> str:
        """Return the content type."""
        return next((value for name, value in self.headers if name == "content-type"), "")

    @property
    def operations(self) -> list[str]:
        """Return the operations in its X-Amz-Target headers: one, in a request of AWS's JSON protocols."""
        return [value for name, value in self.headers if name == "x-amz-target"]

    @property
    def is_presigned_read(self) -> bool:
        """Return whether it is a presigned GET or HEAD of an object, whose signature ministack checks.

        A signature for S3 is valid for no other service (SigV4, "credential scope").
        """
        return self.method in ("GET", "HEAD") and self.is_presigned_for_s3

    @property
    def is_unsigned_form(self) -> bool:
        """Return whether it is a form for a bucket, whose signature is a form field (S3, "POST Object") or missing.

        Headers that make ministack decode the body, or route the request to another service, are not allowed.
        """
        return (
            self.method == "POST"
            and not self.access_key
            and _BUCKET_PATH.fullmatch(self.target) is not None
            and self.content_type.startswith("multipart/form-data")
            and not {name for name, _ in self.headers} & _FORBIDDEN_FORM_HEADERS
        )

    @property
    def needs_no_key(self) -> bool:
        """Return whether it needs no access key: packaged API, public keys of a user pool, DeleteUser, preflight."""
        return (
            self.path == HEALTH
            or _API_PATH.fullmatch(self.path) is not None
            or self.method == "OPTIONS"
            or (self.method == "GET" and not self.content_type and not self.operations and self._is_for_keys)
            or (self.method == "POST" and self.target == "/" and self.operations == [_DELETE_USER])
        )

    @property
    def _is_for_keys(self) -> bool:
        return _KEYS_PATH.fullmatch(self.target) is not None


_UNSIGNED = "The request is not signed: use the credentials in .local/aws-config (AWS_CONFIG_FILE)."
_ROOT = "This access key is refused: use the credentials in .local/aws-config (AWS_CONFIG_FILE)."


def _parse(scope: Scope, ministack: Ministack) -> Request:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    # ministack joins headers of the same name (RFC 9110, section 5.2).
    joined = {name: ", ".join(value for same, value in headers if same == name) for name, _ in headers}
    return Request(
        scope["method"],
        scope["path"],
        scope["raw_path"].decode("latin-1") + ("?" if scope["query_string"] else ""),
        headers,
        ministack.access_key(joined, query),
        "authorization" not in joined
        and {"X-Amz-Algorithm", "X-Amz-Signature"} <= query.keys()
        and all(scope.endswith("/s3/aws4_request") for scope in query.get("X-Amz-Credential", [""])),
    )


def _origins(port: int, servers: Path) -> set[str]:
    """Return the origins that may send requests: this server's, those of ``servers``, and those that they allow."""
    files = [entry for entry in servers.glob("*") if entry.name.isdecimal()]
    allowed = {origin for file in files for origin in file.read_text(encoding="utf-8").split()}
    return local_request_guard.own_origins({port, *(int(file.name) for file in files)}) | allowed


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large or the client has disconnected."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _MAX_FORM:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that returns ``body`` first, and then calls ``receive``."""
    bodies = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> MutableMapping[str, Any]:
        return bodies.pop() if bodies else await receive()

    return receive_again


async def _refuse(send: Send, reason: str) -> None:
    body = local_request_guard.error_body(reason)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the rest of the request is not read
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
