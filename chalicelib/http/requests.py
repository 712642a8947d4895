"""Requests to models: the owner, the body, the query and the headers of a request."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Hashable
from datetime import datetime
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import msgspec
from chalice.app import MultiDict, Request

from chalicelib import aws, errors
from chalicelib.catalogue import import_entries, validation
from chalicelib.catalogue.idempotency import KEY_RULE, is_key
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.models import Fields, Item
from chalicelib.config import settings
from chalicelib.http import conditional_requests, cursors, managed_fields, schemas
from chalicelib.http.conditional_requests import Preconditions
from chalicelib.values import exact_json, texts

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NDJSON = "application/x-ndjson"

_REPLACEMENT = "\ufffd".encode()
_UTF_8 = {"utf-8", "utf8"}
_WRITES = ("POST", "PUT", "PATCH", "DELETE")

_Model = TypeVar("_Model", bound=msgspec.Struct)


def owner(request: Request) -> str:
    """Return the owner that a request acts for. Raise UnauthorizedError if nobody is signed in."""
    if settings().auth_mode == "oidc":
        aws.require_provisioned()
    found = signed_in_owner(request)
    if found is None:
        raise errors.UnauthorizedError
    return found


def signed_in_owner(request: Request) -> str | None:
    """Return the owner that a request is signed in as, or None."""
    if settings().auth_mode != "oidc":
        return settings().auth_mode
    authorizer = request.context.get("authorizer") or {}
    # API Gateway caches the authorizer's response for minutes, so the token may have expired since.
    if not authorizer.get("principalId") or float(authorizer["expiresAt"]) <= time.time():
        return None
    return str(authorizer["principalId"])


def request_id(request: Request) -> str:
    """The id of a request that its answer carries and its log lines have: API Gateway's, where there is one."""
    context: Any = request.lambda_context
    return str(request.context.get("requestId") or context.aws_request_id)


def body(request: Request) -> bytes:
    """Return the body's bytes, which are UTF-8, without a byte order mark.

    Raise InvalidJsonError for another encoding, UnsupportedEncodingError for a compression that nothing has undone.
    """
    try:
        raw = request.raw_body
    except ValueError:
        raise errors.InvalidRequestError(problem="The body is not valid base64.") from None
    data = raw if isinstance(raw, bytes) else raw.encode()
    coding = ", ".join(header_lines(request, "content-encoding")).strip().lower()
    if coding not in ("", *errors.ENCODINGS):
        raise errors.UnsupportedEncodingError
    place = _not_utf_8(data)
    if place is None:
        return data.removeprefix(exact_json.BYTE_ORDER_MARK)
    if coding not in ("", "identity"):
        raise errors.UnsupportedEncodingError
    line = data.count(b"\n", 0, place) + 1
    raise errors.InvalidJsonError(
        root="The body",
        problem=f"line {line} has bytes that are not UTF-8, or U+FFFD, which replaces them; write U+FFFD itself as "
        "\\ufffd",
    )


def _not_utf_8(data: bytes) -> int | None:
    """Return where ``data`` is not UTF-8, or was not before API Gateway made it so, and None if it is.

    API Gateway replaces such bytes by U+FFFD before the code sees them. So U+FFFD is not accepted as a character: see
    docs/decisions/0035.
    """
    try:
        data.decode()
    except UnicodeDecodeError as problem:
        return problem.start
    place = data.find(_REPLACEMENT)
    return None if place < 0 else place


def content_type(request: Request, *accepted: str) -> str:
    """Return which of the ``accepted`` types the body has; the first if no type is sent.

    Raise UnsupportedMediaTypeError for another type, and for a charset that is not UTF-8.
    """
    lines = header_lines(request, "content-type") or [accepted[0]]
    type_, *parameters = (part.strip().lower() for part in lines[0].split(";"))
    charsets = [value.strip(' "') for name, _, value in (one.partition("=") for one in parameters) if name == "charset"]
    if len(lines) == 1 and type_ in accepted and set(charsets) <= _UTF_8:
        return type_
    refused = errors.UnsupportedMediaTypeError(accepted=" or ".join(accepted))
    if MERGE_PATCH in accepted:
        # RFC 5789, section 2.2.
        refused.headers["Accept-Patch"] = ", ".join(accepted)
    raise refused


def json_object(request: Request, *types: str) -> dict[str, Any]:
    """Return the body as a JSON object with exact numbers; ``types`` are those that it may have, JSON if none."""
    content_type(request, *(types or (JSON,)))
    return exact_json.object_from_json(body(request))


def item_body(request: Request, *types: str) -> tuple[Fields, Fields]:
    """Return the managed fields in the body of a write, and the other fields; ``types`` as in json_object."""
    return managed_fields.split(json_object(request, *types))


def image_ticket_request(request: Request) -> schemas.TicketRequest:
    """Return which type of picture a ticket is for: in any case, and image/jpg as what it is called officially."""
    asked = json_object(request)
    type_ = asked.get("contentType")
    if isinstance(type_, str):
        asked["contentType"] = {"image/jpg": "image/jpeg"}.get(type_.lower(), type_.lower())
    return validation.validate(schemas.TicketRequest, asked)


