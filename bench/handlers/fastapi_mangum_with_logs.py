"""The route in FastAPI with Mangum, with the same log line and metrics as Vitrine, by Powertools."""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from bench.handlers import fastapi_mangum

logger = Logger(service="hello", level="INFO", use_rfc3339=True, utc=True, location=None, stage="local")
metrics = EphemeralMetrics(namespace="Hello", service="hello")
metrics.set_default_dimensions(stage="local")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    started = time.perf_counter()
    logger.append_keys(
        request_id=event["requestContext"]["requestId"],
        invocation_id=context.aws_request_id,
        function=context.function_name,
        cold_start=False,
    )
    answer: dict[str, Any] = fastapi_mangum.handler(event, context)
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    logger.info(
        "Response sent",
        method=event["httpMethod"],
        path=event["resource"],
        status=answer["statusCode"],
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
    )
    metrics.flush_metrics()
    return answer
