"""The fields of your items: declare them in the class ItemFields.

``title: str`` declares a required field, ``price: Decimal | None = None`` an optional one. Every item that is created
or changed is validated. A field is stored as it was sent; a declared one that was left out gets its default. Types and
constraints are those of msgspec (https://jcristharif.com/msgspec/constraints.html), but a Decimal takes no text. For
any other rule raise ValueError in ``__post_init__``: its message is the error message that the client gets.

The API reference and generated clients show the docstring of the class.
"""

from __future__ import annotations

import msgspec


class ItemFields(msgspec.Struct, rename="camel"):
    """The fields of an item. Other fields of any name and type are allowed too, and are returned as they were sent."""
