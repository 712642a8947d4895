"""JSON that is stored in DynamoDB is returned exactly, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalogue.item_fields import ItemFields
from chalicelib.catalogue.models import MANAGED_FIELDS, SETTINGS
from chalicelib.catalogue.validation import MAX_ITEM_BYTES
from chalicelib.values.dynamodb_limits import MAX_DEPTH
from chalicelib.values.exact_json import to_json
from tests.builders import as_json, fields
from tests.e2e.in_process import app_on_a_table_of_its_own
from tests.e2e.system import System
from tests.integration.stage import Stage

DECLARED = fields().keys()
"""The fields that every item has: those that ``ItemFields`` requires, and those with a default."""
ROOM = MAX_ITEM_BYTES - len(to_json(fields(a="")))
"""The size in bytes that the field ``a`` may have."""

# Derandomized, so that a failure comes from the change under test; and without a database of examples.
examples = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def api(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with app_on_a_table_of_its_own(system.emulator, tmp_path_factory.mktemp("fidelity")) as stage:
        yield stage


class Number(str):
    """A number in the form in which JSON text has it."""

    __slots__ = ()


def spelled(value: Any, *, ascii_only: bool) -> str:
    """Return ``value`` as JSON. If ``ascii_only``, escape all other characters, emoji as surrogate pairs."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(name, ensure_ascii=ascii_only)}:{spelled(inner, ascii_only=ascii_only)}"
            for name, inner in value.items()
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(inner, ascii_only=ascii_only) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def exactly(text: str | bytes) -> Any:
    """Return the parsed JSON, with exact numbers of which none is equal to true or false."""

    def number(digits: str) -> tuple[str, Decimal]:
        return "number", Decimal(digits)

    return json.loads(text, parse_float=number, parse_int=number)


def round_trip(api: Stage, body: str) -> Any:
    """Create an item and return the caller's fields of it as GET returns them."""
    created = api("POST", "/items", as_json(body[1:-1]))
    assert created.status_code == 201, created.body
    read = api("GET", f"/items/{exactly(created.body)['id']}")
    assert read.status_code == 200, read.body
    assert exactly(read.body) == exactly(created.body)
    return {name: value for name, value in exactly(read.body).items() if name not in {*MANAGED_FIELDS, *DECLARED}}


AT_THE_LIMITS = [
    f"1.{'1' * 37}E-130",
    f"-1.{'1' * 37}E-130",
    "1E-130",
    f"9.{'9' * 37}E+125",
    f"-9.{'9' * 37}E+125",
    "9.99E+125",
    "9" * 38,
    f"-{'9' * 38}",
    f"0.{'0' * 129}1",
    f"0.{'1' * 38}",
    "12345678901234567890",
    "0.1",
    "0.30000000000000004",
    "1e-30",
    "-0.0",
    "0E-400",
    "100",
    "1E2",
]
digits = st.text("0123456789", min_size=1, max_size=38).map(lambda text: text.lstrip("0") or "0")
numbers = st.one_of(
    st.sampled_from(AT_THE_LIMITS),
    digits,
    st.builds(lambda sign, whole, part: f"{sign}{whole}.{part}", st.sampled_from(["", "-"]), digits, digits).filter(
        lambda text: len(text.strip("-").replace(".", "").lstrip("0")) <= 38
    ),
    st.builds(
        lambda digits, place: f"{digits}E{place - len(digits) + 1}",
        digits.filter(lambda text: text != "0"),
        st.integers(-130, 125),
    ),
).map(Number)
letters = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\0\x1f\x7f\x85\u2028\ufeff\uffff😀👩‍👧é")),
    max_size=12,
)
names = letters.filter(bool)
leaves = st.none() | st.booleans() | numbers | letters | st.just([]) | st.just({})
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


def wrapped(value: Any, levels: list[str | None]) -> Any:
    """Return ``value`` nested in one list for each None and one object for each name in ``levels``."""
    for name in levels:
        value = [value] if name is None else {name: value}
    return value


deep = st.builds(
    wrapped,
    st.none() | st.booleans() | numbers | letters,
    st.lists(st.none() | names, min_size=MAX_DEPTH - 2, max_size=MAX_DEPTH - 2),
)
# Hypothesis also draws texts from the source, such as the name of a field with a meaning.
known = {*MANAGED_FIELDS, *SETTINGS, *ItemFields.__struct_encode_fields__}
bodies = st.dictionaries(names.filter(lambda name: name not in known), values | deep, max_size=5)


