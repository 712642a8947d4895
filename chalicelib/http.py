"""The edge: requests to models, models to answers, exceptions to answers. Nothing behind it sees a Chalice object."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import msgspec
from chalice.app import Chalice, ChaliceAuthorizer, ChaliceUnhandledError, MultiDict, Request, Response

from chalicelib import (
    aws,
    cors,
    cursor,
    errors,
    events,
    images,
    imports,
    models,
    preconditions,
    primitives,
    telemetry,
    wire,
)
from chalicelib.config import APP, settings
from chalicelib.imports import Begun, Progress
from chalicelib.items import KEY_RULE, Page, is_key
from chalicelib.models import Item
from chalicelib.preconditions import Preconditions

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NDJSON = "application/x-ndjson"

_REPLACEMENT = "\ufffd".encode()
_UTF_8 = {"utf-8", "utf8"}
_READS = ("GET", "HEAD")
_WRITES = ("POST", "PUT", "PATCH", "DELETE")

_Model = TypeVar("_Model", bound=msgspec.Struct)
_View = Callable[..., Response]


class Api(Chalice):
    """A Chalice app whose every route has the same edge: sign-in, :func:`boundary` around it, CORS.

    A view takes the request, and the parameters of its path by name. Chalice turns what a view raises into an answer of
    its own before any middleware sees it, unless it is a ChaliceUnhandledError
    (``RestAPIEventHandler._get_view_function_response``): so each is wrapped to raise that.
    """

    def __init__(self) -> None:
        self._in_thread = threading.local()
        super().__init__(APP, configure_logs=False)
        self.api.cors = cors.of_chalice() or False
        # Pictures go to the bucket and come from it; with each answer, Chalice would look through 16 types three times.
        self.api.binary_types = []
        self.register_middleware(boundary, "http")
        for kind in ("sqs", "cloudwatch", "scheduled"):
            self.register_middleware(telemetry.observed, kind)

        self.guard: ChaliceAuthorizer | None = None
        """The authorizer that every route stands behind which does not say ``public=True``."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer an event of API Gateway; any other, such as the test event of the Lambda console, with an error."""
        if events.is_request(event) and event["requestContext"]["resourcePath"] in self.routes:
            return super().__call__(event, context)
        with telemetry.invocation(context):
            telemetry.logger.error("Not an API Gateway event", fields=events.fields_of(event))
            answer = refusal(errors.InternalError(), context.aws_request_id)
            mark(answer, None, context.aws_request_id)
            return answer.to_dict()

    @property
    def current_request(self) -> Request | None:
        """The request that this thread answers: ``chalice local`` answers several at once, all with this app."""
        return getattr(self._in_thread, "request", None)

    @current_request.setter
    def current_request(self, request: Request | None) -> None:
        self._in_thread.request = request

    def _wrap_handler(self, handler_type: str, handler_name: str, user_handler: Any) -> Any:
        return events.readable(super()._wrap_handler(handler_type, handler_name, user_handler))

    def route(
        self,
        path: str,
        *,
        public: bool = False,
        keyed: bool = False,
        query: type[msgspec.Struct] | None = None,
        **options: Any,
    ) -> Callable[[_View], _View]:
        """Register a view for ``path``: it takes the request, the path's parameters by name, and ``asked``.

        ``asked`` is the query as a model of the type ``query``, and left out without one: then the route takes no
        parameters, and a public one ignores them, because trackers add some to links. ``keyed`` says that the view
        evaluates an ``Idempotency-Key``. ``options`` are those of Chalice's own ``route``. Bodies of any content type
        reach the view, which checks it.
        """
        if cors.answered_by_the_app() and path not in self.routes:
            self._route(path, None, None, methods=["OPTIONS"])(self._preflight(path))
        methods = options.pop("methods", ["GET"])
        # RFC 9110, section 9.1: a server must support HEAD. API Gateway and ``chalice local`` leave the content out.
        methods = [*methods, "HEAD"] if "GET" in methods else methods
        takes = query or (None if public else _NoParameters)
        return self._route(path, None if public else self.guard, takes, keyed=keyed, methods=methods, **options)

    def _route(
        self,
        path: str,
        guard: ChaliceAuthorizer | None,
        takes: type[msgspec.Struct] | None,
        *,
        keyed: bool = False,
        **options: Any,
    ) -> Callable[[_View], _View]:
        register = super().route(path, content_types=[], authorizer=guard, **options)

        def decorate(view: _View) -> _View:
            def raising(**path: str) -> Response:
                request: Any = self.current_request
                try:
                    _refuse_unevaluated(request, keyed=keyed)
                    return view(request, **_with_canonical_ids(path), **_asked(request, takes))
                except Exception as error:
                    raise ChaliceUnhandledError from error

            register(functools.update_wrapper(raising, view))
            return view

        return decorate

    def _preflight(self, path: str) -> _View:
        def answer_preflight(_: Request, **__: str) -> Response:
            return cors.preflight(self.routes[path])

        return answer_preflight


