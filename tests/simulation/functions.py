"""The services that invoke the app's functions, such as API Gateway, Lambda and EventBridge, and DynamoDB's TTL.

The limits are the deployed ones: timeouts from ``.chalice/config.json``, the queue from ``infra/resources.json``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import app
from chalicelib import aws, config
from tests.simulation.dynamodb import DynamoDB, Write
from tests.simulation.faults import Faults
from tests.simulation.s3 import Put
from tests.simulation.sqs import SQS, Message
from tests.simulation.timeline import HOUR, Process, Timeline

CONCURRENCY = 5
"""Concurrent invocations of the consumer (``ScalingConfig`` in ``infra/package.json``)."""

_PROJECT = Path(__file__).parents[2]
_functions = json.loads((_PROJECT / ".chalice" / "config.json").read_text())["lambda_functions"]
TIMEOUTS = {name: float(settings["lambda_timeout"]) for name, settings in _functions.items()}

_resources = json.loads((_PROJECT / "infra" / "resources.json").read_text())["Resources"]
_queue, _dead = _resources["Queue"]["Properties"], _resources["DeadLetterQueue"]["Properties"]
QUEUE = {
    "visibility_timeout": float(_queue["VisibilityTimeout"]),
    "max_receive_count": float(_queue["RedrivePolicy"]["maxReceiveCount"]),
    "retention": float(_queue["MessageRetentionPeriod"]),
    "dead_retention": float(_dead["MessageRetentionPeriod"]),
}


class Answer(NamedTuple):
    """A response to a client. Its status is None if the client gets none."""

    status: int | None
    headers: dict[str, str]
    body: Any
    run: str
    """The invocation of api_handler that made it, as the trace names it."""


class Context:
    """The Lambda context of an invocation."""

    memory_limit_in_mb = "1769"
    invoked_function_arn = "arn"
    function_version = "$LATEST"

    def __init__(self, function_name: str, timeline: Timeline, request_id: str) -> None:
        self.function_name = function_name
        self.aws_request_id = request_id
        self._timeline = timeline
        self._ends = timeline.now + TIMEOUTS[function_name]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the invocation is killed."""
        return max(0, int((self._ends - self._timeline.now) * 1000))


class Lambda:
    """Invoke functions, each invocation in a new process."""

    def __init__(self, timeline: Timeline, faults: Faults) -> None:
        self._timeline = timeline
        self._faults = faults
        self._runs = 0

    def run(self, function: str, event: Any, ended: Callable[[Process], None] | None = None) -> Process:
        """Start an invocation, which ends at its timeout at the latest."""
        self._runs += 1
        context = Context(function, self._timeline, f"run-{self._runs}")
        handler = app.app if function == "api_handler" else app.app.handler_map[function]
        return self._timeline.start(
            f"{function}-{self._runs}", lambda: self._work(handler, event, context), TIMEOUTS[function], ended
        )

    def _work(self, handler: Callable[..., Any], event: Any, context: Context) -> Any:
        self._timeline.pause(self._faults.latency())
        if self._timeline.chance.random() < 0.2:
            aws.queue_url.cache_clear()  # A cold start: a new process without any state.
        return handler(event, context)


