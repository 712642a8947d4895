"""Cursors are good for the list they were given out for, and for nothing else."""

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
def test_a_cursor_goes_on_where_it_was_given_out(id_: str, belongs_to: tuple[object, ...]) -> None:
    assert cursors.decode(cursors.encode(id_, *belongs_to), *belongs_to) == id_


@given(new_ids, lists, lists)
def test_a_cursor_of_another_owner_or_list_is_refused(
    id_: str, belongs_to: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assume(belongs_to != other)

    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(cursors.encode(id_, *belongs_to), *other)


@given(new_ids, st.integers(0, 39), st.characters())
def test_a_cursor_with_one_letter_changed_is_refused(id_: str, place: int, letter: str) -> None:
    given_out = cursors.encode(id_, *LIST)
    assume(given_out[place] != letter)

    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(given_out[:place] + letter + given_out[place + 1 :], *LIST)


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(text, *LIST)


@pytest.mark.parametrize(
    "change", [lambda text: text + "=", lambda text: text + "\n", lambda text: text[:-1], str.lower]
)
def test_a_cursor_is_taken_only_letter_by_letter(change: object) -> None:
    assert callable(change)
    with pytest.raises(errors.InvalidCursorError):
        cursors.decode(change(cursors.encode(ids.new_id(), *LIST)), *LIST)


def test_a_cursor_goes_into_a_url_as_it_is() -> None:
    given_out = cursors.encode(ids.new_id(), *LIST)

    assert len(given_out) == 40
    assert set(given_out) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
