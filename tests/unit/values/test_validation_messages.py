from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from msgspec import Meta

from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.values import exact_json, validation_messages
from tests.libraries import words_of_libraries

TIME = "2030-01-31T12:00:00"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Kiln(msgspec.Struct, tag_field="kind", tag="kiln"):
    degrees: int


class Wheel(msgspec.Struct, tag_field="kind", tag="wheel"):
    degrees: str


class Spot(NamedTuple):
    row: int
    place: str


class Card(TypedDict):
    text: str


@dataclasses.dataclass
class Label:
    text: str


class Pair(msgspec.Struct, array_like=True):
    left: int
    right: str


class Odd(msgspec.Struct, rename={"inner": "a.b"}):
    inner: list[int]


class Fussy(msgspec.Struct):
    year: int

    def __post_init__(self) -> None:
        if self.year == 1913:
            raise ValueError("Nothing was made in 1913.")
        if self.year == 1915:
            raise ValueError
        if self.year == 1916:
            raise ValueError("Who made something in 1916?")
        if self.year == 1914:
            raise TypeError("unsupported operand type(s) for +: 'int' and 'str'")


class Everything(msgspec.Struct, rename="camel"):
    """A field of each type that ItemFields may declare."""

    whole: Annotated[int, Meta(ge=1, le=5)] = 1
    least: Annotated[int, Meta(ge=1)] = 1
    even: Annotated[int, Meta(multiple_of=2)] = 2
    small: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    exact: Decimal = Decimal(1)
    text: Annotated[str, Meta(min_length=1, max_length=5)] = "x"
    code: Annotated[str, Meta(pattern="^[A-Z]$")] = "A"
    data: Annotated[bytes, Meta(max_length=2)] = b""
    flag: bool = True
    at: Annotated[datetime, Meta(tz=True)] | None = None
    local: Annotated[datetime, Meta(tz=False)] | None = None
    day: date | None = None
    hour: time | None = None
    period: timedelta | None = None
    key: uuid.UUID | None = None
    colour: Colour = Colour.RED
    size: Literal["s", "m", 3, None] = "s"
    pair: tuple[int, str] | None = None
    spot: Spot | None = None
    tags: Annotated[list[str], Meta(min_length=1, max_length=2)] = msgspec.field(default_factory=lambda: ["x"])
    marks: set[int] = msgspec.field(default_factory=set)
    years: tuple[int, ...] = ()
    stock: Annotated[dict[Annotated[str, Meta(max_length=3)], int], Meta(max_length=1)] = {}
    rooms: dict[int, list[int]] = {}
    either: int | str | None = None
    tool: Kiln | Wheel | None = None
    label: Label | None = None
    card: Card | None = None
    sides: Pair | None = None
    odd: Odd | None = None
    fussy: Fussy | None = None
    parts: list[Everything] = msgspec.field(default_factory=list)


