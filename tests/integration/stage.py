"""Invoke the app as API Gateway, EventBridge, the queue and the schedule do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from chalice.config import Config
from chalice.local import LambdaContext, LocalGateway
from chalice.test import Client, HTTPResponse

import app
from chalicelib import aws, config
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import models, validation
from chalicelib.values import exact_json
from tests import builders
from tests.integration.calls import RECORDER

OWNER = "local"


class Stage:
    """Invoke the app in every way, and read what it leaves in its table, bucket and queue."""

    def __init__(self, folder: Path) -> None:
        # A folder without Chalice's configuration, so that the environment variables of the test apply.
        self._client = Client(app.app, project_dir=str(folder))
        self._gateway = LocalGateway(app.app, Config.create())
        self.sequencers: dict[str, str] = {}
        """The sequencer in the event of the last object put at each key (see ``chalicelib/aws/bucket.py``)."""
        self.etags: dict[str, str] = {}
        """The entity tags of these objects, by key."""

    # ------------------------------------------------------------------------------------------------------------ HTTP

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        """Send a request. A body that is not bytes is sent as JSON, ``if_match="…"`` as the header If-Match."""
        data, sent_headers = _encode(body, headers)
        return self._client.http.request(method, path, headers=sent_headers, body=data)

    def event(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Return the event for a request, as API Gateway sends it."""
        data, sent_headers = _encode(body, headers)
        event = self._gateway.event_converter.create_lambda_event(method, path, sent_headers, data)
        event["requestContext"] |= {"requestId": str(uuid.uuid4()), "path": f"/api{path.partition('?')[0]}"}
        return {**event, "body": data.decode(), "isBase64Encoded": False}

    def handle(self, event: dict[str, Any]) -> HTTPResponse:
        """Return the response to an event of API Gateway."""
        return HTTPResponse.create_from_dict(app.app(event, context("api_handler")))

    def signed_in(self, owner: str, until: str = "4102444800") -> Callable[..., HTTPResponse]:
        """Return a function that sends requests as ``owner``, whose token expires at ``until``, in Unix seconds."""

        def ask(method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
            event = self.event(method, path, body, **headers)
            event["requestContext"]["authorizer"] = {"principalId": owner, "expiresAt": until}
            return self.handle(event)

        return ask

    def item(self, **fields: Any) -> dict[str, Any]:
        """Create an item, and return it as the API does."""
        answer = self("POST", "/items", builders.fields(**fields))
        assert answer.status_code == 201, answer.body
        return json_of(answer)

    def read(self, id_: str) -> dict[str, Any]:
        """Return an item from the API."""
        answer = self("GET", f"/items/{id_}")
        assert answer.status_code == 200, answer.body
        return json_of(answer)

    # --------------------------------------------------------------------------------------------------------- uploads

    def webhook(self, url: str = "https://hooks.example.com/", **fields: Any) -> dict[str, Any]:
        """Create a webhook for all events, and return it with its secret, as the API does."""
        answer = self("POST", "/webhooks", {"url": url, "events": ["*"], **fields})
        assert answer.status_code == 201, answer.body
        return json_of(answer)

    def id_for(self, path: str) -> str:
        """Create what the route at ``path`` can change, with a picture if it needs one, and return its id."""
        if "{webhook_id}" in path:
            return str(self.webhook()["id"])
        item_id: str = self.item()["id"]
        if path.endswith("/image"):
            self.picture(item_id, builders.jpeg(64, 48))
        return item_id

    def ticket(self, item_id: str, content_type: str = "image/jpeg") -> str:
        """Request an upload ticket, and return its key."""
        answer = self("POST", f"/items/{item_id}/image", {"contentType": content_type})
        assert answer.status_code == 201, answer.body
        key: str = json_of(answer)["upload"]["fields"]["key"]
        return key

    def put(self, key: str, data: bytes) -> str:
        """Put an object without delivering its event, and return the key."""
        put = aws.s3().put_object(Bucket=aws.bucket_name(), Key=key, Body=data)
        self.etags[key] = put["ETag"].strip('"')
        self.sequencers[key] = f"{int(self.sequencers.get(key, '0'), 16) + 1:018X}"
        return key

    def notice(self, key: str, bucket: str | None = None, sequencer: str | None = None) -> None:
        """Deliver the event of the last object put at ``key``, or of the one with another ``sequencer``."""
        put = {"key": key, "size": 1, "sequencer": sequencer or self.sequencers.get(key, "0")}
        put["etag"] = self.etags.get(key, "d41d8cd98f00b204e9800998ecf8427e")
        detail = {"bucket": {"name": bucket or aws.bucket_name()}, "object": put}
        event = self._client.events.generate_cw_event("aws.s3", "Object Created", detail, [], region="us-east-1")
        run("on_upload", event)

    def upload(self, item_id: str, data: bytes) -> str:
        """Upload a picture to an item, deliver its event, and return its key."""
        key = self.put(self.ticket(item_id), data)
        self.notice(key)
        return key

    def picture(self, item_id: str, data: bytes) -> str:
        """Upload a picture to an item, render it, and return its key."""
        key = self.upload(item_id, data)
        self.work()
        return key

    def thumbnails(self, key: str) -> list[str]:
        """Return the keys of the thumbnails of the last object put at an upload's key."""
        upload = Upload.from_key(key)
        assert upload is not None
        return [
            upload.thumbnail_key(size, self.sequencers[key], self.etags[key])
            for size in config.settings().thumbnail_sizes
        ]

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys in the bucket."""
        found = aws.s3().list_objects_v2(Bucket=aws.bucket_name(), Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    # ----------------------------------------------------------------------------------------------------------- queue

    def send(self, *bodies: str | dict[str, Any]) -> None:
        """Send messages to the queue, as another producer would."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            aws.sqs().send_message(QueueUrl=aws.queue_url("jobs"), MessageBody=text)

    def receive(self) -> list[dict[str, Any]]:
        """Receive up to ten messages, and leave them in flight."""
        queue = aws.queue_url("jobs")
        answer = aws.sqs().receive_message(QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"])
        return [dict(message) for message in answer.get("Messages", [])]

    def work(self) -> None:
        """Run the consumer until the queue is empty. No message may fail."""
        while messages := self.receive():
            assert run("on_messages", batch(messages)) is None
            for message in messages:
                aws.sqs().delete_message(QueueUrl=aws.queue_url("jobs"), ReceiptHandle=message["ReceiptHandle"])

    def drop(self) -> list[dict[str, Any]]:
        """Delete all messages from the queue, and return their bodies."""
        lost = []
        while messages := self.receive():
            lost += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                aws.sqs().delete_message(QueueUrl=aws.queue_url("jobs"), ReceiptHandle=message["ReceiptHandle"])
        return lost

    def on_queue(self) -> int:
        """Return the number of messages in the queue, including those in flight."""
        queue = aws.queue_url("jobs")
        attributes = aws.sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(attributes[name]) for name in names)

    # ----------------------------------------------------------------------------------------------------------- table

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the records of a kind, in DynamoDB's JSON."""
        found = aws.dynamodb().scan(TableName=config.settings().table)["Items"]
        return [record for record in found if record["sk"]["S"].startswith(kind)]


def json_of(answer: HTTPResponse) -> Any:
    """Return the JSON of a response, with exact numbers."""
    return exact_json.from_json(answer.body)


def run(function: str, event: dict[str, Any], milliseconds: int = 60_000) -> Any:
    """Run one of the event functions with this time limit."""
    with RECORDER.runs(function):
        return app.app.handler_map[function](event, context(function, milliseconds))


def context(function: str, milliseconds: int = 60_000) -> LambdaContext:
    return LambdaContext(function, memory_size=512, max_runtime_ms=milliseconds)


def batch(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the event for received messages, as the event source mapping sends it."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{config.settings().queue_name('jobs')}",
                "awsRegion": "us-east-1",
            }
            for message in messages
        ]
    }


