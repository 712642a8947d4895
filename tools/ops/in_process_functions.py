"""The functions of app.py: what invokes each, a sample of its event, and how to run it in this process."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chalice import app as chalice_app
from chalice.local import LambdaContext

from chalicelib.aws import dynamodb_json, table
from chalicelib.catalogue.webhooks import TEST_EVENT
from chalicelib.config import LOCAL, settings
from chalicelib.values import exact_json, ids, times
from tools.openapi.examples import ExamplesByModel
from tools.ops.deployed_stage import API_HANDLER, Stage
from tools.stage import chalice_config, provision
from tools.stage.errors import StageError

_A_DAY = 24 * 60 * 60 * 1000  # milliseconds: a function that waits at a breakpoint does not run out of time
_MEMORY = 1769  # MB, with which Lambda gives a function one core (AWS, "Configure Lambda function memory")
_FILE = "photo.jpg"

_Handler = Callable[[Any, LambdaContext], Any]


class AppFunction(NamedTuple):
    """A function of app.py."""

    name: str
    handler: _Handler
    description: str
    """The first line of its docstring."""
    source: Any
    """Chalice's description of what invokes it, or None."""

    def run(self, event: Any) -> Any:
        """Run it in this process with ``event``, and return its result. Its time limit is a day."""
        return self.handler(event, LambdaContext(self.name, _MEMORY, _A_DAY))

    def sample(self, stage: Stage, at: datetime) -> Any:
        """Return an event as AWS sends it to this function of ``stage``, without fields that Chalice does not read."""
        match self.source:
            case chalice_app.SQSEventConfig():
                return _batch(self.source.queue, _message_for(self.source.queue, stage, at), at)
            case chalice_app.DynamoDBEventConfig():
                return _new_item(stage, at)
            case chalice_app.CloudWatchEventConfig():
                return _envelope(at) | _matching(self.source.event_pattern, stage)
            case chalice_app.ScheduledEventConfig():
                return _envelope(at) | {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
            case chalice_app.BuiltinAuthConfig():
                return {"type": "TOKEN", "authorizationToken": "Bearer TOKEN", "methodArn": _method_arn(stage)}
            case None:
                return _request(at)
            case _:
                raise StageError(f"There is no sample for {self.name}, which {type(self.source).__name__} describes.")


def load(stage: str) -> dict[str, AppFunction]:
    """Load app.py with the settings of ``stage``, and return its functions by name. Raise StageError if that fails.

    If the process has other settings, it runs its command again with those of the stage.
    """
    variables = chalice_config.environment(provision.PROJECT_DIR, stage)
    # The command has set the AWS variables already, with absolute paths.
    own = {name: value for name, value in variables.items() if not name.startswith("AWS_")}
    if not own.items() <= os.environ.items():
        # Modules that are imported already have read the settings: start again with those of the stage.
        os.execve(sys.executable, [sys.executable, "-m", "tools.ops", *sys.argv[1:]], os.environ | own)  # noqa: S606
    sys.path.insert(0, str(provision.PROJECT_DIR))
    try:
        app = importlib.import_module("app")
    except Exception as error:
        raise StageError(f"app.py does not load: {type(error).__name__}: {error}") from error
    described = [*app.app.event_sources, *app.app.builtin_auth_handlers, *app.app.pure_lambda_functions]
    found = {}
    for source in described:
        name = source.handler_string.rpartition(".")[2]
        handler = getattr(app, name)
        found[name] = AppFunction(name, handler, _summary(handler), source)
    return found | {API_HANDLER: AppFunction(API_HANDLER, app.app, "Respond to an HTTP request.", None)}


def _summary(handler: Any) -> str:
    return (getattr(handler, "func", handler).__doc__ or "").strip().partition("\n")[0]


def _envelope(at: datetime) -> dict[str, Any]:
    """Return the fields of an event of EventBridge (AWS, "EventBridge event structure")."""
    return {
        "version": "0",
        "id": ids.new_id(int(at.timestamp() * 1000)),
        "account": "000000000000",
        "time": times.format_time(at),
        "region": "us-east-1",
        "resources": [],
    }


def _matching(pattern: Any, stage: Stage) -> Any:
    """Return a value that matches an event pattern (AWS, "Creating Amazon EventBridge event patterns")."""
    if isinstance(pattern, Mapping):
        return {name: _matching(below, stage) for name, below in pattern.items()}
    first = pattern[0]
    prefix = first.get("prefix") if isinstance(first, Mapping) else None
    if prefix is None:
        return first
    return stage.bucket if prefix and stage.bucket.startswith(prefix) else f"{prefix}{_FILE}"


def _new_item(stage: Stage, at: datetime) -> dict[str, Any]:
    """Return a batch of one record of the table's stream (AWS, "Using AWS Lambda with Amazon DynamoDB")."""
    id_ = ids.new_id(times.unix_ms(at))
    key = table.Key(_owner(stage), "ITEM", id_).attributes
    fields = exact_json.from_json(exact_json.to_json(_fields()))  # DynamoDB has no floats
    item = {"version": 1, "createdAt": times.format_time(at), "updatedAt": times.format_time(at), "fields": fields}
    record = {
        "eventID": id_,
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": f"arn:aws:dynamodb:us-east-1:000000000000:table/vitrine-{stage.name}/stream/sample",
        "dynamodb": {
            "ApproximateCreationDateTime": int(at.timestamp()),
            "Keys": key,
            "NewImage": key | {name: dynamodb_json.serialize(value) for name, value in item.items()},
            "SequenceNumber": "1",
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }
    return {"Records": [record]}


def _owner(stage: Stage) -> str:
    return LOCAL if stage.name == LOCAL else "somebody"


def _fields() -> Any:
    return ExamplesByModel().of("ItemFields").get("forGood", {})


def _message_for(queue: str | None, stage: Stage, at: datetime) -> dict[str, Any]:
    if queue != settings().queue_name("deliveries"):
        return {"type": "item.create", "owner": _owner(stage), "item": _fields()}
    event = {"id": ids.new_id(times.unix_ms(at)), "type": TEST_EVENT, "data": {}}
    return {"owner": _owner(stage), "webhookId": ids.new_id(times.unix_ms(at)), "event": event}


def _batch(queue: str | None, message: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return a batch of one message (AWS, "Using Lambda with Amazon SQS")."""
    milliseconds = str(int(at.timestamp() * 1000))
    record = {
        "messageId": ids.new_id(int(milliseconds)),
        "receiptHandle": "sample",
        "body": exact_json.to_json(message).decode(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": milliseconds,
            "ApproximateFirstReceiveTimestamp": milliseconds,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


def _method_arn(stage: Stage) -> str:
    return f"arn:aws:execute-api:us-east-1:000000000000:api/{stage.name}/GET/items"


def _request(at: datetime) -> dict[str, Any]:
    """Return a request as API Gateway's REST API passes it on (AWS, "Set up Lambda proxy integrations")."""
    headers = {"Accept": "application/json", "Host": "api.example"}
    return {
        "resource": "/hello",
        "path": "/hello",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"name": "Ann"},
        "multiValueQueryStringParameters": {"name": ["Ann"]},
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/hello",
            "httpMethod": "GET",
            "path": "/api/hello",
            "stage": "api",
            "requestId": ids.new_id(int(at.timestamp() * 1000)),
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": None,
        "isBase64Encoded": False,
    }