class _NoParameters(msgspec.Struct):
    pass


def _asked(request: Request, takes: type[msgspec.Struct] | None) -> dict[str, msgspec.Struct]:
    """Return the argument of a view that the query is."""
    if takes is None:
        return {}
    asked = query(request, takes)
    return {} if takes is _NoParameters else {"asked": asked}


def boundary(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """The one place where exceptions become answers, and where every answer is logged, counted and marked."""
    started = time.perf_counter()
    id_ = request_id(request)
    with telemetry.invocation(request.lambda_context, id_):
        try:
            telemetry.acts_for(_signed_in(request))
            response = _in_our_shape(request, get_response(request))
        except Exception as raised:  # noqa: BLE001 - Chalice would answer it in a shape of its own
            cause = raised.__cause__ if isinstance(raised, ChaliceUnhandledError) else raised
            response = error_answer(request, _meaning(cause or raised))
        mark(response, request.headers.get("origin"), id_)
        telemetry.count("Requests")
        telemetry.logger.info(
            "Answered",
            method=request.method,
            path=request.path,
            status=response.status_code,
            duration_ms=telemetry.milliseconds_since(started),
        )
        return response


def _with_canonical_ids(path: dict[str, str]) -> dict[str, str]:
    """Return the parameters of a path, ids as they are stored: all else stays as it is, and is not found."""
    return {name: primitives.canonical_id(value) or value for name, value in path.items()}


def _meaning(error: BaseException) -> errors.ApiError:
    """What an exception means to the caller; what means nothing but a bug is logged with its stack, and only there."""
    known = aws.as_api_error(error)
    if known is None:
        telemetry.logger.error("An unexpected error", exc_info=error)
        return errors.InternalError()
    if known.status >= 500:
        telemetry.logger.error(known.message, error=known.code, cause=None if known is error else str(error))
    return known


def mark(response: Response, origin: str | None, request_id: str) -> None:
    """Add the headers that every response has: CORS, the request id, and that browsers must not guess the type."""
    response.headers |= cors.headers(origin)
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"


def _in_our_shape(request: Request, response: Response) -> Response:
    """Chalice answers a wrong method itself: the same answer, said as all others are."""
    if response.status_code != 405:
        return response
    refused = error_answer(request, errors.MethodNotAllowedError(allowed=response.headers["Allow"]))
    refused.headers["Allow"] = response.headers["Allow"]
    return refused


# ------------------------------------------------------------------------------------------------------------ requests


def owner(request: Request) -> str:
    """Return the owner that a request acts for. Raise UnauthorizedError if nobody is signed in."""
    if settings().auth_mode == "oidc":
        aws.bucket()
    found = _signed_in(request)
    if found is None:
        raise errors.UnauthorizedError
    return found


def _signed_in(request: Request) -> str | None:
    if settings().auth_mode != "oidc":
        return settings().auth_mode
    let_in = request.context.get("authorizer") or {}
    if not let_in.get("principalId") or float(let_in["until"]) <= time.time():
        return None
    return str(let_in["principalId"])


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
        return data.removeprefix(primitives.BYTE_ORDER_MARK)
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
    return primitives.json_object(body(request))


def image_ticket_request(request: Request) -> wire.TicketRequest:
    """Return which type of picture a ticket is for: in any case, and image/jpg as what it is called officially."""
    asked = json_object(request)
    type_ = asked.get("contentType")
    if isinstance(type_, str):
        asked["contentType"] = {"image/jpg": "image/jpeg"}.get(type_.lower(), type_.lower())
    return models.checked(wire.TicketRequest, asked)


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
            unknown=primitives.shortened(" or ".join(unknown), 100),
            known=", ".join(names) or "none",
            details=[{"path": primitives.shortened(f"$.{name}", 100)} for name in unknown[:10]],
        )
    for name, values in said.items():
        said[name] = _parameter(name, values, model)
    return models.checked(model, said, "The query", text=True)


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


