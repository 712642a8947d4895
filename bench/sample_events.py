"""Provide the events that functions are measured with, and the records and objects that they refer to.

The events have the fields that the code reads: of API Gateway's REST API (AWS, "Set up Lambda proxy integrations"),
EventBridge and SQS.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from PIL import Image

from bench import photographs
from bench.photographs import Picture
from chalicelib.aws import bucket, table
from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import import_parsing, models, search_index_keys
from chalicelib.catalogue.messages import ImportChunk, Message, RenderImage
from chalicelib.catalogue.webhooks import DeliveryMessage
from chalicelib.config import MAX_DECODING_BYTES
from chalicelib.http import static_files, visitor_pages
from chalicelib.pictures import thumbnails
from chalicelib.values import exact_json, ids, times
from tests.fake_aws import ETAG, Record

OWNER = "local"
SUBSCRIBER = "subscriber"
"""The owner of a webhook. OWNER has none, so the changes of its items are not delivered."""
BUCKET = "vitrine-local-000000000000-us-east-1"
CHUNK = import_parsing.CHUNK_ENTRIES
"""The number of entries of the measured import: as many as one message creates."""

CHANGES = 100
"""The number of changes of a full batch of the table's stream."""

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_PLACEHOLDER = "1QcSHQRnh493V4dIh4eXh1h4kJUI"
"""A ThumbHash of the usual length."""
_FIELDS = {"title": "Vase", "price": 120, "tags": ["glass", "blue"], "text": "x" * 500}


def _id(number: int) -> str:
    return ids.new_id(int(_AT.timestamp() * 1000), number)


ITEM, IMPORT, WEBHOOK = _id(1), _id(2), _id(13)
_EVENT = msgspec.Raw(
    json.dumps(
        {
            "type": "item.created",
            "id": _id(14),
            "timestamp": times.format_time(_AT),
            "schema": 1,
            "data": {
                "owner": SUBSCRIBER,
                "itemId": ITEM,
                "version": 1,
                "item": {
                    "id": ITEM,
                    "version": 1,
                    "createdAt": times.format_time(_AT),
                    "updatedAt": times.format_time(_AT),
                    **_FIELDS,
                },
            },
        }
    ).encode()
)
CATALOGUE = _id(11)
VISITED = tuple(_id(number) for number in range(100, 100 + visitor_pages.MAX_CARDS + 1))
"""The items of the public catalogue: one more than its first page shows."""
_PATH_PARAMETERS = {"item_id": ITEM, "catalogue_id": CATALOGUE, "name": static_files.VISITOR_FILES[0]}

TO_RECORD = Upload(OWNER, _id(10), _id(3))
"""The upload to an item that has a ticket for it."""
TO_RENDER = (
    (Picture("0.3 MP JPEG", 640, 480, "JPEG", {"quality": 90}), Upload(OWNER, _id(4), _id(5))),
    (Picture("12 MP JPEG", 4000, 3000, "JPEG", {"quality": 90}), Upload(OWNER, _id(6), _id(7))),
)
"""Photographs and their uploads to items that wait for thumbnails."""
LARGEST_PICTURE = Upload(OWNER, _id(8), _id(9))
"""The upload of the picture that needs the most memory of all that were tried: a transparent WebP of maximum size."""


class Event(NamedTuple):
    """An event of a function, and how to check the answer."""

    name: str
    function: str
    """The function's name in app.py."""
    body: dict[str, Any]
    is_right: Callable[[Any], bool]
    """Return whether an answer is the expected one, so that no failure is measured."""
    expected_call: str | None
    """A call, such as ``s3 PutObject``, that the function makes if it does its work; None if it makes no call."""


# -------------------------------------------------------------------------------------------------------------- events


