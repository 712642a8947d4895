"""Imports of CSV: rows become items, and errors name their place."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chalicelib.catalogue import import_parsing, validation
from chalicelib.http import schemas
from tests.integration.stage import Stage, json_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse


class Vase(msgspec.Struct, rename="camel"):
    """The declared fields of these tests."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    price: Decimal | msgspec.UnsetType = msgspec.UNSET
    in_stock: bool | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


@pytest.fixture(autouse=True)
def vases(declare: Callable[[type[msgspec.Struct]], None]) -> None:
    declare(Vase)


def send(api: Stage, body: str | bytes, content_type: str = "text/csv", **headers: str) -> HTTPResponse:
    data = body.encode() if isinstance(body, str) else body
    return api("POST", "/imports", data, content_type=content_type, **headers)


def imported(api: Stage, body: str | bytes) -> dict[str, Any]:
    """Import CSV, and return the progress when it is processed."""
    answer = send(api, body)
    assert answer.status_code == 202, answer.body
    api.work()
    response = api("GET", f"/imports/{json_of(answer)['id']}")
    msgspec.json.decode(response.body, type=schemas.Import)
    progress: dict[str, Any] = json_of(response)
    assert progress["status"] == "done"
    return progress


def items(api: Stage) -> list[dict[str, Any]]:
    """Return the own fields of all items, the oldest first."""
    found = json_of(api("GET", "/items?order=asc&limit=100"))["items"]
    return [
        {name: value for name, value in item.items() if name not in validation.models.MANAGED_FIELDS} for item in found
    ]


VASES = [
    {"title": "Vase", "price": Decimal("12.50"), "inStock": True, "tags": ["blue", "glass"], "shelf": 7},
    {"title": "007", "price": 3, "shelf": "007", "expiresAt": "2100-01-01T00:00:00.000Z"},
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_rows_become_items(api: Stage, delimiter: str, start: str, end: str) -> None:
    rows = [
        "title,price,inStock,tags,shelf,expiresAt",
        'Vase,12.50,TRUE,"blue|glass",7,',
        "007,3,,,007,2100-01-01T00:00:00Z",
        "",
    ]

    progress = imported(api, start + end.join(rows).replace(",", delimiter))

    assert (progress["total"], progress["created"], progress["errors"]) == (2, 2, [])
    assert items(api) == VASES


def test_charset_may_be_declared(api: Stage) -> None:
    assert send(api, "title\nVase\n", 'text/csv; charset="UTF-8"; header=present').status_code == 202
    assert send(api, "title\nVase\n", "text/csv; charset=windows-1252").status_code == 415


def test_other_charset_is_refused_with_its_line(api: Stage) -> None:
    answer = send(api, "title\nVase\nGefäß\n".encode("latin-1"))

    assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_CSV")
    assert "line 3 has bytes that are not UTF-8" in json_of(answer)["message"]
    assert "save the file as UTF-8" in json_of(answer)["message"]


def test_invalid_value_fails_its_row_with_line_and_column(api: Stage) -> None:
    progress = imported(
        api,
        f'title,price,n\n"Two\nlines",1,2\nVase,"12,50",1\nLamp,3,1\n{"x" * 400_000},1,1\nA,1,{"9" * 39}\nB,-,1\n',
    )

    assert (progress["total"], progress["created"], progress["failed"]) == (6, 3, 3)
    assert [(one["index"], one["line"], one["error"]) for one in progress["errors"]] == [
        (1, 4, "INVALID_REQUEST"),
        (3, 6, "ITEM_TOO_LARGE"),
        (5, 8, "INVALID_REQUEST"),
    ]
    assert progress["errors"][0]["message"] == 'Line 4, column "price": price must be a decimal number.'
    assert progress["errors"][1]["message"].startswith("Line 6: An item may have at most")


def test_messages_are_those_of_other_imports_with_a_place(api: Stage) -> None:
    progress = imported(api, 'title,expiresAt,"a.b",tags\nA,soon,,\nB,,,"[1"\nC,,,"[1]"\n')

    assert [one["message"].partition(": ")[0] for one in progress["errors"]] == [
        "Line 2",
        'Line 3, column "tags"',
        'Line 4, column "tags"',
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('title,price\nA,"1\nB,2\n', 'line 2, column "price": the double quote at the start of the cell is not closed'),
        ("title,price\nA,1,2\n", 'line 2, after column "price": the row has 3 cells'),
        ("title,,price\nA,1,2\n", "line 1, column 2: it has no name"),
        ("title,title\nA,1\n", 'line 1, column 2: "title" is already the name of another column'),
        ("\n\n", "it has no header row"),
        ("x" * 70_000 + "\n1\n", "the names of its columns have more than 65536 bytes"),
    ],
)
def test_invalid_csv_is_refused_as_a_whole(api: Stage, body: str, message: str) -> None:
    answer = send(api, body)

    assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_CSV")
    assert message in json_of(answer)["message"]
    assert (api.on_queue(), api.objects(), api.records()) == (0, [], [])


def test_columns_of_managed_fields_are_refused(api: Stage) -> None:
    answer = send(api, "id,title,version\n1,A,1\n")

    assert (answer.status_code, json_of(answer)["error"]) == (400, "RESERVED_FIELD")
    assert [detail["path"] for detail in json_of(answer)["details"]] == ["$.id", "$.version"]


@pytest.mark.parametrize("body", ["title,price\n", "title,price\n,\n\n,,\n"])
def test_csv_without_rows_is_refused(api: Stage, body: str) -> None:
    answer = send(api, body)

    assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
    assert "There is nothing to import" in json_of(answer)["message"]


def test_limits_are_those_of_other_imports(api: Stage) -> None:
    assert send(api, "title\n" + "A\n" * 10_000).status_code == 202
    assert send(api, "title\n" + "A\n" * 10_001).status_code == 413
    assert send(api, "title\n" + "A" * (5 * 1024 * 1024)).status_code == 413


def test_same_rows_with_other_columns_are_another_request(api: Stage) -> None:
    first = send(api, "title\nA\n", idempotency_key="k")
    same = send(api, "title\r\nA\r\n", idempotency_key="k")
    other = send(api, "name\nA\n", idempotency_key="k")

    assert [first.status_code, same.status_code, other.status_code] == [202, 202, 422]
    assert (same.body, same.headers["Idempotency-Replayed"]) == (first.body, "true")


def test_rows_fill_several_chunks(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_parsing, "CHUNK_ENTRIES", 5)

    progress = imported(api, "title,text\n" + "".join(f'{number:03d},"a\nb"\n' for number in range(12)) + "x,1,\n")

    assert (progress["created"], progress["failed"]) == (13, 0)
    assert [item["title"] for item in items(api)] == [*(f"{number:03d}" for number in range(12)), "x"]
