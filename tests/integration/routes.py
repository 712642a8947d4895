"""Every route of the app, for tests that send a request to each of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import app
from tests.builders import fields

UNKNOWN_ID = "019ca7b4-e400-7abc-8def-0123456789ab"
"""An id that nothing has."""

DOCUMENT = json.loads((Path(app.__file__).parent / "chalicelib" / "openapi.json").read_text(encoding="utf-8"))
"""The OpenAPI document, as ``make openapi`` wrote it."""

_BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/items"): fields(title="Vase"),
    ("PUT", "/items/{item_id}"): fields(title="mine"),
    ("PATCH", "/items/{item_id}"): {"title": "mine"},
    ("POST", "/items/{item_id}/image"): {"contentType": "image/png"},
    ("PATCH", "/items/{item_id}/image"): {"focus": {"x": 0.3, "y": 0.25}},
    ("POST", "/imports"): {"items": [fields(title="Vase")]},
}


def _example(method: str, path: str) -> Any:
    """Return the first example of a body in the OpenAPI document, or None."""
    content = DOCUMENT["paths"].get(path, {}).get(method.lower(), {}).get("requestBody", {}).get("content", {})
    examples = [example["value"] for type_ in content.values() for example in type_["examples"].values()]
    return next(iter(examples), None)


ROUTES: dict[tuple[str, str], Any] = {
    (method, path): _BODIES.get((method, path)) or _example(method, path)
    for path, methods in app.app.routes.items()
    for method in methods
    if method not in ("HEAD", "OPTIONS")
}
"""A body that the route accepts, or None, by method and path; HEAD, which every GET supports, is not listed."""


PUBLIC = (
    *("/", "/docs", "/web/{name}", "/openapi.json", "/hello", "/health"),
    *("/catalogues/{catalogue_id}", "/catalogues/{catalogue_id}/items", "/catalogues/{catalogue_id}/items/{item_id}"),
    *("/c/{catalogue_id}", "/c/{catalogue_id}/{item_id}"),
    *("/shares/{token}", "/s/{token}"),
)
"""The paths that need no sign-in: app.py and this list must agree, so that no route becomes public by mistake."""


def with_ids(path: str, id_: str = UNKNOWN_ID) -> str:
    """Return the path of a route with ``id_`` for each of its parameters."""
    return re.sub(r"{\w+}", lambda _: id_, path)
