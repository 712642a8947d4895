"""A cursor is valid for one list only."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.http import cursors
from chalicelib.values import ids

LIST = ("ann", "desc", None, None)
new_ids = st.builds(ids.new_id, st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
lists = st.tuples(st.text(max_size=6), st.sampled_from(("asc", "desc")), st.none() | st.dates(), st.none() | st.dates())


@given(new_ids, lists)
def test_cursor_is_decoded_to_its_id(id_: str, scope: tuple[object, ...]) -> None:
    assert cursors.decode(cursors.encode(id_, *scope), *scope) == id_


@given(new_ids, lists, lists)
def test_cursor_of_another_list_is_rejected(id_: str, scope: tuple[object, ...], other: tuple[object, ...]) -> None:
    assume(scope != other)

    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(cursors.encode(id_, *scope), *other)


@given(st.text(st.characters(exclude_categories=["Cs"])), lists)
def test_any_text_may_be_the_position(position: str, scope: tuple[object, ...]) -> None:
    assert cursors.decode(cursors.encode(position, *scope), *scope) == position


@given(new_ids, st.integers(0, 39), st.characters())
def test_cursor_with_a_changed_character_is_rejected(id_: str, place: int, letter: str) -> None:
    cursor = cursors.encode(id_, *LIST)
    assume(cursor[place] != letter)

    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(cursor[:place] + letter + cursor[place + 1 :], *LIST)


@given(st.text(max_size=60))
def test_text_that_is_no_cursor_is_rejected(text: str) -> None:
    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(text, *LIST)


@pytest.mark.parametrize(
    "change", [lambda text: text + "=", lambda text: text + "\n", lambda text: text[:-1], str.lower]
)
def test_other_spellings_of_a_cursor_are_rejected(change: object) -> None:
    assert callable(change)
    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(change(cursors.encode(ids.new_id(), *LIST)), *LIST)


def test_cursor_needs_no_escaping_in_a_url() -> None:
    cursor = cursors.encode(ids.new_id(), *LIST)

    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
