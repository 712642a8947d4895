"""The operation that the OpenAPI document has for a route."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib import errors
from chalicelib.http import requests, schemas
from chalicelib.http.api import Operation
from tools.openapi import error_responses, headers, json_schemas, links
from tools.openapi.examples import CATALOGUE_ID, ID, TOKEN, ExamplesByModel
from tools.openapi.json_schemas import Schema, Schemas

if TYPE_CHECKING:
    from chalice.app import RouteEntry


class _Kind(NamedTuple):
    """How the responses with a model are sent."""

    headers: tuple[str, ...] = headers.NOT_STORED
    types: tuple[str, ...] = (requests.JSON,)
    description: str = ""
    """The description of the responses. If it is empty, they have the first sentence of the model's docstring."""


_KINDS: dict[Any, _Kind] = {
    "Page": _Kind(headers.PAGE, ("text/html",), "The page."),
    "VisitorPage": _Kind(headers.VISITOR_PAGE, ("text/html",), "The page."),
    "SharePage": _Kind(headers.SHARE_PAGE, ("text/html",), "The page."),
    "File": _Kind(headers.FILE, ("text/css", "text/javascript", "text/html"), "The file."),
    "Document": _Kind(headers.PUBLIC),
    schemas.Item: _Kind(headers.PRIVATE, description="The current item."),
    schemas.ItemPage: _Kind(headers.PRIVATE, description="A page of items."),
    schemas.Changes: _Kind(headers.PRIVATE),
    schemas.PublicCatalogue: _Kind(headers.SHARED),
    schemas.PublicItem: _Kind(headers.SHARED, description="What visitors see of the item."),
    schemas.PublicItemPage: _Kind(headers.SHARED, description="A page of items."),
    schemas.SharedItem: _Kind(headers.LINKED, description="What the link shows of the item."),
}

_CREATED = (201, 202)
"""Status codes of responses with the Location of what was created."""

_LOCATED = ("WebhookWithSecret",)
"""Models of what has a Location although it is created without an idempotency key."""

_REDIRECTS = (302, 303, 307)
"""Status codes of responses that have a Location and no body."""

_PATH: dict[str, Schema] = {
    "item_id": {"description": "The item's `id`."},
    "import_id": {"description": "The import's `id`."},
    "export_id": {"description": "The export's `id`."},
    "catalogue_id": {"description": "The public catalogue's `id`.", "example": CATALOGUE_ID},
    "share_id": {"description": "The share link's `id`."},
    "webhook_id": {"description": "The webhook's `id`."},
    "delivery_id": {"description": "The delivery's `id`."},
    "token": {"description": "The last part of the share link's URL.", "example": TOKEN},
    "name": {"description": "The file's name.", "example": "docs.js"},
}


class Operations:
    """The operations with ``ids``, whose bodies have ``schemas`` and ``examples``."""

    def __init__(self, ids: Container[str], schemas: Schemas, examples: ExamplesByModel) -> None:
        self._ids = ids
        self._schemas = schemas
        self._examples = examples

    def of(self, route: RouteEntry, declared: Operation, operation_id: str) -> Schema:
        """Return the operation of ``route``."""
        summary, description = _summary(route)
        kind = _KINDS.get(declared.response_model, _Kind())
        revalidated = route.method == "GET" and "ETag" in kind.headers
        read = list(_request_headers(route.method, declared, revalidated=revalidated))
        operation: Schema = {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "tags": [declared.tag or _tag(route.uri_pattern, declared)],
            "parameters": [
                *_path_parameters(route.uri_pattern),
                *_query_parameters(declared),
                *map(headers.parameter, read),
            ],
            "requestBody": self._request_body(declared),
            "responses": {
                str(declared.status_code): self._response(declared, kind, operation_id),
                **({"304": _not_modified(kind)} if revalidated else {}),
                **error_responses.by_status(declared, [*_body_models(declared)], evaluates_headers=bool(read)),
            },
            # The served document adds {} in a stage without sign-in: see chalicelib/http/static_files.py.
            "security": [] if declared.public else [{"bearer": []}],
        }
        return {name: value for name, value in operation.items() if value or name == "security"}

    def _request_body(self, declared: Operation) -> Schema | None:
        if declared.body is None:
            return None
        return {"required": True, "content": self._content(_body_models(declared))}

    def _response(self, declared: Operation, kind: _Kind, operation_id: str) -> Schema:
        model = declared.response_model
        response: Schema = {
            "description": declared.response_description or kind.description or self._first_sentence(model),
            "headers": headers.references(*_response_headers(declared, kind)),
        }
        if declared.status_code not in (204, *_REDIRECTS):
            response["content"] = self._content(dict.fromkeys(kind.types, model), declared.examples)
        if found := links.references(operation_id, self._ids):
            response["links"] = found
        return response

    def _first_sentence(self, model: Any) -> str:
        name = model if isinstance(model, str) else getattr(model, "__name__", "")
        text: str = self._schemas.components.get(name, {}).get("description", "The request succeeded.")
        return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]

    def _content(self, models: Mapping[str, Any], names: Sequence[str] = ()) -> Schema:
        return {
            type_: {
                "schema": self._schemas.of(model),
                "examples": {name: {"value": value} for name, value in self._examples.of(model, names).items()},
            }
            for type_, model in models.items()
        }


