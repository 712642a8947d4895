"""The edge: requests to models, models to answers, exceptions to answers. Nothing behind it sees a Chalice object."""

from __future__ import annotations

import binascii
import functools
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from chalice.app import Chalice, ChaliceAuthorizer, ChaliceUnhandledError, Request, Response

from chalicelib import aws, cors, cursor, errors, events, images, imports, models, primitives, telemetry, wire
from chalicelib.config import APP, settings
from chalicelib.imports import Begun, Progress
from chalicelib.items import MAX_KEY_LENGTH, IfMatch, Page, is_key
from chalicelib.models import Item

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NDJSON = "application/x-ndjson"

_Model = TypeVar("_Model", bound=msgspec.Struct)
_View = Callable[..., Response]


class Api(Chalice):
    """A Chalice app whose every route has the same edge: sign-in, :func:`boundary` around it, CORS.

    A view takes the request, and the parameters of its path by name. Chalice turns what a view raises into an answer of
    its own before any middleware sees it, unless it is a ChaliceUnhandledError
    (``RestAPIEventHandler._get_view_function_response``): so each is wrapped to raise that.
    """

    def __init__(self) -> None:
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

    def _wrap_handler(self, handler_type: str, handler_name: str, user_handler: Any) -> Any:
        return events.readable(super()._wrap_handler(handler_type, handler_name, user_handler))

    def route(self, path: str, *, public: bool = False, **options: Any) -> Callable[[_View], _View]:
        """Register a view for ``path``: it takes the request, and the path's parameters by name.

        ``options`` are those of Chalice's own ``route``. Of bodies, whatever their content type, the view decides.
        """
        if cors.answered_by_the_app() and path not in self.routes:
            self._route(path, None, methods=["OPTIONS"])(self._preflight(path))
        return self._route(path, None if public else self.guard, **options)

    def _route(self, path: str, guard: ChaliceAuthorizer | None, **options: Any) -> Callable[[_View], _View]:
        register = super().route(path, content_types=[], authorizer=guard, **options)

        def decorate(view: _View) -> _View:
            def raising(**path: str) -> Response:
                try:
                    return view(self.current_request, **_with_canonical_ids(path))
                except Exception as error:
                    raise ChaliceUnhandledError from error

            register(functools.update_wrapper(raising, view))
            return view

        return decorate

    def _preflight(self, path: str) -> _View:
        def answer_preflight(_: Request, **__: str) -> Response:
            return cors.preflight(self.routes[path])

        return answer_preflight


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
    """Give an answer the headers that every one has: whose pages may read it, its id, and that its type is no guess."""
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
    """Return whose things a request is about. Raise UnauthorizedError if nobody is signed in."""
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
    """The body's bytes. Raises InvalidRequestError where they claim to be base64 and are not."""
    try:
        raw = request.raw_body
    except (binascii.Error, ValueError):
        raise errors.InvalidRequestError(problem="The body is not valid base64.") from None
    return raw if isinstance(raw, bytes) else raw.encode()


def content_type(request: Request, *accepted: str) -> str:
    """Which of the ``accepted`` types the body is, the first where none is said. Raises UnsupportedMediaTypeError."""
    header: str = request.headers.get("content-type", accepted[0])
    said = header.partition(";")[0].strip().lower()
    if said not in accepted:
        raise errors.UnsupportedMediaTypeError(accepted=" or ".join(accepted))
    return said


def json_object(request: Request, *also: str) -> dict[str, Any]:
    """The body as a JSON object with exact numbers; ``also`` names types to take beside application/json."""
    content_type(request, JSON, *also)
    return primitives.json_object(body(request))


def json_model(request: Request, model: type[_Model]) -> _Model:
    """The body as a ``model``. Raises InvalidRequestError, naming the path of each thing that does not fit."""
    return models.checked(model, json_object(request))


