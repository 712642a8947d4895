"""The order of sort keys, and folded text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.values import sort_keys

DIGITS = st.integers(-(10**38) + 1, 10**38 - 1)


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """Return a number that DynamoDB can store."""
    digits = draw(st.integers(1, 38))
    unscaled = draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    return Decimal(unscaled).scaleb(draw(st.integers(-130, 88)))


class TestNumbers:
    @given(numbers(), numbers())
    def test_keys_have_the_order_of_the_numbers(self, one: Decimal, other: Decimal) -> None:
        one_key, other_key = sort_keys.sort_key(one), sort_keys.sort_key(other)

        assert (one_key < other_key) == (one < other)
        assert (one_key == other_key) == (one == other)

    @given(DIGITS, st.integers(-100, 80))
    def test_neighbours_of_38_digits_are_in_order(self, digits: int, exponent: int) -> None:
        one, other = (Decimal(number).scaleb(exponent) for number in (digits, min(digits + 1, 10**38 - 1)))

        assert (sort_keys.sort_key(one) < sort_keys.sort_key(other)) == (one < other)

    @pytest.mark.parametrize("text", ["1", "1.0", "1.00", "10E-1", "0.1E1"])
    def test_notations_of_one_number_have_one_key(self, text: str) -> None:
        assert sort_keys.sort_key(Decimal(text)) == sort_keys.sort_key(1) == "n25001"

    @pytest.mark.parametrize("text", ["0", "-0.0", "0E-200", "0E400"])
    def test_notations_of_zero_have_one_key(self, text: str) -> None:
        assert sort_keys.sort_key(Decimal(text)) == "n1"

    @pytest.mark.parametrize(
        ("number", "key"),
        [
            (Decimal("-1.5"), "n049984~"),
            (Decimal(-1), "n04998~"),
            (Decimal("12.5"), "n2501125"),
            (Decimal("1E-130"), "n23701"),
            (Decimal("9.99E+125"), "n2625999"),
            (10**37, "n25371"),
        ],
    )
    def test_key_of_a_number(self, number: int | Decimal, key: str) -> None:
        assert sort_keys.sort_key(number) == key

    @pytest.mark.parametrize("number", [10**38 + 1, Decimal("1E126"), Decimal("1E-131")])
    def test_number_that_cannot_be_stored_is_refused(self, number: int | Decimal) -> None:
        with pytest.raises(ArithmeticError):
            sort_keys.sort_key(number)


FIRST = datetime(2, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone


class TestDates:
    @given(
        st.datetimes(
            timezones=st.sampled_from([UTC, *(timezone(timedelta(hours=hours)) for hours in (-11, 3.5, 14))]),
            min_value=FIRST,
        ),
        st.datetimes(timezones=st.just(UTC), min_value=FIRST),
    )
    def test_keys_have_the_order_of_the_times(self, one: datetime, other: datetime) -> None:
        keys = [sort_keys.sort_key(at.isoformat(), dates=True) for at in (one, other)]

        assert (keys[0] < keys[1]) == (one < other)
        assert (keys[0] == keys[1]) == (one == other)

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("2026-01-31", "d2026-01-31"),
            ("2026-01-31T11:00:00+01:00", "d2026-01-31T10:00:00.000000Z"),
            ("2026-01-31T10:00:00", "d2026-01-31T10:00:00.000000Z"),
            ("2026-01-31T10:00:00.5Z", "d2026-01-31T10:00:00.500000Z"),
            ("soon", "ssoon"),
            ("2026-13-31", "s2026-13-31"),
            ("0001-01-01T00:00:00+14:00", "s0001-01-01t00:00:00+14:00"),
        ],
    )
    def test_key_of_a_date(self, text: str, key: str) -> None:
        assert sort_keys.sort_key(text, dates=True) == key

    def test_date_sorts_before_the_times_of_its_day(self) -> None:
        texts = ["2026-01-30T23:59:59Z", "2026-01-31", "2026-01-31T00:00:00Z"]
        keys = [sort_keys.sort_key(text, dates=True) for text in texts]

        assert keys == sorted(keys)

    def test_text_is_no_date_elsewhere(self) -> None:
        assert sort_keys.sort_key("2026-01-31") == "s2026-01-31"


class TestText:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [
            ("Vase", "vase"),
            ("ÉCOLE", "ecole"),
            ("e\u0301cole", "ecole"),
            ("Straße", "strasse"),
            ("Ⅷ", "viii"),
            ("ﬁn", "fin"),
            ("Ｖａｓｅ", "vase"),
            ("한국", "한국"),
            ("Łódź", "łodz"),
            (" a\t\nb\u00a0 c\x00", "a b c"),
            ("\x85a\x9fb", "a b"),
            ("İ", "i"),
            ("", ""),
        ],
    )
    def test_folded_text(self, text: str, folded: str) -> None:
        assert sort_keys.fold(text) == folded

    @given(st.text())
    def test_folded_text_folds_to_itself(self, text: str) -> None:
        assert sort_keys.fold(sort_keys.fold(text)) == sort_keys.fold(text)

    @given(st.text(), st.text())
    def test_text_before_a_tab_keeps_the_order(self, one: str, other: str) -> None:
        one, other = sort_keys.sort_key(one), sort_keys.sort_key(other)

        assert (f"{one}\tid" < f"{other}\tid") == (one < other)

    def test_only_the_first_100_characters_count(self) -> None:
        assert sort_keys.sort_key("x" * 101) == sort_keys.sort_key("x" * 100) != sort_keys.sort_key("x" * 99)

    @given(st.text(min_size=90))
    def test_key_fits_into_a_sort_key_of_the_table(self, text: str) -> None:
        assert len(sort_keys.sort_key(text).encode()) <= 401


KINDS = [False, True, "2026-01-31", "2026-01-31T00:00:00Z", Decimal(-1), 0, 10**37, "", "a", None]


def test_kinds_of_values_are_in_their_order() -> None:
    keys = [sort_keys.sort_key(value, dates=True) for value in KINDS]

    assert keys == sorted(keys)
    assert len(set(keys)) == len(KINDS)


@pytest.mark.parametrize("value", [None, {}, {"a": 1}, [], [1]])
def test_other_values_are_no_value(value: object) -> None:
    assert sort_keys.sort_key(value) == sort_keys.NO_VALUE


@given(st.one_of(st.booleans(), st.text(), numbers(), st.integers(-(10**30), 10**30)))
def test_key_has_no_control_characters(value: object) -> None:
    assert all(character >= " " for character in sort_keys.sort_key(value, dates=True))
