"""The services that invoke the app's functions, such as API Gateway, Lambda and EventBridge, and DynamoDB's TTL.

The limits are the deployed ones: timeouts from ``.chalice/config.json``, the queues from ``infra/resources.json``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import app
from chalicelib import aws
from chalicelib.aws import webhook_master_key
from tests.simulation.dynamodb import DynamoDB, Write
from tests.simulation.faults import Faults
from tests.simulation.s3 import Put
from tests.simulation.sqs import QueueSettings
from tests.simulation.timeline import HOUR, Process, Timeline

_PROJECT = Path(__file__).parents[2]
_functions = json.loads((_PROJECT / ".chalice" / "config.json").read_text())["lambda_functions"]
TIMEOUTS = {name: float(settings["lambda_timeout"]) for name, settings in _functions.items()}

_resources = json.loads((_PROJECT / "infra" / "resources.json").read_text())["Resources"]


def _queue_settings() -> dict[str, QueueSettings]:
    """Return the settings of the stage's queues by name. A dead-letter queue is a queue too."""
    queues = {id_: one["Properties"] for id_, one in _resources.items() if one["Type"] == "AWS::SQS::Queue"}
    found = {}
    for queue in queues.values():
        redrive = queue.get("RedrivePolicy")
        dead = queues[redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]] if redrive else queue
        found[queue["QueueName"]["Fn::Sub"].replace("${Stage}", STAGE)] = QueueSettings(
            float(queue.get("VisibilityTimeout", 30)),
            float(redrive["maxReceiveCount"]) if redrive else float("inf"),
            float(queue["MessageRetentionPeriod"]),
            float(dead["MessageRetentionPeriod"]),
        )
    return found


STAGE = "local"
JOBS, DELIVERIES, EVENTS_DEAD = (f"vitrine-{STAGE}-{name}" for name in ("jobs", "deliveries", "events-dead"))
QUEUES = _queue_settings()


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

    def run(self, function: str, event: Any, on_end: Callable[[Process], None] | None = None) -> Process:
        """Start an invocation, which ends at its timeout at the latest."""
        self._runs += 1
        context = Context(function, self._timeline, f"run-{self._runs}")
        handler = app.app if function == "api_handler" else app.app.handler_map[function]
        return self._timeline.start(
            f"{function}-{self._runs}", lambda: self._work(handler, event, context), TIMEOUTS[function], on_end
        )

    def _work(self, handler: Callable[..., Any], event: Any, context: Context) -> Any:
        self._timeline.pause(self._faults.latency())
        if self._timeline.chance.random() < 0.2:
            # A cold start: a new process without any state.
            aws.queue_url.cache_clear()
            webhook_master_key.read.cache_clear()
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
        all_headers = {"content-type": "application/json", **headers} if body is not None else headers
        query_parameters = dict(part.split("=", 1) for part in query.split("&")) if query else None
        return {
            "requestContext": {
                "httpMethod": method,
                "resourcePath": resource,
                "path": f"/api{bare}",
                "requestId": f"request-{self._requests}",
                "authorizer": {"principalId": owner, "expiresAt": "4102444800"},
            },
            "headers": all_headers,
            "multiValueHeaders": {name: [value] for name, value in all_headers.items()},
            "pathParameters": parameters,
            "stageVariables": None,
            "queryStringParameters": query_parameters,
            "multiValueQueryStringParameters": query_parameters
            and {name: [value] for name, value in query_parameters.items()},
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
        }


class _End:
    """The end of a process, to wait for."""

    def __init__(self, process: Process, timeline: Timeline) -> None:
        self.watchers: list[Any] = []
        self._process = process
        process.on_end = lambda _: timeline.wake(self.watchers)

    def done(self) -> bool:
        return self._process.has_ended


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
    """Asynchronous invocations: of on_upload by EventBridge, with events that may be late, repeated, reordered or lost.

    Others are the operator's, who sends failed events back.
    """

    def __init__(self, timeline: Timeline, functions: Lambda, faults: Faults) -> None:
        self._timeline = timeline
        self._lambda = functions
        self._faults = faults
        self.failed: list[tuple[str, dict[str, Any]]] = []
        """Events that failed three times, each with its function: they are in the queue of failed events."""
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
        self.deliver("on_upload", event, self._delay())
        if self._faults.happens(self._faults.events_strange):
            self.deliver("on_upload", event, self._delay())

    def redrive(self) -> None:
        """Send the failed events again, as the operator does."""
        back, self.failed = self.failed, []
        for function, event in back:
            self.deliver(function, event, 0)

    def deliver(self, function: str, event: dict[str, Any], seconds: float, attempt: int = 1) -> None:
        """Invoke a function with an event, up to three times (AWS, "Asynchronous invocation")."""

        def on_end(run: Process) -> None:
            if run.error is None:
                return
            if attempt == 3:
                self._timeline.note("event failed", function, event.get("id"))
                self.failed.append((function, event))
            else:
                self.deliver(function, event, 60 * attempt, attempt + 1)

        self._timeline.later(seconds, lambda: self._run(function, event, on_end))

    def _run(self, function: str, event: dict[str, Any], on_end: Callable[[Process], None]) -> None:
        self._lambda.run(function, event, on_end)

    def _delay(self) -> float:
        if self._faults.happens(self._faults.events_strange):
            return self._timeline.chance.choice((5, 60, 900, 2700, 4 * HOUR)) * self._timeline.chance.random()
        return self._timeline.chance.uniform(0.05, 1)


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
        def on_end(run: Process) -> None:
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
        self._lambda.run("clean_up", event, on_end)


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