def _response_headers(declared: Operation, kind: _Kind) -> Iterator[str]:
    """Yield the headers of a response, as ``headers.COMPONENTS`` names them."""
    if declared.status_code in _REDIRECTS:
        yield "Location.download"
    yield from kind.headers
    if declared.status_code in _CREATED and (declared.idempotency_key or declared.response_model in _LOCATED):
        yield "Location"
    if declared.idempotency_key:
        yield "Idempotency-Replayed"


def models_of(declared: Operation) -> Iterator[Any]:
    """Yield the models of the bodies that a route declares."""
    yield from _body_models(declared).values()
    if declared.response_model:
        yield declared.response_model


def _body_models(declared: Operation) -> dict[str, Any]:
    """Return the models of a request's body by content type."""
    if declared.body is None:
        return {}
    return dict(declared.body) if isinstance(declared.body, Mapping) else {requests.JSON: declared.body}


def _request_headers(method: str, declared: Operation, *, revalidated: bool) -> Iterator[str]:
    """Yield the request headers that a route evaluates, as ``headers.parameter`` names them."""
    if declared.idempotency_key:
        yield "Idempotency-Key"
    if errors.VersionMismatchError in declared.errors:
        yield from ["If-Match.read"] if method == "GET" else ["If-Match.write", "If-None-Match.write"]
    if revalidated:
        yield "If-None-Match.read"


def _summary(route: RouteEntry) -> tuple[str, str]:
    """Return a summary and a description: the first line of the view's docstring, and the rest.

    Chalice puts the same into the API's definition (``chalice/deploy/swagger.py``).
    """
    text = inspect.getdoc(route.view_function) or route.view_name.replace("_", " ").capitalize()
    summary, _, description = text.partition("\n")
    paragraphs = description.strip().split("\n\n")
    return summary.removesuffix("."), "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _tag(path: str, declared: Operation) -> str:
    return "About" if declared.public else path.split("/")[1].capitalize()


def _path_parameters(path: str) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", path):
        id_ = {"schema": {"type": "string", "format": "uuid"}, "example": ID}
        text = {"schema": {"type": "string"}, "example": "x"}
        described = {"description": f"The {name.replace('_', ' ')}."} | _PATH.get(name, {})
        yield {"name": name, "in": "path", "required": True} | (id_ if name.endswith("_id") else text) | described


def _query_parameters(declared: Operation) -> Iterator[Schema]:
    if declared.query is None:
        return
    for name, schema in json_schemas.parameters(declared.query).items():
        description = schema.pop("description", f"The parameter `{name}`.")
        examples = schema.pop("examples", None)
        parameter = {"name": name, "in": "query", "description": description, "schema": schema}
        style = {"style": "deepObject", "explode": True} if schema.get("type") == "object" else {}
        yield parameter | style | ({"example": examples[0]} if examples else {})


def _not_modified(kind: _Kind) -> Schema:
    # RFC 9110, section 15.4.5: the entity tag and Cache-Control, which caches use.
    names = [name for name in kind.headers if name.startswith(("ETag", "Cache-Control"))]
    return {"description": "Nothing has changed; there is no body.", "headers": headers.references(*names)}
