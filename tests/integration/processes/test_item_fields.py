"""Edits of ``ItemFields`` change validation and the OpenAPI document.

Each edit is made in a copy of the app, which runs in a separate process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.catalogue import models
from tests.edited_item_fields import replace_item_fields

PROJECT = Path(__file__).parents[3]

ON_SALE = '''
class Size(msgspec.Struct):
    height: Annotated[int, msgspec.Meta(gt=0)]


class ItemFields(msgspec.Struct, rename="camel"):
    """A vase on sale."""

    title: Annotated[str, msgspec.Meta(min_length=1)]
    price: Decimal | None = None
    in_stock: int = 0
    tags: list[Annotated[str, msgspec.Meta(max_length=5)]] = msgspec.field(default_factory=list)
    size: Size | None = None

    def __post_init__(self) -> None:
        if self.price is not None and self.price < 0:
            raise ValueError("Nobody is paid for taking a vase")
'''

CLOSED = '''
class ItemFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A vase in store."""

    shelf: Annotated[str, msgspec.Meta(pattern="^[A-Z]$")] = "A"
    label: str = msgspec.field(name="label-text")
    maker: str
'''

NAMESAKES = '''
class Value(msgspec.Struct):
    amount: Annotated[int, msgspec.Meta(ge=1, description="How much.")]
    currency: str


class ItemFields(msgspec.Struct, rename="camel"):
    """A box of boxes."""

    value: Value
    name: Annotated[str, msgspec.Meta(min_length=3, max_length=5)]
    inner: list["ItemFields"] = msgspec.field(default_factory=list)
