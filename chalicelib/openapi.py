"""The OpenAPI 3.1 document: of exactly the routes that the app has, with the models that they are held to.

``OPERATIONS`` says of each route what only a person can say. A test fails where it and the routes differ.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from chalicelib import errors, wire
from chalicelib.config import VERSION
from chalicelib.models import ItemFields


class Operation(NamedTuple):
    """What a route is for: ``answers`` are its models by status, ``refusals`` its errors beside those that all have."""

    summary: str
    tag: str
    answers: dict[int, Any]
    query: type[msgspec.Struct] | None = None
    body: dict[str, Any] | None = None
    headers: tuple[str, ...] = ()
    refusals: tuple[type[errors.ApiError], ...] = ()
    public: bool = False


_ITEM = "Item"
_PAGE = "ItemPage"
_FIELDS = "ItemFields"
_HTML = ("text/html",)
_FILES = ("text/css", "text/javascript", "text/html")

_WRITE = (errors.InvalidRequestError, errors.ReservedFieldError, errors.InvalidExpiryError, errors.ItemTooLargeError)
_CHANGE = (*_WRITE, errors.ItemNotFoundError, errors.VersionMismatchError)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/"): Operation("The web console", "About", {200: _HTML}, public=True),
    ("GET", "/docs"): Operation("This document, to read and to try", "About", {200: _HTML}, public=True),
    ("GET", "/web/{name}"): Operation(
        "A file of those pages", "About", {200: _FILES, 304: None}, refusals=(errors.NotFoundError,), public=True
    ),
    ("GET", "/openapi.json"): Operation("This document", "About", {200: dict[str, Any]}, public=True),
    ("GET", "/hello"): Operation("A greeting", "About", {200: wire.Hello}, query=wire.HelloQuery, public=True),
    ("GET", "/health"): Operation("Whether the API answers", "About", {200: wire.Health}, public=True),
    ("POST", "/items"): Operation(
        "Create an item",
        "Items",
        {201: _ITEM},
        body={"application/json": _FIELDS},
        headers=("Idempotency-Key",),
        refusals=(*_WRITE, errors.IdempotencyKeyReusedError),
    ),
    ("GET", "/items"): Operation(
        "List items, page by page", "Items", {200: _PAGE}, query=wire.ListQuery, refusals=(errors.InvalidCursorError,)
    ),
    ("GET", "/items/{item_id}"): Operation(
        "Read an item",
        "Items",
        {200: _ITEM, 304: None},
        headers=("If-None-Match",),
        refusals=(errors.ItemNotFoundError,),
    ),
    ("PUT", "/items/{item_id}"): Operation(
        "Replace an item's fields",
        "Items",
        {200: _ITEM},
        body={"application/json": _FIELDS},
        headers=("If-Match",),
        refusals=_CHANGE,
    ),
    ("PATCH", "/items/{item_id}"): Operation(
        "Change some of an item's fields (JSON Merge Patch, RFC 7396)",
        "Items",
        {200: _ITEM},
        body={"application/merge-patch+json": dict[str, Any], "application/json": dict[str, Any]},
        headers=("If-Match",),
        refusals=_CHANGE,
    ),
    ("DELETE", "/items/{item_id}"): Operation(
        "Delete an item and its picture",
        "Items",
        {200: wire.Deleted},
        headers=("If-Match",),
        refusals=(errors.ItemNotFoundError, errors.VersionMismatchError),
    ),
    ("POST", "/items/{item_id}/image"): Operation(
        "Leave to upload a picture: a presigned POST for 15 minutes",
        "Pictures",
        {201: wire.Ticket},
        body={"application/json": wire.TicketRequest},
        refusals=(errors.InvalidRequestError, errors.ItemNotFoundError),
    ),
    ("GET", "/items/{item_id}/image"): Operation(
        "Go to the picture, or to a thumbnail of it",
        "Pictures",
        {302: None},
        query=wire.ImageQuery,
        refusals=(errors.InvalidRequestError, errors.ItemNotFoundError, errors.ImageNotFoundError),
    ),
    ("DELETE", "/items/{item_id}/image"): Operation(
        "Remove the picture",
        "Pictures",
        {200: wire.Deleted},
        headers=("If-Match",),
        refusals=(errors.ItemNotFoundError, errors.ImageNotFoundError, errors.VersionMismatchError),
    ),
    ("POST", "/imports"): Operation(
        "Create many items: up to 10,000, or 5 MB",
        "Imports",
        {202: wire.ImportShown},
        body={"application/json": wire.ImportRequest, "application/x-ndjson": str},
        refusals=(errors.InvalidRequestError, errors.ImportTooLargeError),
    ),
    ("GET", "/imports/{import_id}"): Operation(
        "How far an import is", "Imports", {200: wire.ImportShown}, refusals=(errors.ImportNotFoundError,)
    ),
}

_HEADERS = {
    "Idempotency-Key": "The same key and body within 24 hours answer the first 201 again.",
    "If-Match": "Entity tags: the write is taken only on top of one of these versions.",
    "If-None-Match": "Entity tags: 304 where the item is still one of them.",
}


def document(routes: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The document of ``routes`` (path to methods). Raises KeyError for one that ``OPERATIONS`` says nothing of."""
    paths: dict[str, dict[str, Any]] = {}
    for path, methods in routes.items():
        for method in methods:
            paths.setdefault(path, {})[method.lower()] = _operation(path, OPERATIONS[method, path])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine",
            "version": VERSION,
            "description": "A catalogue of items with pictures.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": _schemas()[1],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [] if operation.public else [{"bearer": []}],
        "responses": _responses(operation),
    }
    parameters = [*_path_parameters(path), *_query_parameters(operation), *_header_parameters(operation)]
    if parameters:
        said["parameters"] = parameters
    if operation.body:
        content = {type_: {"schema": _schema(model)} for type_, model in operation.body.items()}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        responses[str(status)] = {"description": _PHRASES[status], **_content(model)}
    by_status: dict[int, list[str]] = {}
    always: list[type[errors.ApiError]] = [errors.InternalError]
    if not operation.public:
        always += [errors.UnauthorizedError, errors.BackendUnavailableError, errors.BusyError]
    if operation.query or operation.body:
        always.append(errors.InvalidRequestError)
    if operation.body:
        always += [errors.InvalidJsonError, errors.UnsupportedMediaTypeError]
    for error in dict.fromkeys([*operation.refusals, *always]):
        by_status.setdefault(error.status, []).append(error.code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {"description": ", ".join(codes), **_content(wire.Error)}
    return responses


def _content(model: Any) -> dict[str, Any]:
    if model is None:
        return {}
    if isinstance(model, tuple):
        return {"content": {type_: {"schema": {"type": "string"}} for type_ in model}}
    return {"content": {"application/json": {"schema": _schema(model)}}}


_PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 302: "Found", 304: "Not Modified"}


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for segment in path.split("/"):
        if segment.startswith("{"):
            yield {"name": segment[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    if operation.query is None:
        return
    for name, schema in _schemas()[1][operation.query.__name__]["properties"].items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _header_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in operation.headers:
        yield {"name": name, "in": "header", "description": _HEADERS[name], "schema": {"type": "string"}}


def _schema(model: Any) -> dict[str, Any]:
    if isinstance(model, str):
        return {"$ref": f"#/components/schemas/{model}"}
    by_model = _schemas()[0]
    return by_model[model] if model in by_model else msgspec.json.schema(model)


@functools.cache
def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    """References to the models by model, and their schemas by name."""
    models = [
        *{model for operation in OPERATIONS.values() for model in _models(operation)},
        ItemFields,
        wire.ManagedFields,
        wire.Error,
    ]
    references, schemas = msgspec.json.schema_components(models, ref_template="#/components/schemas/{name}")
    schemas[_ITEM] = {"allOf": [_ref("ManagedFields"), _ref(_FIELDS)]}
    schemas[_PAGE] = {
        "type": "object",
        "required": ["items", "count", "nextCursor"],
        "properties": {
            "items": {"type": "array", "items": _ref(_ITEM)},
            "count": {"type": "integer"},
            "nextCursor": {"type": ["string", "null"]},
        },
    }
    return dict(zip(models, references, strict=True)), schemas


def _models(operation: Operation) -> Iterable[type[msgspec.Struct]]:
    named = [operation.query, *operation.answers.values(), *(operation.body or {}).values()]
    return (model for model in named if isinstance(model, type) and issubclass(model, msgspec.Struct))


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
