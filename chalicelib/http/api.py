"""The Chalice app class: it registers routes, and turns exceptions into error responses."""

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
from chalicelib.http import cors, error_translation, query_parameters, requests, responses, unexpected_events
from chalicelib.values import ids

if TYPE_CHECKING:
    from chalicelib.errors import ApiError

_View = Callable[..., Response]

_UNLOGGED = ("/changes", 304)
"""The path and status of a response that is not logged: each open console gets it every two seconds."""


class Operation(msgspec.Struct, kw_only=True):
    """What a route declares for the OpenAPI document. ``make openapi`` generates it (``tools/openapi``).

    The summary and description are the docstring of its view. Errors that every route can return are always listed.
    """

    public: bool = False
    page: bool = False
    """Whether it is a page for visitors: then errors are pages too, and unknown query parameters are ignored."""
    idempotency_key: bool = False
    query: type[msgspec.Struct] | None = None
    body: Any = None
    """The model of a JSON body, or a dictionary of models by content type."""
    response_model: Any = None
    """A model in ``http/schemas.py``, or the name of a schema that ``tools/openapi/json_schemas.py`` makes."""
    status_code: int = 200
    response_description: str = ""
    """By default, the first sentence of the model's docstring."""
    examples: Sequence[str] = ()
    """The names of the response's examples in ``tools/openapi/examples.py``; by default all of the model."""
    errors: Sequence[type[ApiError]] = ()
    """Errors in addition to those that follow from the other fields."""
    tag: str = ""
    """By default, the first part of the path."""


