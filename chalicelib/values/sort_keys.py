"""Sort keys: texts that sort in the order of the JSON values that they stand for.

DynamoDB sorts text by its bytes in UTF-8, which is the order of the code points, as in Python. The kinds of values
follow one another, so that a field may contain values of several kinds::

    b0 false, b1 true  <  d… dates and times  <  n… numbers  <  s… text  <  ~ no value

Only control characters sort before a space, and no sort key contains one. So text can follow a sort key after a tab:
``ab<tab>`` sorts before ``ab c<tab>``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from chalicelib.values import dynamodb_limits

NO_VALUE = "~"
"""The sort key of null, of a list and of an object. It sorts after all others."""

MAX_TEXT = 100
"""The characters of a folded text that are in its sort key."""

_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_CONTROLS_TO_SPACES = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


def sort_key(value: Any, *, dates: bool = False) -> str:
    """Return the sort key of a JSON value. With ``dates``, text that states a date or a time sorts as one.

    Numbers are those that DynamoDB can store; others raise ArithmeticError.
    """
    if isinstance(value, bool):
        return "b1" if value else "b0"
    if isinstance(value, int | Decimal):
        return _number_key(value)
    if isinstance(value, str):
        return (date_key(value) if dates else None) or f"s{fold(value)[:MAX_TEXT]}"
    return NO_VALUE


def date_key(text: str) -> str | None:
    """Return the sort key of a date or a time in ISO 8601, or None for other text.

    A time is converted to UTC; one without an offset is UTC already. A date sorts before all times of its day.
    """
    try:
        if len(text) == len("2026-01-31"):
            return f"d{msgspec.convert(text, date).isoformat()}"
        at = msgspec.convert(text, datetime)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (msgspec.ValidationError, OverflowError):
        return None
    return f"d{at.isoformat(timespec='microseconds').replace('+00:00', 'Z')}"


def fold(text: str) -> str:
    """Return ``text`` without differences of case, accents, width and spacing.

    These are compatibility decomposition, case folding, removal of combining marks, and composition (Unicode Standard
    Annex 15, "Unicode Normalization Forms", and section 3.13, "Default Case Algorithms"). Each run of spaces and
    control characters becomes one space; those at the start and the end are removed.
    """
    if text.isascii():
        folded = text.lower()
    else:
        import unicodedata  # noqa: PLC0415 - a megabyte that few cold starts need

        decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        marks = {ord(character): None for character in set(decomposed) if unicodedata.combining(character)}
        folded = unicodedata.normalize("NFKC", decomposed.translate(marks))
    return " ".join(folded.translate(_CONTROLS_TO_SPACES).split())


def _number_key(number: int | Decimal) -> str:
    """Return the sort key of a number: sign, exponent from 000, and digits without zeros at the end.

    The exponent and the digits of a negative number are subtracted from nines, because the number with the greater ones
    sorts first. A tilde ends them, so that -1.5 sorts before -1.
    """
    exact = Decimal(number).normalize(dynamodb_limits.NUMBER_CONTEXT)
    if not exact:
        return "n1"
    digits = "".join(map(str, exact.as_tuple().digits))
    magnitude = f"{exact.adjusted() + 500:03}{digits}"
    return f"n0{magnitude.translate(_COMPLEMENT)}~" if exact < 0 else f"n2{magnitude}"
