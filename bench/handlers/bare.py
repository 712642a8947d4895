"""The route without a framework: the lower bound."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    name = (event["queryStringParameters"] or {}).get("name", "World")
    hello = {
        "message": f"Hello, {name}!",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestId": event["requestContext"]["requestId"],
    }
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(hello)}
