"""Changes that cannot be made into events, in the form in which the queue of failed events stores them.

The form is that of Lambda's own records of failed events, so that `python -m tools.ops redrive` can send both back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.values import exact_json, times

MAX_BYTES = 1_000_000
"""The most bytes of a message. SQS accepts 1 MiB (AWS, "Amazon SQS message quotas")."""

SET_ASIDE = "setAside"
"""The field of a record that was stored in the queue. If a function gets such a record, an operator has sent it."""

_IMAGES = ("NewImage", "OldImage")


class FailedChange(msgspec.Struct, frozen=True, rename="camel"):
    """A record of a failed event (AWS, "Lambda asynchronous invocation records")."""

    version: str
    timestamp: str
    request_context: dict[str, Any]
    request_payload: dict[str, Any]
    response_payload: dict[str, Any]


def describe(record: Mapping[str, Any], problem: Exception, context: Any) -> FailedChange:
    """Return what to store of a record of the table's stream. If it is too large, the item is left out of it."""
    failed = _describe(record, problem, context)
    if len(exact_json.to_json(failed)) <= MAX_BYTES:
        return failed
    change = {name: value for name, value in record["dynamodb"].items() if name not in _IMAGES}
    return _describe({**record, "dynamodb": change}, problem, context)


def _describe(record: Mapping[str, Any], problem: Exception, context: Any) -> FailedChange:
    return FailedChange(
        version="1.0",
        timestamp=times.format_time(times.now()),
        request_context={
            "requestId": context.aws_request_id,
            "functionArn": context.invoked_function_arn,
            "condition": "ChangeFailed",
            "approximateInvokeCount": 1,
        },
        request_payload={"Records": [{**record, SET_ASIDE: True}]},
        response_payload={"errorType": type(problem).__name__, "errorMessage": str(problem)},
    )
