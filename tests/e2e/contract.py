"""What a request has to be beyond what a JSON Schema can say: told to Schemathesis, which loads this (contract.toml).

Whatever violates the document on purpose is left as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import schemathesis
from schemathesis.openapi.checks import EnsureResourceAvailability

from chalicelib import errors
from chalicelib.catalogue import models
from chalicelib.values import dynamodb_limits

_LATER = "2100-01-01T00:00:00Z"
_OF_A_LIST = ("order", "createdAfter", "createdBefore")

_tags: dict[str, str] = {}
"""The items that there are, as far as was seen, each with its newest entity tag."""
_created: dict[str, str] = {}
"""When each of them was created."""
_images: dict[str, str] = {}
"""Those with a picture, each with the picture's state."""
_gone: set[str] = set()
"""The items that were deleted."""
_cursors: dict[str, dict[str, Any]] = {}
"""The cursors that were given out, each with what its list was asked for by."""


@schemathesis.serializer("application/x-ndjson")
def as_it_stands(_: Any, value: Any) -> bytes:
    """NDJSON is text: of what is none, nothing can be sent."""
    return value.encode() if isinstance(value, str) else b""


@schemathesis.hook
def filter_case(_: Any, case: Any) -> bool:
    """Skip imports of ten thousand entries: they take a minute, and tests/integration tests them."""
    return not isinstance(case.body, dict) or len(case.body.get("items") or ()) < 1000


@schemathesis.hook
def filter_failure(_: Any, failure: Any, __: Any, response: Any) -> bool:
    """An item has no picture before one was uploaded: that is no item which got lost."""
    lost = isinstance(failure, EnsureResourceAvailability)
    return not (lost and response.json()["error"] == errors.ImageNotFoundError.code)


@schemathesis.hook
def before_call(_: Any, case: Any, __: dict[str, Any]) -> None:
    """Makes of a request that fits its schema one that can be meant."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "cursor" in case.query:
        _go_on(case.query)
    if "item_id" in case.path_parameters:
        _be_about_an_item(case)
    if isinstance(case.body, dict):
        case.body = _holdable(case.body)
        if case.body.get("expiresAt"):
            case.body["expiresAt"] = _LATER
        _be_as_stored(case.body, case.path_parameters.get("item_id", ""))
    if "If-None-Match" in case.headers and (case.method != "GET" or '"' not in case.headers["If-None-Match"]):
        # A write with the current version's tag is refused. Schemathesis takes "0" for a tag.
        case.headers["If-None-Match"] = '"0"'
    if "Idempotency-Key" in case.headers:
        # One that comes again is answered with the item of before, which may be gone by now.
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}{uuid.uuid4()}"


@schemathesis.hook
def after_call(_: Any, case: Any, response: Any) -> None:
    """Remembers what only the API can give out."""
    if case.method == "OPTIONS" or response.status_code not in (200, 201):
        return
    id_ = case.path_parameters.get("item_id", "")
    if case.operation.label == "GET /items":
        page = response.json()
        _cursors[page["nextCursor"]] = {name: case.query[name] for name in _OF_A_LIST if name in case.query}
        _images.update((item["id"], item["image"]["status"]) for item in page["items"] if "image" in item)
    elif case.operation.label == "DELETE /items/{item_id}":
        _gone.add(id_)
        _tags.pop(id_, None)
        _images.pop(id_, None)
    elif case.path.endswith("/image"):
        # It made a new version, whose tag is not told.
        _tags[id_] = "*"
        _images.pop(id_, None)
    elif case.path.startswith("/items"):
        item = response.json()
        _tags[item["id"]] = response.headers["etag"][0]
        _created[item["id"]] = item["createdAt"]
        if "image" in item:
            _images[item["id"]] = item["image"]["status"]


def _be_about_an_item(case: Any) -> None:
    """Nobody can make up an item's id, or its tag. Pictures that are ready stay, for others to be asked for."""
    id_ = case.path_parameters["item_id"]
    ready = [one for one, status in _images.items() if status == "ready"]
    made_up = id_ not in {*_tags, *_images, *_gone}
    fitting: Collection[str] = _tags
    if case.path.endswith("/image") and case.method != "POST":
        fitting = ready if case.method == "GET" else _images
    if case.method == "DELETE":
        fitting = [one for one in fitting if one not in ready]
    if fitting and (made_up or (case.method == "DELETE" and id_ in ready)):
        case.path_parameters["item_id"] = id_ = list(fitting)[-1]
    if case.headers.get("If-Match", "*") != "*":
        case.headers["If-Match"] = _tags.get(id_, "*")


def _be_as_stored(body: dict[str, Any], id_: str) -> None:
    """Managed fields equal what is stored, which nobody can make up: two that never change, and no others."""
    known = {"id": id_, "createdAt": _created[id_]} if id_ in _created else {}
    for name in models.MANAGED_FIELDS:
        if name in body and name in known:
            body[name] = known[name]
        else:
            body.pop(name, None)


def _go_on(query: dict[str, Any]) -> None:
    """A cursor goes on in the list that it was given out for; nobody can make one up."""
    for name in _OF_A_LIST:
        query.pop(name, None)
    if query["cursor"] in _cursors:
        query.update(_cursors[query["cursor"]])
    else:
        del query["cursor"]


def _holdable(value: Any) -> Any:
    """``value`` with numbers that can be kept exactly: no schema says how many digits one may have."""
    if isinstance(value, dict):
        return {name: _holdable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_holdable(inner) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return 0 if any(dynamodb_limits.violations(Decimal(repr(value)))) else value
