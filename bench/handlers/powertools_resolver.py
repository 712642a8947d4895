"""The route in Powertools' resolver for REST APIs, without its validation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

app = APIGatewayRestResolver()


def say_hello() -> dict[str, Any]:
    name = app.current_event.query_string_parameters.get("name", "World")
    return {
        "message": f"Hello, {name}!",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestId": app.current_event.request_context.request_id,
    }


app.get("/hello")(say_hello)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return app.resolve(event, context)
