"""When AWS does not answer as hoped: what the caller is told, and what only the log is."""

from __future__ import annotations

import json
from collections.abc import Callable

import boto3
import pytest
from botocore import exceptions as botocore_exceptions

from chalicelib import aws, config, errors
from chalicelib.aws import bucket
from chalicelib.http import chalice_local, exceptions
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
    def test_a_stage_that_nobody_provisioned_says_so_and_what_to_do(
        self, api: Stage, configured: Callable[..., None], method: str, path: str, mode: str
    ) -> None:
        configured(AUTH_MODE=mode)

        answer = api(method, path, fields() if method == "POST" else None)

        assert (answer.status_code, json_of(answer)["error"]) == (503, "BACKEND_UNAVAILABLE")
        assert "The stage local is not provisioned" in json_of(answer)["message"]
        assert "make run" in json_of(answer)["message"]
        assert answer.headers["Retry-After"] == "10"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/hello", "/health"])
    def test_what_needs_no_backend_is_answered_all_the_same(self, api: Stage, path: str) -> None:
        assert api("GET", path).status_code == 200

    def test_nobody_is_asked(self, api: Stage) -> None:
        # The caller's shell may be signed in to an account that this has nothing to do with.
        api("GET", "/items")

        assert aws._client.cache_info().currsize == 0

    def test_chalice_local_says_it_at_once(self, logged: Callable[[], str]) -> None:
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
def test_a_backend_that_cannot_be_reached_is_said_to_be_unavailable_and_the_log_says_why(
    api: Stage, logged: Callable[[], str], error: Exception
) -> None:
    raises(aws.dynamodb(), "Query", error)

    answer = api("GET", "/items")

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BACKEND_UNAVAILABLE")
    assert "make run" in json_of(answer)["message"]
    assert str(error) not in json_of(answer)["message"]
    assert json.dumps(str(error)) in logged()


@UNREACHABLE
def test_callers_of_a_deployed_stage_are_not_told_to_start_it(
    configured: Callable[..., None], error: Exception
) -> None:
    configured(STAGE="prod", AUTH_MODE="none")

    answered = exceptions.as_api_error(error)

    assert isinstance(answered, errors.BackendUnavailableError)
    assert answered.message == "The backend of the stage prod cannot be reached."


def test_a_table_that_is_missing_is_said_to_be_missing(api: Stage) -> None:
    boto3.client("dynamodb").delete_table(TableName=config.settings().table)

    answer = api("GET", "/items")

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BACKEND_UNAVAILABLE")
    assert "Resources of the stage local are missing" in json_of(answer)["message"]


def test_a_bucket_that_is_missing_is_said_to_be_missing(api: Stage) -> None:
    aws.s3().delete_bucket(Bucket=aws.bucket_name())

    answer = api("POST", "/imports", {"items": [{}]})

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BACKEND_UNAVAILABLE")


def test_a_queue_that_is_missing_is_said_to_be_missing(api: Stage) -> None:
    aws.sqs().delete_queue(QueueUrl=aws.queue_url())
    aws.queue_url.cache_clear()

    answer = api("POST", "/imports", {"items": [{}]})

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BACKEND_UNAVAILABLE")


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
def test_a_backend_that_is_busy_asks_to_come_again(api: Stage, code: str) -> None:
    fails(aws.dynamodb(), "TransactWriteItems", code)

    answer = api("POST", "/items", fields())

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("code", ["RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"])
def test_slow_request_to_s3_asks_to_come_again(api: Stage, code: str) -> None:
    fails(aws.s3(), "PutObject", code)

    answer = api("POST", "/imports", {"items": [{}]})

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")
    assert answer.headers["Retry-After"] == "1"
    assert json_of(answer)["message"] == "AWS did not respond in time, or throttled the request: try again in a moment."


def test_server_error_of_aws_asks_to_come_again_whatever_its_code() -> None:
    error = botocore_exceptions.ClientError(
        {"Error": {"Code": "503"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "HeadObject"
    )  # type: ignore[typeddict-item]

    assert isinstance(exceptions.as_api_error(error), errors.BusyError)


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
def test_a_backend_that_does_not_answer_in_time_asks_to_come_again(
    api: Stage, logged: Callable[[], str], error: Exception
) -> None:
    raises(aws.dynamodb(), "Query", error)

    answer = api("GET", "/items")

    assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")
    assert ENDPOINT not in json_of(answer)["message"]
    assert json.dumps(str(error)) in logged()
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "error", [RuntimeError("MARKER of what happened"), KeyError("MARKER"), RecursionError("MARKER")]
)
def test_what_nobody_foresaw_is_told_to_the_log_and_not_to_the_caller(
    api: Stage, logged: Callable[[], str], error: Exception
) -> None:
    raises(aws.dynamodb(), "Query", error)

    answer = api("GET", "/items")

    assert (answer.status_code, json_of(answer)["error"]) == (500, "INTERNAL_ERROR")
    assert b"MARKER" not in answer.body
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    lines = logged()
    assert "MARKER" in lines
    assert "Traceback" in lines
    assert json_of(answer)["requestId"] in lines


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceInUseException", ""])
def test_any_other_answer_of_aws_is_an_error_of_ours(api: Stage, logged: Callable[[], str], code: str) -> None:
    fails(aws.dynamodb(), "Query", code)

    answer = api("GET", "/items")

    assert (answer.status_code, json_of(answer)["error"]) == (500, "INTERNAL_ERROR")
    assert b"provoked" not in answer.body
    assert "provoked" in logged()


@pytest.mark.parametrize(
    ("operation", "method", "body"),
    [("GetItem", "GET", None), ("PutItem", "PATCH", {"a": 1}), ("DeleteItem", "DELETE", None)],
)
def test_an_error_of_the_store_that_is_no_conflict_is_not_tried_again(
    api: Stage, operation: str, method: str, body: object
) -> None:
    item = api.item()
    fails(aws.dynamodb(), operation, "ValidationException", times=1)

    assert api(method, f"/items/{item['id']}", body).status_code == 500


def test_objects_that_may_not_be_read_are_no_missing_ones(api: Stage) -> None:
    fails(aws.s3(), "GetObject", "AccessDenied")

    with pytest.raises(botocore_exceptions.ClientError):
        bucket.read("uploads/vase.png")


class TestCheck:
    def test_a_backend_that_answers_needs_no_word(self, logged: Callable[[], str]) -> None:
        chalice_local.warn_without_backend()

        assert logged() == ""

    def test_one_that_does_not_is_named_with_what_to_do(self, logged: Callable[[], str]) -> None:
        raises(aws.dynamodb(), "DescribeTable", botocore_exceptions.EndpointConnectionError(endpoint_url=ENDPOINT))

        chalice_local.warn_without_backend()

        assert "The backend of the stage local cannot be reached" in logged()

    def test_missing_resources_are_named_with_what_to_do(self) -> None:
        boto3.client("dynamodb").delete_table(TableName=config.settings().table)

        problem = exceptions.backend_problem()

        assert problem is not None
        assert "make run" in problem

    @pytest.mark.parametrize("code", ["UnrecognizedClientException", "ExpiredTokenException", "AccessDeniedException"])
    def test_chalice_local_starts_whatever_the_shells_credentials_are_good_for(
        self, logged: Callable[[], str], code: str
    ) -> None:
        fails(aws.dynamodb(), "DescribeTable", code)

        chalice_local.warn_without_backend()

        assert logged() != ""
