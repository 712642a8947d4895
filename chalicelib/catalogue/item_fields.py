"""The fields of your items: declare yours here."""

from __future__ import annotations

import msgspec


class ItemFields(msgspec.Struct, rename="camel"):
    """The fields that your items must or may have: declare them here, and requests are held to them.

    ``title: str`` requires a field, ``price: Decimal | None = None`` types one that may be left out. Fields that are
    not declared are kept as they come. What msgspec can check, this can: see
    https://jcristharif.com/msgspec/constraints.html. What it cannot, a ``__post_init__`` can: the sentence of a
    ValueError that it raises goes out as it is.
    """
