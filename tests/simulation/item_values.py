"""The values of items in a history, and the declarations of ItemFields by which they are indexed.

The fields have names that no class ItemFields is likely to declare, so that any values may be sent.
"""

from __future__ import annotations

import random
from typing import Any

DECLARATIONS = (
    "1;simTitle=swp;simText=w;simPrice=np;simTags=lswp",
    "1;simTitle=swp;simPrice=n;simTags=lsp;simDay=ds;simCodes=lnp;*=p",
)
"""The declaration at the start of each history, and the one that is deployed in the middle of some.

They are texts of ``search_index_keys.Declaration``.
"""

_TITLES = (
    *("Red vase",) * 6,
    "  red\tVASE ",
    "Vasé, blue",
    "Ünder_score-dash 42",
    "東京の花瓶",
    "Straße",
    "",
    "x" * 120,
    " ".join(f"word{number}" for number in range(28)),
)
_TEXTS = ("A red cup from 東京", "blue", "Von " + " ".join("abcdefghijklm"[: 2 + n % 9] + str(n) for n in range(9)), 7)
_PRICES = (0, 1, 12, 12, 12, 12.5, -1, -1.5, -15, 0.25, 10**20, True, "cheap", None, {"amount": 1})
_TAGS = ([], ["red"], ["red", "Red", "blue"], ["a b", 1, None, False, "1"], ["blue", "cup"], "red", None)
_DAYS = ("2026-01-31", "2025-12-01", "soon", 3)
_CODES = ([1, 2], [2, 2.5, "2"], list(range(9)))


def some_visibility(chance: random.Random) -> dict[str, Any]:
    """Return nothing, or whether an item is public."""
    return chance.choice(({}, {}, {"visibility": "public"}, {"visibility": "public"}, {"visibility": "private"}))


def some_fields(chance: random.Random) -> dict[str, Any]:
    """Return values of some of the declared fields."""
    values = {
        "simTitle": chance.choice(_TITLES),
        "simText": chance.choice(_TEXTS),
        "simPrice": chance.choice(_PRICES),
        "simTags": chance.choice(_TAGS),
        "simDay": chance.choice(_DAYS),
        "simCodes": chance.choice(_CODES),
    }
    share = chance.choice((0.3, 0.7, 1))
    return {name: value for name, value in values.items() if chance.random() < share}
