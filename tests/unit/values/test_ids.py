from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.values import ids

ID = "019ca7b4-e400-7abc-8def-0123456789ab"


def test_id_is_a_uuid_of_version_7() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids.new_id())


def test_ids_of_the_same_millisecond_differ() -> None:
    assert len({ids.new_id(1_772_366_400_000) for _ in range(100)}) == 100


@pytest.mark.parametrize("behind", [0, 1, 3_600_000])
def test_new_id_after_sorts_after_its_floor(behind: int) -> None:
    floor = ids.new_id(1_772_366_400_000, -1)

    assert ids.new_id_after(floor, 1_772_366_400_000 - behind) > floor


def test_new_id_after_an_older_one_has_its_own_time() -> None:
    id_ = ids.new_id_after(ids.new_id(1_772_366_400_000), 1_772_366_400_001)

    assert ids.id_time_ms(id_) == 1_772_366_400_001


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_ids_sort_by_time_then_tail(ms: int, other_ms: int, tail: int, other_tail: int) -> None:
    one, other = ids.new_id(ms, tail), ids.new_id(other_ms, other_tail)

    assert (one < other) is ((ms, tail) < (other_ms, other_tail))
    assert ids.id_time_ms(one) == ms
    assert ids.is_id(one)


@given(st.text(max_size=40))
def test_is_id_accepts_only_the_stored_form(text: str) -> None:
    assert ids.is_id(text) is bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))


@pytest.mark.parametrize("text", ["", "%30", "0" * 36, "-" * 36, ID.upper(), f"{ID}\n"])
def test_other_text_is_not_an_id(text: str) -> None:
    assert not ids.is_id(text)


@pytest.mark.parametrize("text", [ID, ID.upper(), ID.title()])
def test_canonical_id_ignores_case(text: str) -> None:
    assert ids.canonical_id(text) == ID


@pytest.mark.parametrize("text", ["", "%30", f"{ID} ", f"{{{ID}}}", ID.replace("-", ""), f"urn:uuid:{ID}"])
def test_canonical_id_rejects_other_notations(text: str) -> None:
    assert ids.canonical_id(text) is None
