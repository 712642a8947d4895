"""The index records that an item must have, computed from its fields in the plainest way.

``chalicelib/catalogue/search_index_keys.py`` computes them too. This module shares no code with it, so that a mistake
there is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from chalicelib.catalogue import search_index_keys

MOST_FINDS, MOST_WORDS = 18, 30


def sort_keys_of(id_: str, record: dict[str, Any]) -> set[str]:
    """Return the sort keys of the index records of an item whose record has these attributes."""
    if "indexed" not in record:
        return set()
    finds, words = keys_of(record["fields"], record["updatedAt"], record["indexed"])
    return {f"FIND#{find}\t{id_}" for find in finds} | {f"WORD#{word}\t{id_}" for word in words}


def public_copy(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the public copy of an item must contain, or nothing if it is private or hidden for the moment."""
    if record.get("visibility") != "public" or record.get("hidden"):
        return {}
    declared = dict(part.split("=") for part in record["indexed"].split(";")[1:])
    fields = {
        name: value for name, value in record["fields"].items() if "p" in declared.get(name, declared.get("*", ""))
    }
    return {name: record[name] for name in ("createdAt", "expiresAt") if name in record} | {"fields": fields}


def sort_keys_by_the_app(id_: str, record: dict[str, Any]) -> set[str]:
    """Return the same, as the app computes them."""
    if "indexed" not in record:
        return set()
    found = search_index_keys.keys(record["fields"], record["updatedAt"], search_index_keys.parse(record["indexed"]))
    return {f"{key.kind}#{key.text}\t{id_}" for key in found}


def keys_of(fields: dict[str, Any], updated_at: str, declaration: str) -> tuple[set[str], set[str]]:
    """Return ``field#value`` of each findable value, and the indexed words."""
    declared = dict(part.split("=") for part in declaration.split(";")[1:])
    found = {name: letters for name, letters in declared.items() if set(letters) & set("bdns")}
    finds = [f"updatedAt#d{updated_at[:-1]}000Z"]
    finds += [f"{name}#{_key(fields.get(name), letters)}" for name, letters in found.items() if "l" not in letters]
    for name, letters in found.items():
        elements = fields.get(name) if "l" in letters else None
        if isinstance(elements, list):
            finds += [f"{name}#{_key(one, letters)}" for one in elements if isinstance(one, str | int | Decimal)]
    return set(list(dict.fromkeys(finds))[:MOST_FINDS]), _indexed_words(fields, declared)


def _key(value: Any, letters: str) -> str:
    return sort_key(value, dated="d" in letters)


def sort_key(value: Any, *, dated: bool = False) -> str:
    """Return the text that takes the place of a value in the order of all values."""
    if value is None or isinstance(value, list | dict):
        return "~"
    if isinstance(value, bool):
        return "b1" if value else "b0"
    if isinstance(value, str):
        return f"d{value}" if dated and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else "s" + folded(value)[:100]
    return _number(Decimal(value))


def _number(number: Decimal) -> str:
    if number == 0:
        return "n1"
    mantissa, exponent = f"{abs(number):.37e}".split("e")
    text = f"{int(exponent) + 500:03}" + mantissa.replace(".", "").rstrip("0")
    return f"n2{text}" if number > 0 else "n0" + "".join(str(9 - int(digit)) for digit in text) + "~"


def folded(text: str) -> str:
    """Return a text without case and accents, and with single spaces."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(one for one in decomposed if not unicodedata.combining(one))
    spaced = "".join(" " if unicodedata.category(one) == "Cc" else one for one in unicodedata.normalize("NFKC", bare))
    return " ".join(spaced.split())


def words(text: str) -> list[str]:
    """Return the words of a text. A Chinese character is a word."""
    found = re.findall(r"[\u4e00-\u9fff]|(?:(?![\u4e00-\u9fff])[^\W_])+", folded(text))
    return [word[:50] for word in found]


def _indexed_words(fields: dict[str, Any], declared: dict[str, str]) -> set[str]:
    searched = [list(_words_in(fields.get(name))) for name, letters in declared.items() if "w" in letters]
    first, rest = (searched or [[]])[0], [word for others in searched[1:] for word in others]
    # sorted() keeps the order of words of one length.
    ranked = [*sorted(dict.fromkeys(first), key=len, reverse=True)]
    ranked += [word for word in sorted(dict.fromkeys(rest), key=len, reverse=True) if word not in ranked]
    return set(ranked[:MOST_WORDS])


def _words_in(value: Any) -> Iterator[str]:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            yield from words(text)
