"""Fields of one's own: an adopter edits ``ItemFields``, and requests and the document follow.

So that is what happens here: a copy of the app gets the edit, and is run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]

EDIT = '''
class ItemFields(msgspec.Struct, rename="camel"):
    """A vase on sale."""

    title: Annotated[str, msgspec.Meta(min_length=1)]
    price: Decimal | None = None
    in_stock: int = 0
'''

CODE = """
import json, sys
import app
from chalicelib import errors, models, openapi, primitives

def outcome(body):
    try:
        return primitives.to_json(models.draft(primitives.json_object(body), primitives.now()).fields).decode()
    except errors.ApiError as error:
        return [error.code, error.message, error.details]

print(json.dumps({
    "outcomes": [outcome(body) for body in json.loads(sys.argv[1])],
    "document": openapi.document(app.app.routes),
}))
"""

BODIES = [
    '{"title": "Vase", "price": 12.10, "inStock": 3, "colour": {"name": "blue"}}',
    '{"title": "Vase", "price": null}',
    '{"price": 1}',
    '{"title": ""}',
    '{"title": 7}',
    '{"title": "Vase", "price": "cheap"}',
    '{"title": "Vase", "inStock": 1.5}',
]


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("adopted")
    shutil.copy(PROJECT / "app.py", folder)
    shutil.copytree(PROJECT / "chalicelib", folder / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    models = folder / "chalicelib" / "models.py"
    source = models.read_text(encoding="utf-8")
    edited = re.sub(r'\nclass ItemFields\(.*?\n    """\n', lambda _: EDIT, source, count=1, flags=re.DOTALL)
    assert edited != source
    models.write_text(edited.replace("from typing import", "from typing import Annotated,", 1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(BODIES)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def outcome(adopted: Any) -> Any:
    return dict(zip(BODIES, adopted["outcomes"], strict=True)).__getitem__


def test_declared_fields_are_taken_and_others_kept_as_they_come(outcome: Any) -> None:
    assert outcome(BODIES[0]) == '{"title":"Vase","price":12.10,"inStock":3,"colour":{"name":"blue"}}'
    assert outcome(BODIES[1]) == '{"title":"Vase","price":null}'


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (BODIES[2], "$", "Object missing required field `title`"),
        (BODIES[3], "$.title", "Expected `str` of length >= 1"),
        (BODIES[4], "$.title", "Expected `str`, got `int`"),
        (BODIES[5], "$.price", "Invalid decimal string"),
        (BODIES[6], "$.inStock", "Expected `int`, got `float`"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(outcome: Any, body: str, path: str, message: str) -> None:
    assert outcome(body) == ["INVALID_REQUEST", f"{message} ({path}).", [{"path": path, "message": message}]]


def test_the_document_shows_them(adopted: Any) -> None:
    schema = adopted["document"]["components"]["schemas"]["ItemFields"]

    assert schema["required"] == ["title"]
    assert schema["properties"].keys() == {"title", "price", "inStock"}
    assert schema["description"] == "A vase on sale."
