from __future__ import annotations

import enum
import string
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalogue import field_annotations
from chalicelib.catalogue.field_annotations import DecimalOrText
from chalicelib.values import exact_json


def completed(model: Any, body: str) -> str:
    """Return as JSON what is stored for a JSON text."""
    sent = exact_json.from_json(body)
    return exact_json.to_json(field_annotations.complete(sent, msgspec.json.decode(body, type=model))).decode()


def refused(model: Any, body: str) -> str:
    with pytest.raises(msgspec.ValidationError) as problem:
        completed(model, body)
    return str(problem.value)


# ------------------------------------------------------------------------------------------------------------ defaults


class Colour(enum.Enum):
    BLUE = "blue"


class Size(msgspec.Struct, rename="camel"):
    height: Decimal
    unit_name: str = "cm"


class Vase(msgspec.Struct, rename="camel"):
    title: str
    price: Decimal | None = None
    weight_kg: Decimal = Decimal("9.90")
    in_stock: int = 12345678901234567890
    glaze: float = 0.1
    tags: list[str] = []
    since: date = date(2026, 1, 31)
    colour: Colour = Colour.BLUE
    raw: bytes = b"\0"
    id_: UUID = msgspec.field(name="id-2", default=UUID(int=7))
    size: Size = msgspec.field(default_factory=lambda: Size(Decimal("12.50")))
    sizes: dict[str, Size] = {}
    maker: str | msgspec.UnsetType = msgspec.UNSET


DEFAULTS = (
    '"price":null,"weightKg":9.90,"inStock":12345678901234567890,"glaze":0.1,"tags":[],"since":"2026-01-31",'
    '"colour":"blue","raw":"AA==","id-2":"00000000-0000-0000-0000-000000000007","size":{"height":12.50,"unitName":"cm"}'
    ',"sizes":{}'
)


def test_defaults_are_added_in_their_json_form() -> None:
    assert completed(Vase, '{"title":"Blue"}') == f'{{"title":"Blue",{DEFAULTS}}}'


def test_what_was_sent_is_kept_as_it_was_sent() -> None:
    sent = (
        '{"title":"Blue","price":1.00,"weightKg":5,"inStock":0,"glaze":0.30000000000000000001,"tags":["a"],'
        '"since":"2026-02-01","colour":"blue","raw":"AQ==","id-2":"0000000000000000000000000000000A",'
        '"size":{"height":1,"unitName":"m","undeclared":[{}]},"sizes":{"b":{"height":2,"unitName":"m"}},"maker":"x",'
        '"weight_kg":"undeclared"}'
    )

    assert completed(Vase, sent) == sent


def test_defaults_are_added_in_nested_models() -> None:
    sent = '{"title":"Blue","size":{"height":1},"sizes":{"a":{"height":2},"b":{"height":3,"unitName":"m"}}}'
    stored = exact_json.from_json(completed(Vase, sent))

    assert stored["size"] == {"height": 1, "unitName": "cm"}
    assert stored["sizes"] == {"a": {"height": 2, "unitName": "cm"}, "b": {"height": 3, "unitName": "m"}}


class Pair(NamedTuple):
    low: int
    high: int = 9


@dataclass
class Box:
    pairs: list[Pair] = field(default_factory=list)
    text: str | None = None


class Point(msgspec.Struct, array_like=True, tag="point"):
    x: int
    y: int = 2


class Dot(msgspec.Struct, tag="dot"):
    size: int = 3


@pytest.mark.parametrize(
    ("model", "sent", "stored"),
    [
        (Pair, "[1]", "[1,9]"),
        (Box, '{"pairs":[[1],[2,3]]}', '{"pairs":[[1,9],[2,3]],"text":null}'),
        (Point, '["point",1]', '["point",1,2]'),
        (Point, '["point",1,5,"more"]', '["point",1,5,"more"]'),
        (list[Dot | int], '[{"type":"dot"},4]', '[{"type":"dot","size":3},4]'),
        (tuple[Dot, ...], '[{"type":"dot"}]', '[{"type":"dot","size":3}]'),
        (dict[date, Dot], '{"2026-01-31":{"type":"dot"}}', '{"2026-01-31":{"type":"dot","size":3}}'),
        (set[int], "[2,1,2]", "[2,1,2]"),
        (
            dict[int, Dot],
            '{"1":{"type":"dot"},"2":{"type":"dot","size":1}}',
            '{"1":{"type":"dot","size":3},"2":{"type":"dot","size":1}}',
        ),
    ],
)
def test_defaults_are_added_in_other_types(model: Any, sent: str, stored: str) -> None:
    assert completed(model, sent) == stored


class Sparse(msgspec.Struct, omit_defaults=True):
    title: str = "none"
    inner: Dot | None = None


def test_model_that_omits_defaults_adds_none() -> None:
    assert completed(Sparse, "{}") == "{}"
    assert completed(Sparse, '{"title":"none","inner":{"type":"dot"}}') == (
        '{"title":"none","inner":{"type":"dot","size":3}}'
    )


class Named(msgspec.Struct):
    name: str
    slug: str = ""

    def __post_init__(self) -> None:
        self.slug = self.slug or self.name.lower()


def test_default_may_be_computed_from_other_fields() -> None:
    assert completed(Named, '{"name":"Vase"}') == '{"name":"Vase","slug":"vase"}'
    assert completed(Named, '{"name":"Vase","slug":"v"}') == '{"name":"Vase","slug":"v"}'


# ------------------------------------------------------------------------------------------------------------- numbers


class Parcel(TypedDict):
    weight: Decimal


