"""Logs and metrics. Both are JSON lines on standard output; metrics are in CloudWatch's embedded metric format.

Never log bodies, tokens, pictures or whole events.
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

from chalicelib.config import APP, is_chalice_local, settings

# Do not look up file and line of each log call: log lines do not contain them (Python, "Logging HOWTO": Optimization).
logging._srcfile = None  # noqa: SLF001

_encoder = msgspec.json.Encoder(enc_hook=str)  # takes a tenth of the time of the standard library's

_SECRET_PATTERNS: list[str] = []
_OWNER_PATTERNS: list[str] = []


def _serialize(line: dict[str, Any]) -> str:
    text = _encoder.encode(line).decode()
    hides_owner = settings().log_owner != "plain"
    for pattern in (*_SECRET_PATTERNS, *(_OWNER_PATTERNS if hides_owner else ())):
        text = re.sub(pattern, r"\1-", text)
    return text


def add_secret_pattern(pattern: str) -> None:
    """Register a pattern of text with a secret. Log lines have a dash instead of the secret.

    ``pattern`` matches the secret and the text before it; that text is its only group.
    """
    _SECRET_PATTERNS.append(pattern)


def add_owner_pattern(pattern: str) -> None:
    """Register a pattern of text with an owner. Unless LOG_OWNER is plain, log lines have a dash instead of the owner.

    ``pattern`` matches the owner and the text before it; that text is its only group. It also applies to text from
    libraries, such as error messages, but not to the field ``owner`` of a line.
    """
    _OWNER_PATTERNS.append(pattern)


logger = Logger(
    service=APP,
    level=settings().log_level,
    use_rfc3339=True,
    utc=True,
    location=None,
    json_serializer=_serialize,
    json_deserializer=str,  # do not parse messages as JSON
    stage=settings().stage,
)

_PERMANENT_KEYS = frozenset(logger.get_current_keys())
_IN_THREADS = is_chalice_local()
"""``chalice local`` runs each request in a thread of its own; a deployed function processes one event at a time."""

_metrics = EphemeralMetrics(namespace="Vitrine", service=APP)
_metrics.set_default_dimensions(stage=settings().stage)
# Threads share the metrics: the consumer processes several messages at once, `chalice local` several requests.
_metrics_lock = threading.Lock()
_cold_start = True


@contextmanager
def invocation(context: Any | None, request_id: str | None = None) -> Iterator[None]:
    """Add the fields of this invocation to every line logged inside the block, and write its metrics at the end.

    ``context`` is the Lambda context, or None in an authorizer, which does not get one from Chalice. ``request_id`` is
    the id that the client gets. Behind API Gateway it differs from Lambda's, which is logged as ``invocation_id``.
    """
    global _cold_start
    invocation_id = getattr(context, "aws_request_id", None)
    append = logger.thread_safe_append_keys if _IN_THREADS else logger.append_keys
    append(
        request_id=request_id or invocation_id,
        invocation_id=invocation_id,
        function=getattr(context, "function_name", os.environ.get("AWS_LAMBDA_FUNCTION_NAME")),
        cold_start=_cold_start,
    )
    _cold_start = False
    try:
        yield
    finally:
        logger.thread_safe_clear_keys()
        logger.remove_keys(logger.get_current_keys().keys() - _PERMANENT_KEYS)
        with _metrics_lock:
            if _metrics.metric_set:
                _metrics.flush_metrics()


def log_invocation(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Log the end of each invocation of an event function, and re-raise its exceptions. A Chalice middleware."""
    started = time.perf_counter()
    with invocation(event.context):
        try:
            response = get_response(event)
        except Exception:
            logger.exception("Invocation failed", duration_ms=milliseconds_since(started))
            raise
        logger.info("Invocation completed", duration_ms=milliseconds_since(started))
        return response


def set_owner(owner: str | None) -> None:
    """Set the field ``owner`` of all further lines of this thread in this invocation. None removes the field."""
    logged = None if owner is None else logged_owner(owner)
    if logged is None:
        logger.thread_safe_remove_keys(["owner"])
    else:
        logger.thread_safe_append_keys(owner=logged)


def logged_owner(owner: str) -> str | None:
    """Return the owner for log lines, depending on the setting LOG_OWNER: as is, as a keyed hash, or None."""
    if settings().log_owner == "plain":
        return owner
    if settings().log_owner == "none":
        return None
    return hashlib.blake2b(owner.encode(), key=settings().log_owner_key.encode(), digest_size=8).hexdigest()


def add_count(name: str, number: float = 1) -> None:
    """Add a number to a metric of this invocation."""
    _add(name, MetricUnit.Count, number)


def add_milliseconds(name: str, milliseconds: float) -> None:
    """Add a duration to a metric of this invocation."""
    _add(name, MetricUnit.Milliseconds, milliseconds)


def add_bytes(name: str, size: int) -> None:
    """Add a size in bytes to a metric of this invocation."""
    _add(name, MetricUnit.Bytes, size)


def _add(name: str, unit: MetricUnit, value: float) -> None:
    with _metrics_lock:
        _metrics.add_metric(name, unit, value)


def milliseconds_since(started: float) -> float:
    """Return the time since ``started``, a value of ``time.perf_counter()``."""
    return round((time.perf_counter() - started) * 1000, 1)
