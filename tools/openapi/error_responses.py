"""The error responses in the OpenAPI document: which ones a route has, and what they look like."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from chalice.app import MultiDict, Request

from chalicelib import errors
from chalicelib.catalogue import export_records, import_parsing, search, share_links, validation, webhooks
from chalicelib.catalogue.search import Condition, Query
from chalicelib.http import conditional_requests, query_parameters
from chalicelib.http.api import Operation
from chalicelib.values import csv_parser, exact_json
from tools.openapi import headers
from tools.openapi.examples import ID
from tools.openapi.json_schemas import Schema, ref

_ITEM_BODIES = ("ItemFields", "ItemReplacement", "ItemPatch")


def by_status(declared: Operation, body_types: Sequence[str], *, evaluates_headers: bool) -> dict[str, Schema]:
    """Return the error responses of a route: those that it declares, and those that follow from what it reads."""
    kinds = {*declared.errors, *_implied(declared, evaluates_headers=evaluates_headers)}
    statuses: dict[str, list[errors.ApiError]] = {}
    for kind in sorted(kinds, key=lambda kind: (kind.status, kind.code)):
        statuses.setdefault(str(kind.status), []).append(_instance(kind, declared, body_types))
    return {status: response(*found, page=declared.page) for status, found in statuses.items()}


def _implied(declared: Operation, *, evaluates_headers: bool) -> Iterator[type[errors.ApiError]]:
    yield from (errors.ThrottledError, errors.InternalError)
    if not declared.public:
        yield from (errors.UnauthorizedError, errors.BusyError, errors.BackendUnavailableError)
    if declared.query or declared.body or evaluates_headers:
        yield errors.InvalidRequestError
    if (declared.query and not declared.page) or not declared.public:
        yield errors.UnknownParameterError
    if declared.body:
        yield from (errors.InvalidJsonError, errors.UnsupportedMediaTypeError, errors.UnsupportedEncodingError)
        yield errors.RequestTooLargeError
    if declared.idempotency_key:
        yield errors.IdempotencyKeyReusedError
    if _is_item(declared.body):
        yield from (errors.ReservedFieldError, errors.InvalidExpiryError, errors.ItemTooLargeError)


def _is_item(body: Any) -> bool:
    models = body.values() if isinstance(body, dict) else [body]
    return any(model in _ITEM_BODIES for model in models)


def response(*refused: errors.ApiError, page: bool = False) -> Schema:
    """Return the response for errors of one status; its description lists their codes.

    A route for visitors responds with a ``page``, if the error does not come from API Gateway.
    """
    is_page = page and not isinstance(refused[0], errors.ThrottledError)
    names = [
        "Cache-Control.none",
        *(headers.OF_PAGES if is_page else ()),
        *(["Retry-After"] if refused[0].retry_after else []),
    ]
    names += sorted({name for error in refused for name in _SOMETIMES_WITH.get(type(error), ())})
    names += [name for kind, name in _WITH.items() if isinstance(refused[0], kind)]
    codes = [error.code for error in refused]
    # The enum stands beside the reference, so that client generators make one model of all errors.
    schema = ref("Error") | {"properties": {"error": {"enum": codes}}}
    content: dict[str, Schema] = {
        "application/json": {
            "schema": schema,
            "examples": {error.code: {"value": _body(error)} for error in refused},
        }
    }
    if is_page:
        content = {"text/html": {"schema": {"type": "string"}}} | content
    return {"description": ", ".join(codes), "headers": headers.references(*names), "content": content}


def _body(error: errors.ApiError) -> Schema:
    body = {"error": error.code, "message": error.message, "requestId": ID}
    return body | ({"details": error.details} if error.details else {})


_SOMETIMES_WITH = {
    errors.UnsupportedMediaTypeError: ["Accept-Patch"],
    errors.UnsupportedEncodingError: ["Accept-Encoding"],
}

_WITH: dict[type[errors.ApiError], str] = {
    errors.UnauthorizedError: "WWW-Authenticate",
    errors.MethodNotAllowedError: "Allow",
}


# --------------------------------------------------------------------------------------------- an example of each error


def of_no_route() -> dict[str, Schema]:
    """Return the error responses to requests that match no route, or that are refused before they reach the app."""
    return {
        "UnknownPath": response(errors.NotFoundError()),
        "UnknownMethod": response(errors.MethodNotAllowedError(allowed="GET, POST")),
        "Forbidden": response(errors.ForbiddenError()),
    }


def _instance(kind: type[errors.ApiError], declared: Operation, body_types: Sequence[str]) -> errors.ApiError:
    """Return an error of ``kind`` as a route returns it. If that is simple, the code of the route itself raises it."""
    if kind is errors.UnknownParameterError:
        return _raised(query_parameters.parse, _with_query(page="2"), declared.query or _NoParameters)
    if kind is errors.UnsupportedMediaTypeError:
        return kind(accepted=" or ".join(body_types))
    if kind is errors.InvalidRequestError and declared.query:
        return _invalid_parameter(declared.query)
    if kind is errors.InvalidRequestError and not declared.body:
        return _raised(conditional_requests.parse, "If-None-Match", ["1"])
    if kind in _INSTANCES:
        return _INSTANCES[kind]()
    words: dict[str, Any] = {name: "…" for _, name, _, _ in string.Formatter().parse(kind.sentence) if name}
    return kind(**(words | {"id": ID}))


_INSTANCES: dict[type[errors.ApiError], Callable[[], errors.ApiError]] = {
    errors.InvalidRequestError: lambda: _raised(exact_json.object_from_json, b"[]"),
    errors.InvalidJsonError: lambda: _raised(exact_json.object_from_json, b'{"title": }'),
    errors.InvalidCsvError: lambda: _raised(csv_parser.parse, 'title,price\nVase,"12.50\n'),
    errors.ReservedFieldError: lambda: _raised(validation.validate_item, {"id": ID}),
    errors.FieldNotFindableError: lambda: _raised(search.matcher, _BY_AN_UNDECLARED_FIELD),
    errors.VersionMismatchError: lambda: errors.VersionMismatchError(
        id=ID, version=2, condition="If-Match does not name"
    ),
    errors.ItemTooLargeError: lambda: errors.ItemTooLargeError(limit=validation.MAX_ITEM_BYTES, size=400_000),
    errors.ImportTooLargeError: lambda: errors.ImportTooLargeError(limit=f"{import_parsing.MAX_ENTRIES} items"),
    errors.TooManyExportsError: lambda: errors.TooManyExportsError(limit=export_records.MAX_RUNNING),
    errors.TooManySharesError: lambda: errors.TooManySharesError(limit=share_links.MAX_SHARES),
    errors.TooManyWebhooksError: lambda: errors.TooManyWebhooksError(limit=webhooks.MAX_WEBHOOKS),
    errors.BusyError: errors.BusyError,
    errors.BackendUnavailableError: lambda: errors.BackendUnavailableError(
        problem="The backend of the stage dev cannot be reached"
    ),
}


_BY_AN_UNDECLARED_FIELD: Query = Query((Condition("undeclared", "eq", ("x",)),))


class _NoParameters(msgspec.Struct):
    pass


def _invalid_parameter(query: type[msgspec.Struct]) -> errors.ApiError:
    """Return the error for an invalid value of a parameter, or for a repeated parameter if no value is invalid."""
    names = [field.encode_name for field in msgspec.structs.fields(query)]
    attempts = [(name, [value]) for name in names for value in ("0", "large", "x" * 101)]
    for name, values in [*attempts, (names[0], ["1", "1"])]:
        try:
            query_parameters.parse(_with_query(**{name: values}), query)
        except errors.ApiError as error:
            if type(error) is errors.InvalidRequestError:
                return error
    raise AssertionError


def _with_query(**parameters: str | list[str]) -> Request:
    """Return what ``query_parameters.parse`` needs of a request."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in parameters.items()}
    return cast("Request", SimpleNamespace(query_params=MultiDict(lists)))


def _raised(check: Callable[..., object], *arguments: object) -> errors.ApiError:
    try:
        check(*arguments)
    except errors.ApiError as error:
        return error
    raise AssertionError