WRONG: dict[str, tuple[str, str]] = {
    '{"whole": 9}': ("$.whole", "whole must be an integer from 1 to 5"),
    '{"whole": "1"}': ("$.whole", "whole must be an integer from 1 to 5, not a string"),
    '{"whole": 1.5}': ("$.whole", "whole must be an integer from 1 to 5, not a decimal number"),
    '{"whole": null}': ("$.whole", "whole must be an integer from 1 to 5, not null"),
    '{"whole": 100000000000000000000}': ("$.whole", "whole must be an integer from 1 to 5"),
    '{"least": 0}': ("$.least", "least must be an integer of at least 1"),
    '{"even": 3}': ("$.even", "even must be an integer divisible by 2"),
    '{"small": 2}': ("$.small", "small must be a number greater than 0 and less than 1"),
    '{"small": 1e999}': ("$.small", "small must be a number greater than 0 and less than 1"),
    '{"exact": "cheap"}': ("$.exact", "exact must be a decimal number"),
    '{"exact": []}': ("$.exact", "exact must be a decimal number, not an array"),
    '{"text": ""}': ("$.text", "text must be a string of 1 to 5 characters"),
    '{"text": {}}': ("$.text", "text must be a string of 1 to 5 characters, not an object"),
    '{"code": "a"}': ("$.code", "code must be a string that matches the pattern ^[A-Z]$"),
    '{"data": "!"}': ("$.data", "data must be a string in base64 of at most 2 bytes"),
    '{"data": "AAAAAAAA"}': ("$.data", "data must be a string in base64 of at most 2 bytes"),
    '{"flag": "yes"}': ("$.flag", "flag must be true or false, not a string"),
    f'{{"at": "{TIME}"}}': ("$.at", f"at must be a time in ISO 8601 with its offset (such as {TIME}Z) or null"),
    '{"at": "noon"}': ("$.at", f"at must be a time in ISO 8601 with its offset (such as {TIME}Z) or null"),
    f'{{"local": "{TIME}Z"}}': (
        "$.local",
        f"local must be a time in ISO 8601 without an offset (such as {TIME}) or null",
    ),
    '{"day": "2030"}': ("$.day", "day must be a date (such as 2030-01-31) or null"),
    '{"hour": 7}': ("$.hour", "hour must be a time of day (such as 12:30:00) or null, not an integer"),
    '{"period": "1 h"}': ("$.period", "period must be a duration in ISO 8601 (such as P1DT12H) or null"),
    '{"key": "1"}': ("$.key", "key must be a UUID or null"),
    '{"colour": "green"}': ("$.colour", "colour must be red or blue"),
    '{"colour": 1}': ("$.colour", "colour must be red or blue, not an integer"),
    '{"size": "x"}': ("$.size", "size must be 3, m, s or null"),
    '{"size": []}': ("$.size", "size must be 3, m, s or null, not an array"),
    '{"pair": [1]}': ("$.pair", "pair must be an array of 2 values or null"),
    '{"pair": [1, 2]}': ("$.pair[1]", "pair[1] must be a string, not an integer"),
    '{"spot": [1]}': ("$.spot", "spot must be an array or null"),
    '{"spot": ["x", "y"]}': ("$.spot[0]", "spot[0] must be an integer, not a string"),
    '{"tags": []}': ("$.tags", "tags must be an array of 1 to 2 values"),
    '{"tags": ["a", 2]}': ("$.tags[1]", "tags[1] must be a string, not an integer"),
    '{"marks": [1, "a"]}': ("$.marks[1]", "marks[1] must be an integer, not a string"),
    '{"years": [1, 2, "a"]}': ("$.years[2]", "years[2] must be an integer, not a string"),
    '{"stock": {"long": 1}}': ("$.stock", "Each name in stock must be a string of at most 3 characters"),
    '{"stock": {"a": "x"}}': ("$.stock[...]", "Each value in stock must be an integer, not a string"),
    '{"stock": {"a": 1, "b": 2}}': ("$.stock", "stock must be an object of at most 1 field"),
    '{"rooms": {"x": []}}': ("$.rooms", "Each name in rooms must be an integer"),
    '{"rooms": {"1": ["x"]}}': ("$.rooms[...][0]", "rooms[…][0] must be an integer, not a string"),
    '{"either": []}': ("$.either", "either must be an integer, a string or null, not an array"),
    '{"tool": 1}': ("$.tool", "tool must be an object or null, not an integer"),
    '{"tool": {}}': ("$.tool.kind", "tool.kind is required"),
    '{"tool": {"kind": "saw"}}': ("$.tool.kind", "tool.kind must be kiln or wheel"),
    '{"tool": {"kind": "kiln"}}': ("$.tool.degrees", "tool.degrees is required"),
    '{"tool": {"kind": "kiln", "degrees": "hot"}}': (
        "$.tool.degrees",
        "tool.degrees must be an integer, not a string",
    ),
    '{"tool": {"kind": "wheel", "degrees": 1}}': ("$.tool.degrees", "tool.degrees must be a string, not an integer"),
    '{"label": {"text": 1}}': ("$.label.text", "label.text must be a string, not an integer"),
    '{"card": {}}': ("$.card.text", "card.text is required"),
    '{"sides": {}}': ("$.sides", "sides must be an array or null, not an object"),
    '{"sides": [1, 2]}': ("$.sides[1]", "sides[1] must be a string, not an integer"),
    '{"odd": {"a.b": ["x"]}}': ("$.odd.a.b[0]", "odd.a.b[0] must be an integer, not a string"),
    '{"fussy": {"year": 1913}}': ("$.fussy", "Nothing was made in 1913"),
    '{"fussy": {"year": 1914}}': ("$.fussy", "fussy is not valid"),
    '{"fussy": {"year": 1915}}': ("$.fussy", "fussy is not valid"),
    '{"fussy": {"year": 1916}}': ("$.fussy", "Who made something in 1916?"),
    '{"parts": [{}, {"parts": [{"whole": 0}]}]}': (
        "$.parts[1].parts[0].whole",
        "parts[1].parts[0].whole must be an integer from 1 to 5",
    ),
}


@pytest.mark.parametrize(("body", "problem"), WRONG.items())
def test_error_names_the_field_and_what_is_allowed(body: str, problem: tuple[str, str]) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        validation.validate(Everything, exact_json.object_from_json(body))

    assert refused.value.details == [{"path": problem[0], "message": problem[1]}]
    assert refused.value.message == problem[1] + ("" if problem[1].endswith("?") else ".")
    assert words_of_libraries(refused.value.message) == []


def test_every_field_of_the_model_is_tested() -> None:
    assert {path.split(".")[1].split("[")[0] for path, _ in WRONG.values()} == set(Everything.__struct_encode_fields__)


def test_unknown_error_of_msgspec_is_not_repeated() -> None:
    problem = validation_messages.describe(
        msgspec.ValidationError("Bad `Struct` - at `$.x[0].y`"), Everything, "The body"
    )

    assert problem == ("$.x[0].y", "x[0].y is not valid")


def test_every_type_of_msgspec_has_a_description() -> None:
    known = tuple(validation_messages._DESCRIPTIONS)
    unknown = [
        kind
        for kind in vars(msgspec.inspect).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.inspect.Type)
        and kind is not msgspec.inspect.Type
        and not issubclass(kind, known)
    ]

    # The first two allow any value, and the third is of MessagePack. Unions and annotations are resolved before. What
    # a custom type allows is unknown.
    assert {kind.__name__ for kind in unknown} == {
        "AnyType", "RawType", "ExtType", "UnionType", "Metadata", "CustomType", "MemoryViewType",
    }  # fmt: skip
