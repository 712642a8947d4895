"""Error messages for text that is not JSON: what is wrong, and where.

msgspec's own messages name bytes and its own rules. So the text is parsed again with Python's parser, which knows the
position. Import this module only when something is invalid: most requests never need it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec


def describe(data: bytes | str, error: Exception) -> str:
    """Return why ``data`` is not JSON, with line and column if known. ``error`` is what msgspec's decoder raised."""
    if isinstance(error, msgspec.ValidationError | ArithmeticError):
        return "it has a number of an impossible size"
    try:
        text = data.encode().decode() if isinstance(data, str) else data.decode()
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_reject_constant)
    except json.JSONDecodeError as problem:
        return _unexpected(problem.doc, problem.pos)
    except UnicodeDecodeError as problem:
        return f"the byte {_position(problem.object[: problem.start].decode())} is not UTF-8"
    except (UnicodeEncodeError, RecursionError, ValueError) as problem:
        return str(problem) if type(problem) is ValueError else "it cannot be read"
    # Python's decoder accepts half a surrogate pair, msgspec's does not.
    return "it has an escape such as \\ud83d that is only half of a character"


def _reject_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _unexpected(text: str, at: int) -> str:
    if not text.strip():
        return "it is empty"
    if at >= len(text.rstrip()):
        return "it ends too early"
    if text[at] == '"':
        return f"there is an unexpected or unfinished string {_position(text[:at])}"
    return f"there is an unexpected {json.dumps(text[at], ensure_ascii=False)} {_position(text[:at])}"


def _position(before: str) -> str:
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
