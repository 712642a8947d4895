"""The app with what stands around it in AWS, played by the book: API Gateway, EventBridge, the queue's mapping."""

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
    """Every way into the app, and what it leaves in its table, bucket and queue."""

    def __init__(self, folder: Path) -> None:
        # In a folder without Chalice's configuration: what a test sets in the environment is what counts.
        self._client = Client(app.app, project_dir=str(folder))
        self._gateway = LocalGateway(app.app, Config.create())
        self.sequencers: dict[str, str] = {}
        """What S3 says in the event of the last object put at each key: of two, the later has the greater one."""
        self.etags: dict[str, str] = {}
        """The entity tags of these objects."""

    # ------------------------------------------------------------------------------------------------------------ HTTP

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        """Asks for ``path``; a body that is not bytes is sent as JSON, ``if_match="…"`` as the header If-Match."""
        data, said = _sent(body, headers)
        return self._client.http.request(method, path, headers=said, body=data)

    def event(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The event that API Gateway makes of a request."""
        data, said = _sent(body, headers)
        event = self._gateway.event_converter.create_lambda_event(method, path, said, data)
        event["requestContext"] |= {"requestId": str(uuid.uuid4()), "path": f"/api{path.partition('?')[0]}"}
        return {**event, "body": data.decode(), "isBase64Encoded": False}

    def handle(self, event: dict[str, Any]) -> HTTPResponse:
        """Answers an event of API Gateway."""
        return HTTPResponse.create_from_dict(app.app(event, context("api_handler")))

    def signed_in(self, owner: str, until: str = "4102444800") -> Callable[..., HTTPResponse]:
        """Asks as somebody whom the authorizer let in until then, in Unix seconds; left out: the year 2100."""

        def ask(method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
            event = self.event(method, path, body, **headers)
            event["requestContext"]["authorizer"] = {"principalId": owner, "expiresAt": until}
            return self.handle(event)

        return ask

    def item(self, **fields: Any) -> dict[str, Any]:
        """A new item, as the API answers it."""
        answer = self("POST", "/items", builders.fields(**fields))
        assert answer.status_code == 201, answer.body
        return json_of(answer)

    def read(self, id_: str) -> dict[str, Any]:
        """An item as it is now."""
        answer = self("GET", f"/items/{id_}")
        assert answer.status_code == 200, answer.body
        return json_of(answer)

    # --------------------------------------------------------------------------------------------------------- uploads

    def ticket(self, item_id: str, content_type: str = "image/jpeg") -> str:
        """The key that a new ticket lets its holder upload to."""
        answer = self("POST", f"/items/{item_id}/image", {"contentType": content_type})
        assert answer.status_code == 201, answer.body
        key: str = json_of(answer)["upload"]["fields"]["key"]
        return key

    def put(self, key: str, data: bytes) -> str:
        """Puts an object, whose event does not come (yet)."""
        put = aws.s3().put_object(Bucket=aws.bucket_name(), Key=key, Body=data)
        self.etags[key] = put["ETag"].strip('"')
        self.sequencers[key] = f"{int(self.sequencers.get(key, '0'), 16) + 1:018X}"
        return key

    def notice(self, key: str, bucket: str | None = None, sequencer: str | None = None) -> None:
        """The event of an object reaches its listener: that of the last one put there, or of another."""
        said = {"key": key, "size": 1, "sequencer": sequencer or self.sequencers.get(key, "0")}
        detail = {"bucket": {"name": bucket or aws.bucket_name()}, "object": said}
        event = self._client.events.generate_cw_event("aws.s3", "Object Created", detail, [], region="us-east-1")
        run("on_upload", event)

    def upload(self, item_id: str, data: bytes) -> str:
        """Uploads a picture to an item by a ticket, up to its being noted; returns its key."""
        key = self.put(self.ticket(item_id), data)
        self.notice(key)
        return key

    def picture(self, item_id: str, data: bytes) -> str:
        """Uploads a picture to an item and lets its thumbnails be made; returns its key."""
        key = self.upload(item_id, data)
        self.work()
        return key

    def thumbnails(self, key: str) -> list[str]:
        """The keys of the thumbnails of the last object put at an upload's key."""
        upload = Upload.from_key(key)
        assert upload is not None
        return [upload.thumbnail_key(size, self.sequencers[key], self.etags[key]) for size in (200, 800)]

    def objects(self, prefix: str = "") -> list[str]:
        """The keys in the bucket."""
        found = aws.s3().list_objects_v2(Bucket=aws.bucket_name(), Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    # ----------------------------------------------------------------------------------------------------------- queue

    def send(self, *bodies: str | dict[str, Any]) -> None:
        """Puts messages on the queue, as another producer would."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            aws.sqs().send_message(QueueUrl=aws.queue_url(), MessageBody=text)

    def receive(self) -> list[dict[str, Any]]:
        """Takes up to ten messages, as Lambda takes them, and leaves them in flight."""
        answer = aws.sqs().receive_message(QueueUrl=aws.queue_url(), MaxNumberOfMessages=10, AttributeNames=["All"])
        return [dict(message) for message in answer.get("Messages", [])]

    def work(self) -> None:
        """Has the consumer work until the queue is empty; no message may fail."""
        while messages := self.receive():
            assert run("on_messages", batch(messages)) is None
            for message in messages:
                aws.sqs().delete_message(QueueUrl=aws.queue_url(), ReceiptHandle=message["ReceiptHandle"])

    def drop(self) -> list[dict[str, Any]]:
        """Loses what is on the queue; returns the bodies."""
        lost = []
        while messages := self.receive():
            lost += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                aws.sqs().delete_message(QueueUrl=aws.queue_url(), ReceiptHandle=message["ReceiptHandle"])
        return lost

    def on_queue(self) -> int:
        """How many messages the queue holds, those in flight included."""
        attributes = aws.sqs().get_queue_attributes(QueueUrl=aws.queue_url(), AttributeNames=["All"])["Attributes"]
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(attributes[name]) for name in names)

    # ----------------------------------------------------------------------------------------------------------- table

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """The table's records of a kind, as they lie there."""
        found = aws.dynamodb().scan(TableName=config.settings().table)["Items"]
        return [record for record in found if record["sk"]["S"].startswith(kind)]


def json_of(answer: HTTPResponse) -> Any:
    """Return the JSON of a response, with exact numbers."""
    return exact_json.from_json(answer.body)


def run(function: str, event: dict[str, Any], milliseconds: int = 60_000) -> Any:
    """Runs one of the event functions, which has that many milliseconds."""
    with RECORDER.runs(function):
        return app.app.handler_map[function](event, context(function, milliseconds))


def context(function: str, milliseconds: int = 60_000) -> LambdaContext:
    return LambdaContext(function, memory_size=512, max_runtime_ms=milliseconds)


def batch(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The event that Lambda makes of messages it received."""
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
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{config.settings().queue}",
                "awsRegion": "us-east-1",
            }
            for message in messages
        ]
    }


def fails(client: Any, operation: str, code: str, times: int = 1_000_000, **details: Any) -> None:
    """From now on AWS answers an operation of ``client`` with an error, so many times."""
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
    """From now on AWS gives an operation of ``client`` this very answer."""
    meta = {"HTTPStatusCode": 200, "RequestId": "provoked", "HTTPHeaders": {}, "RetryAttempts": 0}
    both = AWSResponse("https://aws.invalid", 200, {}, None), {"ResponseMetadata": meta, **answer}
    _before(client, operation, lambda **_: both)


def raises(client: Any, operation: str, error: Exception) -> None:
    """From now on an operation of ``client`` does not even reach AWS."""

    def refuse(**_: Any) -> None:
        raise error

    _before(client, operation, refuse)


def meanwhile(client: Any, operation: str, act: Callable[[], object], event: str = "before-call") -> None:
    """Somebody else acts right before an operation of ``client`` next reaches AWS, or ``after-call``: once."""
    acted = False

    def step(**_: Any) -> None:
        nonlocal acted
        if not acted:
            acted = True
            with RECORDER.paused():
                act()

    provoke(client, operation, step, event)


def forget_what_was_provoked() -> None:
    """Takes back what :func:`fails`, :func:`raises` and :func:`meanwhile` have set up."""
    while _provoked:
        events, name, do = _provoked.pop()
        events.unregister(name, do)


_provoked: list[tuple[Any, str, Callable[..., Any]]] = []


def _before(client: Any, operation: str, do: Callable[..., Any]) -> None:
    provoke(client, operation, do, "before-call")


def provoke(client: Any, operation: str, do: Callable[..., Any], event: str) -> None:
    """From now on ``do`` is called with each call of an operation: ``before-call`` or ``after-call``."""
    name = f"{event}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register_first(name, do)
    _provoked.append((client.meta.events, name, do))


def item_input(**body: Any) -> models.ItemInput:
    """A caller's fields, checked."""
    return validation.validate_item(builders.fields(**body))


def _sent(body: Any, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return b"", said
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return data, {"content-type": "application/json", **said}
