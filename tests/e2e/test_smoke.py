"""`make smoke`, against the packaged app, and against an app that is not quite right: it says where, and cleans up."""

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
from tools.smoke import pictures
from tools.smoke.calls import BrokenError

Spoil = Callable[[str, str, dict[str, str]], Answer | Callable[[Answer], Answer] | None]
"""Takes method, path and headers of a request; gives its answer, or what becomes of it, or None for as it is."""

STEPS = [
    "health",
    "document",
    "create an item",
    "304 while it is unchanged",
    "patch with If-Match",
    "412 for a stale version",
    "the list finds it",
    "ticket for a picture",
    "upload",
    "the picture is ready",
    "look at the thumbnail",
    "import two items",
    "the import is done",
    "delete all of it",
    "404 for what is deleted",
]


class Detour(http.server.ThreadingHTTPServer):
    """Hands requests for /api/… on to the packaged app, and spoils some of its answers."""

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
        """Nothing: the test's own output is read."""


@pytest.fixture
def detour(system: System) -> Iterator[Detour]:
    with Detour(system.api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def walk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Walks to its end, and returns what it told a program."""

    def walk(url: str, *options: str, token: str = "", fields: str = json.dumps(REQUIRED)) -> dict[str, Any]:
        monkeypatch.setenv("TOKEN", token)
        monkeypatch.setenv("FIELDS", fields)
        code = smoke.main(["--url", url, "--json", *options])
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == (0 if said["ok"] else 1)
        return said

    return walk


def left_in(system: System) -> list[dict[str, Any]]:
    """The records of items that walks have left, whatever the list says."""
    pages = system.client("dynamodb").get_paginator("scan").paginate(TableName=system.table)
    items = (one for page in pages for one in page["Items"] if one["sk"]["S"].startswith("ITEM#"))
    return [one for one in items if "smokeTest" in one["fields"]["M"]]


@pytest.mark.parametrize("end", ["", "/"], ids=["without a slash at its end", "with one"])
def test_every_step_passes_and_nothing_is_left(system: System, walk: Callable[..., dict[str, Any]], end: str) -> None:
    said = walk(system.api + end)

    assert [(step["step"], step["problem"]) for step in said["steps"]] == [(step, None) for step in STEPS]
    assert said["ok"]
    assert said["sentence"].endswith(f"{system.api}{end} works (stage local, version {version(system)}).")
    assert left_in(system) == []


def version(system: System) -> str:
    return str(system.request("GET", "/health").json()["version"])


def test_a_person_sees_each_step_with_its_time_and_a_sentence(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.main(["--url", system.api, "--fields", json.dumps(REQUIRED)]) == 0
    *steps, sentence = capsys.readouterr().out.splitlines()
    assert [re.sub(r" +\d+ ms", "", step) for step in steps] == [f"ok  {step}" for step in STEPS]
    assert sentence.startswith("All 15 steps passed in ")


# -------------------------------------------------------------------------------------------------------- failures


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    said = HTTPMessage()
    for name, value in headers.items():
        said[name.replace("_", "-")] = value
    return Answer(status, said, body if isinstance(body, bytes) else json.dumps(body).encode())


def instead(method: str, path: str, spoilt: Answer | Callable[[Answer], Answer], header: str = "") -> Spoil:
    """Spoils requests of that method, to a path like that, with that header."""

    def spoil(asked: str, at: str, headers: dict[str, str]) -> Answer | Callable[[Answer], Answer] | None:
        meant = asked == method and re.fullmatch(path, at) and (not header or header in headers)
        return spoilt if meant else None

    return spoil


def but(**changed: Any) -> Callable[[Answer], Answer]:
    """The answer as it is, but for some fields of its body."""
    return lambda whole: whole._replace(body=json.dumps(whole.json() | changed).encode())


def as_status(status: int) -> Callable[[Answer], Answer]:
    """The answer as it is, but for its status."""
    return lambda whole: whole._replace(status=status)


def picture(**image: Any) -> Callable[[Answer], Answer]:
    """The item as it is, but for its picture, where it has one."""

    def spoil(whole: Answer) -> Answer:
        return but(image=image)(whole) if whole.status == 200 and "image" in whole.json() else whole

    return spoil


def upload_to(url: str) -> Callable[[Answer], Answer]:
    return lambda whole: but(upload={**whole.json()["upload"], "url": url})(whole)


def refuse(whole: Answer) -> Answer:
    """The work is done, and the answer says that it is not."""
    return answer(500, {"error": "INTERNAL_ERROR", "message": "Something went wrong.", "requestId": "1"})


def astray(whole: Answer) -> Answer:
    """The way to where nobody answers."""
    del whole.headers["Location"]
    whole.headers["Location"] = f"http://127.0.0.1:{free_port()}/gone"
    return whole


ITEM = r"/items/[0-9a-f-]{36}"
SPOILT = {
    "health": instead("GET", "/health", answer(502, b"<html>Bad Gateway</html>")),
    "document": instead("GET", "/openapi.json", but(paths={})),
    "create an item": instead("POST", "/items", refuse),
    "304 while it is unchanged": instead("GET", ITEM, as_status(200), "if-none-match"),
    "patch with If-Match": instead("PATCH", ITEM, but(version=1)),
    "412 for a stale version": instead(
        "PATCH", ITEM, lambda whole: but(error="X")(whole) if whole.status == 412 else whole
    ),
    "the list finds it": instead("GET", r"/items\?.*", answer(200, {"items": [], "count": 0, "nextCursor": None})),
    "ticket for a picture": instead("POST", f"{ITEM}/image", answer(201, {"upload": None})),
    "upload": instead("POST", f"{ITEM}/image", upload_to("http://127.0.0.1:1/")),
    "the picture is ready": instead("GET", ITEM, picture(status="failed", error={"error": "IMAGE_LOST"})),
    "look at the thumbnail": instead("GET", rf"{ITEM}/image\?size=200", astray),
    "import two items": instead("POST", "/imports", refuse),
    "the import is done": instead("GET", "/imports/.*", but(status="done", created=1, failed=1)),
}


@pytest.mark.parametrize("step", SPOILT)
def test_a_step_that_fails_is_named_and_nothing_is_left_behind(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]], step: str
) -> None:
    detour.spoil = SPOILT[step]
    # The list is looked at until it has the item, as it may lag behind.
    patience = ["--patience", "1"] if step == "the list finds it" else []

    said = walk(detour.url, *patience)

    failed = [one["step"] for one in said["steps"] if not one["ok"]]
    assert failed == [step]
    assert f"it failed at '{step}', as " in said["sentence"]
    assert said["sentence"].endswith("Nothing that was created is left.")
    assert left_in(system) == []


def test_a_list_that_lags_behind_is_looked_at_again(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    looks = itertools.count()

    def lag(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        behind = method == "GET" and path.startswith("/items?") and next(looks) % 2 == 0
        return answer(200, {"items": [], "count": 0, "nextCursor": None}) if behind else None

    detour.spoil = lag

    assert walk(detour.url)["ok"]
    assert left_in(system) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "POST /items answered 201 with something that is no JSON object"),
        (b"[]", "POST /items answered 201 with something that is no JSON object"),
        (b"{}", "POST /items did not answer with the item"),
    ],
)
def test_an_answer_in_no_shape_is_a_failure_like_others(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]], body: bytes, problem: str
) -> None:
    detour.spoil = instead("POST", "/items", lambda whole: whole._replace(body=body))
    assert problem in walk(detour.url)["sentence"]
    assert left_in(system) == []


def test_an_answer_without_what_it_should_have_is_a_failure_like_others(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    detour.spoil = instead("GET", r"/items\?.*", answer(200, {"items": [1]}))
    assert (
        "it failed at 'the list finds it', as an answer is not what it should look like"
        in (walk(detour.url)["sentence"])
    )
    assert left_in(system) == []


def test_a_picture_that_never_gets_ready_is_waited_for_and_then_given_up(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    detour.spoil = instead("GET", ITEM, picture(status="processing"))
    assert "the picture is not ready after 1 s" in walk(detour.url, "--patience", "1")["sentence"]
    assert left_in(system) == []


@pytest.mark.parametrize(
    ("step", "spoil"),
    [
        ("delete all of it", instead("DELETE", ITEM, answer(500))),
        ("404 for what is deleted", instead("DELETE", ITEM, answer(200, {"message": "Item deleted"}))),
    ],
)
def test_what_cannot_be_deleted_is_named_and_ends_by_itself(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]], step: str, spoil: Spoil
) -> None:
    detour.spoil = spoil

    said = walk(detour.url)

    assert step in [one["step"] for one in said["steps"] if not one["ok"]]
    left = left_in(system)
    assert sorted(one["sk"]["S"].removeprefix("ITEM#") for one in left) == said["left"]
    assert len(left) == 3
    assert "expire within an hour" in said["sentence"]
    assert all("dueAt" in one and "expiresAt" in one for one in left)
    for one in left:
        system.request("DELETE", f"/items/{one['sk']['S'].removeprefix('ITEM#')}")


def test_whoever_stops_it_half_way_leaves_nothing_behind(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    def stop(whole: Answer) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return whole

    detour.spoil = instead("POST", f"{ITEM}/image", stop)
    said = walk(detour.url)
    assert "it was stopped" in said["sentence"]
    assert left_in(system) == []


def test_where_nobody_answers_nothing_is_tried_any_more(walk: Callable[..., dict[str, Any]]) -> None:
    said = walk(f"http://127.0.0.1:{free_port()}/api")
    assert [step["step"] for step in said["steps"]] == ["health"]
    assert "GET /health got no answer" in said["sentence"]


# --------------------------------------------------------------------------------------------------------- sign-in

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg"
UNAUTHORIZED = answer(401, {"error": "UNAUTHORIZED", "message": "Sign in first.", "requestId": "1"})


def guarded(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """As a stage with sign-in answers."""
    open_to_all = path in ("/health", "/openapi.json")
    return None if open_to_all or headers.get("authorization") == f"Bearer {TOKEN}" else UNAUTHORIZED


def test_with_a_token_a_wrong_one_has_to_be_refused(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    detour.spoil = guarded
    said = walk(detour.url, token=TOKEN)
    assert said["ok"], said["sentence"]
    assert "a wrong token is refused" in [step["step"] for step in said["steps"]]
    assert TOKEN not in json.dumps(said)


def test_a_stage_that_lets_everybody_in_fails_where_a_token_was_given(
    system: System, detour: Detour, walk: Callable[..., dict[str, Any]]
) -> None:
    said = walk(detour.url, token=TOKEN)
    assert "it failed at 'a wrong token is refused', as GET /items answered 200 instead of 401" in said["sentence"]
    assert left_in(system) == []


def test_a_token_that_is_not_good_fails_and_is_not_shown(detour: Detour, walk: Callable[..., dict[str, Any]]) -> None:
    detour.spoil = guarded
    other = TOKEN.replace("c2ln", "AAAA")
    said = walk(detour.url, token=other)
    assert (
        "at 'create an item', as POST /items answered 401 instead of 201 (UNAUTHORIZED: Sign in first.)"
        in (said["sentence"])
    )
    assert other not in json.dumps(said)


# ------------------------------------------------------------------------------------------------------------ usage


@pytest.mark.parametrize("way", ["argument", "variable"])
def test_fields_that_a_stage_demands_are_sent_with_every_item(
    detour: Detour, walk: Callable[..., dict[str, Any]], way: str
) -> None:
    demanded = json.dumps({**REQUIRED, "title": "Smoke", "price": 1})
    said = walk(detour.url, "--fields", demanded) if way == "argument" else walk(detour.url, fields=demanded)
    assert said["ok"], said["sentence"]
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
def test_a_command_that_makes_no_sense_ends_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        smoke.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_token_with_a_line_break_in_it_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", "secret\nX-Evil: 1")
    with pytest.raises(SystemExit):
        smoke.main(["--url", "https://x"])
    assert "secret" not in capsys.readouterr().err


def test_make_smoke_takes_url_and_token_as_they_are(detour: Detour) -> None:
    detour.spoil = guarded
    python = Path(sys.executable)
    # The environment that runs this is not to be made anew, however old it is.
    make = f"make -o .venv/.ready BIN={python.parent}"
    words = re.sub(r"URL=\S+", f"URL={detour.url}/", block("docs/operating.md", "smoke").replace("make", make, 1))
    # Where `make test` runs this, its own make would be told so, and say more.
    said = type_in(words, ROOT, TOKEN=TOKEN, FIELDS=json.dumps(REQUIRED), MAKEFLAGS="", MAKELEVEL="")
    assert said.splitlines()[-1].startswith("All 16 steps passed in ")


@pytest.mark.parametrize(
    ("thumbnail", "problem"),
    [
        (saved(Image.new("RGB", (200, 200), BLUE), "JPEG"), "shows the colour"),
        (jpeg(150, 200), "measures 150 × 200 instead of 200 × 200"),
        (saved(quarters(200, 200), "PNG"), "is a PNG instead of a JPEG"),
        (b"<html>", "cannot be read"),
    ],
    ids=["another picture", "another size", "another kind", "no picture"],
)
def test_a_thumbnail_that_is_not_of_the_upload_is_noticed(thumbnail: bytes, problem: str) -> None:
    pictures.look_at(jpeg(200, 200), (200, 200))
    with pytest.raises(BrokenError, match=problem):
        pictures.look_at(thumbnail, (200, 200))
