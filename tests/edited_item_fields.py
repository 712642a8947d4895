"""Replace the class ItemFields in a copy of the project, as an adopter does."""

from __future__ import annotations

import re
from pathlib import Path

IMPORTS = "import datetime\nfrom decimal import Decimal\nfrom typing import Annotated, Any, Literal\n"
"""What the new class may use beside msgspec."""

NOTHING = '''
class ItemFields(msgspec.Struct):
    """Any fields."""
'''
"""A class that declares no field, so that items can be found by none of their own."""

SHOP = '''
class Size(msgspec.Struct):
    height: Annotated[int, msgspec.Meta(gt=0)]
    width: int | None = None


class ItemFields(msgspec.Struct, rename="camel", kw_only=True):
    """Something on sale."""

    name: Annotated[str, msgspec.Meta(min_length=2, max_length=80, description="What the customers read first.")]
    price: Decimal
    on_sale_from: datetime.date
    condition: Literal["new", "used", "damaged"] | None = None
    description: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    framed: bool | None = None
    tags: list[Annotated[str, msgspec.Meta(max_length=12)]] = []
    size: Size | None = None

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError("A price cannot be below zero")
'''
"""A class with three required fields of different types, and optional ones of most other types."""


def replace_item_fields(project: Path, edit: str) -> None:
    """Replace the class ItemFields in ``project`` by the source text ``edit``, which may contain other classes."""
    file = project / "chalicelib" / "catalogue" / "item_fields.py"
    source = file.read_text(encoding="utf-8")
    edited = re.sub(r"\nclass ItemFields\(.*\Z", lambda _: edit, source, count=1, flags=re.DOTALL)
    assert edited != source
    file.write_text(edited.replace("import msgspec\n", f"{IMPORTS}import msgspec\n", 1), encoding="utf-8")
