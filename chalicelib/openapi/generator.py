"""The OpenAPI 3.1 document: of exactly the routes that the app has, with the models and errors that they are held to.

What only a person can say stands in :mod:`chalicelib.openapi.operations`, and in ``description.md`` what holds of every
route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any, Protocol

from chalicelib import config, errors
from chalicelib.aws import bucket
from chalicelib.catalogue import bulk_imports, item_pictures, items, validation
from chalicelib.http import conditional_requests
from chalicelib.openapi import json_schemas, operations
from chalicelib.openapi.json_schemas import Schema
from chalicelib.openapi.operations import OPERATIONS, Answer, Content, Operation
from chalicelib.values import dynamodb_limits, exact_json

_UNLISTED = ("OPTIONS", "HEAD")
"""A browser's own question before another; and what every GET answers too, as the description says."""


class Route(Protocol):
    """What the document takes from a route of Chalice's."""

    view_name: str
    authorizer: Any


def document(routes: Mapping[str, Mapping[str, Route]]) -> dict[str, Any]:
    """The document of ``routes``, by path and method. Raises KeyError for one that ``OPERATIONS`` says nothing of."""
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
        "tags": [{"name": name, "description": said} for name, said in operations.TAGS.items()],
        "paths": {
            path: {
                method.lower(): _operation(path, route, OPERATIONS[method, path])
                for method, route in methods.items()
                if method not in _UNLISTED
            }
            for path, methods in routes.items()
        },
        "components": {
            "schemas": json_schemas.components(),
            "headers": _HEADERS,
            "links": _LINKS,
            "responses": {name: _refusal([_error(kind)]) for name, kind in _OF_NO_ROUTE.items()},
            "securitySchemes": {"bearer": _bearer()},
        },
    }


def _description() -> str:
    text = Template((Path(__file__).parent / "description.md").read_text(encoding="utf-8"))
    return text.substitute(
        digits=dynamodb_limits.NUMBER_CONTEXT.prec,
        lowest=dynamodb_limits.NUMBER_CONTEXT.Emin,
        highest=dynamodb_limits.NUMBER_CONTEXT.Emax + 1,
        item_bytes=f"{validation.MAX_ITEM_BYTES:,}",
        item_kb=validation.MAX_ITEM_BYTES // 1024,
        levels=dynamodb_limits.MAX_DEPTH,
        key_length=items.MAX_KEY_LENGTH,
        idempotency_hours=_hours(items.IDEMPOTENCY_PERIOD),
        ticket_minutes=item_pictures.TICKET_PERIOD // timedelta(minutes=1),
        url_hours=_hours(bucket.DOWNLOAD_URL_PERIOD),
        image_mb=config.MAX_IMAGE_BYTES // 1024**2,
        megapixels=config.MAX_IMAGE_PIXELS // 10**6,
        import_entries=f"{bulk_imports.MAX_ENTRIES:,}",
        import_mb=bulk_imports.MAX_BYTES // 1024**2,
        failures_shown=f"{bulk_imports.MAX_FAILURES_SHOWN:,}",
        import_days=bulk_imports.KEPT.days,
    )


def _hours(period: timedelta) -> int:
    return period // timedelta(hours=1)


def _bearer() -> Schema:
    said = "An OpenID Connect access token or id token."
    issuer = config.settings().issuer
    if issuer is not None:
        said += f" This stage accepts tokens from `{issuer.url}` for `{'` or `'.join(issuer.audiences)}`."
    return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": said}


# ----------------------------------------------------------------------------------------------------------- operations


def _operation(path: str, route: Route, operation: Operation) -> Schema:
    said: Schema = {
        "operationId": _camel(route.view_name),
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(path), *_query_parameters(operation), *_header_parameters(operation)],
        "requestBody": {"required": True, "content": _contents(*operation.body)} if operation.body else None,
        "responses": {
            **{str(status): _answer(answer) for status, answer in operation.answers.items()},
            **{str(status): _refusal(refusals) for status, refusals in _refusals(operation).items()},
        },
        "security": _security(route, operation),
    }
    return {name: value for name, value in said.items() if value or name == "security"}


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _security(route: Route, operation: Operation) -> list[Schema]:
    if operation.public:
        return []
    # Where nobody is asked for a token, as in the stage local, one may be sent all the same.
    return [{"bearer": []}] if route.authorizer else [{"bearer": []}, {}]


