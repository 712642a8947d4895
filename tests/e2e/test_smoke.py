"""``make smoke`` with the packaged app, without and with faults: it names the failed step and deletes its data."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.blocks import block
from tests.builders import BLUE, REQUIRED, jpeg, quarters, saved
from tests.e2e.shell import type_in
from tests.e2e.system import ROOT, Answer, System, free_port, request
from tools.smoke import __main__ as smoke
from tools.smoke import picture as smoke_picture
from tools.smoke.http_client import StepError

Spoil = Callable[[str, str, dict[str, str]], Answer | Callable[[Answer], Answer] | None]
"""Take method, path and headers of a request. Return a response, a function that changes it, or None for no change."""

STEPS = [
    "health",
    "OpenAPI document",
    "create an item",
    "304 for an unchanged item",
    "patch with If-Match",
    "412 for a stale version",
    "the item is listed",
    "upload ticket",
    "upload",
    "the picture is ready",
    "check the thumbnail",
    "import two items",
    "the import is done",
    "delete everything",
    "404 for deleted items",
]


class Detour(http.server.ThreadingHTTPServer):
    """Forward requests for /api/… to the packaged app, and change some of its responses."""

    daemon_threads = True

    def __init__(self, api: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api
        self.url = f"http://127.0.0.1:{self.server_address[1]}/api"
        self.spoil: Spoil = lambda method, path, headers: None
        self.bodies: list[Any] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Detour

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
        path = self.path.removeprefix("/api")
        if body:
            self.server.bodies.append(json.loads(body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        spoilt = self.server.spoil(self.command, path, headers)
        if not isinstance(spoilt, Answer):
            kept = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
            answer = request(self.command, self.server.api + path, body, **kept)
            spoilt = spoilt(answer) if spoilt else answer
        self.send_response(spoilt.status)
        for name, value in spoilt.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(spoilt.body)))
        self.end_headers()
        self.wfile.write(spoilt.body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 (as http.server names them)

    def log_message(self, *_: Any) -> None:
        """Log nothing, because the tests read the output."""


@pytest.fixture
def detour(system: System) -> Iterator[Detour]:
    with Detour(system.api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def smoke_test(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that runs all steps of the smoke test and returns its JSON report."""

    def smoke_test(url: str, *options: str, token: str = "", fields: str = json.dumps(REQUIRED)) -> dict[str, Any]:
        monkeypatch.setenv("TOKEN", token)
        monkeypatch.setenv("FIELDS", fields)
        code = smoke.main(["--url", url, "--json", *options])
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == (0 if report["ok"] else 1)
        return report

    return smoke_test


def left_in(system: System) -> list[dict[str, Any]]:
    """Return the records of items that smoke tests left in the table, listed or not."""
    pages = system.client("dynamodb").get_paginator("scan").paginate(TableName=system.table)
    items = (one for page in pages for one in page["Items"] if one["sk"]["S"].startswith("ITEM#"))
    return [one for one in items if "smokeTest" in one["fields"]["M"]]


@pytest.mark.parametrize("end", ["", "/"], ids=["without a slash at its end", "with one"])
def test_all_steps_pass_and_delete_everything(
    system: System, smoke_test: Callable[..., dict[str, Any]], end: str
) -> None:
    report = smoke_test(system.api + end)

    assert [(step["step"], step["problem"]) for step in report["steps"]] == [(step, None) for step in STEPS]
    assert report["ok"]
    assert report["summary"].endswith(f"{system.api}{end} works (stage local, version {version(system)}).")
    assert left_in(system) == []


def version(system: System) -> str:
    return str(system.request("GET", "/health").json()["version"])


def test_text_has_each_step_and_a_summary(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["--url", system.api, "--fields", json.dumps(REQUIRED)]) == 0
    *steps, sentence = capsys.readouterr().out.splitlines()
    assert [re.sub(r" +\d+ ms", "", step) for step in steps] == [f"ok  {step}" for step in STEPS]
    assert sentence.startswith("All 15 steps passed in ")


# -------------------------------------------------------------------------------------------------------- failures


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    message = HTTPMessage()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return Answer(status, message, body if isinstance(body, bytes) else json.dumps(body).encode())


def instead(method: str, path: str, spoilt: Answer | Callable[[Answer], Answer], header: str = "") -> Spoil:
    """Return a function that changes responses to requests with this method, path pattern and header."""

    def spoil(
        actual_method: str, actual_path: str, headers: dict[str, str]
    ) -> Answer | Callable[[Answer], Answer] | None:
        meant = actual_method == method and re.fullmatch(path, actual_path) and (not header or header in headers)
        return spoilt if meant else None

    return spoil


def but(**changed: Any) -> Callable[[Answer], Answer]:
    """Return a function that replaces fields in the body of a response."""
    return lambda whole: whole._replace(body=json.dumps(whole.json() | changed).encode())


def as_status(status: int) -> Callable[[Answer], Answer]:
    """Return a function that replaces the status of a response."""
    return lambda whole: whole._replace(status=status)


