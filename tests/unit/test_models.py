"""What comes in, held to its limits; what is kept, exact."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.aws import dynamodb_json, table
from chalicelib.catalogue import import_entries, models, validation
from chalicelib.values import dynamodb_limits, exact_json, ids, times
from tests.builders import REQUIRED, as_json, fields

# hypothesis asks for bounds without a zone, and puts it in itself.
EARLIEST, LATEST = datetime.min + timedelta(days=1), datetime.max - timedelta(days=2)  # noqa: DTZ901
AFTER_LATEST = (LATEST + timedelta(days=1)).replace(tzinfo=UTC)
ID = "019ca7b4-e400-7abc-8def-0123456789ab"

# What DynamoDB's number type holds: 38 digits, 1E-130 to 9.99…E+125, either sign, and zero.
digits = st.integers(1, 10**38 - 1)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.builds(
        lambda digits, place, sign: Decimal(f"{sign}{digits}E{place - len(str(digits)) + 1}"),
        digits,
        st.integers(-130, 125),
        st.sampled_from(("", "-")),
    ),
)
letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = letters.filter(lambda name: name and name not in {*models.MANAGED_FIELDS, "expiresAt"})
values = st.recursive(
    st.none() | st.booleans() | numbers | letters,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=5)


def draft(members: str) -> models.ItemInput:
    return validation.validate_item(exact_json.object_from_json(as_json(members)))


def kept(fields: models.Fields) -> models.Fields:
    """What the table makes of fields on their way in and out."""
    record = table.Put(table.Key("ann", "ITEM", "1"), {"fields": fields}).parameters["Item"]
    out: models.Fields = dynamodb_json.deserialize_all(record)["fields"]
    return out


def nested(levels: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(levels - 1):
        body = {"a": body}
    return body


class TestNumbers:
    @given(numbers)
    def test_a_number_comes_back_with_its_exact_value(self, number: int | Decimal) -> None:
        back = exact_json.from_json(exact_json.to_json(number))

        assert Decimal(back) == Decimal(number)

    @given(objects)
    def test_an_object_comes_back_from_the_table_as_it_went_in(self, body: dict[str, Any]) -> None:
        read = exact_json.object_from_json(exact_json.to_json(body))

        assert exact_json.from_json(exact_json.to_json(kept(read))) == body

    @pytest.mark.parametrize("text", ["0.1", "0.30000000000000004", "1e-130", "9.9E+125", "1" * 38, "-0.10", "1E2"])
    def test_a_number_is_taken_without_a_detour_over_floats(self, text: str) -> None:
        assert draft(f'"n": {text}').fields["n"] == Decimal(text)

    @pytest.mark.parametrize("text", ["0e0", "-0", "0.000", "0E-200", "0e400"])
    def test_zero_is_taken_however_it_is_spelled(self, text: str) -> None:
        assert kept(draft(f'"n": {text}').fields)["n"] == 0

    @pytest.mark.parametrize("text", ["1" * 39, "0." + "1" * 39, "1E+126", "-1E+126", "1E-131", "1E-150", "1e999"])
    def test_a_number_that_the_table_cannot_hold_is_refused_with_its_path(self, text: str) -> None:
        with pytest.raises(errors.InvalidRequestError, match="more than 38 digits") as refused:
            draft(f'"a": [{{"b": {text}}}]')

        assert refused.value.details is not None
        assert [detail["path"] for detail in refused.value.details] == ["$.a[0].b"]

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1" * 5000, "1e99999999999999999999", "01", "+1"])
    def test_what_is_no_number_is_no_json(self, text: str) -> None:
        with pytest.raises(errors.InvalidJsonError):
            draft(f'"n": {text}')


class TestJson:
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"{'a': 1}", b'{"a": "\xff"}', b'"\\ud800"', b"\xef\xbb\xbf{}", b"{}{}"]
    )
    def test_what_is_no_json_is_refused_with_the_reason(self, body: bytes) -> None:
        with pytest.raises(errors.InvalidJsonError, match=r"^The body is not valid JSON in UTF-8: .+\.$"):
            exact_json.object_from_json(body)

    @pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
    def test_a_body_is_an_object(self, body: bytes) -> None:
        with pytest.raises(errors.InvalidRequestError, match="The body must be a JSON object") as refused:
            exact_json.object_from_json(body)

        assert refused.value.details == [{"path": "$", "message": "The body must be a JSON object"}]

    def test_a_body_of_brackets_is_refused_like_any_other(self) -> None:
        with pytest.raises(errors.InvalidJsonError, match="nests deeper than 32 levels"):
            exact_json.from_json(b"[" * 100_000)


class TestDraft:
    @given(objects)
    def test_any_fields_are_the_callers(self, body: dict[str, Any]) -> None:
        assert validation.validate_item({**body, **REQUIRED}) == models.ItemInput({**body, **REQUIRED})

    @pytest.mark.parametrize("name", models.MANAGED_FIELDS)
    def test_a_managed_field_is_refused_by_name(self, name: str) -> None:
        with pytest.raises(errors.ReservedFieldError, match=f"^{name} is managed") as refused:
            validation.validate_item({name: None})

        assert refused.value.details == [{"path": f"$.{name}"}]

    def test_every_managed_field_in_a_body_is_named(self) -> None:
        with pytest.raises(errors.ReservedFieldError, match=r"^id and version are managed") as refused:
            validation.validate_item({"version": 1, "id": "x", "title": "Vase"})

        assert refused.value.details == [{"path": "$.id"}, {"path": "$.version"}]

    def test_managed_names_are_free_further_in(self) -> None:
        body = fields(shop={"id": 7, "version": "b", "expiresAt": "never"})

        assert validation.validate_item(body).fields == body

    @pytest.mark.parametrize(
        ("body", "path", "name"), [({"": 1}, "$", "The item"), ({"a": [{"": 1}]}, "$.a[0]", "a[0]")]
    )
    def test_an_empty_name_is_refused_with_its_path(self, body: dict[str, Any], path: str, name: str) -> None:
        with pytest.raises(errors.InvalidRequestError, match="empty name") as refused:
            validation.validate_item(fields(**body))

        assert refused.value.details == [{"path": path, "message": f"{name} has a field with an empty name"}]

    def test_nesting_goes_32_levels_deep(self) -> None:
        body = fields(**nested(32))

        assert validation.validate_item(body).fields == body

    @pytest.mark.parametrize("innermost", [{}, [], 1, "", None, False])
    def test_deeper_nesting_is_refused_with_its_path(self, innermost: object) -> None:
        body = json.loads(json.dumps(nested(32)).replace("{}", json.dumps({"a": innermost})))

        with pytest.raises(errors.InvalidRequestError, match="deeper than 32 levels") as refused:
            validation.validate_item(body)

        assert refused.value.details is not None
        assert refused.value.details[0]["path"] == "$" + ".a" * 32

    def test_every_problem_is_named(self) -> None:
        with pytest.raises(errors.InvalidRequestError) as refused:
            validation.validate_item(fields(a=Decimal("1E+200"), b={"": 1}, c=[10**40 + 1]))

        assert refused.value.details is not None
        assert [detail["path"] for detail in refused.value.details] == ["$.a", "$.b", "$.c[0]"]

    @pytest.mark.parametrize("body", [{"n": [10**40 + 1] * 8_000}, {"x" * 100_000: 10**40 + 1}])
    def test_a_refusal_stays_small_however_much_is_wrong(self, body: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidRequestError) as refused:
            validation.validate_item(body)

        assert len(refused.value.message) < 1_000
        assert len(exact_json.to_json(refused.value.details)) < 100_000

    def test_an_item_holds_350_kilobytes(self) -> None:
        body = fields(a="")
        body["a"] = "x" * (validation.MAX_ITEM_BYTES - len(exact_json.to_json(body)))

        assert validation.validate_item(body).fields == body

    def test_one_byte_more_is_refused_with_both_numbers(self) -> None:
        body = {"a": "é" * ((validation.MAX_ITEM_BYTES - len('{"a":""}')) // 2) + "x"}

        with pytest.raises(errors.ItemTooLargeError, match=r"at most 358400 bytes, .*; this one would have 358401"):
            validation.validate_item(body)

    def test_short_values_that_take_more_room_in_the_table_than_in_json_are_counted_as_they_lie_there(self) -> None:
        # A digit and its comma are two bytes of JSON; in the table a number of one digit takes two, its place in the
        # list one more (AWS, "DynamoDB item sizes and formats"), and 400 KB is the end.
        body = {"n": [1] * 170_000}

        with pytest.raises(errors.ItemTooLargeError):
            validation.validate_item(body)

    @pytest.mark.parametrize("check", [validation.validate_item, validation.validate_patch])
    def test_size_is_checked_before_values_are(
        self, check: Callable[[dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        visited = []
        monkeypatch.setattr(dynamodb_limits, "violations", visited.append)

        with pytest.raises(errors.ItemTooLargeError):
            check({"n": [1] * 200_000})

        assert visited == []

    @pytest.mark.parametrize("check", [validation.validate_item, validation.validate_patch])
    def test_large_body_that_nests_too_deep_is_refused(self, check: Callable[[dict[str, Any]], object]) -> None:
        body: dict[str, Any] = {"a": "x" * 400_000}
        for _ in range(2_000):
            body = {"a": body}

        with pytest.raises(errors.InvalidRequestError, match="deeper than 32 levels"):
            check(body)


class TestPatchSize:
    def test_patch_may_remove_all_fields_of_the_largest_item(self) -> None:
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
    def test_patch_larger_than_any_item_allows_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(errors.ItemTooLargeError):
            validation.validate_patch(changes)


class Shelf(msgspec.Struct):
    """What a caller may have to say, with all that can be wrong about it."""

    row: Annotated[int, msgspec.Meta(ge=1)]
    place: Literal["left", "right"] = "left"
    labels: dict[Annotated[str, msgspec.Meta(max_length=3)], int] = {}

    def __post_init__(self) -> None:
        if self.row == 13:
            raise ValueError("There is no row 13 - at `least` not here")


class TestChecked:
    @pytest.mark.parametrize(
        ("said", "problems"),
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
    def test_every_field_that_does_not_fit_is_named(self, said: dict[str, Any], problems: dict[str, str]) -> None:
        with pytest.raises(errors.InvalidRequestError) as refused:
            validation.validate(Shelf, said)

        assert refused.value.details == [{"path": path, "message": message} for path, message in problems.items()]

    def test_what_fits_is_the_model(self) -> None:
        assert validation.validate(Shelf, {"row": 7, "place": "right"}) == Shelf(7, "right")

    @pytest.mark.parametrize("said", [{"place": "x" * 100_000}, {"row": 1, "place": "x" * 100_000}])
    def test_a_refusal_stays_small_whatever_it_repeats(self, said: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidRequestError) as refused:
            validation.validate(Shelf, said)

        assert len(refused.value.message) < 1_000
        assert len(exact_json.to_json(refused.value.details)) < 2_000

    def test_what_nests_too_deep_is_refused_like_anything_else(self) -> None:
        deep: list[Any] = []
        for _ in range(sys.getrecursionlimit()):
            deep = [deep]

        with pytest.raises(errors.InvalidRequestError, match="This nests deeper than 32 levels"):
            validation.validate(Shelf, {"row": 1, "labels": deep})


class TestExpiry:
    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ("2026-03-01T12:00:00.001Z", "2026-03-01T12:00:00.001Z"),
            ("2026-03-01T14:00:00+01:00", "2026-03-01T13:00:00.000Z"),
            ("2030-01-31T12:00:00.123456Z", "2030-01-31T12:00:00.123Z"),
            ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000Z"),
        ],
    )
    def test_a_time_is_kept_in_utc(self, said: str, kept: str) -> None:
        assert validation.validate_item(fields(expiresAt=said)) == models.ItemInput(REQUIRED, kept)

    def test_null_means_never(self) -> None:
        assert validation.validate_item(fields(expiresAt=None)) == models.ItemInput(REQUIRED)

    @pytest.mark.parametrize(
        "said",
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
    def test_what_is_no_time_is_refused(self, said: object) -> None:
        with pytest.raises(errors.InvalidExpiryError, match="must be a future time"):
            validation.validate_item(fields(expiresAt=said))


# RFC 7396, appendix A, every row of it.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_its_rfc_says(target: object, patch: object, result: object) -> None:
    assert exact_json.merge_patch(target, patch) == result


@given(objects, objects)
def test_a_merge_patch_leaves_what_it_was_given_as_it_was(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = exact_json.to_json([target, patch])

    once = exact_json.merge_patch(target, patch)

    assert exact_json.to_json([target, patch]) == before
    assert exact_json.merge_patch(once, patch) == once


class TestDigest:
    @given(objects)
    def test_it_does_not_depend_on_the_order_of_names(self, body: dict[str, Any]) -> None:
        assert exact_json.digest(dict(reversed(body.items()))) == exact_json.digest(body)

    @pytest.mark.parametrize(
        ("one", "other"),
        [("1", "1.0"), ("100", "1e2"), ("0.10", "1E-1"), ("0", "-0.0"), ("0e5", "0.00"), ("1e37", "1" + "0" * 37)],
    )
    def test_it_does_not_depend_on_how_a_number_is_spelled(self, one: str, other: str) -> None:
        assert exact_json.digest(exact_json.from_json(one)) == exact_json.digest(exact_json.from_json(other))

    @given(values, values)
    def test_it_differs_where_the_content_does(self, one: Any, other: Any) -> None:
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
    def test_values_that_only_look_the_same_differ(self, one: object, other: object) -> None:
        assert exact_json.digest(one) != exact_json.digest(other)


def _comparable(value: Any) -> Any:
    """As Python compares, but for True and 1."""
    if isinstance(value, dict):
        return {name: _comparable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return (type(value) is bool, value)


@given(objects | st.fixed_dictionaries({"n": st.lists(st.integers(0, 9), min_size=20)}))
def test_chunk_of_an_import_fits_into_a_transaction(own: dict[str, Any]) -> None:
    # An import's chunk is one transaction, and DynamoDB takes 4 MB (AWS, "TransactWriteItems").
    json_bytes, managed = len(exact_json.to_json(own)), 1_000
    size = dynamodb_limits.stored_size(own)

    assert size <= 2 * json_bytes + 10
    assert 2 * import_entries.CHUNK_BYTES + import_entries.CHUNK_ENTRIES * (managed + 10) < 4 * 1024 * 1024
    assert import_entries.CHUNK_ENTRIES + 1 <= 100


class TestIds:
    def test_an_id_is_a_uuid_of_version_7(self) -> None:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids.new_id())

    def test_two_ids_of_one_moment_differ(self) -> None:
        assert len({ids.new_id(1_772_366_400_000) for _ in range(100)}) == 100

    @pytest.mark.parametrize("behind", [0, 1, 3_600_000])
    def test_id_after_another_sorts_after_it_whatever_the_clock_says(self, behind: int) -> None:
        floor = ids.new_id(1_772_366_400_000, -1)

        assert ids.new_id_after(floor, 1_772_366_400_000 - behind) > floor

    def test_id_after_an_older_one_has_its_own_time(self) -> None:
        id_ = ids.new_id_after(ids.new_id(1_772_366_400_000), 1_772_366_400_001)

        assert ids.id_time_ms(id_) == 1_772_366_400_001

    @given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
    def test_ids_sort_by_time_then_by_their_tail(self, ms: int, other_ms: int, tail: int, other_tail: int) -> None:
        one, other = ids.new_id(ms, tail), ids.new_id(other_ms, other_tail)

        assert (one < other) is ((ms, tail) < (other_ms, other_tail))
        assert ids.id_time_ms(one) == ms
        assert ids.is_id(one)

    @given(st.text(max_size=40))
    def test_text_is_no_id_unless_it_is_written_as_ids_are(self, text: str) -> None:
        assert ids.is_id(text) is bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))

    @pytest.mark.parametrize("text", ["", "%30", "0" * 36, "-" * 36, ID.upper(), f"{ID}\n"])
    def test_these_are_no_ids(self, text: str) -> None:
        assert not ids.is_id(text)

    @pytest.mark.parametrize("text", [ID, ID.upper(), ID.title()])
    def test_id_is_compared_by_value(self, text: str) -> None:
        assert ids.canonical_id(text) == ID

    @pytest.mark.parametrize("text", ["", "%30", f"{ID} ", f"{{{ID}}}", ID.replace("-", ""), f"urn:uuid:{ID}"])
    def test_other_spellings_are_no_ids(self, text: str) -> None:
        assert ids.canonical_id(text) is None


class TestTimes:
    @given(st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)), st.integers(0, 10**9))
    def test_text_order_is_time_order(self, at: datetime, later_us: int) -> None:
        later = min(at + timedelta(microseconds=later_us), AFTER_LATEST)

        assert times.format_time(at) <= times.format_time(later)
        assert len(times.format_time(at)) == 24

    @given(st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)))
    def test_a_time_is_read_as_it_was_written(self, at: datetime) -> None:
        assert times.format_time(times.parse_time(times.format_time(at))) == times.format_time(at)
