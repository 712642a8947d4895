from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from chalicelib.catalogue import csv_import_values, item_fields
from chalicelib.catalogue.field_annotations import DecimalOrText
from chalicelib.values import exact_json


class Size(msgspec.Struct):
    height: int


class Grade(enum.Enum):
    FIRST = 1
    SECOND = 2


class Vase(msgspec.Struct, rename="camel", kw_only=True):
    title: str | UnsetType = UNSET
    price: Decimal | UnsetType = UNSET
    exact_price: DecimalOrText | None = None
    pieces: int = 1
    weight: float | None = None
    framed: bool | None = None
    made_on: dt.date | None = None
    grade: Grade = Grade.FIRST
    state: Literal["new", "used"] = "new"
    code: int | str | None = None
    tags: list[str] = []
    sizes: set[int] | None = None
    anything_in_a_list: list[Any] = []
    words: list[str] | str = ""
    size: Size | None = None
    counts: dict[str, int] | UnsetType = UNSET
    anything: Any = None


@pytest.fixture(autouse=True)
def vases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_fields, "ItemFields", Vase)


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("title", "12", "12"),
        ("title", " true ", " true "),
        ("price", "12.50", Decimal("12.50")),
        ("price", " 12 ", 12),
        ("price", "1e3", Decimal("1E+3")),
        ("price", "12,50", "12,50"),
        ("price", "007", "007"),
        ("price", "1" * 40, int("1" * 40)),
        ("exactPrice", "12.50", Decimal("12.50")),
        ("exactPrice", "free", "free"),
        ("pieces", "-3", -3),
        ("pieces", "three", "three"),
        ("weight", "0.5", Decimal("0.5")),
        ("framed", "TRUE", True),
        ("framed", "false", False),
        ("framed", "yes", "yes"),
        ("framed", "1", "1"),
        ("madeOn", "2026-01-31", "2026-01-31"),
        ("grade", "2", 2),
        ("state", "new", "new"),
        ("code", "7", 7),
        ("code", "007", "007"),
        ("tags", "red|blue", ["red", "blue"]),
        ("tags", "red | 12 ||", ["red", "12"]),
        ("tags", '["red", "a|b"]', ["red", "a|b"]),
        ("tags", "[red", "[red"),
        ("sizes", "3|5", [3, 5]),
        ("sizes", "3|large", [3, "large"]),
        ("anythingInAList", "3|true|x", [3, True, "x"]),
        ("words", "red|blue", "red|blue"),
        ("words", '["red"]', ["red"]),
        ("size", '{"height": 3}', {"height": 3}),
        ("size", "[3]", "[3]"),
        ("size", "{3", "{3"),
        ("counts", '{"a": 1}', {"a": 1}),
        ("anything", "5", 5),
        ("anything", "x", "x"),
    ],
)
def test_cell_of_a_declared_field(column: str, cell: str, value: Any) -> None:
    found = csv_import_values.value(column, cell)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12),
        (" -0.50 ", Decimal("-0.50")),
        ("0", 0),
        ("true", True),
        ("FALSE", False),
        ("9" * 38, int("9" * 38)),
        ("9" * 39, "9" * 39),
        ("0." + "0" * 130 + "1", "0." + "0" * 130 + "1"),
        ("007", "007"),
        ("-01", "-01"),
        ("+49301234", "+49301234"),
        ("12E3", "12E3"),
        ("1,5", "1,5"),
        ("1.", "1."),
        (".5", ".5"),
        ("1_000", "1_000"),
        ("\u0663", "\u0663"),
        ("NaN", "NaN"),
        ("null", "null"),
        ("[1]", "[1]"),
        ("yes", "yes"),
        (" x ", " x "),
    ],
)
def test_cell_of_another_field_is_guessed(cell: str, value: Any) -> None:
    found = csv_import_values.value("other", cell)

    assert (found, type(found)) == (value, type(value))


@given(st.text(max_size=10) | st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_guessed_number_is_the_one_that_was_written(cell: str) -> None:
    found = csv_import_values.value("other", cell)

    assert isinstance(found, bool | str) or exact_json.to_json(found).decode() == cell.strip()


def test_empty_cells_are_left_out() -> None:
    assert csv_import_values.fields(["title", "price", "other", "tags"], ["a", "", "1"]) == {"title": "a", "other": 1}
