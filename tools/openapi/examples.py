"""The examples in the OpenAPI document, by model and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from chalicelib import config, errors
from chalicelib.catalogue import exports, item_fields, models, search_index_keys, validation, webhooks
from chalicelib.http import schemas
from chalicelib.values import exact_json
from tools.openapi.json_schemas import Schema

Examples = dict[str, Any]
"""Values by name."""

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
CATALOGUE_ID = "6f1c1a3e-2b3f-4c62-9d5b-8f0a3c5e7d11"
TOKEN = "sbB3ojeG_I9AcL8Vn2Jgp3hAxwsqcKnN"  # noqa: S105 - an example
_EVENT_ID = "019ca7b4-e7e8-7def-89ab-0123456789ab"
_OWNER = "4c8e5f0a-7b1d-4c0e-9a35-2f6d8c1b7e90"
_UPLOAD_ID = "019ca7b4-e3ff-7123-9abc-def012345678"
_LATER = "2100-01-31T12:00:00.000Z"
_VASE: models.Fields = {"title": "Blue vase", "price": 48.5, "tags": ["glass", "1930s"]}

_TIMES = {"createdAt": "2026-03-01T08:00:00.000Z", "updatedAt": "2026-03-01T08:00:00.000Z"}
_S3 = "https://vitrine-prod-123456789012-eu-central-1.s3.amazonaws.com"
_SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=7200&X-Amz-Signature=5f1c"
_KEY = f"uploads/items/{_OWNER}/{ID}/{_UPLOAD_ID}"
_DOWNLOAD = f"{_S3}/{_KEY}?{_SIGNED}"
_THUMBNAIL = _DOWNLOAD.replace("uploads", "thumbnails", 1)
_IMAGES: Examples = {
    "pending": {"status": "pending", "contentType": "image/jpeg"},
    "processing": {"status": "processing"},
    "ready": {
        "status": "ready",
        "contentType": "image/jpeg",
        "width": 1600,
        "height": 1200,
        "bytes": 482133,
        "url": _DOWNLOAD,
        "thumbnails": [{"size": 200, "width": 200, "height": 200, "url": _THUMBNAIL, "type": "image/jpeg"}],
        "placeholder": "HAkGbZpxeoawaIiIeKiGiHDb+Ih9",
    },
    "failed": {
        "status": "failed",
        "error": {"error": errors.ImageUnreadableError.code, "message": errors.ImageUnreadableError().message},
    },
}
_TICKET = {
    "upload": {
        "url": f"{_S3}/",
        "fields": {
            "Content-Type": "image/jpeg",
            "key": _KEY,
            "policy": "eyJleHBpcmF0aW9uIjogIjIwMjYtMDMtMDFUMDg6MTU6MDBaIn0=",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": "EXAMPLE/20260301/eu-central-1/s3/aws4_request",
            "x-amz-date": "20260301T080000Z",
            "x-amz-signature": "5f1c",
        },
    },
    "maxBytes": config.MAX_IMAGE_BYTES,
    "expiresAt": "2026-03-01T08:15:00.000Z",
}


_SHARE = {"id": ID, "createdAt": _TIMES["createdAt"], "expiresAt": _LATER}
_HOOK = "https://www.example.com/vitrine"
_WEBHOOK = {"id": ID, "url": _HOOK, "events": ["*"], "status": "active", **_TIMES}
_DELIVERY = {
    "id": ID,
    "type": "item.created",
    "itemId": ID,
    "createdAt": _TIMES["createdAt"],
    "lastAttemptAt": "2026-03-01T08:00:05.000Z",
    "durationMs": 92,
}
_CATALOGUE = {"id": CATALOGUE_ID, "title": "Vases", "text": "Glass and clay, from everywhere."}


def _import(status: str, created: int, *failures: errors.ApiError) -> Schema:
    listed = [{"index": 1, "error": failure.code, "message": failure.message} for failure in failures]
    return {
        "id": ID,
        "status": status,
        "total": 2,
        "created": created,
        "updated": 0,
        "failed": len(listed),
        "errors": listed,
    }


def _export(status: str, items: int, **more: Any) -> Schema:
    return {
        "id": ID,
        "status": status,
        "format": "ndjson",
        "items": items,
        "pictures": items,
        "files": [],
        "createdAt": _TIMES["createdAt"],
        "expiresAt": "2026-03-08T08:00:00.000Z",
    } | more


_EXPORT = f"{_S3}/exports/{_OWNER}/{ID}/{_UPLOAD_ID}?{_SIGNED}"
_FILES = [
    {"name": "items.ndjson", "bytes": 1804, "url": _EXPORT},
    {"name": "pictures.zip", "bytes": 964_412, "url": _EXPORT},
]


def _failed(error: errors.ApiError, id_: str | None = None) -> Schema:
    problem: Schema = {"error": error.code, "message": error.message}
    problem |= {"details": error.details} if error.details else {}
    return {"status": error.status, **({"id": id_} if id_ else {}), "error": problem}


_EXAMPLES: dict[Any, Examples] = {
    None: {},
    "Page": {"page": "<!doctype html>"},
    "VisitorPage": {"page": "<!doctype html>"},
    "SharePage": {"page": "<!doctype html>"},
    "File": {"text": "…"},
    "Document": {"head": {"openapi": "3.1.0"}},
    schemas.Hello: {"ann": {"message": "Hello, Ann!", "timestamp": "2026-03-01T08:00:00.000Z", "requestId": ID}},
    schemas.Health: {"ok": {"status": "ok", "stage": "prod", "version": config.VERSION}},
    schemas.Deleted: {
        "itemDeleted": {"message": "Item deleted", "id": ID},
        "imageDeleted": {"message": "Image deleted", "id": ID},
        "shareDeleted": {"message": "Share link deleted", "id": ID},
        "webhookDeleted": {"message": "Webhook deleted", "id": ID},
    },
    schemas.Catalogue: {
        "catalogue": {
            **_CATALOGUE,
            "enabled": True,
            "url": f"https://www.example.com/api/catalogues/{CATALOGUE_ID}",
            "itemCount": 2,
        }
    },
    schemas.PublicCatalogue: {"catalogue": _CATALOGUE},
    schemas.CataloguePatch: {"rename": {"title": "Ann's vases"}, "disable": {"enabled": False}},
    schemas.ShareRequest: {"forGood": {}, "untilThen": {"expiresAt": _LATER}},
    schemas.NewShare: {"share": {"url": f"https://www.example.com/api/s/{TOKEN}", **_SHARE}},
    schemas.ShareList: {"one": {"shares": [_SHARE]}},
    "WebhookRequest": {
        "all": {"url": _HOOK, "events": ["*"]},
        "some": {"url": _HOOK, "events": ["picture.ready", "picture.failed"], "description": "Checks pictures"},
    },
    "WebhookPatch": {"switchOn": {"enabled": True}, "move": {"url": f"{_HOOK}/2"}, "select": {"events": ["*"]}},
    "Webhook": {
        "active": _WEBHOOK | {"description": "Checks pictures"},
        "off": _WEBHOOK
        | {
            "status": "off",
            "failingSince": "2026-03-02T08:00:00.000Z",
            "problem": "Switched off: all deliveries failed for three days.",
        },
    },
    "WebhookWithSecret": {"webhook": _WEBHOOK | {"secret": f"whsec_{'MfKQ9r8G' * 5}YqY="}},
    "QueuedDelivery": {"queued": {"deliveryId": ID}},
    "DeliveryList": {
        "some": {
            "deliveries": [
                _DELIVERY | {"status": "succeeded", "attempts": 1, "responseStatus": 204},
                _DELIVERY
                | {
                    "status": "pending",
                    "attempts": 2,
                    "nextAttemptAt": "2026-03-01T08:00:37.000Z",
                    "responseStatus": 500,
                    "response": "Internal Server Error",
                    "error": "The receiver responded with 500, not with 2xx.",
                },
            ]
        },
        "none": {"deliveries": []},
    },
    "WebhookList": {"one": {"webhooks": [_WEBHOOK]}},
    schemas.BatchResults: {
        "allSucceeded": {
            "results": [
                {"status": 201, "id": ID, "version": 1},
                {"status": 200, "id": ID, "version": 2},
                {"status": 200, "id": ID, "version": 3},
                {"status": 200, "id": ID},
            ]
        },
        "someFailed": {
            "results": [
                _failed(errors.ReservedFieldError("id")),
                _failed(errors.ItemNotFoundError(id=ID), ID),
                _failed(errors.NotTriedError(), ID),
            ]
        },
    },
    schemas.TicketRequest: {"jpeg": {"contentType": "image/jpeg"}},
    schemas.ImagePatch: {"topLeft": {"focus": {"x": 0.3, "y": 0.25}}, "centre": {"focus": None}},
    schemas.Ticket: {"ticket": _TICKET},
    schemas.ExportRequest: {
        "all": {"format": "csv"},
        "withPictures": {"format": "ndjson", "pictures": True},
        "chosen": {"format": "ndjson", "ids": [ID]},
    },
    schemas.Export: {
        "queued": _export("queued", 0),
        "running": _export("running", 1),
        "done": _export("done", 2, total=2, files=_FILES),
        "failed": _export(
            "failed", 1, error={"error": errors.InternalError.code, "message": exports.NOT_FINISHED.message}
        ),
    },
    schemas.Import: {
        "queued": _import("queued", 0),
        "running": _import("running", 1),
        "done": _import("done", 2),
        "oneFailed": _import("done", 1, errors.ReservedFieldError("id")),
    },
}


def _events(item: Examples) -> dict[Any, Examples]:
    """Return the examples of events about ``item``, by the names of their models."""
    ready = {name: value for name, value in _IMAGES["ready"].items() if name != "url"}
    ready["thumbnails"] = [{"size": 200, "width": 200, "height": 200, "type": "image/jpeg"}]

    def event(type_: str, **more: Any) -> Examples:
        data = {"owner": _OWNER, "itemId": ID, "version": item["version"], "item": item} | more
        event = {"type": type_, "id": _EVENT_ID, "timestamp": _TIMES["updatedAt"], "schema": 1, "data": data}
        return {type_.rpartition(".")[2]: event}

    return {
        "ItemCreated": event("item.created"),
        "ItemUpdated": event("item.updated", changed=["expiresAt"]),
        "ItemDeleted": event("item.deleted", reason="asked"),
        "PictureReady": event("picture.ready", item=item | {"image": ready}),
        "PictureFailed": event("picture.failed", item=item | {"image": _IMAGES["failed"]}),
        "ItemPublished": event("item.published", item=item | {"visibility": "public"}),
        "ItemUnpublished": event("item.unpublished"),
        "WebhookTest": {
            "test": {
                "type": webhooks.TEST_EVENT,
                "id": _EVENT_ID,
                "timestamp": _TIMES["createdAt"],
                "data": {"owner": _OWNER, "webhookId": ID},
                "schema": 1,
            }
        },
    }


def _with_own_fields(own: models.Fields) -> dict[Any, Examples]:
    """Return the examples that contain an item's own fields; ``own`` is what they look like."""
    expiring = own | {"expiresAt": _LATER}
    managed = _sample_of(schemas.Item) | _TIMES
    page = {"items": [managed | own], "count": 1, "nextCursor": None}
    seen = {"id": ID} | _TIMES | search_index_keys.current().shown(own)
    return {
        schemas.Item: {
            "withoutPicture": managed | own,
            "thatExpires": managed | {"expiresAt": _LATER} | own,
            **{f"withPicture{status.title()}": managed | {"image": image} | own for status, image in _IMAGES.items()},
        },
        "ItemFields": {"forGood": own, "untilThen": expiring},
        "ItemReplacement": {"forGood": own, "untilThen": expiring},
        "ItemPatch": {
            "set": dict(list(own.items())[:1]),
            "setEnd": {"expiresAt": _LATER},
            "publish": {"visibility": "public"},
            "removeEnd": {"expiresAt": None},
        },
        schemas.ItemPage: {
            "onePage": page,
            "moreFollow": page | {"nextCursor": schemas.EXAMPLE_CURSOR},
            "none": {"items": [], "count": 0, "nextCursor": None},
        },
        schemas.PublicItem: {"item": seen},
        schemas.SharedItem: {"item": seen},
        schemas.PublicItemPage: {"page": {"items": [seen], "count": 1, "nextCursor": None}},
        schemas.BatchRequest: {
            "all": {
                "operations": [
                    {"op": "create", "body": own},
                    {"op": "patch", "id": ID, "ifMatch": '"1"', "body": {"expiresAt": _LATER}},
                    {"op": "replace", "id": ID, "body": expiring},
                    {"op": "delete", "id": ID},
                ]
            }
        },
        **_events(managed | own),
        schemas.ImportRequest: {"two": {"items": [own, expiring]}},
        schemas.ImportLines: {"two": "".join(f"{exact_json.to_json(one).decode()}\n" for one in (own, expiring))},
    }


