"""Records of the table's stream, as Lambda passes them to a function (AWS, "Using Lambda with Amazon DynamoDB")."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws import table
from chalicelib.catalogue import items
from chalicelib.catalogue.models import Item

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def record(old: Item | None, new: Item | None, at: datetime = AT) -> dict[str, Any]:
    """Return the record of a change from one item to the other. None stands for no item."""
    images = {"OldImage": _image(old), "NewImage": _image(new)}
    some = images["NewImage"] or images["OldImage"]
    return record_of({name: some[name] for name in ("pk", "sk")}, images, at)


def record_of(keys: dict[str, Any], images: dict[str, Any], at: datetime = AT) -> dict[str, Any]:
    """Return the record of a change of a record of the table. The images have DynamoDB's typed attributes."""
    number = next(_numbers)
    old, new = images.get("OldImage"), images.get("NewImage")
    return {
        "eventID": f"{number:032x}",
        "eventName": "MODIFY" if old and new else "INSERT" if new else "REMOVE",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/vitrine-local/stream/2026-11-27T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": float(int(at.timestamp())),
            "Keys": keys,
            **{name: image for name, image in images.items() if image},
            "SequenceNumber": f"{number:021d}",
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def _image(item: Item | None) -> Any:
    if item is None:
        return None
    key = table.Key(item.owner, "ITEM", item.id)
    return table.Put(key, items._to_values(item), due_at=item.due_at).parameters["Item"]
