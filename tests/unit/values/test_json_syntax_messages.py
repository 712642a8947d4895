from __future__ import annotations

import pytest

from chalicelib import errors
from chalicelib.values import exact_json
from tests.libraries import words_of_libraries

# Text, and the problem in the error message.
NOT_JSON: dict[bytes, str] = {
    b"": "it is empty",
    b" \n": "it is empty",
    b"{": "it ends too early",
    b'{"a": 1': "it ends too early",
    b'{"a": tru}': 'there is an unexpected "t" at line 1, column 7',
    b"{'a': 1}": 'there is an unexpected "\'" at line 1, column 2',
    b'{\n  "a": 1,\n}': 'there is an unexpected "}" at line 3, column 1',
    b'{"a": "b}': "there is an unexpected or unfinished string at line 1, column 7",
    b'{"a": "b\nc"}': 'there is an unexpected "\\n" at line 1, column 9',
    b"{}{}": 'there is an unexpected "{" at line 1, column 3',
    b"title=Vase": 'there is an unexpected "t" at line 1, column 1',
    b'{"a": NaN}': "NaN is not a JSON number",
    b'{"a": -Infinity}': "-Infinity is not a JSON number",
    b'{"a": 1e99999999999999999999}': "it has a number of an impossible size",
    b'{"a": ' + b"1" * 5_000 + b"}": "it has a number of an impossible size",
    b'"\\ud83d"': "it has an escape such as \\ud83d that is only half of a character",
    b"[" * 100_000: "it nests deeper than 32 levels",
    '{"é": "'.encode() + b'\xff"}': "the byte at line 1, column 8 is not UTF-8",
}


@pytest.mark.parametrize(("body", "problem"), NOT_JSON.items(), ids=lambda value: str(value[:20]))
def test_error_names_the_problem_and_its_position(body: bytes, problem: str) -> None:
    with pytest.raises(errors.InvalidJsonError) as refused:
        exact_json.object_from_json(body, "The entry")

    assert refused.value.message == f"The entry is not valid JSON in UTF-8: {problem}."
    assert words_of_libraries(refused.value.message) == []