class ApiGateway:
    """Invoke the API function for requests, and return the responses that a client receives."""

    def __init__(self, timeline: Timeline, functions: Lambda, faults: Faults) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self._requests = 0

    def ask(
        self, owner: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request as ``owner`` from a client's task. A status of None means that no response arrived."""
        self._requests += 1
        event = self._event(owner, method, path, body, headers or {})
        run = self._lambda.run("api_handler", event)
        self._timeline.wait(_End(run, self._timeline))
        if run.error is not None:
            # API Gateway's own response if the function has none.
            return Answer(502, {}, {"error": "INTERNAL_ERROR"}, run.name)
        if self._faults.happens(self._faults.rate / 2):
            self._timeline.note("no answer", method, path)
            return Answer(None, {}, None, run.name)
        self._timeline.note("answer", method, path, run.value["statusCode"])
        text = run.value["body"]
        return Answer(
            run.value["statusCode"], run.value.get("headers", {}), json.loads(text) if text else None, run.name
        )

    def _event(self, owner: str, method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        bare, _, query = path.partition("?")
        resource, parameters = _resource(bare)
        said = {"content-type": "application/json", **headers} if body is not None else headers
        asked = dict(part.split("=", 1) for part in query.split("&")) if query else None
        return {
            "requestContext": {
                "httpMethod": method,
                "resourcePath": resource,
                "path": f"/api{bare}",
                "requestId": f"request-{self._requests}",
                "authorizer": {"principalId": owner, "expiresAt": "4102444800"},
            },
            "headers": said,
            "multiValueHeaders": {name: [value] for name, value in said.items()},
            "pathParameters": parameters,
            "stageVariables": None,
            "queryStringParameters": asked,
            "multiValueQueryStringParameters": asked and {name: [value] for name, value in asked.items()},
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
        }


class _End:
    """The end of a process, to wait for."""

    def __init__(self, process: Process, timeline: Timeline) -> None:
        self.watchers: list[Any] = []
        self._process = process
        process.ended = lambda _: timeline.wake(self.watchers)

    def done(self) -> bool:
        return self._process.over


@functools.cache
def _resource(path: str) -> tuple[str, dict[str, str] | None]:
    """Return the route of a path, and its parameters."""
    parts = path.strip("/").split("/")
    for resource in sorted(app.app.routes):  # a name comes before a parameter
        names = resource.strip("/").split("/")
        if len(names) == len(parts) and all(
            name in (part, f"{{{name[1:-1]}}}") for name, part in zip(names, parts, strict=True)
        ):
            found = {name[1:-1]: part for name, part in zip(names, parts, strict=True) if name.startswith("{")}
            return resource, found or None
    raise LookupError(path)


class Events:
    """EventBridge: sends events of uploads to on_upload, which may be late, repeated, reordered or lost."""

    def __init__(self, timeline: Timeline, functions: Lambda, faults: Faults) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self.failed: list[dict[str, Any]] = []
        """Events that failed three times: the queue of failed events."""
        self.lost: set[str] = set()
        """Sequencers of the objects whose events were lost."""

    def put(self, put: Put) -> None:
        """Send the event of an object, or lose it."""
        if not put.key.startswith("uploads/"):
            return
        if self._faults.happens(self._faults.events_lost):
            self._timeline.note("event lost", put.key)
            self.lost.add(put.sequencer)
            return
        event = {
            "version": "0",
            "id": f"event-{put.sequencer}",
            "source": "aws.s3",
            "detail-type": "Object Created",
            "account": "000000000000",
            "time": "",
            "region": "us-east-1",
            "resources": [],
            "detail": {
                "bucket": {"name": aws.bucket_name()},
                "object": {
                    "key": put.key,
                    "size": len(put.data),
                    "sequencer": put.sequencer,
                    "etag": put.etag.strip('"'),
                },
            },
        }
        self.deliver(event, self._delay())
        if self._faults.happens(self._faults.events_strange):
            self.deliver(event, self._delay())

    def redrive(self) -> None:
        """Send the failed events again, as the operator does."""
        back, self.failed = self.failed, []
        for event in back:
            self.deliver(event, 0)

    def deliver(self, event: dict[str, Any], seconds: float, attempt: int = 1) -> None:
        """Invoke on_upload with an event, up to three times (AWS, "Asynchronous invocation")."""

        def ended(run: Process) -> None:
            if run.error is None:
                return
            if attempt == 3:
                self._timeline.note("event failed", event["id"])
                self.failed.append(event)
            else:
                self.deliver(event, 60 * attempt, attempt + 1)

        self._timeline.later(seconds, lambda: self._run(event, ended))

    def _run(self, event: dict[str, Any], ended: Callable[[Process], None]) -> None:
        self._lambda.run("on_upload", event, ended)

    def _delay(self) -> float:
        if self._faults.happens(self._faults.events_strange):
            return self._timeline.chance.choice((5, 60, 900, 2700, 4 * HOUR)) * self._timeline.chance.random()
        return self._timeline.chance.uniform(0.05, 1)


class Mapping:
    """The event source mapping: passes batches from the queue to on_messages."""

    def __init__(self, timeline: Timeline, functions: Lambda, faults: Faults, sqs: SQS) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self._sqs = sqs
        self._running = 0
        sqs.on_visible = self._on_visible  # type: ignore[method-assign]

    def _on_visible(self, message: Message, seconds: float) -> None:
        self._timeline.later(seconds + self._timeline.chance.uniform(0, 0.3), self._poll)

    def _poll(self) -> None:
        if self._running >= CONCURRENCY:
            return
        waiting = self._sqs.visible()
        if not waiting:
            return
        self._timeline.chance.shuffle(waiting)
        batch = [self._sqs.receive(message) for message in waiting[: self._timeline.chance.randint(1, 10)]]
        for message in batch:
            if self._faults.happens(self._faults.events_strange / 10):
                self._deliver_again(message)
        self._running += 1
        self._timeline.note("batch", *(message.id for message in batch))
        receipts = {message.id: message.receipt for message in batch}
        self._lambda.run("on_messages", _event(batch), lambda run: self._ended(run, receipts))
        if len(waiting) > len(batch):
            self._timeline.later(self._timeline.chance.uniform(0, 0.3), self._poll)

    def _ended(self, run: Process, receipts: dict[str, str]) -> None:
        self._running -= 1
        self._timeline.later(0.01, self._poll)
        if run.error is not None:
            self._timeline.note("batch failed", run.error)
            return
        failed: set[str] = set()
        if config.settings().report_batch_item_failures and run.value:
            failed = {one["itemIdentifier"] for one in run.value["batchItemFailures"]}
        for id_, receipt in receipts.items():
            if id_ not in failed and not self._faults.happens(self._faults.rate / 10):
                self._sqs.delete_message(QueueUrl="", ReceiptHandle=receipt)

    def _deliver_again(self, message: Message) -> None:
        """Deliver a deleted message again: a standard queue may do that (AWS, "At-least-once delivery")."""

        def again() -> None:
            self._timeline.note("delivered again", message.id)
            self._sqs.messages[message.id] = message
            message.visible_at = self._timeline.now
            self._on_visible(message, 0)

        if message.receives < self._sqs.max_receive_count:
            self._timeline.later(self._timeline.chance.choice((1, 30, 600)) * self._timeline.chance.random(), again)


def _event(batch: list[Message]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    "SentTimestamp": str(int(message.sent_at * 1000)),
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": "us-east-1",
            }
            for message in batch
        ]
    }


