"""What functions are invoked with: events of their own kind, and others, such as the test event of the Lambda console.

Chalice reads an event before it calls a middleware (``chalice.app.EventSourceHandler``), so what it cannot read would
fail without one of our log lines.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from chalice.app import AuthRequest, BaseLambdaEvent, ChaliceAuthorizer, EventSourceHandler, SQSEvent

from chalicelib import telemetry
from chalicelib.values import texts

_REQUEST = {"body", "headers", "multiValueQueryStringParameters", "pathParameters", "requestContext", "stageVariables"}
"""What Chalice reads of an event of API Gateway (``chalice.app.Request``)."""


class NotOurEventError(Exception):
    """A function was invoked with an event of another kind than its own."""


def is_request(event: Any) -> bool:
    """Return whether ``event`` is a request as a REST API of API Gateway hands it over (its payload format 1.0)."""
    if not isinstance(event, dict) or not event.keys() >= _REQUEST:
        return False
    context = event["requestContext"]
    return isinstance(context, dict) and {"httpMethod", "path", "resourcePath"} <= context.keys()


def fields_of(event: Any) -> str:
    """Return what may be logged of an event of another kind: the names of its fields."""
    if not isinstance(event, dict):
        return f"a {type(event).__name__}"
    return texts.truncate(", ".join(sorted(map(str, event))), 400)


def readable(handler: Any) -> Any:
    """Return a handler of Chalice's that takes any event: one of another kind fails when something of it is read."""
    if isinstance(handler, EventSourceHandler):
        handler.event_class = functools.partial(_event, handler.event_class)
    return _Authorizer(handler.name, handler.func) if isinstance(handler, ChaliceAuthorizer) else handler


def _event(of: type[BaseLambdaEvent], event: Any, context: Any) -> BaseLambdaEvent:
    try:
        read = of(event, context)
        if isinstance(read, SQSEvent):
            list(read)  # Chalice reads its records when they are taken.
    except (KeyError, TypeError):
        return _Unreadable(event, context)
    return read


def _not_ours(event: Any) -> NotOurEventError:
    return NotOurEventError(f"Not an event of this function: its fields are {fields_of(event)}")


class _Unreadable(BaseLambdaEvent):
    """An event of another kind: reading anything of it fails, so a function that reads nothing runs."""

    def _extract_attributes(self, event_dict: Any) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        raise _not_ours(self.to_dict())

    def __iter__(self) -> Iterator[Any]:
        raise _not_ours(self.to_dict())


class _Authorizer(ChaliceAuthorizer):
    def _transform_event(self, event: Any) -> AuthRequest:
        try:
            return super()._transform_event(event)
        except (KeyError, TypeError):
            error = _not_ours(event)
            telemetry.logger.error("The run failed", exc_info=error)
            raise error from None
