"""Read a request: its owner, body, headers and preconditions."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from chalicelib import aws, errors
from chalicelib.catalogue import validation
from chalicelib.catalogue.idempotency import KEY_RULE, is_key
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.models import Fields, Focus
from chalicelib.config import settings
from chalicelib.http import conditional_requests, managed_fields, schemas
from chalicelib.http.conditional_requests import Preconditions
from chalicelib.values import exact_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import Request

    from chalicelib.catalogue.import_parsing import Entries

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"

_REPLACEMENT_CHARACTER = "\ufffd".encode()
_UTF_8 = {"utf-8", "utf8"}
_WRITES = ("POST", "PUT", "PATCH", "DELETE")


def owner(request: Request) -> str:
    """Return the owner that the caller is signed in as. Raise UnauthorizedError if nobody is signed in."""
    if settings().auth_mode == "oidc":
        aws.require_provisioned()
    signed_in = signed_in_owner(request)
    if signed_in is None:
        raise errors.UnauthorizedError
    return signed_in


def signed_in_owner(request: Request) -> str | None:
    """Return the owner that the caller is signed in as, or None if nobody is signed in."""
    if settings().auth_mode != "oidc":
        return settings().auth_mode
    authorizer = request.context.get("authorizer") or {}
    if "jwt" in authorizer:  # an HTTP API
        return _owner_of_verified_token(request, authorizer["jwt"]["claims"])
    # API Gateway caches the authorizer's response for minutes, so the token may have expired since.
    if not authorizer.get("principalId") or float(authorizer["expiresAt"]) <= time.time():
        return None
    return str(authorizer["principalId"])


def _owner_of_verified_token(request: Request, claims: dict[str, Any]) -> str | None:
    from chalicelib.http import token_rules  # noqa: PLC0415 - only a stage with an HTTP API needs it

    issuer = settings().issuer
    authorization = request.headers.get("authorization", "")
    return token_rules.owner_of_verified(authorization, claims, issuer) if issuer else None


def request_id(request: Request) -> str:
    """Return the id of a request in its response and in the log: API Gateway's, or Lambda's if there is none."""
    context: Any = request.lambda_context
    return str(request.context.get("requestId") or context.aws_request_id)


def base_url(request: Request) -> str:
    """Return the URL of the API without a slash at its end. Its path may begin with the name of API Gateway's stage."""
    host = request.context.get("domainName") or request.headers.get("host", "")
    scheme = "https" if "domainName" in request.context else "http"
    path: str = request.context["path"].rstrip("/")
    for _ in range(_segments(request.path)):
        path = path.rpartition("/")[0]
    return f"{scheme}://{host}{path}"


def public_base_url(request: Request) -> str:
    """Return the base of the URLs that visitors get, without a slash at its end: PUBLIC_URL, else :func:`base_url`."""
    return settings().public_url or base_url(request)


def relative_base(request: Request) -> str:
    """Return the relative URL from a page to the API, with which its links begin: ``../`` for each folder, or "".

    API Gateway serves each page with and without a slash at the end of its path, so the links differ.
    """
    return "../" * (_segments(request.path) - (not request.context["path"].endswith("/")))


def _segments(path: str) -> int:
    return len([segment for segment in path.split("/") if segment])


def time_left(request: Request) -> int:
    """Return the milliseconds until the function times out."""
    context: Any = request.lambda_context
    return int(context.get_remaining_time_in_millis())


# ------------------------------------------------------------------------------------------------------------- headers


def header_lines(request: Request, name: str) -> list[str]:
    """Return the values of all lines of a header; ``name`` is in lower case."""
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
    """Return a check that raises VersionMismatchError or ReservedFieldError if an item must not be written.

    It checks the preconditions of the request, and that the ``managed`` fields in its body equal the stored ones.
    """
    return managed_fields.write_check(preconditions(request), managed or {})


def reject_unsupported_headers(request: Request, *, idempotency_key: bool) -> None:
    """Raise InvalidRequestError for a header that is meant to protect a write, but that the route does not evaluate.

    POST has no preconditions, because there is no version yet. Preconditions with dates are ignored, as RFC 9110,
    section 13.1.4, requires for resources without a modification date.
    """
    if request.method not in _WRITES:
        return
    names = ("If-Match", "If-None-Match") if request.method == "POST" else ()
    reject_headers(request, *names, *(() if idempotency_key else ("Idempotency-Key",)))


def reject_headers(request: Request, *names: str) -> None:
    """Raise InvalidRequestError if a request has one of these headers."""
    for name in names:
        if header_lines(request, name.lower()):
            raise errors.InvalidRequestError(
                problem=f"{request.method} {request.path} does not evaluate {name}: leave it out.",
                details=[{"path": name}],
            )


def idempotency_key(request: Request) -> str | None:
    """Return the ``Idempotency-Key``, or None if there is none. Raise InvalidRequestError if it is not valid."""
    lines = header_lines(request, "idempotency-key")
    if not lines:
        return None
    key = lines[0].strip(" \t")
    if len(lines) > 1 or not is_key(key):
        raise errors.InvalidRequestError(
            problem=f"Send one Idempotency-Key of {KEY_RULE}, such as a UUID.",
            details=[{"path": "Idempotency-Key"}],
        )
    return key


# ---------------------------------------------------------------------------------------------------------------- body


