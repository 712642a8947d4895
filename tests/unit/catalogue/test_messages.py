"""What the queue takes, and the sentence for what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import errors
from chalicelib.catalogue import messages, validation
from chalicelib.values import exact_json
from tests.builders import fields

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
CREATE = {"type": "item.create", "owner": "ann", "item": fields()}
DELETE = {"type": "item.delete", "owner": "ann", "id": ID}
CHUNK = {"type": "import.chunk", "owner": "ann", "importId": ID, "chunk": 0}
RENDER = {"type": "image.render", "key": "uploads/a.png"}
KEY = "key must be 1 to 255 visible ASCII characters without a comma."
TYPES = f"type must be one of: {', '.join(sorted(messages._TYPES))}."


@pytest.mark.parametrize("message", [CREATE, DELETE, CHUNK, RENDER, CREATE | {"key": "k" * 255}])
def test_valid_message_is_read(message: dict[str, Any]) -> None:
    assert json.loads(exact_json.to_json(messages.parse(json.dumps(message)))).items() >= message.items()


def test_ids_are_read_in_lower_case() -> None:
    assert messages.parse(json.dumps(DELETE | {"id": ID.upper()})) == messages.DeleteItem("ann", ID)
    assert messages.parse(json.dumps(CHUNK | {"importId": ID.upper()})) == messages.ImportChunk("ann", ID, 0)


def test_owner_keeps_its_case() -> None:
    owner = ID.upper()

    assert messages.parse(json.dumps(DELETE | {"owner": owner})) == messages.DeleteItem(owner, ID)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (DELETE | {"owner": ""}, "owner must be 1 to 255 printable ASCII characters."),
        (DELETE | {"owner": "a" * 256}, "owner must be 1 to 255 printable ASCII characters."),
        (DELETE | {"owner": "a\n"}, "owner must be 1 to 255 printable ASCII characters."),
        (DELETE | {"owner": "Zoë"}, "owner must be 1 to 255 printable ASCII characters."),
        (DELETE | {"id": ""}, "id must be a UUID."),
        (DELETE | {"id": "no id"}, "id must be a UUID."),
        (CHUNK | {"importId": "x"}, "importId must be a UUID."),
        (CREATE | {"key": ""}, KEY),
        (CREATE | {"key": "k" * 256}, KEY),
        (CREATE | {"key": "a b"}, KEY),
        (CREATE | {"key": "ключ"}, KEY),
        (
            RENDER | {"key": "thumbnails/a.png"},
            "key must be the key of an object under uploads/, of at most 1024 bytes.",
        ),
        (
            RENDER | {"key": f"uploads/{'é' * 600}"},
            "key must be the key of an object under uploads/, of at most 1024 bytes.",
        ),
        ({}, TYPES),
        ({"type": "item.explode"}, TYPES),
        ({"type": ["item.create"]}, TYPES),
    ],
)
def test_invalid_message_is_refused_with_what_is_allowed(message: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        messages.parse(json.dumps(message))

    assert refused.value.message == sentence
    assert messages.find_problem(json.dumps(message)) == sentence


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:…", "Message": json.dumps(CREATE)}, "SNS"),
        ({"version": "0", "id": "1", "detail-type": "Order", "source": "shop", "detail": CREATE}, "EventBridge event"),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, "S3 notification"),
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "S3 notification"),
    ],
    ids=["SNS", "EventBridge", "S3 test", "S3"],
)
def test_envelope_is_named(body: dict[str, Any], words: str) -> None:
    assert words in str(messages.find_problem(json.dumps(body)))


@pytest.mark.parametrize("body", ["", "nonsense", "[]", "null", "{}", "[" * 10_000])
def test_text_that_is_no_message_has_a_problem(body: str) -> None:
    assert messages.find_problem(body)


@pytest.mark.parametrize("item", [{"": 1}, {"version": 1}, [], {"a": "x" * validation.MAX_ITEM_BYTES}])
def test_item_is_held_to_the_rules_of_http(item: Any) -> None:
    assert messages.find_problem(json.dumps(CREATE | {"item": item}))


def test_valid_message_has_no_problem() -> None:
    assert [messages.find_problem(json.dumps(message)) for message in (CREATE, DELETE, CHUNK, RENDER)] == [None] * 4
