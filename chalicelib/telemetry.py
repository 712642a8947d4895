"""Logs and metrics: one JSON line per event, metrics as EMF lines among them, no call to any service.

Never handed to the logger: bodies, tokens, pictures, whole events.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from chalicelib.config import APP, serving_locally, settings

# No line says where in the code it was written, so nothing looks for it (Logging HOWTO, "Optimization").
logging._srcfile = None  # noqa: SLF001

_encoder = msgspec.json.Encoder(enc_hook=str)


_OWNED: list[str] = []
"""Patterns of text that names an owner: the part before the owner as a group, then the owner."""


def _serialized(line: dict[str, Any]) -> str:
    # A tenth of the time that the standard library's takes, of which each request pays.
    text = _encoder.encode(line).decode()
    if settings().log_owner == "plain":
        return text
    for pattern in _OWNED:
        text = re.sub(pattern, r"\1-", text)
    return text


def hide_owner(pattern: str) -> None:
    """Have a dash stand for the owner in all text that is logged, unless LOG_OWNER is plain.

    ``pattern`` matches the owner and, as its group, what is before it. This is for text that others make of it too,
    such as the messages of errors. Who a line is about is in its field ``owner``.
    """
    _OWNED.append(pattern)


logger = Logger(
    service=APP,
    level=settings().log_level,
    use_rfc3339=True,
    utc=True,
    location=None,
    json_serializer=_serialized,
    json_deserializer=str,  # a message is text, and not looked at as JSON
    stage=settings().stage,
)

_PERMANENT_KEYS = frozenset(logger.get_current_keys())
_IN_THREADS = serving_locally()
"""``chalice local`` answers several requests at once, each in a thread of its own; a function runs one at a time."""

_metrics = EphemeralMetrics(namespace="Vitrine", service=APP)
_metrics.set_default_dimensions(stage=settings().stage)
# The consumer does several messages at once, `chalice local` several requests, and the metrics are one dictionary.
_adding = threading.Lock()
_cold = True


@contextmanager
def invocation(context: Any | None, request_id: str | None = None) -> Iterator[None]:
    """Mark every line logged inside with what it belongs to, and no line after it; write the metrics at the end.

    ``context`` is the Lambda context, or None in an authorizer, which Chalice hands none. ``request_id`` is the id that
    the caller is told, where that is another than Lambda's own, as it is behind API Gateway: both stand in the log.
    """
    global _cold
    invocation_id = getattr(context, "aws_request_id", None)
    append = logger.thread_safe_append_keys if _IN_THREADS else logger.append_keys
    append(
        request_id=request_id or invocation_id,
        invocation_id=invocation_id,
        function=getattr(context, "function_name", os.environ.get("AWS_LAMBDA_FUNCTION_NAME")),
        cold_start=_cold,
    )
    _cold = False
    try:
        yield
    finally:
        logger.thread_safe_clear_keys()
        logger.remove_keys(logger.get_current_keys().keys() - _PERMANENT_KEYS)
        with _adding:
            if _metrics.metric_set:
                _metrics.flush_metrics()


def observed(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Chalice middleware for the event functions: says how each run ended and lets what went wrong go on."""
    started = time.perf_counter()
    with invocation(event.context):
        try:
            response = get_response(event)
        except Exception:
            logger.exception("The run failed", duration_ms=milliseconds_since(started))
            raise
        logger.info("The run ended", duration_ms=milliseconds_since(started))
        return response


def acts_for(owner: str | None) -> None:
    """Name the owner in every line that this thread logs in this invocation from now on; None: name none."""
    shown = None if owner is None else shown_owner(owner)
    if shown is None:
        logger.thread_safe_remove_keys(["owner"])
    else:
        logger.thread_safe_append_keys(owner=shown)


def shown_owner(owner: str) -> str | None:
    """Return what log lines have for an owner, by the setting LOG_OWNER, or None if they have nothing."""
    if settings().log_owner == "plain":
        return owner
    if settings().log_owner == "none":
        return None
    return hashlib.blake2b(owner.encode(), key=settings().log_owner_key.encode(), digest_size=8).hexdigest()


def count(name: str, number: float = 1) -> None:
    """Adds to this invocation's metric ``name``."""
    _add(name, MetricUnit.Count, number)


def took(name: str, milliseconds: float) -> None:
    """Adds a duration to this invocation's metric ``name``."""
    _add(name, MetricUnit.Milliseconds, milliseconds)


def read(name: str, size: int) -> None:
    """Adds a number of bytes to this invocation's metric ``name``."""
    _add(name, MetricUnit.Bytes, size)


def _add(name: str, unit: MetricUnit, value: float) -> None:
    with _adding:
        _metrics.add_metric(name, unit, value)


def milliseconds_since(started: float) -> float:
    """From a reading of ``time.perf_counter()`` until now."""
    return round((time.perf_counter() - started) * 1000, 1)