_PATH: dict[str, Schema] = {
    "item_id": {"description": "The item's `id`.", "schema": {"type": "string", "format": "uuid"}},
    "import_id": {"description": "The import's `id`.", "schema": {"type": "string", "format": "uuid"}},
    "name": {"description": "The file's name.", "schema": {"type": "string"}, "example": "docs.js"},
}


def _path_parameters(path: str) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "example": operations.ID, **_PATH[name]}


def _query_parameters(operation: Operation) -> Iterator[Schema]:
    if operation.query is None:
        return
    for name, schema in json_schemas.fields(operation.query).items():
        description, examples = schema.pop("description"), schema.pop("examples", None)
        parameter = {"name": name, "in": "query", "description": description, "schema": schema}
        yield parameter | ({"example": examples[0]} if examples else {})


def _header_parameters(operation: Operation) -> Iterator[Schema]:
    for name in operation.headers:
        yield {"name": name.partition(".")[0], "in": "header", **_REQUEST_HEADERS[name]}


_TAG_PATTERN = r'(?:W/)?"[!#-~]*"'
_ENTITY_TAGS: Schema = {
    "schema": {
        "type": "string",
        "pattern": rf"^[ \t]*(?:\*|(?:,[ \t]*)*{_TAG_PATTERN}(?:[ \t]*,[ \t]*(?:{_TAG_PATTERN})?)*)[ \t]*$",
    },
    "example": '"1"',
}

_REQUEST_HEADERS: dict[str, Schema] = {
    "Idempotency-Key": {
        "description": "Chosen by the caller: repeating the same key with the same body creates nothing more for "
        f"{_hours(items.IDEMPOTENCY_PERIOD)} hours.",
        "schema": {"type": "string", "pattern": f"^{items.KEY_PATTERN}$"},
        "example": "6f1c1a3e-2b3f-4c62-9d5b-8f0a3c5e7d11",
    },
    "If-Match": {
        "description": "Entity tags, or `*`: the write succeeds only if the current version is one of these.",
        **_ENTITY_TAGS,
    },
    "If-Match.read": {
        "description": "Entity tags, or `*`: 412 if the current version is none of these.",
        **_ENTITY_TAGS,
    },
    "If-None-Match": {
        "description": "Entity tags, or `*`: 304 if the current one is among them.",
        **_ENTITY_TAGS,
    },
    "If-None-Match.write": {
        "description": "Entity tags, or `*`: the write succeeds only if the current version is none of these.",
        **_ENTITY_TAGS,
    },
}


# -------------------------------------------------------------------------------------------------------------- answers


def _answer(answer: Answer) -> Schema:
    said: Schema = {"description": answer.description, "headers": _headers(*answer.headers)}
    if answer.content:
        said["content"] = _contents(answer.content)
    if answer.links:
        said["links"] = {name: {"$ref": f"#/components/links/{name}"} for name in answer.links}
    return said


def _contents(*contents: Content) -> Schema:
    said: Schema = {}
    for content in contents:
        examples = {"examples": {name: {"value": value} for name, value in _examples(content).items()}}
        said |= {type_: {"schema": json_schemas.of(content.model), **examples} for type_ in content.types}
    return said


def _examples(content: Content) -> dict[str, Any]:
    if isinstance(content.examples, dict):
        return content.examples
    own = json_schemas.own_example()
    return {} if own is None else content.examples(own)


def _refusals(operation: Operation) -> dict[int, list[errors.ApiError]]:
    """What an operation can be refused with, by status."""
    kinds: list[type[errors.ApiError]] = [*operation.refusals, errors.ThrottledError, errors.InternalError]
    if not operation.public:
        kinds += [errors.UnauthorizedError, errors.BusyError, errors.BackendUnavailableError]
    if operation.query or operation.body or operation.headers:
        kinds.append(errors.InvalidRequestError)
    if operation.query or not operation.public:
        kinds.append(errors.UnknownParameterError)
    if operation.body:
        kinds += [errors.InvalidJsonError, errors.UnsupportedMediaTypeError, errors.UnsupportedEncodingError]
        kinds.append(errors.RequestTooLargeError)
    by_status: dict[int, list[errors.ApiError]] = {}
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: kind.status):
        by_status.setdefault(kind.status, []).append(_error(kind, operation))
    return by_status


