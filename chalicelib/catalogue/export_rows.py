"""The rows of exports: an item as a line of NDJSON, and that line as a row of CSV.

A line has the item's managed fields and its own, as ``GET /items/{id}`` shows them, except ``image``: it has no URLs,
and ``file`` is the name of the picture in the archives. From the line, an import with ``key=id`` makes the item again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from chalicelib.catalogue import item_fields, models
from chalicelib.catalogue.models import Item
from chalicelib.values import dynamodb_limits, exact_json

COLUMNS = ("id", "version", "createdAt", "updatedAt", "expiresAt", "visibility", "image")
"""The first columns of CSV. Those of the items' own fields follow."""

_EXTENSIONS = {"image/jpeg": "jpg", "image/tiff": "tif"}
"""The extensions of files by their types, if they are not the second part of the type."""

# Imports refuse U+FFFD unless it is escaped, because API Gateway replaces invalid bytes by it (docs/decisions/0035).
_REPLACEMENT_CHARACTER = "\ufffd".encode()
_ESCAPED = b"\\ufffd"


class Picture(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The field ``image`` of a line."""

    status: str
    file: str | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    focus: models.Focus | None = None


class _Managed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    id: str
    version: int
    created_at: str
    updated_at: str
    expires_at: str | None = None
    visibility: str | None = None
    image: Picture | None = None


def file_name(item_id: str, content_type: str) -> str:
    """Return the name of a picture in an archive. Its first part is the id of the item."""
    kind, _, subtype = content_type.partition("/")
    extension = _EXTENSIONS.get(content_type, subtype if kind == "image" else "bin")
    return f"{item_id}.{extension}"


def line(item: Item, file: str | None = None, content_type: str | None = None) -> bytes:
    """Return an item as a line of NDJSON. ``file`` is the name of its picture, ``content_type`` the type in S3."""
    image = item.image
    picture = None
    if image and image.status != "pending":
        picture = Picture(
            image.status,
            file,
            image.content_type or content_type,
            image.width,
            image.height,
            image.bytes,
            image.focus,
        )
    managed = exact_json.to_json(
        _Managed(item.id, item.version, item.created_at, item.updated_at, item.expires_at, item.visibility, picture)
    )
    own = exact_json.to_json(item.fields)
    joined = managed if own == b"{}" else b"%b,%b" % (managed[:-1], own[1:])
    return joined.replace(_REPLACEMENT_CHARACTER, _ESCAPED) + b"\n"


# ------------------------------------------------------------------------------------------------------------------ CSV


def columns(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of CSV for items with these own fields: those that are declared, then the others sorted."""
    known = set(fields)
    declared = [name for name in item_fields.ItemFields.__struct_encode_fields__ if name in known]
    return (*COLUMNS, *declared, *sorted(known.difference(declared)))


def csv_row(cells: Sequence[str]) -> bytes:
    """Return a row of CSV (RFC 4180)."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def csv_row_of(line: bytes, columns: Sequence[str]) -> bytes:
    """Return a line of NDJSON as a row of CSV, in the form that ``csv_import_values`` reads."""
    values = exact_json.object_from_json(line)
    return csv_row([_cell(values.get(column)) for column in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal) and len(text := f"{value:f}") <= dynamodb_limits.NUMBER_CONTEXT.prec:
        return text  # A number with an exponent would be read as text in a column that is not declared.
    return exact_json.to_json(value).decode()
