"""The steps of the smoke test: each does what a client does, and checks the result."""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tools.smoke import picture
from tools.smoke.http_client import Response, StepError, check, multipart_form, send

LIFETIME = timedelta(hours=1)
"""Items that are not deleted expire after this time."""

_CLOCK_SKEW = timedelta(minutes=10)  # between this machine and the stage
_POLL_INTERVAL = 0.5  # seconds
_FAILED_REQUEST_WAIT = 15  # seconds in which an import whose request failed may still create items

Step = tuple[str, Callable[[], None]]
"""A name and a function that raises StepError if the step fails."""
_Found = TypeVar("_Found")


class SmokeTest:
    """One run of the smoke test. All items that it creates carry its mark."""

    def __init__(self, url: str, token: str | None = None, fields: dict[str, Any] | None = None, timeout: float = 120):
        """``fields`` are required in items of this stage. ``timeout`` is for background work, in seconds."""
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._started_at = datetime.now(UTC)
        self._mark = f"smoke {secrets.token_hex(8)}"
        self._body = {**(fields or {}), "smokeTest": self._mark, "expiresAt": _format_time(self._started_at + LIFETIME)}
        self._item: dict[str, Any] = {}
        self._etag = ""
        self._upload: dict[str, Any] = {}
        self._image: dict[str, Any] = {}
        self._import = ""
        self._expected = 0  # items that the requests so far may create
        self._created: set[str] = set()
        self.stage = ""
        """The stage's name and version, from GET /health."""

    def steps(self) -> Iterator[Step]:
        """Yield the steps, in order."""
        yield "health", self._health
        yield "OpenAPI document", self._document
        if self._token:
            yield "a wrong token is refused", self._wrong_token
        yield "create an item", self._create
        yield "304 for an unchanged item", self._unchanged
        yield "patch with If-Match", self._patch
        yield "412 for a stale version", self._stale
        yield "the item is listed", self._list
        yield "upload ticket", self._ticket
        yield "upload", self._post
        yield "the picture is ready", self._ready
        yield "check the thumbnail", self._thumbnail
        yield "import two items", self._start_import
        yield "the import is done", self._import_done

    def final_steps(self) -> Iterator[Step]:
        """Yield the steps that delete everything, even after a failure; none if nothing was created."""
        if self._expected:
            yield "delete everything", self._delete
            yield "404 for deleted items", self._gone

    def remaining(self) -> list[str]:
        """Return the ids of created items that may still exist."""
        return sorted(self._created)

    def _health(self) -> None:
        health = self._request("GET", "/health").expect(200).json()
        check(health.get("status") == "ok", f"GET /health has the status {health.get('status')!r} instead of 'ok'")
        self.stage = f"stage {health.get('stage')}, version {health.get('version')}"

    def _document(self) -> None:
        document = self._request("GET", "/openapi.json").expect(200).json()
        check(str(document.get("openapi")).startswith("3.1"), "GET /openapi.json is not an OpenAPI 3.1 document")
        check("/items" in document.get("paths", {}), "GET /openapi.json has no path /items")

    def _wrong_token(self) -> None:
        token = str(self._token)
        # The same token with another letter in the middle of its signature.
        middle = (token.rfind(".") + 1 + len(token)) // 2
        letter = "B" if token[middle] == "A" else "A"
        wrong = f"{token[:middle]}{letter}{token[middle + 1 :]}"
        self._request("GET", "/items", authorization="").expect(401)
        # After ``chalice deploy``, API Gateway returns its own error (docs/errors.md).
        self._request("GET", "/items", authorization=f"Bearer {wrong}").expect(401, 403)

    def _create(self) -> None:
        self._expected = 1
        response = self._request("POST", "/items", {**self._body, "count": 1, "gone": "soon"}).expect(201)
        self._item = self._item_of(response)
        self._created.add(self._item["id"])
        self._etag = response.header("ETag")
        location = response.header("Location")
        check(location.endswith(self._path), f"{response.request} returned the Location {location}")

    def _unchanged(self) -> None:
        read = self._request("GET", self._path).expect(200)
        check(self._item_of(read) == self._item, f"{read.request} did not return the created item")
        self._request("GET", self._path, if_none_match=read.header("ETag")).expect(304)

    def _patch(self) -> None:
        response = self._request("PATCH", self._path, {"count": 2, "gone": None}, if_match=self._etag).expect(200)
        item = self._item_of(response)
        check(item.get("count") == 2 and "gone" not in item, f"{response.request} did not apply the patch")
        check(item["version"] == self._item["version"] + 1, f"{response.request} did not increase the version")

    def _stale(self) -> None:
        response = self._request("PATCH", self._path, {"count": 3}, if_match=self._etag)
        response.expect(412, error="VERSION_MISMATCH")
        read = self._item_of(self._request("GET", self._path).expect(200))
        check(read.get("count") == 2, f"{response.request} returned 412, but changed the item")

    def _list(self) -> None:
        # A list may lag behind a write (decision 5).
        self._poll(lambda: self._item["id"] in self._listed_ids() or None, "GET /items does not list the item")

    def _ticket(self) -> None:
        body = {"contentType": picture.CONTENT_TYPE}
        response = self._request("POST", f"{self._path}/image", body).expect(201)
        self._upload = response.json().get("upload") or {}
        check({"url", "fields"} <= self._upload.keys(), f"{response.request} returned no upload form")

    def _post(self) -> None:
        body, content_type = multipart_form(self._upload["fields"], picture.png(), picture.CONTENT_TYPE)
        send("POST", self._upload["url"], "the upload", body, {"content-type": content_type}).expect(200, 201, 204)

    def _ready(self) -> None:
        def find() -> dict[str, Any] | None:
            image: dict[str, Any] = self._request("GET", self._path).expect(200).json().get("image") or {}
            check(image.get("status") != "failed", f"the picture failed: {image.get('error')}")
            return image if image.get("status") == "ready" else None

        self._image = self._poll(find, "the picture is not ready")
        size = self._image.get("width"), self._image.get("height")
        check(size == picture.SIZE, f"the picture has the size {size[0]} × {size[1]}")
        check(self._image.get("thumbnails"), "the picture is ready, but has no thumbnails")

    def _thumbnail(self) -> None:
        thumbnail = self._image["thumbnails"][0]
        redirect = self._request("GET", f"{self._path}/image?size={thumbnail['size']}").expect(302)
        response = send("GET", redirect.header("Location"), "the thumbnail's download").expect(200)
        picture.check_thumbnail(response.body, (thumbnail["width"], thumbnail["height"]), thumbnail["type"])

    def _start_import(self) -> None:
        self._expected = 3
        entries = [{**self._body, "number": number} for number in (1, 2)]
        response = self._request("POST", "/imports", {"items": entries}).expect(202)
        self._import = f"/imports/{response.json()['id']}"
        location = response.header("Location")
        check(location.endswith(self._import), f"{response.request} returned the Location {location}")

    def _import_done(self) -> None:
        def find() -> dict[str, Any] | None:
            job = self._request("GET", self._import).expect(200).json()
            return job if job.get("status") == "done" else None

        job = self._poll(find, "the import is not done")
        counts = {name: job.get(name) for name in ("total", "created", "failed")}
        check(counts == {"total": 2, "created": 2, "failed": 0}, f"the import ended as {counts}")
        self._poll(self._lists_all_three, "GET /items does not list the 2 imported items")

    def _lists_all_three(self) -> bool | None:
        self._created |= self._listed_ids()
        return len(self._created) == 3 or None

    def _delete(self) -> None:
        problems = []
        if len(self._created) < self._expected:
            # A step failed: a request without a response, or the import, may have created more items.
            try:
                self._find_other_items()
            except StepError as problem:
                problems.append(str(problem))
        for id_ in self.remaining():
            try:
                self._request("DELETE", f"/items/{id_}").expect(200, 404)
            except StepError as problem:
                problems.append(str(problem))
        check(not problems, "; ".join(problems))

    def _gone(self) -> None:
        for id_ in self.remaining():
            self._request("GET", f"/items/{id_}").expect(404, error="ITEM_NOT_FOUND")
            self._created.remove(id_)

    @property
    def _path(self) -> str:
        return f"/items/{self._item['id']}"

    def _find_other_items(self) -> None:
        # If the import was refused, no more items appear, which is no error.
        timeout = (
            0 if self._expected == 1 else self._timeout if self._import else min(self._timeout, _FAILED_REQUEST_WAIT)
        )
        end = time.monotonic() + timeout
        while True:
            self._created |= self._listed_ids()
            if len(self._created) >= self._expected or time.monotonic() >= end:
                return
            time.sleep(_POLL_INTERVAL)

    def _listed_ids(self) -> set[str]:
        """Return the ids of this run's items in the list."""
        found: set[str] = set()
        query = {"limit": "100", "createdAfter": _format_time(self._started_at - _CLOCK_SKEW)}
        while True:
            page = self._request("GET", f"/items?{urllib.parse.urlencode(query)}").expect(200).json()
            found |= {item["id"] for item in page.get("items", []) if item.get("smokeTest") == self._mark}
            if not page.get("nextCursor"):
                return found
            query["cursor"] = page["nextCursor"]

    def _item_of(self, response: Response) -> dict[str, Any]:
        """Return the item in a response. Raise StepError if it is not one of this run."""
        item = response.json()
        valid = isinstance(item.get("id"), str) and isinstance(item.get("version"), int)
        check(valid and item.get("smokeTest") == self._mark, f"{response.request} did not return the item")
        return item

    def _poll(self, find: Callable[[], _Found | None], problem: str) -> _Found:
        """Call ``find`` until it returns something, and return that. Raise StepError after the timeout."""
        end = time.monotonic() + self._timeout
        while (found := find()) is None:
            check(time.monotonic() < end, f"timeout: {problem} after {self._timeout:.0f} s")
            time.sleep(_POLL_INTERVAL)
        return found

    def _request(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request to the API. Header names have _ for -; empty headers are left out."""
        all_headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            all_headers["content-type"] = "application/json"
        name = f"{method} {path.partition('?')[0]}"
        data = None if body is None else json.dumps(body).encode()
        return send(method, self._url + path, name, data, {key: value for key, value in all_headers.items() if value})


def _format_time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