def picture(**image: Any) -> Callable[[Answer], Answer]:
    """Return a function that replaces the picture in the response for an item that has one."""

    def spoil(whole: Answer) -> Answer:
        return but(image=image)(whole) if whole.status == 200 and "image" in whole.json() else whole

    return spoil


def upload_to(url: str) -> Callable[[Answer], Answer]:
    return lambda whole: but(upload={**whole.json()["upload"], "url": url})(whole)


def refuse(whole: Answer) -> Answer:
    """Return an error although the app has done the work."""
    return answer(500, {"error": "INTERNAL_ERROR", "message": "Something went wrong.", "requestId": "1"})


def astray(whole: Answer) -> Answer:
    """Redirect to a port on which no server listens."""
    del whole.headers["Location"]
    whole.headers["Location"] = f"http://127.0.0.1:{free_port()}/gone"
    return whole


ITEM = r"/items/[0-9a-f-]{36}"
SPOILT = {
    "health": instead("GET", "/health", answer(502, b"<html>Bad Gateway</html>")),
    "OpenAPI document": instead("GET", "/openapi.json", but(paths={})),
    "create an item": instead("POST", "/items", refuse),
    "304 for an unchanged item": instead("GET", ITEM, as_status(200), "if-none-match"),
    "patch with If-Match": instead("PATCH", ITEM, but(version=1)),
    "412 for a stale version": instead(
        "PATCH", ITEM, lambda whole: but(error="X")(whole) if whole.status == 412 else whole
    ),
    "the item is listed": instead("GET", r"/items\?.*", answer(200, {"items": [], "count": 0, "nextCursor": None})),
    "upload ticket": instead("POST", f"{ITEM}/image", answer(201, {"upload": None})),
    "upload": instead("POST", f"{ITEM}/image", upload_to("http://127.0.0.1:1/")),
    "the picture is ready": instead("GET", ITEM, picture(status="failed", error={"error": "IMAGE_LOST"})),
    "check the thumbnail": instead("GET", rf"{ITEM}/image\?size=200", astray),
    "import two items": instead("POST", "/imports", refuse),
    "the import is done": instead("GET", "/imports/.*", but(status="done", created=1, failed=1)),
}


@pytest.mark.parametrize("step", SPOILT)
def test_failed_step_is_named_and_everything_is_deleted(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]], step: str
) -> None:
    detour.spoil = SPOILT[step]
    # The list is polled until it has the item, because it is eventually consistent.
    timeout = ["--timeout", "1"] if step == "the item is listed" else []

    report = smoke_test(detour.url, *timeout)

    failed = [one["step"] for one in report["steps"] if not one["ok"]]
    assert failed == [step]
    assert f"failed at '{step}': " in report["summary"]
    assert report["summary"].endswith("Everything that was created is deleted.")
    assert left_in(system) == []


def test_list_that_lags_behind_is_polled(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]
) -> None:
    looks = itertools.count()

    def lag(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        behind = method == "GET" and path.startswith("/items?") and next(looks) % 2 == 0
        return answer(200, {"items": [], "count": 0, "nextCursor": None}) if behind else None

    detour.spoil = lag

    assert smoke_test(detour.url)["ok"]
    assert left_in(system) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "POST /items returned 201 with a body that is not a JSON object"),
        (b"[]", "POST /items returned 201 with a body that is not a JSON object"),
        (b"{}", "POST /items did not return the item"),
    ],
)
def test_invalid_body_fails_the_step(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]], body: bytes, problem: str
) -> None:
    detour.spoil = instead("POST", "/items", lambda whole: whole._replace(body=body))
    assert problem in smoke_test(detour.url)["summary"]
    assert left_in(system) == []


def test_missing_fields_fail_the_step(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]
) -> None:
    detour.spoil = instead("GET", r"/items\?.*", answer(200, {"items": [1]}))
    assert "failed at 'the item is listed': a response is not valid" in (smoke_test(detour.url)["summary"])
    assert left_in(system) == []


def test_picture_that_is_never_ready_is_a_timeout(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]
) -> None:
    detour.spoil = instead("GET", ITEM, picture(status="processing"))
    assert "timeout: the picture is not ready after 1 s" in smoke_test(detour.url, "--timeout", "1")["summary"]
    assert left_in(system) == []


@pytest.mark.parametrize(
    ("step", "spoil"),
    [
        ("delete everything", instead("DELETE", ITEM, answer(500))),
        ("404 for deleted items", instead("DELETE", ITEM, answer(200, {"message": "Item deleted"}))),
    ],
)
def test_undeleted_items_are_named_and_expire(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]], step: str, spoil: Spoil
) -> None:
    detour.spoil = spoil

    report = smoke_test(detour.url)

    assert step in [one["step"] for one in report["steps"] if not one["ok"]]
    left = left_in(system)
    assert sorted(one["sk"]["S"].removeprefix("ITEM#") for one in left) == report["remaining"]
    assert len(left) == 3
    assert "expire within an hour" in report["summary"]
    assert all("dueAt" in one and "expiresAt" in one for one in left)
    for one in left:
        system.request("DELETE", f"/items/{one['sk']['S'].removeprefix('ITEM#')}")