def conditions(request: Request) -> Preconditions:
    """Return the preconditions of a request. Raise InvalidRequestError for a malformed one."""
    match, none_match = (
        preconditions.parse(name, header_lines(request, name.lower())) for name in ("If-Match", "If-None-Match")
    )
    return Preconditions(match, none_match)


def _refuse_unevaluated(request: Request, *, keyed: bool) -> None:
    """Raise InvalidRequestError for a header that is to protect a write, and that this route does not evaluate.

    If something is created, there is nothing to check a precondition on. Headers with dates are ignored, as RFC 9110,
    section 13.1.4, demands for what has no modification date.
    """
    if request.method not in _WRITES:
        return
    conditions = ("If-Match", "If-None-Match") if request.method == "POST" else ()
    _refuse(request, *conditions, *(() if keyed else ("Idempotency-Key",)))


def _refuse(request: Request, *names: str) -> None:
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


def etag(item: Item) -> str:
    """The entity tag of an item as shown."""
    if item.image is None or item.image.status != "ready":
        return f'"{item.version}"'
    return f'"{item.version}-{int(time.time() // 3600)}"'


# ------------------------------------------------------------------------------------------------------------- answers


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return ``value`` as JSON, with its numbers exact, and not to be stored unless ``headers`` say so."""
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"} | (headers or {})
    return Response(primitives.to_json(value).decode(), {**headers}, status)


def item_answer(request: Request, item: Item) -> Response:
    """Return an item with its entity tag, or 304 if If-None-Match of a read names it."""
    if request.method in _READS:
        conditions(request).check_match(item.id, item.version)
    headers = _private(etag(item))
    return not_modified(request, headers) or json_answer(images.shown(item), headers=headers)


def _private(tag: str) -> dict[str, str]:
    """Return the headers of what belongs to one owner: only its client may store it, and must revalidate it."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def file_answer(request: Request, text: str, headers: dict[str, str]) -> Response:
    """Return a text that is the same for everybody, to be revalidated before each use, or 304."""
    _refuse(request, "If-Match")
    headers = {"ETag": _tag_of(text), "Cache-Control": "no-cache"} | headers
    return not_modified(request, headers) or Response(text, {**headers})