class ExamplesByModel:
    """The examples of every model, with an item's own fields as ``ItemFields`` declares them."""

    def __init__(self) -> None:
        own = _own_fields()
        of_items = _with_own_fields(own or {})
        # If no item can be made up, there is no example of one.
        self._known = _EXAMPLES | (of_items if own is not None else {model: {} for model in of_items})

    def of(self, model: Any, names: Sequence[str] = ()) -> Examples:
        """Return the examples of ``model``, or those called ``names``. Raise KeyError if it has none of that name.

        If there are none in this file, one is made from the model's types, with the ``examples`` of its fields.
        """
        if model not in self._known:
            self._known[model] = _made_up(model)
        examples = self._known[model]
        return {name: examples[name] for name in names} if names and examples else examples


def _own_fields() -> models.Fields | None:
    """Return what an item's own fields may look like, or None if nothing that is known here fits ``ItemFields``."""
    for example in (_VASE, _sample_of(item_fields.ItemFields)):
        try:
            return validation.validate_item(example).sent  # A default may be another each time.
        except errors.ApiError:
            continue
    return None


def _made_up(model: Any) -> Examples:
    sample = _sample_of(model)
    try:
        msgspec.json.decode(exact_json.to_json(sample), type=model)
    except msgspec.ValidationError:
        return {}
    return {"example": sample}