class Schedule:
    """Runs the cleanup every hour. An hour in which nothing is due is skipped: nothing would happen."""

    def __init__(self, timeline: Timeline, functions: Lambda, dynamodb: DynamoDB) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._dynamodb = dynamodb
        self._swept = timeline.now
        self.runs = 0

    def next_at(self) -> float | None:
        """Return when the cleanup runs next, or None if nothing will ever be due."""
        due = self._dynamodb.first_due()
        if due is None:
            return None
        hours = math.ceil((due - self._timeline.skew - self._swept) / HOUR)
        return self._swept + max(1, hours) * HOUR

    def run(self) -> None:
        """Run the cleanup, if anything is due."""
        self._swept = self._timeline.now
        self.runs += 1
        self._sweep(1)

    def _sweep(self, attempt: int) -> None:
        def ended(run: Process) -> None:
            if run.error is not None and attempt < 3:
                self._timeline.later(60 * attempt, lambda: self._sweep(attempt + 1))

        event = {
            "version": "0",
            "id": "schedule",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "",
            "time": "",
            "region": "",
            "resources": [],
            "detail": {},
        }
        self._lambda.run("clean_up", event, ended)


class TimeToLive:
    """DynamoDB's TTL: deletes expired records at any time within days, in any order."""

    def __init__(self, timeline: Timeline, dynamodb: DynamoDB) -> None:
        self._timeline = timeline
        self._dynamodb = dynamodb

    def watch(self, writes: list[Write]) -> None:
        """Schedule the deletion of written records that have a ``ttl``."""
        for write in writes:
            self._watch(write)

    def _watch(self, write: Write) -> None:
        if write.new is None or "ttl" not in write.new:
            return
        until = float(write.new["ttl"]["N"]) - self._timeline.wall()
        late = self._timeline.chance.choice((0, HOUR, 24 * HOUR, 96 * HOUR)) * self._timeline.chance.random()
        pk, sk = write.pk, write.sk
        self._timeline.later(until + late, lambda: self._dynamodb.expire(pk, sk, self._timeline.wall()))