def _tag_of(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 if If-None-Match of a read names the ETag in ``headers``, else None: then the content must be sent."""
    known = conditions(request).none_match if request.method in _READS else None
    if known is None or not known.names(headers["ETag"]):
        return None
    # RFC 9110, section 15.4.5: those headers of the 200 that caches use.
    return Response("", {"ETag": headers["ETag"], "Cache-Control": headers["Cache-Control"]}, 304)


def created(request: Request, item: Item, replayed: bool) -> Response:
    """201 with the item and where it is from now on."""
    headers = _private(etag(item)) | {"Location": location(request, item.id), **_replayed(replayed)}
    return json_answer(images.shown(item), 201, headers)


def start_after(asked: wire.ListQuery, owner: str) -> str | None:
    """The id that the list goes on after. Raises InvalidCursorError where the cursor is not of this very list."""
    return None if asked.cursor is None else cursor.take(asked.cursor, *_list_of(asked, owner))


def items_answer(request: Request, asked: wire.ListQuery, owner: str, page: Page) -> Response:
    """Return a page of a list, as much of it as fits into an answer, and the cursor for what follows; or 304."""
    _refuse(request, "If-Match")
    shown = fitting(images.shown(item) for item in page.items)
    last = page.last if len(shown) == len(page.items) else page.items[len(shown) - 1].id
    following = last and cursor.give(last, *_list_of(asked, owner))
    # The same items in the same state, with URLs of the same hour: the same page.
    headers = _private(_tag_of(repr([following, *((item.id, etag(item)) for item in page.items[: len(shown)])])))
    page_shown = {"items": shown, "count": len(shown), "nextCursor": following}
    return not_modified(request, headers) or json_answer(page_shown, headers=headers)


def _list_of(asked: wire.ListQuery, owner: str) -> tuple[object, ...]:
    return owner, asked.order, asked.created_after, asked.created_before


def entries(request: Request) -> list[bytes]:
    """The entries of an import, unread: of ``{"items": […]}``, or the lines of NDJSON."""
    if content_type(request, JSON, NDJSON) == NDJSON:
        return imports.entries_of_ndjson(body(request))
    return imports.entries_of_json(body(request))


def import_answer(id_: str, progress: Progress, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return how far an import is, with as many of its failures as fit into an answer."""
    failures = progress.failures[: len(fitting(progress.failures))]
    shown = wire.ImportShown(id_, progress.status, progress.total, progress.created, progress.failed, failures)
    return json_answer(shown, status, headers)


def accepted(request: Request, begun: Begun) -> Response:
    """Return 202 with an import as it begins, and where to watch it."""
    headers = {"Location": location(request, begun.id), **_replayed(begun.replayed)}
    return import_answer(begun.id, Progress("queued", begun.total, 0, 0, []), 202, headers)


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if replayed else {}


def location(request: Request, id_: str) -> str:
    """The path of ``id_`` under the collection that was asked, API Gateway's stage included."""
    return f"{request.context['path'].rstrip('/')}/{id_}"


MAX_LIST_BYTES = 6 * 1024 * 1024 - 64 * 1024
"""Of a list in an answer, as Lambda encodes it. Lambda takes 6 MB (AWS, "Lambda quotas"), headers included.

What is largest alone fits: an item of 350 KB takes 2.1 MB when each of its bytes is encoded as six.
"""


def fitting(values: Iterable[Any]) -> list[msgspec.Raw]:
    """Return the JSON of ``values`` one by one, at least of the first, and stop before they are too large together."""
    shown: list[msgspec.Raw] = []
    left = MAX_LIST_BYTES
    for value in values:
        encoded = primitives.to_json(value)
        left -= _encoded_size(encoded)
        if left < 0 and shown:
            break
        shown.append(msgspec.Raw(encoded))
    return shown


def _encoded_size(body: bytes) -> int:
    """Return the bytes that a part of a body takes in what Lambda is answered.

    There the body is a string in another JSON document, which Lambda's runtime for Python 3.11 writes in ASCII
    (awslambdaric, lambda_runtime_marshaller.py): a quote becomes 2 bytes, a character beyond ASCII 6 or 12.
    """
    return len(json.dumps(body.decode()))


def redirect(url: str) -> Response:
    """302 to a URL that runs out, and so must not be kept."""
    return Response("", {"Location": url, "Cache-Control": "no-store"}, 302)


def error_answer(request: Request, error: errors.ApiError) -> Response:
    """An error in the one shape that all have, counted."""
    telemetry.count(f"Error.{error.code}")
    return refusal(error, request_id(request))


def refusal(error: errors.ApiError, request_id: str) -> Response:
    """An error in the one shape that all have."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        # RFC 9110, section 11.6.1: a 401 says how to sign in.
        headers["WWW-Authenticate"] = "Bearer"
    headers |= error.headers
    shape = {"error": error.code, "message": error.message, "requestId": request_id}
    return json_answer(shape | ({"details": error.details} if error.details else {}), error.status, headers)
