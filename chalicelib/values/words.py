"""Split text into the words that a search compares."""

from __future__ import annotations

from chalicelib.values import sort_keys

MAX_LENGTH = 50
"""The characters of a word that are compared."""

MAX_IN_QUERY = 10
"""The most words of a query."""

MAX_QUERY_LENGTH = 200
"""The most characters of the words in a query."""

_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han: iteration mark, closing mark, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana: phonetic extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAA7F),
    (0x1AFF0, 0x1B16F),  # Kana
    (0x20000, 0x3FFFF),  # Han
)
"""The first and the last code points of scripts without spaces between words."""


def split(text: str) -> list[str]:
    """Return the words of a text in their order: runs of letters, marks and digits, folded and cut to MAX_LENGTH.

    In scripts without spaces between words, each character is a word.
    """
    folded = sort_keys.fold(text)
    separated = folded.translate({ord(character): _separated(character) for character in set(folded)})
    return [word[:MAX_LENGTH] for word in separated.split()]


def _separated(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() else " "
    import unicodedata  # noqa: PLC0415 - a megabyte that few cold starts need

    if unicodedata.category(character)[0] not in "LMN":
        return " "
    code = ord(character)
    return f" {character} " if any(first <= code <= last for first, last in _WITHOUT_SPACES) else character