def query(request: Request, model: type[_Model]) -> _Model:
    """Return the query parameters as a ``model``.

    Raise UnknownParameterError for one that it does not have, InvalidRequestError for a repeated or invalid one.
    """
    names = [field.encode_name for field in msgspec.structs.fields(model)]
    sent = request.query_params or MultiDict({})
    said: dict[str, Any] = {name: sent.getlist(name) for name in sent}
    unknown = [name for name in said if name not in names]
    if unknown:
        raise errors.UnknownParameterError(
            unknown=texts.truncate(" or ".join(unknown), 100),
            known=", ".join(names) or "none",
            details=[{"path": texts.truncate(f"$.{name}", 100)} for name in unknown[:10]],
        )
    for name, values in said.items():
        said[name] = _parameter(name, values, model)
    return validation.validate(model, said, "The query", text=True)


def _parameter(name: str, values: list[str], model: type[msgspec.Struct]) -> str | int:
    """Return the only value of a parameter, as the number that it stands for if ``model`` has a number there."""
    value = values[0]
    if len(values) > 1:
        _refuse_parameter(name, f"{name} may be given once, not {len(values)} times")
    if "\ufffd" in value:
        _refuse_parameter(name, f"{name} must be UTF-8, percent-encoded")
    if name in _of_type(datetime, model) and re.search(r"\d \d\d:?\d\d$", value):
        _refuse_parameter(name, f"The + in {name} must be sent as %2B: in a query, + stands for a space")
    if name in _of_type(int, model) and re.fullmatch("-?[0-9]{1,4000}", value):
        return int(value)
    return value


def _refuse_parameter(name: str, problem: str) -> NoReturn:
    raise errors.InvalidRequestError(problem=f"{problem}.", details=[{"path": f"$.{name}", "message": problem}])


@functools.cache
def _of_type(type_: Hashable, model: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields of ``model`` that are a ``type_``, or may be one."""
    hints = get_type_hints(model)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(model)}
    return frozenset(names[name] for name, hint in hints.items() if type_ in (hint, *get_args(hint)))


def header_lines(request: Request, name: str) -> list[str]:
    """Return the values of all lines of the header ``name``, which a client may have sent several times."""
    event = request.to_original_event()
    sent = event.get("multiValueHeaders") or {other: [value] for other, value in request.headers.items()}
    return [value for other, values in sent.items() if other.lower() == name for value in values]


def preconditions(request: Request) -> Preconditions:
    """Return the preconditions of a request. Raise InvalidRequestError if a header is malformed."""
    if_match, if_none_match = (
        conditional_requests.parse(name, header_lines(request, name.lower())) for name in ("If-Match", "If-None-Match")
    )
    return Preconditions(if_match, if_none_match)


def write_check(request: Request, managed: Fields | None = None) -> Check:
    """Return a condition that raises VersionMismatchError or ReservedFieldError if the item must not be changed.

    It checks the preconditions of the request, and that the ``managed`` fields in its body equal the stored ones.
    """
    conditions = preconditions(request)

    def check(item: Item) -> None:
        conditions.check_write(item)
        managed_fields.check_unchanged(item, managed or {})

    return check


def refuse_unevaluated(request: Request, *, keyed: bool) -> None:
    """Raise InvalidRequestError for a header that is to protect a write, and that this route does not evaluate.

    If something is created, there is nothing to check a precondition on. Headers with dates are ignored, as RFC 9110,
    section 13.1.4, demands for what has no modification date.
    """
    if request.method not in _WRITES:
        return
    conditions = ("If-Match", "If-None-Match") if request.method == "POST" else ()
    refuse_headers(request, *conditions, *(() if keyed else ("Idempotency-Key",)))


def refuse_headers(request: Request, *names: str) -> None:
    """Raise InvalidRequestError if a request has one of these headers, which its route does not evaluate."""
    for name in names:
        if header_lines(request, name.lower()):
            raise errors.InvalidRequestError(
                problem=f"{request.method} {request.path} does not evaluate {name}: leave it out.",
                details=[{"path": name}],
            )


def idempotency_key(request: Request) -> str | None:
    """Return the ``Idempotency-Key``, or None if there is none. Raise InvalidRequestError if it is not a key."""
    lines = header_lines(request, "idempotency-key")
    if not lines:
        return None
    if len(lines) > 1 or not is_key(lines[0].strip(" \t")):
        raise errors.InvalidRequestError(
            problem=f"Send one Idempotency-Key of {KEY_RULE}, such as a UUID.",
            details=[{"path": "Idempotency-Key"}],
        )
    return lines[0].strip(" \t")


def start_after(asked: schemas.ListQuery, owner: str) -> str | None:
    """The id that the list goes on after. Raises InvalidCursorError where the cursor is not of this very list."""
    return None if asked.cursor is None else cursors.take(asked.cursor, *list_of(asked, owner))


def list_of(asked: schemas.ListQuery, owner: str) -> tuple[object, ...]:
    """Return what tells one list from another: a cursor belongs to one of them."""
    return owner, asked.order, asked.created_after, asked.created_before


def entries(request: Request) -> list[bytes]:
    """The entries of an import, unread: of ``{"items": […]}``, or the lines of NDJSON."""
    if content_type(request, JSON, NDJSON) == NDJSON:
        return import_entries.entries_from_ndjson(body(request))
    return import_entries.entries_from_json(body(request))
