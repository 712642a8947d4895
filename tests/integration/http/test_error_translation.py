"""Failures of AWS and unexpected exceptions: the error response, and what is only logged."""

from __future__ import annotations

import json
from collections.abc import Callable

import boto3
import pytest
from botocore import exceptions as botocore_exceptions

from chalicelib import aws, config, errors
from chalicelib.aws import bucket
from chalicelib.http import chalice_local, error_translation
from tests.builders import fields
from tests.integration.stage import Stage, fails, json_of, raises

BEHIND = [("GET", "/items"), ("POST", "/items"), ("GET", "/imports/019ca7b4-e400-7abc-8def-0123456789ab")]
ENDPOINT = "https://dynamodb.aws.invalid"


class TestUnprovisioned:
    @pytest.fixture(autouse=True)
    def unprovisioned(self, configured: Callable[..., None]) -> None:
        configured(BUCKET_NAME=None)

    @pytest.mark.parametrize(("method", "path"), BEHIND)
    @pytest.mark.parametrize("mode", ["local", "oidc"])
    def test_error_says_how_to_provision_the_stage(
        self, api: Stage, configured: Callable[..., None], method: str, path: str, mode: str
    ) -> None:
        configured(AUTH_MODE=mode)

        response = api(method, path, fields() if method == "POST" else None)

        assert (response.status_code, json_of(response)["error"]) == (503, "BACKEND_UNAVAILABLE")
        assert "The stage local is not provisioned" in json_of(response)["message"]
        assert "make run" in json_of(response)["message"]
        assert response.headers["Retry-After"] == "10"
        assert response.headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/hello", "/health"])
    def test_routes_without_backend_respond(self, api: Stage, path: str) -> None:
        assert api("GET", path).status_code == 200

    def test_aws_is_not_called(self, api: Stage) -> None:
        # The shell may have credentials of an unrelated account.
        api("GET", "/items")

        assert aws._client.cache_info().currsize == 0

    def test_chalice_local_warns_at_the_start(self, logged: Callable[[], str]) -> None:
        chalice_local.warn_without_backend()

        assert "The stage local is not provisioned: start everything with `make run`" in logged()


UNREACHABLE = pytest.mark.parametrize(
    "error",
    [
        botocore_exceptions.EndpointConnectionError(endpoint_url=ENDPOINT),
        botocore_exceptions.NoCredentialsError(),
        botocore_exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        botocore_exceptions.NoRegionError(),
        botocore_exceptions.ProfileNotFound(profile="work"),
    ],
    ids=lambda error: type(error).__name__,
)


@UNREACHABLE
def test_unreachable_backend_is_unavailable(api: Stage, logged: Callable[[], str], error: Exception) -> None:
    raises(aws.dynamodb(), "Query", error)

    response = api("GET", "/items")

    assert (response.status_code, json_of(response)["error"]) == (503, "BACKEND_UNAVAILABLE")
    assert "make run" in json_of(response)["message"]
    assert str(error) not in json_of(response)["message"]
    assert json.dumps(str(error)) in logged()


@UNREACHABLE
def test_deployed_stage_gives_no_advice_to_start_it(configured: Callable[..., None], error: Exception) -> None:
    configured(STAGE="prod", AUTH_MODE="none")

    api_error = error_translation.as_api_error(error)

    assert isinstance(api_error, errors.BackendUnavailableError)
    assert api_error.message == "The backend of the stage prod cannot be reached."


def test_missing_table_is_unavailable(api: Stage) -> None:
    boto3.client("dynamodb").delete_table(TableName=config.settings().table)

    response = api("GET", "/items")

    assert (response.status_code, json_of(response)["error"]) == (503, "BACKEND_UNAVAILABLE")
    assert "Resources of the stage local are missing" in json_of(response)["message"]


def test_missing_bucket_is_unavailable(api: Stage) -> None:
    aws.s3().delete_bucket(Bucket=aws.bucket_name())

    response = api("POST", "/imports", {"items": [{}]})

    assert (response.status_code, json_of(response)["error"]) == (503, "BACKEND_UNAVAILABLE")