'''

MANY = """
ItemFields = msgspec.defstruct("ItemFields", [(f"field_{number}", int) for number in range(30)])
"""

CODE = """
import json, sys
import app
from chalicelib import errors
from chalicelib.catalogue import validation
from chalicelib.values import exact_json
from tools.openapi.document import document

def outcome(body):
    try:
        return exact_json.to_json(validation.validate_item(exact_json.object_from_json(body)).fields).decode()
    except errors.ApiError as error:
        return [error.code, error.message, error.details]

print(json.dumps({
    "outcomes": [outcome(body) for body in json.loads(sys.argv[1])],
    "document": document(app.app),
}))
"""

STORED = {
    '{"title":"Vase","price":12.10,"inStock":3,"colour":{"name":"blue"}}': ',"tags":[],"size":null}',
    '{"title":"Vase","tags":["old"],"size":{"height":1}}': ',"price":null,"inStock":0}',
    '{"title":"Vase","price":null}': ',"inStock":0,"tags":[],"size":null}',
    '{"title":"Vase","price":0.30000000000000000000000000000000000001}': ',"inStock":0,"tags":[],"size":null}',
    '{"title":"Vase","price":12345678901234567890,"in_stock":"undeclared"}': ',"inStock":0,"tags":[],"size":null}',
}
"""How what is stored ends, by what was sent."""

MISSING = ("$.title", "title is required")
NOT_TEXT = ("$.title", "title must be a string of at least 1 character, not an integer")
NUMBER = "has more than 38 digits, or is beyond 1E-130 to 1E+126"

REFUSED = {
    # One problem.
    '{"price": 1}': [MISSING],
    '{"title": ""}': [("$.title", "title must be a string of at least 1 character")],
    '{"title": 7}': [NOT_TEXT],
    '{"title": "Vase", "price": "cheap"}': [("$.price", "price must be a decimal number or null")],
    '{"title": "Vase", "price": "5"}': [("$.price", "price must be a decimal number or null, not a string")],
    '{"title": "Vase", "inStock": 1.5}': [("$.inStock", "inStock must be an integer, not a decimal number")],
    '{"title": "Vase", "tags": ["blue", "old", "too long"]}': [
        ("$.tags[2]", "tags[2] must be a string of at most 5 characters")
    ],
    '{"title": "Vase", "size": {"height": 0}}': [("$.size.height", "size.height must be an integer greater than 0")],
    '{"title": "Vase", "price": -1}': [("$", "Nobody is paid for taking a vase")],
    # Several, in the order in which the fields are declared.
    '{"price": "5", "title": 7}': [
        NOT_TEXT,
        ("$.price", "price must be a decimal number or null, not a string"),
    ],
    '{"tags": [true], "inStock": null, "price": {}, "title": 7}': [
        NOT_TEXT,
        ("$.price", "price must be a decimal number or null, not an object"),
        ("$.inStock", "inStock must be an integer, not null"),
        ("$.tags[0]", "tags[0] must be a string of at most 5 characters, not a boolean"),
    ],
    '{"inStock": "3", "size": {}}': [
        MISSING,
        ("$.inStock", "inStock must be an integer, not a string"),
        ("$.size.height", "size.height is required"),
    ],
    # Only the first problem of a field.
    '{"title": "Vase", "tags": [1, 2, 3], "inStock": []}': [
        ("$.inStock", "inStock must be an integer, not an array"),
        ("$.tags[0]", "tags[0] must be a string of at most 5 characters, not an integer"),
    ],
    # Together with what DynamoDB cannot store.
    '{"colour": {"": 1}, "weight": 1e999, "inStock": "3"}': [
        ("$.colour", "colour has a field with an empty name"),
        ("$.weight", f"weight {NUMBER}"),
        MISSING,
        ("$.inStock", "inStock must be an integer, not a string"),
    ],
    '{"title": "Vase", "inStock": 1e999}': [
        ("$.inStock", f"inStock {NUMBER}"),
        ("$.inStock", "inStock must be an integer"),
    ],
    f'{{"title": "Vase", "tags": {"[" * 40}{"]" * 40}}}': [
        ("$.tags" + "[0]" * 31, "tags" + "[0]" * 31 + " lies deeper than 32 levels"),
        ("$.tags[0]", "tags[0] must be a string of at most 5 characters, not an array"),
    ],
}

CLOSED_REFUSED = {
    '{"label-text": "x", "maker": "y", "colour": "blue"}': [
        ("$.colour", "colour is not an allowed field, such as shelf, label-text or maker")
    ],
    '{"colour": "blue", "label": "x", "shelf": "7"}': [
        ("$.shelf", "shelf must be a string that matches the pattern ^[A-Z]$"),
        ("$.label-text", "label-text is required"),
        ("$.maker", "maker is required"),
        ("$.colour", "colour is not an allowed field, such as shelf, label-text or maker"),
        ("$.label", "label is not an allowed field, such as shelf, label-text or maker"),
    ],
}


def copy_app(folder: Path) -> None:
    """Copy the app and the generator of its OpenAPI document."""
    shutil.copy(PROJECT / "app.py", folder)
    for package in ("chalicelib", "tools/openapi"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "tools" / "__init__.py", folder / "tools")


def run_edited(folder: Path, edit: str, bodies: list[str]) -> subprocess.CompletedProcess[str]:
    """Validate bodies in a copy of the app with an edited ``ItemFields``."""
    copy_app(folder)
    replace_item_fields(folder, edit)
    return subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(bodies)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


class Adopted:
    """The results of an edited app: the outcome of each body, and the OpenAPI document."""

    def __init__(self, folder: Path, edit: str, bodies: list[str]) -> None:
        done = run_edited(folder, edit, bodies)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        self.outcome = dict(zip(bodies, seen["outcomes"], strict=True)).__getitem__
        self.schema = seen["document"]["components"]["schemas"]["ItemFields"]


@pytest.fixture(scope="module")
def on_sale(tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    return Adopted(tmp_path_factory.mktemp("on-sale"), ON_SALE, [*STORED, *REFUSED])


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    return Adopted(tmp_path_factory.mktemp("closed"), CLOSED, [*CLOSED_REFUSED])


@pytest.mark.parametrize(("body", "end"), STORED.items())
def test_item_is_stored_with_its_defaults(on_sale: Adopted, body: str, end: str) -> None:
    assert on_sale.outcome(body) == body.removesuffix("}") + end


@pytest.mark.parametrize(("body", "problems"), REFUSED.items())
def test_error_names_every_invalid_field(on_sale: Adopted, body: str, problems: list[tuple[str, str]]) -> None:
    code, _, details = on_sale.outcome(body)

    assert code == "INVALID_REQUEST"
    assert details == [{"path": path, "message": message} for path, message in problems]


@pytest.mark.parametrize(("body", "problems"), CLOSED_REFUSED.items())
def test_error_names_every_unknown_field_if_forbidden(
    closed: Adopted, body: str, problems: list[tuple[str, str]]
) -> None:
    _, _, details = closed.outcome(body)

    assert details == [{"path": path, "message": message} for path, message in problems]


def test_message_has_the_first_problem_and_mentions_others(on_sale: Adopted) -> None:
    assert on_sale.outcome('{"title": 7}')[1] == "title must be a string of at least 1 character, not an integer."
    several = on_sale.outcome('{"inStock": "3", "size": {}}')[1]
    assert several == "title is required. There are other problems too: see details."


def test_error_names_at_most_twenty_problems(tmp_path: Path) -> None:
    _, _, details = Adopted(tmp_path, MANY, ["{}"]).outcome("{}")

    assert [detail["message"] for detail in details] == [f"field_{number} is required" for number in range(20)]


def test_document_includes_the_declared_fields(on_sale: Adopted, closed: Adopted) -> None:
    assert on_sale.schema["required"] == ["title"]
    assert on_sale.schema["properties"].keys() == {"title", "price", "inStock", "tags", "size", *models.SETTINGS}
    assert on_sale.schema["properties"]["title"] == {"type": "string", "minLength": 1}
    assert on_sale.schema["description"] == "A vase on sale."
    assert set(closed.schema["required"]) == {"label-text", "maker"}
    assert closed.schema["additionalProperties"] is False
    assert closed.schema["properties"]["shelf"] == {"type": "string", "pattern": "^[A-Z]$", "default": "A"}


def test_invalid_declaration_fails_at_the_start(tmp_path: Path) -> None:
    done = run_edited(tmp_path, ON_SALE.replace("price: Decimal | None", "price: Price | None"), [])

    assert done.returncode != 0
    assert "name 'Price' is not defined" in done.stderr


@pytest.mark.parametrize("name", ["id", "version", "expires_at"])
def test_declaring_a_managed_field_fails_at_the_start(tmp_path: Path, name: str) -> None:
    done = run_edited(tmp_path, ON_SALE.replace("in_stock: int", f"{name}: int"), [])

    assert done.returncode != 0
    assert f"ItemFields must not declare {name.replace('expires_at', 'expiresAt')}: " in done.stderr