def request(method: str, resource: str, body: str | None = None, query: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the event of a request to API Gateway's REST API."""
    parameters = {name: value for name, value in _PATH_PARAMETERS.items() if f"{{{name}}}" in resource}
    path = resource.format(**parameters)
    headers = {"Accept": "application/json", "Host": "api.example", "X-Forwarded-For": "192.0.2.1"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {name: [value] for name, value in query.items()},
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"/api{path}",
            "stage": "api",
            "protocol": "HTTP/1.1",
            "requestId": "6b1f0c0e-0000-4000-8000-000000000000",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "bench"},
            "apiId": "measured",
            "accountId": "000000000000",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def _uploaded(key: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "2d4eba74-0000-4000-8000-000000000000",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {"version": "0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 1000, "etag": ETAG}},
    }


def _scheduled() -> dict[str, Any]:
    return {
        "version": "0",
        "id": "89d1a02d-0000-4000-8000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:000000000000:rule/clean-up"],
        "detail": {},
    }


def _delivered(message: Message | DeliveryMessage, queue: str = "jobs") -> dict[str, Any]:
    sent = str(int(_AT.timestamp() * 1000))
    record = {
        "messageId": "059f36b4-0000-4000-8000-000000000000",
        "receiptHandle": "handle",
        "body": exact_json.to_json(message).decode(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "measured",
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:vitrine-local-{queue}",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


def _record(
    kind: table.Kind, id_: str, values: dict[str, Any], due_at: str | None = None, owner: str = OWNER
) -> Record:
    record: Record = table.Put(table.Key(owner, kind, id_), values, due_at=due_at).parameters["Item"]
    return record


def _changed(number: int) -> Any:
    """Return a batch of the table's stream with the changes of ``number`` items."""
    created = times.format_time(_AT)
    records = []
    for one in range(number):
        item = {"version": 1, "createdAt": created, "updatedAt": created, "fields": _FIELDS}
        old = _record("ITEM", _id(1000 + one), item)
        new = _record("ITEM", _id(1000 + one), item | {"version": 2, "fields": {**_FIELDS, "price": 130}})
        change = {
            "ApproximateCreationDateTime": _AT.timestamp(),
            "Keys": {name: new[name] for name in ("pk", "sk")},
            "OldImage": old,
            "NewImage": new,
            "SequenceNumber": str(one),
            "SizeBytes": 2000,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        source = "arn:aws:dynamodb:us-east-1:000000000000:table/vitrine-local/stream/2026-01-01T00:00:00.000"
        kind = {"eventName": "MODIFY", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1"}
        records.append({"eventID": str(one), **kind, "eventSourceARN": source, "dynamodb": change})
    return {"Records": records}


def _status(status: int) -> Callable[[Any], bool]:
    return lambda answer: bool(answer["statusCode"] == status)


def _no_failures(answer: Any) -> bool:
    return bool(answer == {"batchItemFailures": []})


def _items(number: int) -> str:
    return json.dumps({"items": [{**_FIELDS, "number": one} for one in range(number)]})


GET_ITEM = Event("GET an item", "api_handler", request("GET", "/items/{item_id}"), _status(200), "dynamodb GetItem")
CREATE_ITEM = Event(
    "POST an item",
    "api_handler",
    request("POST", "/items", json.dumps(_FIELDS)),
    _status(201),
    "dynamodb TransactWriteItems",
)
TICKET = Event(
    "POST for a ticket",
    "api_handler",
    request("POST", "/items/{item_id}/image", json.dumps({"contentType": "image/jpeg"})),
    _status(201),
    "dynamodb PutItem",
)
START_IMPORT = Event(
    f"POST {CHUNK} items",
    "api_handler",
    request("POST", "/imports", _items(CHUNK)),
    _status(202),
    "sqs SendMessageBatch",
)
UPLOADED = Event(
    "an upload",
    "on_upload",
    _uploaded(TO_RECORD.key),
    lambda answer: answer is None,
    "sqs SendMessageBatch",
)
RENDER_SMALL, RENDER, RENDER_LARGEST = (
    Event(f"thumbnails, {name}", "on_messages", _delivered(RenderImage(upload.key)), _no_failures, "s3 PutObject")
    for name, upload in (*((picture.name, upload) for picture, upload in TO_RENDER), ("50 MP WebP", LARGEST_PICTURE))
)
CREATE_CHUNK = Event(
    f"{CHUNK} imported items",
    "on_messages",
    _delivered(ImportChunk(OWNER, IMPORT, 0)),
    _no_failures,
    "dynamodb TransactWriteItems",
)
CHANGED, CHANGED_BATCH = (
    Event(name, "on_change", _changed(number), _no_failures, "events PutEvents")
    for name, number in (("a change", 1), (f"{CHANGES} changes", CHANGES))
)
DELIVER = Event(
    "a delivery",
    "on_deliveries",
    _delivered(DeliveryMessage(SUBSCRIBER, WEBHOOK, _EVENT), "deliveries"),
    _no_failures,
    "dynamodb PutItem",
)
CLEANUP = Event("cleanup, nothing expired", "clean_up", _scheduled(), lambda answer: answer == {}, "dynamodb Query")
LARGEST_IMPORT = Event(
    "POST 5 MB of items",
    "api_handler",
    request("POST", "/imports", _items(7000)),
    _status(202),
    "sqs SendMessageBatch",
)

VISIT = Event(
    "GET a page for visitors", "api_handler", request("GET", "/c/{catalogue_id}"), _status(200), "dynamodb Query"
)
VISITOR_FILE = Event("GET a file of that page", "api_handler", request("GET", "/web/{name}"), _status(200), None)

FIRST = (GET_ITEM, UPLOADED, RENDER_SMALL, CLEANUP)
"""The first event of each function, for cold starts."""

PAID = (
    GET_ITEM,
    CREATE_ITEM,
    TICKET,
    START_IMPORT,
    UPLOADED,
    RENDER,
    CREATE_CHUNK,
    CHANGED,
    CHANGED_BATCH,
    DELIVER,
    CLEANUP,
)
"""The events whose costs are estimated."""

AWAITED = tuple(event for event in PAID if event not in (CREATE_CHUNK, CHANGED, CHANGED_BATCH, DELIVER, CLEANUP))
"""The events whose answer a person can wait for: not imports, changes, deliveries or the cleanup."""

LARGEST = (LARGEST_IMPORT, RENDER_LARGEST)
"""The events that need the most memory."""


# -------------------------------------------------------------------------------------------------- records and objects


def records(receiver: str = "https://receiver.example/") -> list[Record]:
    """Return the table's records that the events refer to. ``receiver`` is the URL of the webhook."""
    created = times.format_time(_AT)
    indexed = search_index_keys.current().text
    item = {"version": 1, "createdAt": created, "updatedAt": created, "fields": _FIELDS, "indexed": indexed}
    uploaded = (*(upload for _, upload in TO_RENDER), LARGEST_PICTURE)
    known = {"createdAt": created, "total": CHUNK, "chunks": [[0, CHUNK, 0, len(_entries())]]}
    return [
        _record("ITEM", ITEM, item),
        _record("IMPORT", IMPORT, known),
        _record("WEBHOOKS", "", {"webhooks": [_webhook(receiver)], "revision": 1}, owner=SUBSCRIBER),
        _with_picture(item, TO_RECORD, models.Image(status="pending", upload_id=TO_RECORD.id)),
        *(_with_picture(item, upload, _processing(upload)) for upload in uploaded),
        _record("CATALOGUE", "", {"owner": OWNER, "title": "Vases"}, owner=table.public_partition(CATALOGUE)),
        *(_public_copy(id_, item) for id_ in VISITED),
    ]


def _webhook(url: str) -> dict[str, Any]:
    created = times.format_time(_AT)
    return {"id": WEBHOOK, "url": url, "events": ["*"], "createdAt": created, "updatedAt": created}


def _public_copy(id_: str, item: dict[str, Any]) -> Record:
    folder = f"{bucket.PUBLIC}items/{'0' * 32}/{id_}/{_id(12)}/1/{'0' * 16}-{ETAG}"
    thumbnails = tuple(models.Thumbnail(size, size, size * 3 // 4, f"{folder}/{size}.jpg") for size in (200, 800))
    image = models.Image(status="ready", width=4000, height=3000, placeholder=_PLACEHOLDER, thumbnails=thumbnails)
    declaration = search_index_keys.current()
    copied = {"fields": declaration.shown(_FIELDS), "indexed": declaration.public.text}
    values = item | copied | {"image": msgspec.to_builtins(image)}
    return _record("ITEM", id_, values, owner=table.public_partition(CATALOGUE))


def _processing(upload: Upload) -> models.Image:
    due_at = times.format_time(_AT + timedelta(minutes=40))
    return models.Image(status="processing", upload_id=upload.id, etag=ETAG, due_at=due_at)


def _with_picture(item: dict[str, Any], upload: Upload, image: models.Image) -> Record:
    """Return the record of an item with its first ticket, which is not closed yet."""
    until = times.format_time(_AT + timedelta(minutes=30))
    ticket = {"ticketUntil": until, "lastTicket": upload.id, "hasOneFile": True}
    recorded = {"lastUpload": upload.id} if image.status == "processing" else {}
    values = item | ticket | recorded | {"image": msgspec.to_builtins(image)}
    return _record("ITEM", upload.item_id, values, due_at=until)


def objects() -> dict[str, bytes]:
    """Return the bucket's objects that the events refer to, by key."""
    photographs.create([picture for picture, _ in TO_RENDER])
    pictures = {upload.key: picture.path.read_bytes() for picture, upload in TO_RENDER}
    return pictures | {LARGEST_PICTURE.key: _largest_picture(), bucket.import_key(OWNER, IMPORT): _entries()}


def _entries() -> bytes:
    return "\n".join(json.dumps({**_FIELDS, "number": one}) for one in range(CHUNK)).encode()


def _largest_picture() -> bytes:
    written = io.BytesIO()
    size = (10_000, MAX_DECODING_BYTES // thumbnails.BYTES_PER_PIXEL["WEBP"] // 10_000)
    Image.new("RGBA", size).save(written, "WEBP", lossless=True, quality=0, method=0)
    return written.getvalue()
