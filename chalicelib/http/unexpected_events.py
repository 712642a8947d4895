"""Accept events of the wrong kind, such as a test event of the Lambda console, so that they fail with a log line.

Chalice parses an event before it calls a middleware (``chalice.app.EventSourceHandler``), so without this module an
event that Chalice cannot parse would fail before anything is logged.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from chalice.app import AuthRequest, BaseLambdaEvent, ChaliceAuthorizer, DynamoDBEvent, EventSourceHandler, SQSEvent

from chalicelib import telemetry
from chalicelib.values import truncation

_REQUEST = {"body", "headers", "multiValueQueryStringParameters", "pathParameters", "requestContext", "stageVariables"}
"""The fields that Chalice reads from an event of API Gateway (``chalice.app.Request``)."""


class UnexpectedEventError(Exception):
    """The function was invoked with an event of a kind that it does not handle."""


def is_request(event: Any) -> bool:
    """Return whether ``event`` is a request from a REST API of API Gateway (payload format 1.0)."""
    if not isinstance(event, dict) or not event.keys() >= _REQUEST:
        return False
    context = event["requestContext"]
    return isinstance(context, dict) and {"httpMethod", "path", "resourcePath"} <= context.keys()


def field_names(event: Any) -> str:
    """Return the names of an event's fields for the log, without the values, which may be confidential."""
    if not isinstance(event, dict):
        return f"a {type(event).__name__}"
    return truncation.truncate(", ".join(sorted(map(str, event))), 400)


def accept_any(handler: Any) -> Any:
    """Return a Chalice handler for any event. Reading an unexpected one raises UnexpectedEventError."""
    if isinstance(handler, EventSourceHandler):
        handler.event_class = functools.partial(_parse, handler.event_class)
    return _AuthorizerOfAnyEvent(handler.name, handler.func) if isinstance(handler, ChaliceAuthorizer) else handler


def _parse(event_class: type[BaseLambdaEvent], event: Any, context: Any) -> BaseLambdaEvent:
    try:
        parsed = event_class(event, context)
        if isinstance(parsed, SQSEvent | DynamoDBEvent):
            list(parsed)  # Chalice parses the records when they are iterated over.
    except (KeyError, TypeError):
        return _UnexpectedEvent(event, context)
    return parsed


def _error(event: Any) -> UnexpectedEventError:
    return UnexpectedEventError(f"Not an event of this function: its fields are {field_names(event)}")


class _UnexpectedEvent(BaseLambdaEvent):
    """An event of another kind. A function that does not read its event, such as the cleanup, works nevertheless."""

    def _extract_attributes(self, event_dict: Any) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        raise _error(self.to_dict())

    def __iter__(self) -> Iterator[Any]:
        raise _error(self.to_dict())


class _AuthorizerOfAnyEvent(ChaliceAuthorizer):
    def _transform_event(self, event: Any) -> AuthRequest:
        try:
            return super()._transform_event(event)
        except (KeyError, TypeError):
            error = _error(event)
            telemetry.logger.error("Invocation failed", exc_info=error)
            raise error from None