def fails(client: Any, operation: str, code: str, times: int = 1_000_000, **details: Any) -> None:
    """Make the next ``times`` calls of an operation fail with an error code."""
    left = times

    def refuse(**_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        nonlocal left
        left -= 1
        if left < 0:
            return None
        meta = {"HTTPStatusCode": 400, "RequestId": "provoked", "HTTPHeaders": {}, "RetryAttempts": 0}
        parsed = {"Error": {"Code": code, "Message": "provoked"}, "ResponseMetadata": meta, **details}
        return AWSResponse("https://aws.invalid", 400, {}, None), parsed

    _before(client, operation, refuse)


def answers(client: Any, operation: str, answer: dict[str, Any]) -> None:
    """Make all calls of an operation return this response."""
    meta = {"HTTPStatusCode": 200, "RequestId": "provoked", "HTTPHeaders": {}, "RetryAttempts": 0}
    both = AWSResponse("https://aws.invalid", 200, {}, None), {"ResponseMetadata": meta, **answer}
    _before(client, operation, lambda **_: both)


def raises(client: Any, operation: str, error: Exception) -> None:
    """Make all calls of an operation raise an exception."""

    def refuse(**_: Any) -> None:
        raise error

    _before(client, operation, refuse)


def meanwhile(client: Any, operation: str, act: Callable[[], object], event: str = "before-call") -> None:
    """Call ``act`` once, before the next call of an operation, or ``after-call``."""
    acted = False

    def step(**_: Any) -> None:
        nonlocal acted
        if not acted:
            acted = True
            with RECORDER.paused():
                act()

    provoke(client, operation, step, event)


def remove_faults() -> None:
    """Remove everything that :func:`provoke` has registered."""
    while _faults:
        events, name, do = _faults.pop()
        events.unregister(name, do)


_faults: list[tuple[Any, str, Callable[..., Any]]] = []


def _before(client: Any, operation: str, do: Callable[..., Any]) -> None:
    provoke(client, operation, do, "before-call")


def provoke(client: Any, operation: str, do: Callable[..., Any], event: str) -> None:
    """Call ``do`` with each call of an operation: ``before-call`` or ``after-call``."""
    name = f"{event}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register_first(name, do)
    _faults.append((client.meta.events, name, do))


def item_input(**body: Any) -> models.ItemInput:
    """Return validated fields of an item."""
    return validation.validate_item(builders.fields(**body))


def _encode(body: Any, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return b"", sent_headers
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return data, {"content-type": "application/json", **sent_headers}
