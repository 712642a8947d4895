"""The OpenAPI 3.1 document: of the routes that the app has, and of no others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from chalicelib import config
from chalicelib.aws import presigned_downloads
from chalicelib.catalogue import (
    bulk_imports,
    export_records,
    idempotency,
    import_parsing,
    import_records,
    item_pictures,
    search,
    search_index_keys,
    validation,
)
from chalicelib.http import schemas
from chalicelib.http.api import Api, Operation
from chalicelib.pictures import thumbnails
from chalicelib.values import dynamodb_limits
from tools.openapi import error_responses, events, headers, links
from tools.openapi.examples import ExamplesByModel
from tools.openapi.json_schemas import Schema, Schemas
from tools.openapi.operations import Operations, models_of

if TYPE_CHECKING:
    from chalice.app import RouteEntry

_NOT_LISTED = ("OPTIONS", "HEAD")
"""Methods without an operation: preflights, and HEAD, which every GET route supports, as the description says."""

_TAGS = {
    "Items": "The caller's own JSON objects.",
    "Pictures": "One picture per item, uploaded directly to S3, with thumbnails.",
    "Catalogues": "Public catalogues: what owners publish, and what visitors see without signing in.",
    "Share links": "Links that show one item, private or not, to everybody who has them.",
    "Webhooks": "URLs of yours that receive events when items change.",
    "Imports": "Many items at once, created in the background.",
    "About": "The console, this document and the health check. No sign-in is needed.",
}


def document(app: Api) -> Schema:
    """Return the document of ``app`` for a stage that requires sign-in, but without the stage's issuer."""
    routes = [
        (route, app.operations.get((method, path), Operation()))
        for path, methods in app.routes.items()
        for method, route in methods.items()
        if method not in _NOT_LISTED
    ]
    ids = _operation_ids([route for route, _ in routes])
    schemas = Schemas(model for _, declared in routes for model in models_of(declared))
    examples = ExamplesByModel()
    operations = Operations(ids, schemas, examples)
    paths: dict[str, Schema] = {}
    for (route, declared), operation_id in zip(routes, ids, strict=True):
        operation = operations.of(route, declared, operation_id)
        paths.setdefault(route.uri_pattern, {})[route.method.lower()] = operation
    webhooks = events.webhooks(examples)
    parts = {
        "schemas": schemas.components | events.schemas(schemas.components),
        "headers": headers.COMPONENTS,
        "links": links.COMPONENTS,
    }
    responses = error_responses.of_no_route()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine",
            "version": config.VERSION,
            "summary": "A catalogue of items with pictures.",
            "description": _description(),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ".", "description": "The folder of this document."}],
        "tags": _tags(paths),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            **_used(parts, paths, webhooks, responses),
            "responses": responses,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An OpenID Connect access token or id token.",
                }
            },
        },
    }


def _operation_ids(routes: list[RouteEntry]) -> list[str]:
    """Return the id of each route's operation: the name of its view, after the method if it serves several."""
    uses = Counter(route.view_name for route in routes)
    names = [
        route.view_name if uses[route.view_name] == 1 else f"{route.method.lower()}_{route.view_name}"
        for route in routes
    ]
    return [re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in names]


def _tags(paths: dict[str, Schema]) -> list[Schema]:
    """Return the tags of all operations, those that are described here first."""
    used = [tag for methods in paths.values() for operation in methods.values() for tag in operation["tags"]]
    described = [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]
    return [*described, *({"name": name} for name in dict.fromkeys(used) if name not in _TAGS)]


def _used(parts: dict[str, dict[str, Schema]], *starts: Any) -> dict[str, dict[str, Schema]]:
    """Return the components among ``parts`` to which something in ``starts`` refers, directly or not."""
    seen: set[str] = set()
    waiting = [*starts]
    while waiting:
        for reference in set(_references(waiting.pop())) - seen:
            seen.add(reference)
            *_, kind, name = reference.split("/")
            waiting.append(parts[kind][name])
    return {
        kind: {name: part for name, part in named.items() if f"#/components/{kind}/{name}" in seen}
        for kind, named in parts.items()
    }


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("#/components/"):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _references(inner)


def _description() -> str:
    text = Template(Path(__file__).with_name("description.md").read_text(encoding="utf-8"))
    return text.substitute(
        digits=dynamodb_limits.NUMBER_CONTEXT.prec,
        lowest=dynamodb_limits.NUMBER_CONTEXT.Emin,
        highest=dynamodb_limits.NUMBER_CONTEXT.Emax + 1,
        item_bytes=f"{validation.MAX_ITEM_BYTES:,}",
        item_kb=validation.MAX_ITEM_BYTES // 1024,
        levels=dynamodb_limits.MAX_DEPTH,
        batch_operations=schemas.MAX_OPERATIONS,
        values=search.MAX_VALUES,
        words=search_index_keys.MAX_WORD_RECORDS,
        checked=search.MAX_ITEMS,
        checked_mb=search.MAX_BYTES // 1024**2,
        read=f"{search.MAX_RECORDS:,}",
        key_length=idempotency.MAX_KEY_LENGTH,
        idempotency_hours=_hours(idempotency.PERIOD),
        ticket_minutes=item_pictures.TICKET_PERIOD // timedelta(minutes=1),
        url_hours=presigned_downloads.VALID_FOR // 3600,
        image_mb=config.MAX_IMAGE_BYTES // 1024**2,
        megapixels=config.MAX_DECODING_BYTES // thumbnails.DEFAULT_BYTES_PER_PIXEL // 10**6,
        webp_megapixels=config.MAX_DECODING_BYTES // thumbnails.BYTES_PER_PIXEL["WEBP"] // 10**6,
        import_entries=f"{import_parsing.MAX_ENTRIES:,}",
        import_mb=import_parsing.MAX_BYTES // 1024**2,
        failures_shown=f"{bulk_imports.MAX_FAILURES_SHOWN:,}",
        import_days=import_records.RETENTION.days,
        export_days=export_records.RETENTION.days,
        exports_running=export_records.MAX_RUNNING,
    )


def _hours(period: timedelta) -> int:
    return period // timedelta(hours=1)