def test_interrupted_run_deletes_everything(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]
) -> None:
    def stop(whole: Answer) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return whole

    detour.spoil = instead("POST", f"{ITEM}/image", stop)
    report = smoke_test(detour.url)
    assert "it was interrupted" in report["summary"]
    assert left_in(system) == []


def test_unreachable_api_fails_at_the_first_step(smoke_test: Callable[..., dict[str, Any]]) -> None:
    report = smoke_test(f"http://127.0.0.1:{free_port()}/api")
    assert [step["step"] for step in report["steps"]] == ["health"]
    assert "GET /health got no response" in report["summary"]


# --------------------------------------------------------------------------------------------------------- sign-in

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg"
UNAUTHORIZED = answer(401, {"error": "UNAUTHORIZED", "message": "Sign in first.", "requestId": "1"})


def guarded(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """Respond as a stage with sign-in does."""
    open_to_all = path in ("/health", "/openapi.json")
    return None if open_to_all or headers.get("authorization") == f"Bearer {TOKEN}" else UNAUTHORIZED


def test_wrong_token_is_refused(system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]) -> None:
    detour.spoil = guarded
    report = smoke_test(detour.url, token=TOKEN)
    assert report["ok"], report["summary"]
    assert "a wrong token is refused" in [step["step"] for step in report["steps"]]
    assert TOKEN not in json.dumps(report)


def test_open_stage_fails_with_a_token(
    system: System, detour: Detour, smoke_test: Callable[..., dict[str, Any]]
) -> None:
    report = smoke_test(detour.url, token=TOKEN)
    assert "failed at 'a wrong token is refused': GET /items returned 200 instead of 401" in report["summary"]
    assert left_in(system) == []


def test_invalid_token_fails_and_is_not_shown(detour: Detour, smoke_test: Callable[..., dict[str, Any]]) -> None:
    detour.spoil = guarded
    other = TOKEN.replace("c2ln", "AAAA")
    report = smoke_test(detour.url, token=other)
    assert (
        "at 'create an item': POST /items returned 401 instead of 201 (UNAUTHORIZED: Sign in first.)"
        in (report["summary"])
    )
    assert other not in json.dumps(report)


# ------------------------------------------------------------------------------------------------------------ usage


@pytest.mark.parametrize("way", ["argument", "variable"])
def test_required_fields_are_sent_with_every_item(
    detour: Detour, smoke_test: Callable[..., dict[str, Any]], way: str
) -> None:
    demanded = json.dumps({**REQUIRED, "title": "Smoke", "price": 1})
    report = (
        smoke_test(detour.url, "--fields", demanded) if way == "argument" else smoke_test(detour.url, fields=demanded)
    )
    assert report["ok"], report["summary"]
    bodies = [body for body in detour.bodies if "smokeTest" in body]
    bodies += next(body["items"] for body in detour.bodies if "items" in body)
    assert len(bodies) == 3
    assert all((body["title"], body["price"]) == ("Smoke", 1) for body in bodies)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--url", "api.example/api"],
        ["--url", "https://x", "--fields", "[]"],
        ["--url", "file:///etc"],
        ["--url", "http://[abc"],
        ["--url", "http://api.example:http/api"],
    ],
)
def test_invalid_arguments_exit_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        smoke.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_token_with_a_line_break_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", "secret\nX-Evil: 1")
    with pytest.raises(SystemExit):
        smoke.main(["--url", "https://x"])
    assert "secret" not in capsys.readouterr().err


def test_make_smoke_passes_url_and_token(detour: Detour) -> None:
    detour.spoil = guarded
    python = Path(sys.executable)
    # Do not rebuild the environment in which this test runs, even if it is older than the requirements.
    make = f"make -o .venv/.ready BIN={python.parent}"
    words = re.sub(r"URL=\S+", f"URL={detour.url}/", block("docs/operating.md", "smoke").replace("make", make, 1))
    # If `make test` runs this, its MAKEFLAGS and MAKELEVEL would make the inner make print more.
    output = type_in(words, ROOT, TOKEN=TOKEN, FIELDS=json.dumps(REQUIRED), MAKEFLAGS="", MAKELEVEL="")
    assert output.splitlines()[-1].startswith("All 16 steps passed in ")


@pytest.mark.parametrize(
    ("thumbnail", "problem"),
    [
        (saved(Image.new("RGB", (200, 200), BLUE), "JPEG"), "shows the colour"),
        (jpeg(150, 200), "measures 150 × 200 instead of 200 × 200"),
        (saved(quarters(200, 200), "PNG"), "is image/png instead of image/jpeg"),
        (b"<html>", "cannot be read"),
    ],
    ids=["another picture", "another size", "another kind", "no picture"],
)
def test_wrong_thumbnail_is_an_error(thumbnail: bytes, problem: str) -> None:
    smoke_picture.check_thumbnail(jpeg(200, 200), (200, 200), "image/jpeg")
    with pytest.raises(StepError, match=problem):
        smoke_picture.check_thumbnail(thumbnail, (200, 200), "image/jpeg")
