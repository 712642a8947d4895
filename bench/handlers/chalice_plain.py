"""The route in plain Chalice. The difference to Vitrine is the cost of chalicelib/http."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalice.app import Chalice

app = Chalice("plain")


def say_hello() -> dict[str, Any]:
    request: Any = app.current_request
    return {
        "message": f"Hello, {(request.query_params or {}).get('name', 'World')}!",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestId": request.context["requestId"],
    }


app.route("/hello")(say_hello)
handler = app