def test_missing_queue_is_unavailable(api: Stage) -> None:
    aws.sqs().delete_queue(QueueUrl=aws.queue_url("jobs"))
    aws.queue_url.cache_clear()

    response = api("POST", "/imports", {"items": [{}]})

    assert (response.status_code, json_of(response)["error"]) == (503, "BACKEND_UNAVAILABLE")


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "InternalServerError",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
    ],
)
def test_throttled_call_is_busy(api: Stage, code: str) -> None:
    fails(aws.dynamodb(), "TransactWriteItems", code)

    response = api("POST", "/items", fields())

    assert (response.status_code, json_of(response)["error"]) == (503, "BUSY")
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("code", ["RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"])
def test_timeout_of_s3_is_busy(api: Stage, code: str) -> None:
    fails(aws.s3(), "PutObject", code)

    response = api("POST", "/imports", {"items": [{}]})

    assert (response.status_code, json_of(response)["error"]) == (503, "BUSY")
    assert response.headers["Retry-After"] == "1"
    assert (
        json_of(response)["message"] == "AWS did not respond in time, or throttled the request: try again in a moment."
    )


def test_server_error_of_aws_is_busy() -> None:
    error = botocore_exceptions.ClientError(
        {"Error": {"Code": "503"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "HeadObject"
    )  # type: ignore[typeddict-item]

    assert isinstance(error_translation.as_api_error(error), errors.BusyError)


@pytest.mark.parametrize(
    "error",
    [
        botocore_exceptions.ConnectTimeoutError(endpoint_url=ENDPOINT),
        botocore_exceptions.ReadTimeoutError(endpoint_url=ENDPOINT),
        botocore_exceptions.ConnectionClosedError(endpoint_url=ENDPOINT),
        botocore_exceptions.ResponseStreamingError(error="reset"),
        botocore_exceptions.SSLError(endpoint_url=ENDPOINT, error="reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_connection_error_is_busy(api: Stage, logged: Callable[[], str], error: Exception) -> None:
    raises(aws.dynamodb(), "Query", error)

    response = api("GET", "/items")

    assert (response.status_code, json_of(response)["error"]) == (503, "BUSY")
    assert ENDPOINT not in json_of(response)["message"]
    assert json.dumps(str(error)) in logged()
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "error", [RuntimeError("MARKER of what happened"), KeyError("MARKER"), RecursionError("MARKER")]
)
def test_unexpected_exception_is_only_logged(api: Stage, logged: Callable[[], str], error: Exception) -> None:
    raises(aws.dynamodb(), "Query", error)

    response = api("GET", "/items")

    assert (response.status_code, json_of(response)["error"]) == (500, "INTERNAL_ERROR")
    assert b"MARKER" not in response.body
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    lines = logged()
    assert "MARKER" in lines
    assert "Traceback" in lines
    assert json_of(response)["requestId"] in lines


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceInUseException", ""])
def test_other_error_of_aws_is_an_internal_error(api: Stage, logged: Callable[[], str], code: str) -> None:
    fails(aws.dynamodb(), "Query", code)

    response = api("GET", "/items")

    assert (response.status_code, json_of(response)["error"]) == (500, "INTERNAL_ERROR")
    assert b"provoked" not in response.body
    assert "provoked" in logged()


@pytest.mark.parametrize(
    ("operation", "method", "body"),
    [("GetItem", "GET", None), ("TransactWriteItems", "PATCH", {"a": 1}), ("TransactWriteItems", "DELETE", None)],
)
def test_error_that_is_no_conflict_is_not_retried(api: Stage, operation: str, method: str, body: object) -> None:
    item = api.item()
    fails(aws.dynamodb(), operation, "ValidationException", times=1)

    assert api(method, f"/items/{item['id']}", body).status_code == 500


def test_forbidden_object_is_not_a_missing_one(api: Stage) -> None:
    fails(aws.s3(), "GetObject", "AccessDenied")

    with pytest.raises(botocore_exceptions.ClientError):
        bucket.read("uploads/vase.png")


class TestCheck:
    def test_backend_that_responds_logs_nothing(self, logged: Callable[[], str]) -> None:
        chalice_local.warn_without_backend()

        assert logged() == ""

    def test_unreachable_backend_is_logged(self, logged: Callable[[], str]) -> None:
        raises(aws.dynamodb(), "DescribeTable", botocore_exceptions.EndpointConnectionError(endpoint_url=ENDPOINT))

        chalice_local.warn_without_backend()

        assert "The backend of the stage local cannot be reached" in logged()

    def test_missing_resources_are_logged_with_advice(self, logged: Callable[[], str]) -> None:
        boto3.client("dynamodb").delete_table(TableName=config.settings().table)

        chalice_local.warn_without_backend()

        assert "make run" in logged()

    @pytest.mark.parametrize("code", ["UnrecognizedClientException", "ExpiredTokenException", "AccessDeniedException"])
    def test_chalice_local_starts_with_invalid_credentials(self, logged: Callable[[], str], code: str) -> None:
        fails(aws.dynamodb(), "DescribeTable", code)

        chalice_local.warn_without_backend()

        assert logged() != ""