def _error(kind: type[errors.ApiError], operation: Operation | None = None) -> errors.ApiError:
    """Such an error as an operation may answer, raised by the code that raises it where that is easily had."""
    if operation and operation.query and kind is errors.InvalidRequestError:
        return _raised(validation.checked, operation.query, dict([operation.misfit]))
    if operation and kind is errors.InvalidRequestError and not operation.body:
        return _raised(conditional_requests.parse, "If-None-Match", ["1"])
    if operation and kind is errors.UnknownParameterError:
        known = ", ".join(json_schemas.fields(operation.query)) if operation.query else "none"
        return kind(unknown="page", known=known, details=[{"path": "$.page"}])
    if operation and kind is errors.UnsupportedMediaTypeError:
        return kind(accepted=" or ".join(type_ for content in operation.body for type_ in content.types))
    return _ERRORS[kind]() if kind in _ERRORS else kind(id=operations.ID)


_ERRORS: dict[type[errors.ApiError], Callable[[], errors.ApiError]] = {
    errors.InvalidRequestError: lambda: _raised(exact_json.object_from_json, b"[]"),
    errors.InvalidJsonError: lambda: _raised(exact_json.object_from_json, b'{"title": }'),
    errors.ReservedFieldError: lambda: _raised(validation.draft, {"id": operations.ID}),
    errors.MethodNotAllowedError: lambda: errors.MethodNotAllowedError(allowed="GET, POST"),
    errors.VersionMismatchError: lambda: errors.VersionMismatchError(
        id=operations.ID, version=2, condition="If-Match does not name"
    ),
    errors.ItemTooLargeError: lambda: errors.ItemTooLargeError(limit=validation.MAX_ITEM_BYTES, size=400_000),
    errors.ImportTooLargeError: lambda: errors.ImportTooLargeError(limit=f"{bulk_imports.MAX_ENTRIES} items"),
    errors.BackendUnavailableError: lambda: errors.BackendUnavailableError(
        problem="The backend of the stage dev cannot be reached"
    ),
}


def _raised(check: Callable[..., object], *args: object) -> errors.ApiError:
    try:
        check(*args)
    except errors.ApiError as error:
        return error
    raise AssertionError


def _refusal(refusals: list[errors.ApiError]) -> Schema:
    """The answer that errors of one status are told with; its description lists their codes."""
    headers = ["Cache-Control.none", *(["Retry-After"] if refusals[0].retry_after else [])]
    headers += sorted({name for error in refusals for name in _ALSO_TOLD_WITH.get(type(error), ())})
    headers += [name for kind, name in _TOLD_WITH.items() if isinstance(refusals[0], kind)]
    codes = [error.code for error in refusals]
    # Beside the reference, so that generators of clients make one model of all errors and not one of each answer.
    schema = json_schemas.ref("Error") | {"properties": {"error": {"enum": codes}}}
    examples = {error.code: {"value": _shown(error)} for error in refusals}
    return {
        "description": ", ".join(codes),
        "headers": _headers(*headers),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _shown(error: errors.ApiError) -> Schema:
    shown = {"error": error.code, "message": error.message, "requestId": operations.ID}
    return shown | ({"details": error.details} if error.details else {})


# Errors that no route answers: API Gateway does, or what stands in front of it, or the app for a method it has not.
_OF_NO_ROUTE: dict[str, type[errors.ApiError]] = {
    "UnknownPath": errors.NotFoundError,
    "UnknownMethod": errors.MethodNotAllowedError,
    "Forbidden": errors.ForbiddenError,
}

_ALSO_TOLD_WITH = {
    errors.UnsupportedMediaTypeError: ["Accept-Patch"],
    errors.UnsupportedEncodingError: ["Accept-Encoding"],
}

_TOLD_WITH: dict[type[errors.ApiError], str] = {
    errors.UnauthorizedError: "WWW-Authenticate",
    errors.MethodNotAllowedError: "Allow",
}


# -------------------------------------------------------------------------------------------------------------- headers


def _headers(*names: str) -> Schema:
    # What follows a point tells two of one name apart.
    return {name.partition(".")[0]: {"$ref": f"#/components/headers/{name}"} for name in (*names, *_OF_ALL)}


def _always(description: str, example: str | int, **schema: Any) -> Schema:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "required": True, "schema": {"type": kind, **schema}, "example": example}


