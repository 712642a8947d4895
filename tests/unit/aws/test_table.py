from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from chalicelib.aws import table
from tests.json_values import objects


@given(objects)
def test_size_of_a_put_is_at_least_that_of_its_attributes(record: dict[str, Any]) -> None:
    put = table.Put(
        table.Key("ann", "ITEM", "1"), record, None, "2026-01-31T12:00:00.000Z", datetime(2026, 1, 31, tzinfo=UTC)
    )

    assert put.size >= size_of({"M": put._attributes()})


def test_condition_names_present_and_absent_attributes() -> None:
    condition = table.attributes_are(next=3, givenUp=None)

    assert condition.parameters == {
        "ConditionExpression": "#next = :next AND attribute_not_exists(#givenUp)",
        "ExpressionAttributeValues": {":next": {"N": "3"}},
        "ExpressionAttributeNames": {"#next": "next", "#givenUp": "givenUp"},
    }


def size_of(attribute: dict[str, Any]) -> int:
    """Return the bytes that DynamoDB counts for a value (AWS, "DynamoDB item sizes and formats")."""
    [(kind, value)] = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            digits = value.upper().partition("E")[0].lstrip("-").replace(".", "").strip("0")
            return 1 + (len(digits) + 1) // 2 + value.startswith("-")
        case "L":
            return 3 + sum(1 + size_of(inner) for inner in value)
        case "M":
            return sum(len(name.encode()) + size_of(inner) for name, inner in value.items())
    return 1
