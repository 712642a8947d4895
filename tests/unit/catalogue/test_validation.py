from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given

from chalicelib import errors
from chalicelib.aws import dynamodb_json
from chalicelib.catalogue import models, validation
from chalicelib.values import dynamodb_limits, exact_json
from tests.builders import as_json, fields
from tests.json_values import objects


def validated_fields(members: str) -> models.Fields:
    return validation.validate_item(exact_json.object_from_json(as_json(members))).fields


def nested(levels: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(levels - 1):
        body = {"a": body}
    return body


@given(objects)
def test_any_fields_are_accepted(body: dict[str, Any]) -> None:
    sent = {**body, **fields()}

    assert validation.validate_item(sent) == models.ItemInput(sent, sent)


@pytest.mark.parametrize("name", models.MANAGED_FIELDS)
def test_managed_field_is_refused(name: str) -> None:
    with pytest.raises(errors.ReservedFieldError, match=f"^{name} is managed") as refused:
        validation.validate_item({name: None})

    assert refused.value.details == [{"path": f"$.{name}"}]


def test_error_names_all_managed_fields() -> None:
    with pytest.raises(errors.ReservedFieldError, match=r"^id and version are managed") as refused:
        validation.validate_item({"version": 1, "id": "x", "title": "Vase"})

    assert refused.value.details == [{"path": "$.id"}, {"path": "$.version"}]


def test_managed_names_are_allowed_in_nested_objects() -> None:
    body = fields(shop={"id": 7, "version": "b", "expiresAt": "never"})

    assert validation.validate_item(body).fields == body


@pytest.mark.parametrize(("body", "path", "name"), [({"": 1}, "$", "The item"), ({"a": [{"": 1}]}, "$.a[0]", "a[0]")])
def test_empty_name_is_refused(body: dict[str, Any], path: str, name: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="empty name") as refused:
        validation.validate_item(fields(**body))

    assert refused.value.details == [{"path": path, "message": f"{name} has a field with an empty name"}]


def test_nesting_of_32_levels_is_accepted() -> None:
    body = fields(**nested(32))

    assert validation.validate_item(body).fields == body


@pytest.mark.parametrize("innermost", [{}, [], 1, "", None, False])
def test_deeper_nesting_is_refused(innermost: object) -> None:
    body = json.loads(json.dumps(nested(32)).replace("{}", json.dumps({"a": innermost})))

    with pytest.raises(errors.InvalidRequestError, match="deeper than 32 levels") as refused:
        validation.validate_item(body)

    assert refused.value.details is not None
    assert refused.value.details[0]["path"] == "$" + ".a" * 32


def test_error_names_every_problem() -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        validation.validate_item(fields(a=Decimal("1E+200"), b={"": 1}, c=[10**40 + 1]))

    assert refused.value.details is not None
    assert [detail["path"] for detail in refused.value.details] == ["$.a", "$.b", "$.c[0]"]


@pytest.mark.parametrize("body", [{"n": [10**40 + 1] * 8_000}, {"x" * 100_000: 10**40 + 1}])
def test_error_has_a_maximum_size(body: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        validation.validate_item(body)

    assert len(refused.value.message) < 1_000
    assert len(exact_json.to_json(refused.value.details)) < 100_000


def test_item_of_350_kilobytes_is_accepted() -> None:
    body = fields(a="")
    body["a"] = "x" * (validation.MAX_ITEM_BYTES - len(exact_json.to_json(body)))

    assert validation.validate_item(body).fields == body


def test_item_of_one_byte_more_is_refused() -> None:
    body = {"a": "é" * ((validation.MAX_ITEM_BYTES - len('{"a":""}')) // 2) + "x"}

    with pytest.raises(errors.ItemTooLargeError, match=r"at most 358400 bytes, .*; this one would have 358401"):
        validation.validate_item(body)


def test_size_in_dynamodb_is_limited_too() -> None:
    # A digit and its comma are 2 bytes of JSON. In DynamoDB the number takes 2 bytes, and its place in the list 1
    # (AWS, "DynamoDB item sizes and formats").
    body = {"n": [1] * 170_000}

    with pytest.raises(errors.ItemTooLargeError):
        validation.validate_item(body)


@pytest.mark.parametrize("check", [validation.validate_item, validation.validate_patch])
def test_size_is_checked_before_values(
    check: Callable[[dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    visited = []
    monkeypatch.setattr(dynamodb_limits, "violations", visited.append)

    with pytest.raises(errors.ItemTooLargeError):
        check({"n": [1] * 200_000})

    assert visited == []


@pytest.mark.parametrize("check", [validation.validate_item, validation.validate_patch])
def test_large_deeply_nested_body_is_refused(check: Callable[[dict[str, Any]], object]) -> None:
    body: dict[str, Any] = {"a": "x" * 400_000}
    for _ in range(2_000):
        body = {"a": body}

    with pytest.raises(errors.InvalidRequestError, match="deeper than 32 levels"):
        check(body)


@pytest.mark.parametrize("text", ["0.1", "0.30000000000000004", "1e-130", "9.9E+125", "1" * 38, "-0.10", "1E2"])
def test_number_is_not_converted_to_a_float(text: str) -> None:
    assert validated_fields(f'"n": {text}')["n"] == Decimal(text)


@pytest.mark.parametrize("text", ["0e0", "-0", "0.000", "0E-200", "0e400"])
def test_every_notation_of_zero_is_accepted(text: str) -> None:
    assert dynamodb_json.serialize(validated_fields(f'"n": {text}')["n"]) in ({"N": "0"}, {"N": "-0"})


@pytest.mark.parametrize("text", ["1" * 39, "0." + "1" * 39, "1E+126", "-1E+126", "1E-131", "1E-150", "1e999"])
def test_number_outside_dynamodbs_range_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="more than 38 digits") as refused:
        validated_fields(f'"a": [{{"b": {text}}}]')

    assert refused.value.details is not None
    assert [detail["path"] for detail in refused.value.details] == ["$.a[0].b"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1" * 5000, "1e99999999999999999999", "01", "+1"])
def test_text_that_is_not_a_json_number_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidJsonError):
        validated_fields(f'"n": {text}')


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-03-01T12:00:00.001Z", "2026-03-01T12:00:00.001Z"),
        ("2026-03-01T14:00:00+01:00", "2026-03-01T13:00:00.000Z"),
        ("2030-01-31T12:00:00.123456Z", "2030-01-31T12:00:00.123Z"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000Z"),
    ],
)
def test_expiry_is_converted_to_utc(sent: str, stored: str) -> None:
    assert validation.validate_item(fields(expiresAt=sent)) == models.ItemInput(fields(), fields(), stored)


def test_null_expiry_means_none() -> None:
    assert validation.validate_item(fields(expiresAt=None)) == models.ItemInput(fields(), fields())


@pytest.mark.parametrize(
    "sent",
    [
        "2030-01-31T12:00:00",
        "2030-01-31",
        "tomorrow",
        "",
        1_900_000_000,
        Decimal("1900000000.5"),
        True,
        ["2030-01-31T12:00:00Z"],
        {},
        "9999-12-31T23:59:59-23:00",
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_expiry_that_is_not_a_time_is_refused(sent: object) -> None:
    with pytest.raises(errors.InvalidExpiryError, match="must be a future time"):
        validation.validate_item(fields(expiresAt=sent))


def test_patch_may_remove_all_fields_of_the_largest_item() -> None:
    validation.validate_patch(dict.fromkeys((f"{number:05d}" for number in range(34_000)), None))


@pytest.mark.parametrize(
    "changes",
    [
        {"a": "x" * validation.MAX_ITEM_BYTES},
        {"a": {"b": None, "c": "x" * validation.MAX_ITEM_BYTES}},
        dict.fromkeys((f"{number:05d}" for number in range(100_000)), None),
    ],
    ids=["value", "nested", "removals"],
)
def test_patch_larger_than_any_item_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(errors.ItemTooLargeError):
        validation.validate_patch(changes)


class Shelf(msgspec.Struct):
    """A model with a constraint, a default, named values and a custom check."""

    row: Annotated[int, msgspec.Meta(ge=1)]
    place: Literal["left", "right"] = "left"
    labels: dict[Annotated[str, msgspec.Meta(max_length=3)], int] = {}

    def __post_init__(self) -> None:
        if self.row == 13:
            raise ValueError("There is no row 13 - at `least` not here")


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({"row": "1"}, {"$.row": "row must be an integer of at least 1, not a string"}),
        ({"row": Decimal("1.5")}, {"$.row": "row must be an integer of at least 1, not a decimal number"}),
        ({}, {"$.row": "row is required"}),
        ({"row": 13}, {"$": "There is no row 13 - at `least` not here"}),
        (
            {"row": 1, "labels": {"a": 1, "b": None}},
            {"$.labels[...]": "Each value in labels must be an integer, not null"},
        ),
        (
            {"row": 1, "labels": {"long": 1}},
            {"$.labels": "Each name in labels must be a string of at most 3 characters"},
        ),
        (
            {"row": 0, "place": "up", "labels": [], "else": "passed over"},
            {
                "$.row": "row must be an integer of at least 1",
                "$.place": "place must be left or right",
                "$.labels": "labels must be an object, not an array",
            },
        ),
    ],
)
def test_error_names_every_invalid_field(value: dict[str, Any], problems: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        validation.validate(Shelf, value)

    assert refused.value.details == [{"path": path, "message": message} for path, message in problems.items()]


def test_valid_value_is_returned_as_the_model() -> None:
    assert validation.validate(Shelf, {"row": 7, "place": "right"}) == Shelf(7, "right")


@pytest.mark.parametrize("value", [{"place": "x" * 100_000}, {"row": 1, "place": "x" * 100_000}])
def test_error_repeats_only_a_part_of_long_values(value: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        validation.validate(Shelf, value)

    assert len(refused.value.message) < 1_000
    assert len(exact_json.to_json(refused.value.details)) < 2_000


def test_deeply_nested_value_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]

    with pytest.raises(errors.InvalidRequestError, match="This nests deeper than 32 levels"):
        validation.validate(Shelf, {"row": 1, "labels": deep})