def query(request: Request, model: type[_Model]) -> _Model:
    """The query parameters as a ``model``; of a repeated one the last counts, one that is not known is passed over."""
    said: dict[str, Any] = dict(request.query_params or {})
    for name in said.keys() & _whole_numbers(model):
        if re.fullmatch("-?[0-9]{1,4000}", said[name]):
            said[name] = int(said[name])
    return models.checked(model, said, "The query", text=True)


@functools.cache
def _whole_numbers(model: type[Any]) -> frozenset[str]:
    """The parameters whose text stands for a whole number. All other text stands for itself."""
    hints = get_type_hints(model)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(model)}
    return frozenset(names[name] for name, hint in hints.items() if int in (hint, *get_args(hint)))


def if_match(request: Request) -> IfMatch:
    """The versions that ``If-Match`` names (RFC 9110, section 13.1.1), or None where any will do.

    Comparison is strong, so a weak tag matches nothing; and neither does a tag that was never given out.
    """
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    return frozenset(int(version) for weak, version in _TAG.findall(header) if not weak)


def none_match(request: Request) -> frozenset[str]:
    """The entity tags that ``If-None-Match`` names; comparison is weak (RFC 9110, section 13.1.2)."""
    header = request.headers.get("if-none-match") or ""
    return frozenset(re.findall(r'"[^"]*"|\*', header))


def idempotency_key(request: Request) -> str | None:
    """The ``Idempotency-Key``, 1 to MAX_KEY_LENGTH characters. Raises InvalidRequestError for another."""
    key = request.headers.get("idempotency-key")
    if key is not None and not is_key(key):
        raise errors.InvalidRequestError(problem=f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} characters.")
    return key


# An item's tag is its version; while it shows URLs that run out, the hour stands behind it, so that a 304 never
# confirms a copy whose URLs are over. Only the version counts in If-Match.
_TAG = re.compile(r'(W/)?"(\d{1,18})(?:-\d+)?"')


def etag(item: Item) -> str:
    """The entity tag of an item as shown."""
    if item.image is None or item.image.status != "ready":
        return f'"{item.version}"'
    return f'"{item.version}-{int(time.time() // 3600)}"'


# ------------------------------------------------------------------------------------------------------------- answers


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``value`` as JSON, with its numbers exact."""
    return Response(primitives.to_json(value).decode(), {"Content-Type": JSON, **(headers or {})}, status)


def item_answer(request: Request, item: Item) -> Response:
    """An item with its entity tag, or 304 where a GET says that the caller has that very one."""
    tag = etag(item)
    return not_modified(request, tag) or json_answer(images.shown(item), headers={"ETag": tag})


def not_modified(request: Request, tag: str) -> Response | None:
    """304 where a GET says that the caller has what is at ``tag``, and None where it has to be sent."""
    known = none_match(request)
    if request.method == "GET" and (tag in known or "*" in known):
        return Response("", {"ETag": tag}, 304)
    return None


def created(request: Request, item: Item, replayed: bool) -> Response:
    """201 with the item and where it is from now on."""
    headers = {"ETag": etag(item), "Location": location(request, item.id), **_replayed(replayed)}
    return json_answer(images.shown(item), 201, headers)


def start_after(asked: wire.ListQuery, owner: str) -> str | None:
    """The id that the list goes on after. Raises InvalidCursorError where the cursor is not of this very list."""
    return asked.cursor and cursor.take(asked.cursor, *_list_of(asked, owner))


def items_answer(asked: wire.ListQuery, owner: str, page: Page) -> Response:
    """Return a page of a list, as much of it as fits into an answer, and the cursor for what follows."""
    shown = fitting(images.shown(item) for item in page.items)
    last = page.last if len(shown) == len(page.items) else page.items[len(shown) - 1].id
    following = last and cursor.give(last, *_list_of(asked, owner))
    return json_answer({"items": shown, "count": len(shown), "nextCursor": following})


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
    shape = {"error": error.code, "message": error.message, "requestId": request_id}
    return json_answer(shape | ({"details": error.details} if error.details else {}), error.status, headers)
