"""Entity tags as headers have them, and what conditions with them mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.catalogue import preconditions
from chalicelib.catalogue.preconditions import Preconditions, Tags


@pytest.mark.parametrize(
    ("lines", "tags"),
    [
        (['"1"'], {'"1"'}),
        (['W/"1"'], {'"1"'}),
        (['"1", W/"2"'], {'"1"', '"2"'}),
        (['"1"', '"2"'], {'"1"', '"2"'}),
        (['"a,b"'], {'"a,b"'}),
        ([',, "1" ,\t, "2",'], {'"1"', '"2"'}),
        (['""'], {'""'}),
        (['"*"'], {'"*"'}),
        (['"\xfc"'], {'"\xfc"'}),
    ],
)
def test_list_of_tags_is_parsed(lines: list[str], tags: set[str]) -> None:
    assert preconditions.parse("If-Match", lines) == Tags(any=False, tags=frozenset(tags))


def test_star_names_any_and_no_header_nothing() -> None:
    assert preconditions.parse("If-Match", [" * "]) == Tags(any=True, tags=frozenset())
    assert preconditions.parse("If-Match", []) is None


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "1", "abc", "W/1", 'w/"1"', '"1', '1"', '"1" "2"', '*, "1"', "*, *", '"a b"', '"a\x7f"', "'1'"],
)
def test_malformed_header_is_refused_by_name(text: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=r"^If-None-Match must be"):
        preconditions.parse("If-None-Match", [text])


def test_long_header_that_ends_wrong_is_refused_at_once() -> None:
    # If each space were tried in several places, this would take hours.
    with pytest.raises(errors.InvalidRequestError):
        preconditions.parse("If-Match", ['"a",' + " " * 1_000_000 + "x"])


@given(st.text(alphabet='"W/*, 1a\t', max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        tags = preconditions.parse("If-Match", [text])
    except errors.InvalidRequestError:
        return
    assert tags is not None
    assert tags.any or tags.tags


@pytest.mark.parametrize(
    ("tag", "version"),
    [('"7"', 7), ('"7-495123"', 7), ('"7-gzip"', 7), ('"7--gzip"', 7), ('"77"', 77), ('"-7"', None), ('"7x"', None)],
)
def test_version_of_a_tag(tag: str, version: int | None) -> None:
    tags = Tags(any=False, tags=frozenset({tag}))

    assert [number for number in range(100) if tags.names_version(number)] == ([] if version is None else [version])


def test_write_is_refused_with_the_condition_that_fails() -> None:
    one, any_ = Tags(any=False, tags=frozenset({'"1"'})), Tags(any=True, tags=frozenset())

    for conditions, version, refused in [
        (preconditions.NONE, 1, None),
        (Preconditions(match=one), 1, None),
        (Preconditions(match=one), 2, "If-Match does not name"),
        (Preconditions(match=any_), 2, None),
        (Preconditions(none_match=one), 1, "If-None-Match excludes"),
        (Preconditions(none_match=one), 2, None),
        (Preconditions(none_match=any_), 2, "If-None-Match excludes"),
        (Preconditions(match=one, none_match=one), 1, "If-None-Match excludes"),
    ]:
        if refused is None:
            conditions.check("id", version)
            continue
        with pytest.raises(errors.VersionMismatchError, match=f"at version {version} now, which {refused}"):
            conditions.check("id", version)
