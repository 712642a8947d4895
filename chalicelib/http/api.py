"""The Chalice app of the API: routing, and the boundary at which exceptions become responses."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from chalice.app import Chalice, ChaliceAuthorizer, ChaliceUnhandledError, Request, Response

from chalicelib import errors, telemetry
from chalicelib.config import APP
from chalicelib.http import cors, exceptions, lambda_events, requests, responses
from chalicelib.values import ids

if TYPE_CHECKING:
    from chalicelib.errors import ApiError

_View = Callable[..., Response]


class Operation(msgspec.Struct, kw_only=True):
    """What a route declares for the OpenAPI document; its summary and description are its view's docstring.

    The document is made of it by ``make openapi`` (``tools/openapi``). Of a route that declares nothing it has the
    errors that every route can return.
    """

    public: bool = False
    keyed: bool = False
    query: type[msgspec.Struct] | None = None
    body: Any = None
    """The model of a JSON body, or a dictionary of models by content type."""
    response_model: Any = None
    """A model in ``http/schemas.py``, or the name of a schema that ``tools/openapi/json_schemas.py`` makes."""
    status_code: int = 200
    response_description: str = ""
    """By default, the first sentence of the model's docstring."""
    examples: Sequence[str] = ()
    """Which of the model's examples in ``tools/openapi/examples.py`` the response has; by default all of them."""
    errors: Sequence[type[ApiError]] = ()
    """Errors beside those that follow from the rest."""
    tag: str = ""
    """By default, the first part of the path."""


class Api(Chalice):
    """A Chalice app whose every route has the same edge: sign-in, :func:`boundary` around it, CORS.

    A view takes the request, and the parameters of its path by name. Chalice turns what a view raises into an answer of
    its own before any middleware sees it, unless it is a ChaliceUnhandledError
    (``RestAPIEventHandler._get_view_function_response``): so each is wrapped to raise that.
    """

    def __init__(self) -> None:
        self.operations: dict[tuple[str, str], Operation] = {}
        """What each route declares for the OpenAPI document, by method and path."""
        self._in_thread = threading.local()
        super().__init__(APP, configure_logs=False)
        self.api.cors = cors.gateway_config() or False
        # Pictures go to the bucket and come from it; with each answer, Chalice would look through 16 types three times.
        self.api.binary_types = []
        self.register_middleware(boundary, "http")
        for kind in ("sqs", "cloudwatch", "scheduled"):
            self.register_middleware(telemetry.log_run, kind)

        self.guard: ChaliceAuthorizer | None = None
        """The authorizer that every route stands behind which does not say ``public=True``."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer an event of API Gateway; any other, such as the test event of the Lambda console, with an error."""
        if lambda_events.is_request(event) and event["requestContext"]["resourcePath"] in self.routes:
            return super().__call__(event, context)
        with telemetry.invocation(context):
            telemetry.logger.error("Not an API Gateway event", fields=lambda_events.field_names(event))
            answer = responses.refusal(errors.InternalError(), context.aws_request_id)
            responses.mark(answer, None, context.aws_request_id)
            return answer.to_dict()

    @property
    def current_request(self) -> Request | None:
        """The request that this thread answers: ``chalice local`` answers several at once, all with this app."""
        return getattr(self._in_thread, "request", None)

    @current_request.setter
    def current_request(self, request: Request | None) -> None:
        self._in_thread.request = request

    def _wrap_handler(self, handler_type: str, handler_name: str, user_handler: Any) -> Any:
        return lambda_events.accept_any(super()._wrap_handler(handler_type, handler_name, user_handler))

    def route(
        self,
        path: str,
        *,
        methods: Sequence[str] = ("GET",),
        public: bool = False,
        keyed: bool = False,
        query: type[msgspec.Struct] | None = None,
        **documented: Any,
    ) -> Callable[[_View], _View]:
        """Register a view for ``path``: it takes the request, the path's parameters by name, and ``asked``.

        ``asked`` is the query as a model of the type ``query``, and left out without one: then the route takes no
        parameters, and a public one ignores them, because trackers add some to links. ``keyed`` says that the view
        evaluates an ``Idempotency-Key``. ``documented`` are the other fields of Operation. Bodies of any content type
        reach the view, which checks it.
        """
        operation = Operation(public=public, keyed=keyed, query=query, **documented)
        self.operations |= {(method, path): operation for method in methods}
        if cors.has_preflight_routes() and path not in self.routes:
            self._route(path, None, None, methods=["OPTIONS"])(self._preflight(path))
        # RFC 9110, section 9.1: a server must support HEAD. API Gateway and ``chalice local`` leave the content out.
        methods = [*methods, "HEAD"] if "GET" in methods else list(methods)
        takes = query or (None if public else _NoParameters)
        return self._route(path, None if public else self.guard, takes, keyed=keyed, methods=methods)

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
                    requests.refuse_unevaluated(request, keyed=keyed)
                    return view(request, **_with_canonical_ids(path), **_asked(request, takes))
                except Exception as error:
                    raise ChaliceUnhandledError from error

            register(functools.update_wrapper(raising, view))
            return view

        return decorate

    def _preflight(self, path: str) -> _View:
        def answer_preflight(_: Request, **__: str) -> Response:
            return cors.preflight_response(self.routes[path])

        return answer_preflight


class _NoParameters(msgspec.Struct):
    pass


def _asked(request: Request, takes: type[msgspec.Struct] | None) -> dict[str, msgspec.Struct]:
    """Return the argument of a view that the query is."""
    if takes is None:
        return {}
    asked = requests.query(request, takes)
    return {} if takes is _NoParameters else {"asked": asked}


def boundary(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """The one place where exceptions become answers, and where every answer is logged, counted and marked."""
    started = time.perf_counter()
    id_ = requests.request_id(request)
    with telemetry.invocation(request.lambda_context, id_):
        try:
            telemetry.set_owner(requests.signed_in_owner(request))
            response = _in_our_shape(request, get_response(request))
        except Exception as raised:  # noqa: BLE001 - Chalice would answer it in a shape of its own
            cause = raised.__cause__ if isinstance(raised, ChaliceUnhandledError) else raised
            response = responses.error_answer(request, _meaning(cause or raised))
        responses.mark(response, request.headers.get("origin"), id_)
        telemetry.add_count("Requests")
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
    return {name: ids.canonical_id(value) or value for name, value in path.items()}


def _meaning(error: BaseException) -> errors.ApiError:
    """What an exception means to the caller; what means nothing but a bug is logged with its stack, and only there."""
    known = exceptions.as_api_error(error)
    if known is None:
        telemetry.logger.error("An unexpected error", exc_info=error)
        return errors.InternalError()
    if known.status >= 500:
        telemetry.logger.error(known.message, error=known.code, cause=None if known is error else str(error))
    return known


def _in_our_shape(request: Request, response: Response) -> Response:
    """Chalice answers a wrong method itself: the same answer, said as all others are."""
    if response.status_code != 405:
        return response
    refused = responses.error_answer(request, errors.MethodNotAllowedError(allowed=response.headers["Allow"]))
    refused.headers["Allow"] = response.headers["Allow"]
    return refused
