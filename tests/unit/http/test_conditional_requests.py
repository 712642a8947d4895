"""Entity tags and preconditions: parsing and evaluation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.catalogue.models import Item
from chalicelib.http.conditional_requests import EntityTags, Preconditions, parse


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
    assert parse("If-Match", lines) == EntityTags(frozenset(tags))


def test_star_is_any_tag_and_no_header_is_none() -> None:
    assert parse("If-Match", [" * "]) == EntityTags(frozenset(), any=True)
    assert parse("If-Match", []) is None


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "1", "abc", "W/1", 'w/"1"', '"1', '1"', '"1" "2"', '*, "1"', "*, *", '"a b"', '"a\x7f"', "'1'"],
)
def test_malformed_header_is_rejected_by_name(text: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=r"^If-None-Match must be") as raised:
        parse("If-None-Match", [text])
    assert raised.value.details == [{"path": "If-None-Match"}]


def test_long_malformed_header_is_rejected_quickly() -> None:
    # With backtracking, this would take hours.
    with pytest.raises(errors.InvalidRequestError):
        parse("If-Match", ['"a",' + " " * 1_000_000 + "x"])


@given(st.text(alphabet='"W/*, 1a\t', max_size=30))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        tags = parse("If-Match", [text])
    except errors.InvalidRequestError:
        return
    assert tags is not None
    assert tags.any or tags.tags


@pytest.mark.parametrize(
    ("tag", "version"),
    [('"7"', 7), ('"7-495123"', 7), ('"7-gzip"', 7), ('"7--gzip"', 7), ('"77"', 77), ('"-7"', None), ('"7x"', None)],
)
def test_version_of_a_tag(tag: str, version: int | None) -> None:
    tags = EntityTags(frozenset({tag}))

    assert [number for number in range(100) if tags.include_version(number)] == ([] if version is None else [version])


def test_write_error_names_the_failed_precondition() -> None:
    one, any_ = EntityTags(frozenset({'"1"'})), EntityTags(frozenset(), any=True)

    for conditions, version, refused in [
        (Preconditions(), 1, None),
        (Preconditions(if_match=one), 1, None),
        (Preconditions(if_match=one), 2, "If-Match does not name"),
        (Preconditions(if_match=any_), 2, None),
        (Preconditions(if_none_match=one), 1, "If-None-Match excludes"),
        (Preconditions(if_none_match=one), 2, None),
        (Preconditions(if_none_match=any_), 2, "If-None-Match excludes"),
        (Preconditions(if_match=one, if_none_match=one), 1, "If-None-Match excludes"),
    ]:
        item = _item(version)
        if refused is None:
            conditions.check_write(item)
            continue
        with pytest.raises(errors.VersionMismatchError, match=f"at version {version} now, which {refused}"):
            conditions.check_write(item)


def _item(version: int) -> Item:
    return Item(owner="ann", id="id", version=version, created_at="", updated_at="", fields={})
