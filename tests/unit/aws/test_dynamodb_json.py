"""DynamoDB's JSON, compared with boto3's conversion."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import dynamodb_json

numbers = st.integers(-(10**38) + 1, 10**38 - 1) | st.decimals(allow_nan=False, allow_infinity=False, places=6).filter(
    lambda number: len(number.normalize().as_tuple().digits) <= 38
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_values_are_converted_as_by_boto3(value: Any) -> None:
    expected = TypeDeserializer().deserialize(TypeSerializer().serialize(value))

    assert dynamodb_json.deserialize(dynamodb_json.serialize(value)) == expected == value
    assert TypeDeserializer().deserialize(dynamodb_json.serialize(value)) == value
    assert dynamodb_json.deserialize(TypeSerializer().serialize(value)) == value


def test_booleans_and_numbers_are_told_apart() -> None:
    assert dynamodb_json.serialize([True, 1, False, 0]) == {
        "L": [{"BOOL": True}, {"N": "1"}, {"BOOL": False}, {"N": "0"}]
    }


def test_smallest_number_keeps_its_digits() -> None:
    # boto3 rejects it.
    smallest = Decimal("1.2345678901234567890123456789012345678E-130")

    assert dynamodb_json.deserialize(dynamodb_json.serialize(smallest)) == smallest


@pytest.mark.parametrize("value", [1.5, {1, 2}, object(), b"bytes"])
def test_other_types_are_rejected(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        dynamodb_json.serialize(value)