def json_object(request: Request, *types: str) -> Fields:
    """Return the body, a JSON object with exact numbers. ``types`` are the content types that are accepted.

    By default, that is JSON. Raise UnsupportedMediaTypeError for another type, InvalidJsonError if the body is not
    JSON, InvalidRequestError if it is not an object.
    """
    content_type(request, *(types or (JSON,)))
    return exact_json.object_from_json(body(request))


def item_body(request: Request, *types: str) -> tuple[Fields, Fields]:
    """Return the managed fields in the body of a write, and its other fields; see :func:`json_object`."""
    return managed_fields.split(json_object(request, *types))


def ticket_request(request: Request) -> schemas.TicketRequest:
    """Return the body of a request for an upload ticket.

    The content type may be in upper or lower case, and image/jpg is accepted for image/jpeg.
    """
    sent = json_object(request)
    type_ = sent.get("contentType")
    if isinstance(type_, str):
        sent["contentType"] = {"image/jpg": "image/jpeg"}.get(type_.lower(), type_.lower())
    return validation.validate(schemas.TicketRequest, sent)


def image_focus(request: Request) -> Focus | None:
    """Return the focus in the body of a request to change a picture, or None for the centre.

    It is rounded to three decimal places.
    """
    focus = validation.validate(schemas.ImagePatch, json_object(request, MERGE_PATCH, JSON)).focus
    return Focus(*(Decimal(f"{abs(at):.3f}") for at in (focus.x, focus.y))) if focus else None  # -0.0 is 0


def share_expiry(request: Request) -> str | None:
    """Return when a new share link expires, as the body says, or None. Raise InvalidExpiryError if it is not a time."""
    return validation.parse_expiry(validation.validate(schemas.ShareRequest, json_object(request)).expires_at)


def catalogue_changes(request: Request) -> Fields:
    """Return what the body of a request changes in a public catalogue."""
    patch = validation.validate(schemas.CataloguePatch, json_object(request, MERGE_PATCH, JSON))
    return {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}


def import_entries(request: Request) -> Entries:
    """Return the entries of an import, not validated: those of ``{"items": […]}``, or the lines of NDJSON or CSV.

    Raise UnsupportedMediaTypeError for another type, and the errors of the functions in ``import_parsing``.
    """
    from chalicelib.catalogue import import_parsing  # noqa: PLC0415 - few requests need it

    type_ = content_type(request, JSON, NDJSON, CSV)
    if type_ == CSV:
        return import_parsing.entries_from_csv(body(request, _invalid_csv_text))
    if type_ == NDJSON:
        return import_parsing.entries_from_ndjson(body(request))
    return import_parsing.entries_from_json(body(request))


def content_type(request: Request, *accepted: str) -> str:
    """Return the content type of the body, the first of ``accepted`` if the header is missing.

    Raise UnsupportedMediaTypeError for a type that is not accepted, or a charset other than UTF-8.
    """
    lines = header_lines(request, "content-type") or [accepted[0]]
    type_, *parameters = (part.strip().lower() for part in lines[0].split(";"))
    charsets = [value.strip(' "') for name, _, value in (one.partition("=") for one in parameters) if name == "charset"]
    if len(lines) == 1 and type_ in accepted and set(charsets) <= _UTF_8:
        return type_
    error = errors.UnsupportedMediaTypeError(accepted=" or ".join(accepted))
    if MERGE_PATCH in accepted:
        # RFC 5789, section 2.2.
        error.headers["Accept-Patch"] = ", ".join(accepted)
    raise error


def _invalid_json_text(line: int) -> errors.ApiError:
    return errors.InvalidJsonError(
        root="The body",
        problem=f"line {line} has bytes that are not UTF-8, or U+FFFD, which replaces them; write U+FFFD itself as "
        "\\ufffd",
    )


def _invalid_csv_text(line: int) -> errors.ApiError:
    problem = f"line {line} has bytes that are not UTF-8, or U+FFFD, which replaces them; save the file as UTF-8"
    return errors.InvalidCsvError(problem=problem)


def body(request: Request, invalid: Callable[[int], errors.ApiError] = _invalid_json_text) -> bytes:
    """Return the body in UTF-8, without a byte order mark.

    Raise what ``invalid`` returns for the number of the first line that is not UTF-8; by default, InvalidJsonError.
    Raise UnsupportedEncodingError if the body is still compressed.
    """
    try:
        raw = request.raw_body
    except ValueError:
        raise errors.InvalidRequestError(problem="The body is not valid base64.") from None
    data = raw if isinstance(raw, bytes) else raw.encode()
    coding = ", ".join(header_lines(request, "content-encoding")).strip().lower()
    if coding not in ("", *errors.ENCODINGS):
        raise errors.UnsupportedEncodingError
    invalid_at = _find_invalid_utf_8(data)
    if invalid_at is None:
        return data.removeprefix(exact_json.BYTE_ORDER_MARK)
    if coding not in ("", "identity"):
        raise errors.UnsupportedEncodingError
    raise invalid(data.count(b"\n", 0, invalid_at) + 1)


def _find_invalid_utf_8(data: bytes) -> int | None:
    """Return the position of the first bytes that are not UTF-8, or None if there are none.

    API Gateway replaces such bytes by U+FFFD before the code sees them. So U+FFFD counts as invalid: see
    docs/decisions/0035.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    position = data.find(_REPLACEMENT_CHARACTER)
    return None if position < 0 else position