class Prices(msgspec.Struct):
    one: Decimal | None = None
    many: list[Decimal] = []
    named: dict[str, Decimal] = {}
    some: set[Decimal] = set()
    size: Size | None = None
    parcel: Parcel | None = None
    either: DecimalOrText | None = None
    eithers: list[DecimalOrText] = []


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ('{"one":"5"}', "$.one"),
        ('{"many":[5,"5"]}', "$.many[1]"),
        ('{"named":{"a":"5"}}', "$.named[...]"),
        ('{"some":["5"]}', "$.some[0]"),
        ('{"size":{"height":"5"}}', "$.size.height"),
        ('{"parcel":{"weight":"5"}}', "$.parcel[...]"),
        ('{"parcel":{"undeclared":1,"weight":"5"}}', "$.parcel[...]"),
    ],
)
def test_text_is_refused_for_a_decimal(sent: str, path: str) -> None:
    assert refused(Prices, sent) == f"Expected `decimal`, got `str` - at `{path}`"


@pytest.mark.parametrize("text", ["5", "12.50", "-0.1", "1E+2", "12345678901234567890.123456789"])
def test_text_is_stored_as_a_number_if_declared(text: str) -> None:
    stored = exact_json.from_json(completed(Prices, f'{{"either":"{text}","eithers":["{text}",1]}}'))

    assert stored["either"] == Decimal(text)
    assert stored["eithers"] == [Decimal(text), 1]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1_0", "+5", "٣"])
def test_text_that_is_not_a_json_number_is_refused(text: str) -> None:
    assert refused(Prices, f'{{"either":"{text}"}}') == "Invalid decimal string - at `$.either`"


@dataclass
class Till:
    either: DecimalOrText
    one: Decimal = Decimal(0)


def test_numbers_in_a_dataclass_follow_its_declaration() -> None:
    assert completed(Till, '{"either":"5"}') == '{"either":5,"one":0}'
    assert refused(Till, '{"either":5,"one":"5"}') == "Expected `decimal`, got `str` - at `$.one`"


# ---------------------------------------------------------------------------------------------------------- any class


class Kind(NamedTuple):
    """A type, and JSON values that it accepts and DynamoDB can store, in the notation in which msgspec writes them."""

    type: Any
    values: st.SearchStrategy[Any]


_texts = st.text(string.ascii_letters, max_size=3)
_decimals = st.decimals(-1000, 1000, places=2)
_SCALARS = [
    Kind(int, st.integers(-(10**37), 10**37)),
    Kind(bool, st.booleans()),
    Kind(str, _texts),
    Kind(
        float,
        st.floats(-1e100, 1e100).filter(lambda one: not 0 < abs(one) < 1e-100).map(lambda one: Decimal(repr(one))),
    ),
    Kind(Decimal, _decimals),
    Kind(date, st.dates().map(date.isoformat)),
    Kind(datetime, st.datetimes().map(datetime.isoformat)),
    Kind(timedelta, st.sampled_from(["P1D", "PT1.5S"])),
    Kind(UUID, st.uuids().map(str)),
    Kind(Colour, st.just("blue")),
    Kind(Decimal | None, st.none() | _decimals),
]


@st.composite
def structs(draw: st.DrawFn, kinds: st.SearchStrategy[Kind]) -> Kind:
    """Return a class of up to four fields. Some are required, some have a default, one without a default factory."""
    fields, required, optional = [], {}, {}
    for number, kind in enumerate(draw(st.lists(kinds, max_size=4))):
        name, in_json = f"field_{number}", f"field{number}"
        how = draw(st.sampled_from(["required", "default", "unset"]))
        if how == "required":
            fields.append((name, kind.type))
            required[in_json] = kind.values
            continue
        optional[in_json] = kind.values
        if how == "unset":
            fields.append((name, kind.type | msgspec.UnsetType, msgspec.UNSET))
        else:
            json = exact_json.to_json(draw(kind.values))
            factory = factory_of(json, kind.type)
            fields.append((name, kind.type, msgspec.field(default_factory=factory)))
    model = msgspec.defstruct("Model", fields, rename="camel", kw_only=True)
    return Kind(model, st.fixed_dictionaries(required, optional=optional))


def factory_of(json: bytes, type_: Any) -> Any:
    return lambda: msgspec.json.decode(json, type=type_)


kinds: st.SearchStrategy[Kind] = st.recursive(
    st.sampled_from(_SCALARS),
    lambda inner: st.one_of(
        inner.map(lambda one: Kind(list[one.type], st.lists(one.values, max_size=2))),  # type: ignore[name-defined]
        inner.map(lambda one: Kind(dict[str, one.type], st.dictionaries(_texts, one.values, max_size=2))),  # type: ignore[name-defined]
        st.tuples(inner, inner).map(
            lambda two: Kind(
                tuple[two[0].type, two[1].type],  # type: ignore[name-defined]
                st.tuples(two[0].values, two[1].values).map(list),
            )
        ),
        structs(inner),
    ),
    max_leaves=6,
)


@given(structs(kinds), st.data())
def test_stored_value_is_what_msgspec_reads(kind: Kind, data: st.DataObject) -> None:
    sent = data.draw(kind.values)
    read = msgspec.json.decode(exact_json.to_json(sent), type=kind.type)

    stored = field_annotations.complete(sent, read)

    assert exact_json.equal(stored, exact_json.from_json(exact_json.to_json(read)))
    read_again = msgspec.json.decode(exact_json.to_json(stored), type=kind.type)
    assert read_again == read
    assert field_annotations.complete(stored, read_again) == stored
