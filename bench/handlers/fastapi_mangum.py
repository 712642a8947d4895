"""The route in FastAPI, with Mangum as the adapter from API Gateway's events to ASGI."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI, Request
from mangum import Mangum
from pydantic import BaseModel


class Hello(BaseModel):
    message: str
    timestamp: datetime
    requestId: str  # noqa: N815 - its name in JSON


def say_hello(request: Request, name: str = "World") -> Hello:
    request_id = request.scope["aws.event"]["requestContext"]["requestId"]
    return Hello(message=f"Hello, {name}!", timestamp=datetime.now(UTC), requestId=request_id)


async def say_hello_on_the_loop(request: Request, name: str = "World") -> Hello:
    # A plain function would run in a thread, which takes longer than everything else.
    return say_hello(request, name)


app = FastAPI()
app.add_api_route("/hello", say_hello_on_the_loop, methods=["GET"])
handler = Mangum(app, lifespan="off")