@examples
@given(body=bodies, ascii_only=st.booleans())
def test_object_is_returned_unchanged(api: Stage, body: dict[str, Any], ascii_only: bool) -> None:
    # A client must escape U+FFFD (docs/decisions/0035).
    text = spelled(body, ascii_only=ascii_only).replace("\ufffd", "\\ufffd")

    assert round_trip(api, text) == exactly(text)


@pytest.mark.parametrize("number", AT_THE_LIMITS)
def test_number_is_returned_exactly(api: Stage, number: str) -> None:
    text = f'{{"n":[{number}]}}'

    assert round_trip(api, text) == exactly(text)


@examples
@given(
    number=st.builds(
        lambda sign, whole, part, exponent: f"{sign}{whole}{part}{exponent}",
        st.sampled_from(["", "-"]),
        st.integers(0, 10**45).map(str),
        st.just("") | st.text("0123456789", min_size=1, max_size=45).map(lambda text: f".{text}"),
        st.just("") | st.integers(-200, 200).map(lambda exponent: f"E{exponent}") | st.just("e+99999999999"),
    )
)
def test_number_is_stored_exactly_or_refused_with_its_path(api: Stage, number: str) -> None:
    text = f'{{"a":{{"n":{number}}}}}'

    answer = api("POST", "/items", as_json(text[1:-1]))

    if answer.status_code == 201:
        assert round_trip(api, text) == exactly(text)
    else:
        assert answer.status_code == 400
        refusal = json.loads(answer.body)
        assert "$.a.n" in json.dumps(refusal) or refusal["error"] == "INVALID_JSON"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (f'{{"n":{"1" * 39}}}', 400, "more than 38 digits"),
        (f'{{"n":0.{"1" * 39}}}', 400, "more than 38 digits"),
        (f'{{"n":1.{"1" * 38}E-130}}', 400, "more than 38 digits"),
        ('{"n":1E+126}', 400, "beyond 1E-130 to 1E+126"),
        ('{"n":-1E+126}', 400, "beyond 1E-130 to 1E+126"),
        ('{"n":1E-131}', 400, "beyond 1E-130 to 1E+126"),
        ('{"n":NaN}', 400, "not valid JSON"),
        ('{"n":-Infinity}', 400, "not valid JSON"),
        ('{"":1}', 400, "empty name"),
        ('{"a":[{"":1}]}', 400, "empty name"),
        (f'{{"{"x" * 65_536}":1}}', 400, "more than 65535 bytes"),
        ('{"a":"\\ud800"}', 400, "not valid JSON"),
        ('{"\\udfff":1}', 400, "not valid JSON"),
        ('{"a":' * 32 + "1" + "}" * 32, 400, "deeper than 32 levels"),
        ('{"a":' + "[" * 32 + "]" * 32 + "}", 400, "deeper than 32 levels"),
        (f'{{"a":"{"x" * 358_400}"}}', 413, "at most 358400 bytes"),
        (f'{{"a":[{",".join(["1"] * 170_000)}]}}', 413, "at most 358400 bytes"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_unstorable_item_is_refused_with_the_reason(api: Stage, body: str, status: int, reason: str) -> None:
    for method, path in (("POST", "/items"), ("PUT", f"/items/{api.item()['id']}")):
        answer = api(method, path, as_json(body[1:-1]))

        assert answer.status_code == status
        assert reason in json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    "body",
    [
        f'{{"a":"{"x" * ROOM}"}}',
        f'{{"a":"{"é" * (ROOM // 2)}"}}',
        f'{{"{"x" * 65_535}":1}}',
        '{"a":' * 31 + "1" + "}" * 31,
        '{"a":' + "[" * 31 + "]" * 31 + "}",
    ],
    ids=["bytes", "bytes of letters", "name", "objects", "lists"],
)
def test_item_at_the_limits_is_returned_unchanged(api: Stage, body: str) -> None:
    assert round_trip(api, body) == exactly(body)
    # With an idempotency key, the response is stored a second time, to be replayed.
    assert api("POST", "/items", as_json(body[1:-1]), idempotency_key=str(len(body))).status_code == 201
