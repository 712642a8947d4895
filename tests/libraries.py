"""Find text of libraries and of the Python interpreter, which no error message may contain."""

from __future__ import annotations

import re

_WORDS = re.compile(
    r"""Expected\ `|got\ `|`\$|at\ `|truncated|malformed|\bbyte\ \d|recursion|msgspec|Struct|out\ of\ range|codec
    |Object\ (?:missing|contains)|Invalid\ (?:enum|value|RFC|ISO|UUID|decimal|base64|epoch)
    |NoneType|'(?:str|int|float|dict|list)'|`(?:str|int|float|bool|object|array|datetime|decimal)`
    |\b[A-Za-z]+(?:Error|Exception)\b|Traceback|positional\ argument|unexpected\ keyword
    |Expecting|delimiter|Extra\ data|char\ \d|\ and\ \w+\ is\ managed""",
    re.VERBOSE,
)


def words_of_libraries(text: str) -> list[str]:
    """Return the parts of ``text`` that a library or the interpreter wrote."""
    return _WORDS.findall(text)
