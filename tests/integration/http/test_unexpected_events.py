"""Events of another kind than a function handles: each is logged in one line, and fails or gets an error response."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import app
from chalicelib import telemetry
from chalicelib.http import unexpected_events
from tests.integration.stage import Stage, batch, context, json_of
from tests.integration.test_telemetry import logs

CONSOLE = {"key1": "value1", "key2": "value2", "key3": "value3"}
ALB = {
    "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:…"}},
    "httpMethod": "GET",
    "path": "/health",
    "queryStringParameters": {},
    "headers": {"user-agent": "ELB-HealthChecker/2.0"},
    "body": "",
    "isBase64Encoded": False,
}
UNEXPECTED = [
    {},
    CONSOLE,
    {"source": "serverless-plugin-warmup"},
    {"version": "2.0", "rawPath": "/health", "requestContext": {"http": {"method": "GET"}}},
    ALB,
    "ping",
    None,
    [],
    {"requestContext": None},
]

unexpected = pytest.mark.parametrize("event", UNEXPECTED, ids=lambda event: json.dumps(event)[:20])


class TestApi:
    @unexpected
    def test_unexpected_event_gets_an_error_response(self, event: Any, logged: Callable[[], str]) -> None:
        lambda_context = context("api_handler")

        response = app.app(event, lambda_context)

        assert response["statusCode"] == 500
        body = json.loads(response["body"])
        assert (body["error"], body["requestId"]) == ("INTERNAL_ERROR", lambda_context.aws_request_id)
        assert response["headers"]["X-Request-Id"] == lambda_context.aws_request_id
        (line,) = logs(logged())
        assert (line["level"], line["message"]) == ("ERROR", "Not an API Gateway event")
        assert line["request_id"] == lambda_context.aws_request_id

    def test_unknown_resource_gets_an_error_response(self, api: Stage) -> None:
        event = api.event("GET", "/health")
        event["requestContext"]["resourcePath"] = "/{proxy+}"

        assert json_of(api.handle(event))["error"] == "INTERNAL_ERROR"

    def test_missing_path_parameters_get_an_error_response(self, api: Stage) -> None:
        event = api.event("GET", "/items/1") | {"pathParameters": None}

        assert json_of(api.handle(event))["error"] == "INTERNAL_ERROR"

    def test_values_of_an_unexpected_event_are_not_logged(self, logged: Callable[[], str]) -> None:
        app.app({"token": "MARKER"}, context("api_handler"))

        assert "MARKER" not in logged()


class TestEventFunctions:
    @pytest.mark.parametrize("function", ["on_upload", "on_messages"])
    @unexpected
    def test_unexpected_event_fails_with_one_line(self, function: str, event: Any, logged: Callable[[], str]) -> None:
        with pytest.raises(unexpected_events.UnexpectedEventError, match="Not an event of this function"):
            getattr(app, function)(event, context(function))

        (line,) = logs(logged())
        assert (line["level"], line["message"], line["function"]) == ("ERROR", "Invocation failed", function)
        assert "Not an event of this function" in line["exception"]

    @pytest.mark.parametrize("records", [None, 7, [{}], [None]])
    def test_unexpected_records_fail_with_one_line(self, records: Any, logged: Callable[[], str]) -> None:
        with pytest.raises(unexpected_events.UnexpectedEventError):
            app.on_messages({"Records": records}, context("on_messages"))

        assert len(logs(logged())) == 1

    @unexpected
    def test_cleanup_runs_with_any_event(self, event: Any, logged: Callable[[], str]) -> None:
        assert app.clean_up(event, context("clean_up")) == {}

        assert logs(logged())[-1]["message"] == "Invocation completed"

    @unexpected
    def test_authorizer_fails_with_one_line(self, event: Any, logged: Callable[[], str]) -> None:
        with pytest.raises(unexpected_events.UnexpectedEventError):
            app.authorize(event, context("authorize"))

        (line,) = logs(logged())
        assert (line["level"], line["message"]) == ("ERROR", "Invocation failed")


def test_lines_after_a_run_have_no_ids(api: Stage, logged: Callable[[], str]) -> None:
    api("GET", "/health")
    logged()

    telemetry.logger.info("later")

    (line,) = logs(logged())
    assert line.keys() == {"level", "message", "timestamp", "service", "stage"}


def test_lines_of_consumer_threads_have_the_ids_of_the_run(api: Stage, logged: Callable[[], str]) -> None:
    api.send("one", "two")
    messages = api.receive()
    with pytest.raises(Exception, match="2 of 2"):
        app.on_messages(batch(messages), context("on_messages"))

    assert all(line["request_id"] for line in logs(logged()))
