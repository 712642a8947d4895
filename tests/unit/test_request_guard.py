"""The emulator's request guard with a fake ministack: which requests it passes on, and which it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from tools.laptop.emulator_wrapper.request_guard import HEALTH, RequestGuard

PORT = 4566


class FakeMinistack:
    """Reads the key from the header or the query; ``test`` and digits are root; a form is its field names."""

    def __init__(self) -> None:
        self.roots: dict[str, str] = {}

    def access_key(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        return headers.get("authorization") or query.get("X-Amz-Credential", [""])[0].partition("/")[0]

    def is_unchecked_root(self, access_key: str) -> bool:
        return access_key == "test" or access_key.isdigit()

    def add_root(self, access_key: str, account: str) -> None:
        self.roots[access_key] = account

    def form_fields(self, content_type: str, body: bytes) -> set[str]:
        return set(body.decode().split())


class Emulator:
    """The guard before an application that records the bodies that reach it."""

    def __init__(self, ports: Path) -> None:
        self.bodies: list[bytes] = []
        self.ministack = FakeMinistack()
        self._guard = RequestGuard(self._app, self.ministack, PORT, ports)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        self.bodies.append(message.get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, method: str, target: str, *headers: tuple[str, str], chunks: tuple[bytes, ...] = (b"",)) -> Any:
        """Return the status, and the message of a refusal."""
        path, _, query = target.partition("?")
        sent = [("host", f"127.0.0.1:{PORT}"), *headers]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent],
        }
        return self.exchange(scope, *chunks)

    def exchange(self, scope: dict[str, Any], *chunks: bytes) -> Any:
        left = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, 1)
        ]
        answered: list[MutableMapping[str, Any]] = []

        async def receive() -> Any:
            return left.pop(0) if left else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            answered.append(message)

        asyncio.run(self._guard(scope, receive, send))
        if scope["type"] == "websocket":
            return answered
        status = answered[0]["status"]
        return status, json.loads(answered[1]["body"])["message"] if status == 403 else ""


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    (tmp_path / "8000").touch()
    (tmp_path / "notes.txt").touch()
    return Emulator(tmp_path)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", HEALTH),
        ("POST", "/_aws/execute-api/abc/api/items"),
        ("GET", "/us-east-1_Ab1/.well-known/jwks.json"),
        ("OPTIONS", "/bucket/key"),
    ],
)
def test_public_request_needs_no_key(emulator: Emulator, method: str, target: str) -> None:
    assert emulator.ask(method, target) == (200, "")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("PUT", "/us-east-1_Ab1/.well-known/jwks.json"),
        ("GET", "/bucket/.well-known/jwks.json"),
        ("GET", "/bucket/us-east-1_Ab1/.well-known/jwks.json"),
        ("GET", "/us-east-1_Ab1/.well-known/jwks.json?Action=AssumeRoleWithWebIdentity"),
        ("POST", "/_aws/execute-api/"),
        ("GET", "/_aws/execute-api/?Action=AssumeRoleWithWebIdentity"),
        ("POST", "/_aws/execute-api/abc"),
        ("POST", "/_aws/execute-api//api"),
        ("POST", "/"),
    ],
)
def test_other_request_needs_a_key(emulator: Emulator, method: str, target: str) -> None:
    status, message = emulator.ask(method, target)

    assert (status, "not signed" in message) == (403, True)
    assert emulator.ask(method, target, ("authorization", "AKIA"))[0] == 200


@pytest.mark.parametrize(
    "header", [("x-amz-target", "A.B"), ("content-type", "application/x-www-form-urlencoded")], ids=lambda pair: pair[0]
)
def test_operation_on_the_keys_path_needs_a_key(emulator: Emulator, header: tuple[str, str]) -> None:
    """ministack goes by the operation that a header or a form names, not by the path."""
    assert emulator.ask("GET", "/us-east-1_Ab1/.well-known/jwks.json", header)[0] == 403


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_anything", "/_aws/lambda-url/x/", "/_ministack/health/x"])
def test_emulators_own_paths_are_refused(emulator: Emulator, path: str) -> None:
    assert emulator.ask("POST", path, ("authorization", "AKIA"))[0] == 403
    assert emulator.bodies == []


@pytest.mark.parametrize("key", ["test", "000000000000"])
def test_unchecked_root_key_is_refused(emulator: Emulator, key: str) -> None:
    assert emulator.ask("GET", "/", ("authorization", key))[0] == 403
    assert emulator.ask("GET", f"/?X-Amz-Credential={key}/x")[0] == 403


def test_installations_root_key_is_registered(emulator: Emulator) -> None:
    assert emulator.ask("GET", "/", ("authorization", "ROOT111111111111"))[0] == 200
    assert emulator.ministack.roots == {"ROOT111111111111": "111111111111"}


def test_page_of_chalice_local_is_accepted(emulator: Emulator) -> None:
    signed = ("authorization", "AKIA")
    assert emulator.ask("POST", "/", signed, ("origin", "http://localhost:8000"))[0] == 200
    assert emulator.ask("POST", "/", signed, ("origin", "http://localhost:8001"))[0] == 403


def test_page_in_cors_origins_is_accepted(emulator: Emulator, tmp_path: Path) -> None:
    signed, origin = ("authorization", "AKIA"), ("origin", "https://shop.example")
    assert emulator.ask("POST", "/", signed, origin)[0] == 403

    (tmp_path / "8000").write_text("https://admin.example\nhttps://shop.example")

    assert emulator.ask("POST", "/", signed, origin)[0] == 200
    assert emulator.ask("POST", "/", signed, ("origin", "https://evil.example"))[0] == 403


def test_other_site_may_read_presigned_urls_only(emulator: Emulator) -> None:
    site = ("sec-fetch-site", "cross-site")
    query = "X-Amz-Algorithm=a&X-Amz-Credential=AKIA/s3/aws4_request&X-Amz-Signature=c"
    assert emulator.ask("GET", f"/bucket/key?{query}", site)[0] == 200
    assert emulator.ask("POST", f"/bucket/key?{query}", site)[0] == 403
    assert emulator.ask("GET", "/bucket/key?X-Amz-Credential=AKIA/x", site)[0] == 403
    assert emulator.ask("GET", f"/bucket/key?{query}", site, ("authorization", "AKIA"))[0] == 403
    assert emulator.ask("GET", f"/?{query.replace('s3', 'iam')}", site)[0] == 403
    assert emulator.ask("GET", f"/?{query}&X-Amz-Credential=AKIA/iam/aws4_request", site)[0] == 403
    assert emulator.ask("GET", HEALTH, site)[0] == 403


FORM = ("content-type", "multipart/form-data; boundary=b")


def test_signed_form_is_passed_on_whole(emulator: Emulator) -> None:
    assert emulator.ask("POST", "/bucket", FORM, chunks=(b"key x-amz-", b"signature"))[0] == 200
    assert emulator.bodies == [b"key x-amz-signature"]


@pytest.mark.parametrize(
    ("target", "headers", "chunks"),
    [
        ("/bucket", (), (b"key policy",)),
        ("/bucket", (), (b"x-amz-signature ", b"x" * (64 * 1024 * 1024))),
        ("/", (), (b"x-amz-signature",)),
        ("/bucket/key", (), (b"x-amz-signature",)),
        ("/bucket?x", (), (b"x-amz-signature",)),
        ("/bucket", (("x-amz-target", "A.B"),), (b"x-amz-signature",)),
        ("/bucket", (("content-encoding", "aws-chunked"),), (b"x-amz-signature",)),
        ("/bucket", (("authorization", ""),), (b"x-amz-signature",)),
    ],
)
def test_unsigned_form_is_refused(
    emulator: Emulator, target: str, headers: tuple[tuple[str, str], ...], chunks: tuple[bytes, ...]
) -> None:
    assert emulator.ask("POST", target, FORM, *headers, chunks=chunks)[0] == 403
    assert emulator.bodies == []


def test_form_of_a_disconnected_client_is_refused(emulator: Emulator) -> None:
    assert emulator.ask("POST", "/bucket", FORM, chunks=())[0] == 403


def test_websocket_is_closed(emulator: Emulator) -> None:
    assert emulator.exchange({"type": "websocket"}) == [{"type": "websocket.close", "code": 1008}]


def test_lifespan_messages_are_passed_on(emulator: Emulator) -> None:
    emulator.exchange({"type": "lifespan"})
    assert len(emulator.bodies) == 1
