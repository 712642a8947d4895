"""Schemathesis hooks for rules that JSON Schema cannot express; contract.toml loads this module.

Requests that violate the OpenAPI document on purpose are not changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

from chalicelib import errors
from chalicelib.catalogue import item_fields, models, search_index_keys
from chalicelib.values import dynamodb_limits, words

_LATER = "2100-01-01T00:00:00Z"
NOBODY_LISTENS = "http://127.0.0.1:9/"
"""A URL that a webhook of the stage local may have. The port is that of the Discard Protocol (RFC 863)."""
_OF_A_PAGE = ("limit", "cursor")

_IN = {"b": "true", "d": "2026-01-31", "n": "1,2.5", "s": "a,b"}
"""Values of the operator ``in`` by the kind of the field."""

_tags: dict[str, str] = {}
"""The newest known entity tag of each existing item, by item id; "*" if the tag is unknown."""
_created: dict[str, str] = {}
"""The ``createdAt`` of each item, by item id."""
_in_work: set[str] = set()
"""The items whose thumbnails are made again or copied for visitors, which changes their tags at any time."""
_images: dict[str, str] = {}
"""The image status of each item that has an image, by item id."""
_gone: set[str] = set()
"""The ids of the deleted items."""
_catalogue: dict[str, Any] = {}
"""The public catalogue, once it was read."""
_public: dict[str, None] = {}
"""The ids of the public items."""
_links: dict[str, str] = {}
"""The item of each share link, by the link's id."""
_tokens: list[str] = []
"""The tokens of the share links."""
_webhooks: set[str] = set()
"""The ids of the webhooks. They sort by the time of creation."""
_deliveries: dict[str, str] = {}
"""The webhook of each delivery, by the delivery's id."""
_cursors: dict[str, dict[str, Any]] = {}
"""The list parameters of the request that returned each cursor, by cursor."""


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_it_stands(_: Any, value: Any) -> bytes:
    """Return an NDJSON or CSV body as bytes; empty if the generated value is not a string."""
    return value.encode() if isinstance(value, str) else b""


@schemathesis.hook
def filter_case(_: Any, case: Any) -> bool:
    """Skip imports of 1,000 or more entries: the largest take a minute, and tests/integration covers them."""
    return not isinstance(case.body, dict) or len(case.body.get("items") or ()) < 1000


@schemathesis.hook
def filter_failure(_: Any, failure: Any, __: Any, response: Any) -> bool:
    """Ignore three failures that are none.

    An item whose image is missing is reported as missing, but exists. The invalid body of an operation in a batch fails
    by itself. A rule in ``ItemFields.__post_init__`` is not part of the schema, so values that the schema allows may be
    refused.
    """
    if isinstance(failure, EnsureResourceAvailability):
        return bool(response.json()["error"] != errors.ImageNotFoundError.code)
    if isinstance(failure, AcceptedNegativeData) and "results" in response.json():
        return all(result["status"] < 400 for result in response.json()["results"])
    has_rules = hasattr(item_fields.ItemFields, "__post_init__")
    return not (has_rules and isinstance(failure, RejectedPositiveData) and response.status_code == 400)


