"""The fields of your items: declare them in the class ItemFields.

``title: str`` declares a required field, ``price: Decimal | None = None`` an optional one. Every item that is created
or changed is validated. A field is stored as it was sent; a declared one that was left out gets its default. UNSET as a
default stores nothing. Types and constraints are those of msgspec (https://jcristharif.com/msgspec/constraints.html),
but a Decimal takes no text. For any other rule raise ValueError in ``__post_init__``: its message is the error message
that the client gets.

FINDABLE and SEARCHABLE mark fields by which items are found, PUBLIC those that visitors see: see docs/adapting.md.

The API reference and generated clients show the docstring of the class.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from chalicelib.catalogue.field_annotations import FINDABLE, PUBLIC, SEARCHABLE


class ItemFields(msgspec.Struct, rename="camel", kw_only=True):
    """The fields of an item. Other fields of any name and type are allowed too, and are returned as they were sent."""

    title: Annotated[str, FINDABLE, SEARCHABLE, PUBLIC] | UnsetType = UNSET
    description: Annotated[str, SEARCHABLE, PUBLIC] | UnsetType = UNSET
    price: Annotated[Decimal, FINDABLE, PUBLIC] | UnsetType = UNSET
    tags: Annotated[list[str], FINDABLE, SEARCHABLE, PUBLIC] | UnsetType = UNSET