_OF_ALL = ("X-Content-Type-Options", "X-Request-Id")

_HEADERS: dict[str, Schema] = {
    "X-Request-Id": _always("Finds the request in the logs.", operations.ID, minLength=1),
    "ETag": _always("The entity tag of this response.", '"1"', pattern='^"[^"]+"$'),
    "Location": _always("The path of what was created.", f"/api/items/{operations.ID}", format="uri-reference"),
    "Location.download": _always(
        "An S3 URL that needs no sign-in.", f"https://vitrine-prod.s3.amazonaws.com/{operations.ID}", format="uri"
    ),
    "Cache-Control.none": _always("Do not store this response.", "no-store", const="no-store"),
    "Cache-Control.public": _always("Revalidate before reuse.", "no-cache", const="no-cache"),
    "Cache-Control.private": _always(
        "Only the caller may store this, and revalidates it before reuse.",
        "private, no-cache",
        const="private, no-cache",
    ),
    "Accept-Patch": {
        "description": "For PATCH: the types that a body may have (RFC 5789).",
        "schema": {"type": "string"},
        "example": "application/merge-patch+json, application/json",
    },
    "Accept-Encoding": {
        "description": "The encodings that a body may have, if it is the encoding that was refused.",
        "schema": {"type": "string"},
        "example": "gzip, deflate, identity",
    },
    "Idempotency-Replayed": {
        "description": "This is the earlier response; nothing new was created.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "Retry-After": _always("Seconds to wait before trying again.", 1, minimum=1),
    "WWW-Authenticate": _always("How to sign in.", "Bearer", pattern="^Bearer"),
    "Allow": _always("The methods that this path supports.", "GET, POST"),
    "X-Content-Type-Options": _always("The content type is not to be guessed.", "nosniff", const="nosniff"),
    "Content-Security-Policy": _always("What the page may load and run.", "default-src 'none'; script-src 'self'"),
    "Cross-Origin-Opener-Policy": _always(
        "No other page keeps a hold of the window.", "same-origin", const="same-origin"
    ),
    "Referrer-Policy": _always("Links do not reveal where the reader comes from.", "no-referrer", const="no-referrer"),
}

# ---------------------------------------------------------------------------------------------------------------- links

_BY_BODY = {"path.item_id": "$response.body#/id"}
_BY_TAG = _BY_BODY | {"header.If-Match": "$response.header.ETag"}
_BY_PATH = {"path.item_id": "$request.path.item_id"}


def _link(operation_id: str, description: str, parameters: dict[str, str]) -> Schema:
    return {"operationId": operation_id, "description": description, "parameters": parameters}


_LINKS: dict[str, Schema] = {
    "readItem": _link("getItem", "Read it.", _BY_BODY),
    "readItemIfChanged": _link(
        "getItem", "Read it if it has changed.", _BY_BODY | {"header.If-None-Match": "$response.header.ETag"}
    ),
    "replaceItem": _link("replaceItem", "Replace its fields, unless somebody else has written since.", _BY_TAG),
    "patchItem": _link("patchItem", "Change it, unless somebody else has written since.", _BY_TAG),
    "deleteItem": _link("deleteItem", "Delete it, unless somebody else has written since.", _BY_TAG),
    "createImageTicket": _link("createImageTicket", "Give it a picture.", _BY_BODY),
    "readThumbnail": _link(
        "getImage",
        "Download its first thumbnail.",
        _BY_BODY | {"query.size": "$response.body#/image/thumbnails/0/size"},
    ),
    "watchItem": _link("getItem", "See whether the picture is ready.", _BY_PATH),
    "deleteImage": _link("deleteImage", "Remove the picture again.", _BY_PATH),
    "getImage": _link("getImage", "The picture no longer exists.", _BY_PATH),
    "nextPage": _link(
        "listItems",
        "Continue with the same order and bounds.",
        {
            "query.cursor": "$response.body#/nextCursor",
            **{f"query.{name}": f"$request.query.{name}" for name in ("order", "createdAfter", "createdBefore")},
        },
    ),
    "readFirst": _link("getItem", "Read the first of them.", {"path.item_id": "$response.body#/items/0/id"}),
    "watchImport": _link("getImport", "Show its progress.", {"path.import_id": "$response.body#/id"}),
}
