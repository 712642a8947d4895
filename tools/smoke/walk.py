"""The walk: each step does what a user does, and says in one sentence what is wrong."""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tools.smoke import pictures
from tools.smoke.calls import Answer, BrokenError, check, form, send

LIFETIME = timedelta(hours=1)
"""After which the stage's own cleanup takes what the walk made, should nothing else have."""

_SKEW = timedelta(minutes=10)  # between this machine's clock and the stage's
_EVERY = 0.5  # seconds between two looks
_REFUSED = 15  # seconds in which items may still come of an import that was refused, as it seemed

Step = tuple[str, Callable[[], None]]
"""Its name, and what it does; that raises BrokenError."""
_Seen = TypeVar("_Seen")


class Walk:
    """One walk through the main job. All items that it makes carry a mark of its own."""

    def __init__(self, url: str, token: str | None = None, fields: dict[str, Any] | None = None, patience: float = 120):
        """``fields`` are those that items of this stage must have; ``patience`` is for the background work, seconds."""
        self._url = url.rstrip("/")
        self._token = token
        self._patience = patience
        self._began = datetime.now(UTC)
        self._mark = f"smoke {secrets.token_hex(8)}"
        self._body = {**(fields or {}), "smokeTest": self._mark, "expiresAt": _text(self._began + LIFETIME)}
        self._item: dict[str, Any] = {}
        self._etag = ""
        self._upload: dict[str, Any] = {}
        self._image: dict[str, Any] = {}
        self._import = ""
        self._expected = 0  # items that may come to be, by all that was asked for
        self._made: set[str] = set()
        self.stage = ""
        """What it says of itself."""

    def steps(self) -> Iterator[Step]:
        """What is done, in this order, until something fails."""
        yield "health", self._health
        yield "document", self._document
        if self._token:
            yield "a wrong token is refused", self._wrong_token
        yield "create an item", self._create
        yield "304 while it is unchanged", self._unchanged
        yield "patch with If-Match", self._patch
        yield "412 for a stale version", self._stale
        yield "the list finds it", self._list
        yield "ticket for a picture", self._ticket
        yield "upload", self._post
        yield "the picture is ready", self._ready
        yield "look at the thumbnail", self._thumbnail
        yield "import two items", self._start_import
        yield "the import is done", self._import_done

    def last_steps(self) -> Iterator[Step]:
        """What is done in the end, whatever happened before; nothing where nothing was made."""
        if self._expected:
            yield "delete all of it", self._delete
            yield "404 for what is deleted", self._gone

    def left(self) -> list[str]:
        """The ids of the items that it made and that are not surely gone."""
        return sorted(self._made)

    # ----------------------------------------------------------------------------------------------------------- steps

    def _health(self) -> None:
        said = self._ask("GET", "/health").expect(200).json()
        check(said.get("status") == "ok", f"GET /health says {said.get('status')!r} instead of 'ok'")
        self.stage = f"stage {said.get('stage')}, version {said.get('version')}"

    def _document(self) -> None:
        document = self._ask("GET", "/openapi.json").expect(200).json()
        check(str(document.get("openapi")).startswith("3.1"), "GET /openapi.json is no OpenAPI 3.1 document")
        check("/items" in document.get("paths", {}), "GET /openapi.json does not know the path /items")

    def _wrong_token(self) -> None:
        token = str(self._token)
        # Its signature has another letter in the middle; all the rest is right.
        middle = (token.rfind(".") + 1 + len(token)) // 2
        letter = "B" if token[middle] == "A" else "A"
        wrong = f"{token[:middle]}{letter}{token[middle + 1 :]}"
        self._ask("GET", "/items", authorization="").expect(401)
        # After `chalice deploy` API Gateway says it in its own way (docs/errors.md).
        self._ask("GET", "/items", authorization=f"Bearer {wrong}").expect(401, 403)

    def _create(self) -> None:
        self._expected = 1
        answer = self._ask("POST", "/items", {**self._body, "count": 1, "gone": "soon"}).expect(201)
        self._item = self._own(answer)
        self._made.add(self._item["id"])
        self._etag = answer.header("ETag")
        place = answer.header("Location")
        check(place.endswith(self._path), f"{answer.what} says that the item is at {place}")

    def _unchanged(self) -> None:
        read = self._ask("GET", self._path).expect(200)
        check(self._own(read) == self._item, f"{read.what} answered something else than was created")
        self._ask("GET", self._path, if_none_match=read.header("ETag")).expect(304)

    def _patch(self) -> None:
        answer = self._ask("PATCH", self._path, {"count": 2, "gone": None}, if_match=self._etag).expect(200)
        item = self._own(answer)
        check(item.get("count") == 2 and "gone" not in item, f"{answer.what} did not change what it was to change")
        check(item["version"] == self._item["version"] + 1, f"{answer.what} did not make the next version")

    def _stale(self) -> None:
        answer = self._ask("PATCH", self._path, {"count": 3}, if_match=self._etag)
        answer.expect(412, error="VERSION_MISMATCH")
        read = self._own(self._ask("GET", self._path).expect(200))
        check(read.get("count") == 2, f"{answer.what} answered 412, and wrote all the same")

    def _list(self) -> None:
        # A list may lag behind what was written (decision 5).
        self._wait(lambda: self._item["id"] in self._listed() or None, "GET /items does not list the item")

    def _ticket(self) -> None:
        asked = {"contentType": pictures.CONTENT_TYPE}
        answer = self._ask("POST", f"{self._path}/image", asked).expect(201)
        self._upload = answer.json().get("upload") or {}
        check({"url", "fields"} <= self._upload.keys(), f"{answer.what} answered no form to upload with")

    def _post(self) -> None:
        body, content_type = form(self._upload["fields"], pictures.drawn(), pictures.CONTENT_TYPE)
        send("POST", self._upload["url"], "the upload", body, {"content-type": content_type}).expect(200, 201, 204)

    def _ready(self) -> None:
        def look() -> dict[str, Any] | None:
            image: dict[str, Any] = self._ask("GET", self._path).expect(200).json().get("image") or {}
            check(image.get("status") != "failed", f"the picture failed: {image.get('error')}")
            return image if image.get("status") == "ready" else None

        self._image = self._wait(look, "the picture is not ready")
        size = self._image.get("width"), self._image.get("height")
        check(size == pictures.SIZE, f"the picture is said to measure {size[0]} × {size[1]}")
        check(self._image.get("thumbnails"), "the picture is ready, and has no thumbnails")

    def _thumbnail(self) -> None:
        said = self._image["thumbnails"][0]
        redirect = self._ask("GET", f"{self._path}/image?size={said['size']}").expect(302)
        answer = send("GET", redirect.header("Location"), "the thumbnail's download").expect(200)
        pictures.look_at(answer.body, (said["width"], said["height"]))

    def _start_import(self) -> None:
        self._expected = 3
        entries = [{**self._body, "number": number} for number in (1, 2)]
        answer = self._ask("POST", "/imports", {"items": entries}).expect(202)
        self._import = f"/imports/{answer.json()['id']}"
        place = answer.header("Location")
        check(place.endswith(self._import), f"{answer.what} says that the import is at {place}")

    def _import_done(self) -> None:
        def look() -> dict[str, Any] | None:
            said = self._ask("GET", self._import).expect(200).json()
            return said if said.get("status") == "done" else None

        said = self._wait(look, "the import is not done")
        counts = {name: said.get(name) for name in ("total", "created", "failed")}
        check(counts == {"total": 2, "created": 2, "failed": 0}, f"the import ended as {counts}")
        self._wait(self._lists_all_three, "GET /items does not list the 2 items that were imported")

    def _lists_all_three(self) -> bool | None:
        self._made |= self._listed()
        return len(self._made) == 3 or None

    def _delete(self) -> None:
        problems = []
        if len(self._made) < self._expected:
            # Something failed half way: an item may be there that was not heard of, or come yet from an import.
            try:
                self._find_the_others()
            except BrokenError as problem:
                problems.append(str(problem))
        for id_ in self.left():
            try:
                self._ask("DELETE", f"/items/{id_}").expect(200, 404)
            except BrokenError as problem:
                problems.append(str(problem))
        check(not problems, "; ".join(problems))

    def _gone(self) -> None:
        for id_ in self.left():
            self._ask("GET", f"/items/{id_}").expect(404, error="ITEM_NOT_FOUND")
            self._made.remove(id_)

    # ----------------------------------------------------------------------------------------------------------- means

    @property
    def _path(self) -> str:
        return f"/items/{self._item['id']}"

    def _find_the_others(self) -> None:
        # Of an import that was refused none will come: that is no problem.
        patience = 0 if self._expected == 1 else self._patience if self._import else min(self._patience, _REFUSED)
        end = time.monotonic() + patience
        while True:
            self._made |= self._listed()
            if len(self._made) >= self._expected or time.monotonic() >= end:
                return
            time.sleep(_EVERY)

    def _listed(self) -> set[str]:
        """The ids of this walk's items that the list has."""
        found: set[str] = set()
        query = {"limit": "100", "createdAfter": _text(self._began - _SKEW)}
        while True:
            page = self._ask("GET", f"/items?{urllib.parse.urlencode(query)}").expect(200).json()
            found |= {item["id"] for item in page.get("items", []) if item.get("smokeTest") == self._mark}
            if not page.get("nextCursor"):
                return found
            query["cursor"] = page["nextCursor"]

    def _own(self, answer: Answer) -> dict[str, Any]:
        """The item in an answer. Raises BrokenError where it is none of this walk's."""
        item = answer.json()
        whole = isinstance(item.get("id"), str) and isinstance(item.get("version"), int)
        check(whole and item.get("smokeTest") == self._mark, f"{answer.what} did not answer with the item")
        return item

    def _wait(self, look: Callable[[], _Seen | None], problem: str) -> _Seen:
        end = time.monotonic() + self._patience
        while (seen := look()) is None:
            check(time.monotonic() < end, f"{problem} after {self._patience:.0f} s")
            time.sleep(_EVERY)
        return seen

    def _ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the API; header names take _ for -, and an empty one is left out."""
        sent = {"authorization": f"Bearer {self._token}"} if self._token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent["content-type"] = "application/json"
        what = f"{method} {path.partition('?')[0]}"
        data = None if body is None else json.dumps(body).encode()
        return send(method, self._url + path, what, data, {name: value for name, value in sent.items() if value})


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
