"""The lines and the rows of exports are read by imports as the items that they were made of."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from chalicelib.catalogue import csv_import_values, export_rows, import_parsing, item_fields, models
from chalicelib.catalogue.models import Fields, Focus, Image, Item
from chalicelib.config import ContentType
from chalicelib.values import csv_parser, exact_json
from tests.json_values import objects

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
TIME = "2026-03-01T08:00:00.000Z"
ITEM = Item(owner="ann", id=ID, version=3, created_at=TIME, updated_at=TIME, fields={})


@given(objects)
def test_line_is_imported_as_the_same_fields(fields: Fields) -> None:
    line = export_rows.line(msgspec.structs.replace(ITEM, fields=fields, expires_at=TIME))

    (entry,) = import_parsing.entries_from_ndjson(line).all
    read = entry.fields(())

    managed = {"id": ID, "version": 3, "createdAt": TIME, "updatedAt": TIME, "expiresAt": TIME}
    assert exact_json.equal(read, managed | fields)
    assert "\ufffd".encode() not in line


def test_line_names_the_picture() -> None:
    ready = Image(status="ready", upload_id=ID, content_type="image/png", width=4, height=3, bytes=99)
    item = msgspec.structs.replace(ITEM, image=msgspec.structs.replace(ready, focus=Focus(Decimal("0.3"), Decimal(1))))

    image = exact_json.object_from_json(export_rows.line(item, "a.png", "image/gif"))["image"]

    assert image == {
        "status": "ready",
        "file": "a.png",
        "contentType": "image/png",
        "width": 4,
        "height": 3,
        "bytes": 99,
        "focus": {"x": Decimal("0.3"), "y": 1},
    }


@pytest.mark.parametrize("kind", [*ContentType.__args__, "", "text/html"])
def test_file_names_differ_by_type(kind: str) -> None:
    name, _, extension = export_rows.file_name(ID, kind).partition(".")

    assert (name, extension.isalnum()) == (ID, True)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("a, b", "a, b"),
        ('"', '"'),
        (" two\r\nlines ", " two\r\nlines "),
        ("=1+1", "=1+1"),
        ("1000", Decimal("1E+3")),
        ("0.000001", Decimal("0.000001")),
        ("true", True),
        ("", None),
    ],
)
def test_cell_is_imported_as_the_same_value(
    monkeypatch: pytest.MonkeyPatch, cell: str, value: str | Decimal | bool | None
) -> None:
    monkeypatch.setattr(item_fields, "ItemFields", msgspec.defstruct("Undeclared", []))
    line = export_rows.line(msgspec.structs.replace(ITEM, fields={"a": value}))
    columns = export_rows.columns(["a"])

    text = export_rows.csv_row(columns) + export_rows.csv_row_of(line, columns)

    (row,) = csv_parser.parse(text.decode()).rows
    assert dict(zip(columns, row.cells, strict=False)).get("a", "") == cell
    assert csv_import_values.fields(columns, row.cells).get("a") == value


def test_exports_have_all_fields_that_the_api_sets() -> None:
    assert set(models.MANAGED_FIELDS) <= set(export_rows.COLUMNS)
    assert set(export_rows._Managed.__struct_encode_fields__) == set(export_rows.COLUMNS)
