from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from chalicelib import errors
from chalicelib.aws import dynamodb_json
from chalicelib.values import exact_json
from tests.json_values import numbers, objects, values


@given(numbers)
def test_number_keeps_its_exact_value(number: int | Decimal) -> None:
    back = exact_json.from_json(exact_json.to_json(number))

    assert Decimal(back) == Decimal(number)


@given(objects)
def test_object_is_stored_and_read_unchanged(body: dict[str, Any]) -> None:
    read = exact_json.object_from_json(exact_json.to_json(body))

    stored = dynamodb_json.deserialize(dynamodb_json.serialize(read))

    assert exact_json.from_json(exact_json.to_json(stored)) == body


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b'{"a": "\xff"}', b'"\\ud800"', b"\xef\xbb\xbf{}", b"{}{}"])
def test_text_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(errors.InvalidJsonError, match=r"^The body is not valid JSON in UTF-8: .+\.$"):
        exact_json.object_from_json(body)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
def test_value_that_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(errors.InvalidRequestError, match="The body must be a JSON object") as refused:
        exact_json.object_from_json(body)

    assert refused.value.details == [{"path": "$", "message": "The body must be a JSON object"}]


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(errors.InvalidJsonError, match="nests deeper than 32 levels"):
        exact_json.from_json(b"[" * 100_000)


@given(objects)
def test_digest_ignores_field_order(body: dict[str, Any]) -> None:
    assert exact_json.digest(dict(reversed(body.items()))) == exact_json.digest(body)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("100", "1e2"), ("0.10", "1E-1"), ("0", "-0.0"), ("0e5", "0.00"), ("1e37", "1" + "0" * 37)],
)
def test_digest_ignores_number_notation(one: str, other: str) -> None:
    assert exact_json.digest(exact_json.from_json(one)) == exact_json.digest(exact_json.from_json(other))


@given(values, values)
def test_digest_differs_for_different_values(one: Any, other: Any) -> None:
    same = _comparable(one) == _comparable(other)

    assert (exact_json.digest(one) == exact_json.digest(other)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (0, False),
        (None, "null"),
        ([], {}),
        ({"a": None}, {}),
        (1, "number 1"),
        (0, "number 0"),
    ],
)
def test_similar_values_have_different_digests(one: object, other: object) -> None:
    assert exact_json.digest(one) != exact_json.digest(other)


def _comparable(value: Any) -> Any:
    """Return a value that Python compares as JSON does: True does not equal 1."""
    if isinstance(value, dict):
        return {name: _comparable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return (type(value) is bool, value)