def _sample_of(model: Any) -> Any:
    (schema,), definitions = msgspec.json.schema_components([model], ref_template="{name}")
    return _sample(schema, definitions)


def _sample(schema: Schema, definitions: Mapping[str, Schema]) -> Any:
    """Return a value that is likely to fit a schema made by msgspec."""
    if "$ref" in schema:
        return _sample(definitions[schema["$ref"]], definitions)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], definitions)
    if given := [*schema.get("examples", ()), *schema.get("enum", ())]:
        return given[0]
    if schema.get("type") == "object":
        return {name: _sample(schema["properties"][name], definitions) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        return [_sample(schema.get("items", {}), definitions)] * schema.get("minItems", 1)
    make = _SCALARS.get(schema.get("type", ""))
    return make and make(schema)


def _text(schema: Schema) -> Any:
    shortest: int = schema.get("minLength", 1)
    return _OF_FORMAT.get(schema.get("format", ""), "x" * shortest)


def _number(schema: Schema) -> int:
    lowest: int = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return lowest


_SCALARS: dict[str, Callable[[Schema], Any]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _: True,
}

_OF_FORMAT: dict[str, Any] = {
    "date-time": _LATER,
    "date": _LATER[:10],
    "time": "12:00:00Z",
    "duration": "P1D",
    "uuid": ID,
    "uri": "https://www.example.com/",
    "decimal": 1,
}