@schemathesis.hook
def before_call(_: Any, case: Any, __: dict[str, Any]) -> None:
    """Change a schema-valid request so that it also follows the rules that the schema cannot express."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.operation.label == "GET /items":
        _be_a_list(case.query)
    _be_about_what_exists(case)
    _change_body(case)
    if "If-None-Match" in case.headers and (case.method != "GET" or '"' not in case.headers["If-None-Match"]):
        # A write with the current tag is refused, as is a tag without quotes. "0" matches no version: they start at 1.
        case.headers["If-None-Match"] = '"0"'
    if "Idempotency-Key" in case.headers:
        # A repeated key returns the earlier item, which may be deleted by now.
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}{uuid.uuid4()}"


@schemathesis.hook
def after_call(_: Any, case: Any, response: Any) -> None:
    """Store the ids, tags, image statuses and cursors that the API returned."""
    if case.method == "OPTIONS" or response.status_code not in (200, 201):
        return
    id_ = case.path_parameters.get("item_id", "")
    _catalogue.update(response.json() if case.path == "/catalogue" else {})
    if case.operation.label == "GET /items":
        page = response.json()
        _cursors[page["nextCursor"]] = {name: case.query[name] for name in case.query if name not in _OF_A_PAGE}
        _images.update((item["id"], item["image"]["status"]) for item in page["items"] if "image" in item)
    elif case.operation.label == "DELETE /items/{item_id}":
        _gone.add(id_)
        _tags.pop(id_, None)
        _images.pop(id_, None)
        _public.pop(id_, None)
    elif case.path.endswith("/image") and case.method == "PATCH":
        _in_work.add(id_)
    elif case.path.endswith("/image"):
        # The request created a new version of the item, but the response does not contain its tag.
        _tags[id_] = "*"
        _images.pop(id_, None)
    elif case.path in ("/items", "/items/{item_id}"):
        _remember_item(response.json(), response.headers["etag"][0])


@schemathesis.hook("after_call")
def remember_share(_: Any, case: Any, response: Any) -> None:
    """Store the ids and tokens of share links. Making and deleting one is a new version of the item."""
    if not case.path.startswith("/items/{item_id}/shares") or response.status_code not in (200, 201):
        return
    if case.method == "POST":
        share = response.json()
        _links[share["id"]] = case.path_parameters["item_id"]
        _tokens.append(share["url"].rpartition("/")[2])
    if case.method == "DELETE":
        del _links[case.path_parameters["share_id"].lower()]
    if case.method in ("POST", "DELETE"):
        _tags[case.path_parameters["item_id"]] = "*"


@schemathesis.hook("after_call")
def remember_webhook(_: Any, case: Any, response: Any) -> None:
    """Store the ids of webhooks and of deliveries to them."""
    if case.method not in ("GET", "POST", "DELETE") or response.status_code not in (200, 201):
        return
    if not case.path.startswith("/webhooks"):
        return
    if case.method == "DELETE":
        _webhooks.discard(case.path_parameters["webhook_id"].lower())
    for one in response.json().get("webhooks", [response.json()] if case.path == "/webhooks" else []):
        _webhooks.add(one["id"])
    for one in response.json().get("deliveries", []):
        _deliveries[one["id"]] = case.path_parameters["webhook_id"].lower()


def _remember_item(item: dict[str, Any], tag: str) -> None:
    id_ = item["id"]
    _tags[id_] = tag
    _created[id_] = item["createdAt"]
    if "image" in item:
        _images[id_] = item["image"]["status"]
    _public.pop(id_, None)
    if "visibility" in item:
        _public[id_] = None
        _in_work.add(id_)


def _be_about_what_exists(case: Any) -> None:
    """Replace generated ids and tokens by known ones, if there are any."""
    if "catalogue_id" in case.path_parameters or "token" in case.path_parameters:
        _be_a_visit(case)
    elif "webhook_id" in case.path_parameters:
        _be_about_a_webhook(case)
    elif "share_id" in case.path_parameters:
        _be_about_a_share(case)
    elif "item_id" in case.path_parameters:
        _be_about_an_item(case)


def _be_a_visit(case: Any) -> None:
    """Replace the ids by those of the public catalogue and of a public item, or the token by a known one, if any."""
    if "token" in case.path_parameters:
        case.path_parameters["token"] = (_tokens or [case.path_parameters["token"]])[-1]
        return
    case.query.pop("cursor", None)
    _be_a_list(case.query)
    case.path_parameters |= {"catalogue_id": _catalogue.get("id", case.path_parameters["catalogue_id"])}
    if "item_id" in case.path_parameters and _public:
        case.path_parameters["item_id"] = list(_public)[-1]


def _be_about_an_item(case: Any) -> None:
    """Replace a generated item id and tag with known ones; do not delete ready images or their items."""
    id_ = case.path_parameters["item_id"]
    ready = [one for one, status in _images.items() if status == "ready"]
    made_up = id_ not in {*_tags, *_images, *_gone}
    fitting: Collection[str] = _tags
    if case.path.endswith("/image") and case.method != "POST":
        fitting = _images if case.method == "DELETE" else ready
    if case.method == "DELETE":
        fitting = [one for one in fitting if one not in ready]
    if fitting and (made_up or (case.method == "DELETE" and id_ in ready)):
        case.path_parameters["item_id"] = id_ = list(fitting)[-1]
    if case.headers.get("If-Match", "*") != "*":
        # What happens to a picture in the background changes the tag of its item at any time.
        case.headers["If-Match"] = "*" if id_ in _images or id_ in _in_work else _tags.get(id_, "*")


def _be_about_a_share(case: Any) -> None:
    """Replace the ids by those of a share link, if there is one. Keep the last one for visits."""
    for share, item in list(_links.items())[:-1]:
        case.path_parameters |= {"item_id": item, "share_id": share}


def _be_about_a_webhook(case: Any) -> None:
    """Replace the ids by those of a webhook and of a delivery to it, if there is one. Keep the oldest one."""
    if "delivery_id" in case.path_parameters:
        for delivery, webhook in _deliveries.items():
            case.path_parameters |= {"webhook_id": webhook, "delivery_id": delivery}
        return
    known = sorted(_webhooks)
    if known and (case.method != "DELETE" or len(known) > 1):
        case.path_parameters["webhook_id"] = known[-1 if case.method == "DELETE" else 0]


def _be_as_stored(body: dict[str, Any], id_: str) -> None:
    """Set ``id`` and ``createdAt`` to the stored values and remove the other managed fields."""
    known = {"id": id_, "createdAt": _created[id_]} if id_ in _created else {}
    for name in models.MANAGED_FIELDS:
        if name in body and name in known:
            body[name] = known[name]
        else:
            body.pop(name, None)


def _change_body(case: Any) -> None:
    if isinstance(case.body, dict):
        case.body = _holdable(case.body)
        if case.operation.label == "POST /exports":
            _be_an_export(case.body)
        if case.body.get("expiresAt"):
            case.body["expiresAt"] = _LATER
        if case.path.startswith("/webhooks"):
            _be_a_quiet_webhook(case.body)
        if case.path == "/catalogue":
            case.body["enabled"] = True  # Otherwise no visitor finds it.
        _be_as_stored(case.body, case.path_parameters.get("item_id", ""))
    elif case.media_type == "text/csv" and isinstance(case.body, str):
        # The schema does not say what CSV is, and that the key must be a column.
        case.body = '"{}"\r\n"{}"\r\n'.format(case.query.get("key") or "title", case.body.replace('"', '""'))


def _be_a_quiet_webhook(body: dict[str, Any]) -> None:
    """Send a URL that is allowed, and events that are rare: each one is a request."""
    if "url" in body:
        body["url"] = NOBODY_LISTENS
    if "events" in body:
        body["events"] = [one for one in body["events"] if one.startswith("picture.")] or ["picture.failed"]


def _be_an_export(body: dict[str, Any]) -> None:
    """Send what the schema cannot express: values of ``in``, numbers as text that can be stored, and words."""
    for name, filter_ in (body.get("filter") or {}).items():
        kind = search_index_keys.current().findable[name].kinds[0]
        conditions = filter_ if isinstance(filter_, dict) else {}
        conditions |= {"in": _IN[kind]} if "in" in conditions else {}
        for operator, value in conditions.items():
            if kind == "n" and isinstance(value, str) and operator != "in":
                conditions[operator] = "2.5"
        if kind == "n" and isinstance(filter_, str):
            body["filter"][name] = "2.5"
    if body.get("q") is not None:
        body["q"] = "vase"
    if not any(field.is_searchable for field in search_index_keys.current().fields):
        body.pop("q", None)


def _be_a_list(query: dict[str, Any]) -> None:
    """Send what the schema cannot express: values of ``in``, words, and the parameters of a cursor's list."""
    for name in [name for name in query if name.endswith("[in]")]:
        field = search_index_keys.current().findable[name.removeprefix("filter[").partition("]")[0]]
        query[name] = _IN[field.kinds[0]]
    if not any(field.is_searchable for field in search_index_keys.current().fields):
        query.pop("q", None)
    if "q" in query and not 1 <= len(words.split(query["q"])) <= words.MAX_IN_QUERY:
        query["q"] = "vase"
    if "sort" in query:
        query.pop("order", None)
    if "cursor" in query:
        _go_on(query)


def _go_on(query: dict[str, Any]) -> None:
    """Use a known cursor with the parameters of its list; remove an unknown cursor."""
    of_its_list = _cursors.get(query["cursor"])
    if of_its_list is None:
        del query["cursor"]
        return
    for name in [name for name in query if name not in _OF_A_PAGE]:
        del query[name]
    query.update(of_its_list)


def _holdable(value: Any) -> Any:
    """Return ``value`` with 0 for each number that DynamoDB cannot store exactly: no schema limits the digits."""
    if isinstance(value, dict):
        return {name: _holdable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_holdable(inner) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return 0 if any(dynamodb_limits.violations(Decimal(repr(value)))) else value