class Api(Chalice):
    """A Chalice app that runs every view inside :meth:`boundary`, behind the authorizer unless the route is public.

    A view takes the request, the parameters of its path by name, and ``query`` if the route declares it. Chalice turns
    the exception of a view into a response before middleware sees it, unless it is a ChaliceUnhandledError
    (``RestAPIEventHandler._get_view_function_response``). So each view is wrapped to raise that.
    """

    def __init__(self) -> None:
        self.operations: dict[tuple[str, str], Operation] = {}
        """What each route declares for the OpenAPI document, by method and path."""
        self.default_authorizer: ChaliceAuthorizer | None = None
        """The authorizer of the routes that are not public."""
        self._in_thread = threading.local()
        super().__init__(APP, configure_logs=False)
        self.api.cors = cors.gateway_config() or False
        # No response is binary. Chalice would compare each content type with 16 types, three times.
        self.api.binary_types = []
        self.register_middleware(self.boundary, "http")
        for kind in ("sqs", "sns", "dynamodb", "kinesis", "cloudwatch", "scheduled"):
            self.register_middleware(telemetry.log_invocation, kind)

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond to an event of a REST or HTTP API, or with InternalError to any other, such as a test event."""
        if isinstance(event, dict) and event.get("version") == "2.0":
            from chalicelib.http import http_api_events  # noqa: PLC0415 - only a stage with an HTTP API needs it

            event = http_api_events.to_rest_event(event)
        if unexpected_events.is_request(event):
            resource_path = event["requestContext"]["resourcePath"]
            if resource_path in self.routes:
                return super().__call__(event, context)
            if not resource_path:
                return self.boundary(Request(event, context), _respond_without_route).to_dict()
        with telemetry.invocation(context):
            telemetry.logger.error("Not an API Gateway event", fields=unexpected_events.field_names(event))
            response = responses.error_response(errors.InternalError(), context.aws_request_id)
            responses.add_common_headers(response, None, context.aws_request_id)
            return response.to_dict()

    @property
    def current_request(self) -> Request | None:
        """The request of this thread: ``chalice local`` handles several at once in one app."""
        return getattr(self._in_thread, "request", None)

    @current_request.setter
    def current_request(self, request: Request | None) -> None:
        self._in_thread.request = request

    def _wrap_handler(self, handler_type: str, handler_name: str, user_handler: Any) -> Any:
        return unexpected_events.accept_any(super()._wrap_handler(handler_type, handler_name, user_handler))

    def route(
        self,
        path: str,
        *,
        methods: Sequence[str] = ("GET",),
        public: bool = False,
        idempotency_key: bool = False,
        query: type[msgspec.Struct] | None = None,
        **documented: Any,
    ) -> Callable[[_View], _View]:
        """Register a view for ``path``; with GET, also for HEAD.

        ``query`` is the model of the query parameters, which the view gets as ``query``. Without it, the route rejects
        parameters, or ignores them if it is ``public``, because trackers add some to links. ``idempotency_key`` says
        that the view evaluates the header Idempotency-Key. ``documented`` are the other fields of Operation. The view
        checks the content type of the body itself.
        """
        operation = Operation(public=public, idempotency_key=idempotency_key, query=query, **documented)
        self.operations |= {(method, path): operation for method in methods}
        if cors.has_preflight_routes() and path not in self.routes:
            self._register(path, ["OPTIONS"], None)(self._preflight_view(path))
        # RFC 9110, section 9.1: a server must support HEAD. API Gateway and ``chalice local`` leave the content out.
        methods = [*methods, "HEAD"] if "GET" in methods else list(methods)
        register = self._register(path, methods, None if public else self.default_authorizer)

        def decorate(view: _View) -> _View:
            def checked_view(request: Request, **path_parameters: str) -> Response:
                requests.reject_unsupported_headers(request, idempotency_key=idempotency_key)
                return view(request, **_canonical_ids(path_parameters), **_query_argument(request, operation))

            register(functools.update_wrapper(checked_view, view))
            return view

        return decorate

    def _register(self, path: str, methods: list[str], authorizer: ChaliceAuthorizer | None) -> Callable[[_View], None]:
        def register(view: _View) -> None:
            def raising_view(**path_parameters: str) -> Response:
                request: Any = self.current_request
                try:
                    return view(request, **path_parameters)
                except Exception as error:
                    raise ChaliceUnhandledError from error

            # Without content types, Chalice accepts all of them.
            options = {"methods": methods, "authorizer": authorizer, "content_types": []}
            super(Api, self).route(path, **options)(functools.update_wrapper(raising_view, view))

        return register

    def _preflight_view(self, path: str) -> _View:
        def respond_to_preflight(_: Request, **__: str) -> Response:
            return cors.preflight_response(self.routes[path])

        return respond_to_preflight

    def boundary(self, request: Request, get_response: Callable[[Request], Response]) -> Response:
        """Turn exceptions into error responses. Log and count responses, and add the headers that all have."""
        started = time.perf_counter()
        request_id = requests.request_id(request)
        with telemetry.invocation(request.lambda_context, request_id):
            try:
                telemetry.set_owner(requests.signed_in_owner(request))
                response = get_response(request)
                if response.status_code == 405:  # Chalice's own response to an unknown method
                    response = self._method_not_allowed(request, str(response.headers["Allow"]), request_id)
            except Exception as error:  # noqa: BLE001 - Chalice would respond in another shape
                cause = error.__cause__ if isinstance(error, ChaliceUnhandledError) else error
                api_error = error_translation.logged_api_error(cause or error)
                response = self._error_response(request, api_error, request_id)
            responses.add_common_headers(response, request.headers.get("origin"), request_id)
            telemetry.add_count("Requests")
            if (request.path, response.status_code) != _UNLOGGED:
                telemetry.logger.info(
                    "Response sent",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    duration_ms=telemetry.milliseconds_since(started),
                )
            return response

    def _method_not_allowed(self, request: Request, allowed: str, request_id: str) -> Response:
        response = self._error_response(request, errors.MethodNotAllowedError(allowed=allowed), request_id)
        response.headers["Allow"] = allowed
        return response

    def _error_response(self, request: Request, error: ApiError, request_id: str) -> Response:
        telemetry.add_count(f"Error.{error.code}")
        operation = self.operations.get(("GET" if request.method == "HEAD" else request.method, request.path))
        if operation and operation.page:
            from chalicelib.http import visitor_pages  # noqa: PLC0415 - few requests need it and the module html

            return visitor_pages.error_page(request, error, request_id)
        return responses.error_response(error, request_id)


def _respond_without_route(request: Request) -> Response:
    """Raise NotFoundError, except for a preflight. An HTTP API adds the CORS headers to the response to a preflight."""
    if request.method == "OPTIONS":
        return Response("", {}, 204)
    raise errors.NotFoundError


class _NoParameters(msgspec.Struct):
    pass


def _query_argument(request: Request, operation: Operation) -> dict[str, msgspec.Struct]:
    """Return the argument ``query`` of a view, if it takes one. Raise an ApiError for invalid parameters."""
    if operation.query is not None:
        return {"query": query_parameters.parse(request, operation.query, ignore_unknown=operation.page)}
    if not operation.public:
        query_parameters.parse(request, _NoParameters)
    return {}


def _canonical_ids(path_parameters: dict[str, str]) -> dict[str, str]:
    """Return the parameters of a path with ids as they are stored. Other values stay: nothing is found for them."""
    return {name: ids.canonical_id(value) or value for name, value in path_parameters.items()}
