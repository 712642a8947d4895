from __future__ import annotations

import pytest

from tests.libraries import words_of_libraries


@pytest.mark.parametrize(
    "leak",
    [
        "Expected `int`, got `str`",
        "Input data was truncated",
        "JSON is malformed: invalid character (byte 4)",
        "Object missing required field `a`",
        "maximum recursion depth exceeded",
        "title - at `$.title`",
        "Invalid enum value 'up'",
        "'utf-8' codec can't decode byte 0xff in position 4",
        "id and version is managed",
        "argument of type 'NoneType' is not iterable",
    ],
)
def test_text_of_a_library_is_found(leak: str) -> None:
    assert words_of_libraries(leak)
