"""Words of a text, as a search compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.values import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A blue Vase, 30 cm", ["a", "blue", "vase", "30", "cm"]),
        ("don't—stop…now", ["don", "t", "stop", "now"]),
        ("Über-groß", ["uber", "gross"]),
        ("snake_case a.b", ["snake", "case", "a", "b"]),
        ("花瓶 blue", ["花", "瓶", "blue"]),
        ("はなABC", ["は", "な", "abc"]),
        ("แก้ว", ["แ", "ก", "ว"]),
        ("한국 도자기", ["한국", "도자기"]),
        ("हिन्दी", ["हिनदी"]),
        ("½ ①", ["1", "2", "1"]),
        ("… !", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words.split(text) == expected


def test_word_is_cut() -> None:
    assert words.split("x" * 60) == ["x" * words.MAX_LENGTH]


@given(st.text())
def test_words_are_words_of_one_word(text: str) -> None:
    for word in words.split(text):
        assert words.split(word) == [word]
