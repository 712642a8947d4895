"""Every route of the app, as tests ask it that try all of them. A route that is new belongs here."""

from __future__ import annotations

from typing import Any

from tests.builders import fields

ROUTES: dict[tuple[str, str], Any] = {
    ("GET", "/"): None,
    ("GET", "/docs"): None,
    ("GET", "/web/{name}"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/hello"): None,
    ("GET", "/health"): None,
    ("POST", "/items"): fields(title="Vase"),
    ("GET", "/items"): None,
    ("GET", "/items/{item_id}"): None,
    ("PUT", "/items/{item_id}"): fields(title="mine"),
    ("PATCH", "/items/{item_id}"): {"title": "mine"},
    ("DELETE", "/items/{item_id}"): None,
    ("POST", "/items/{item_id}/image"): {"contentType": "image/png"},
    ("GET", "/items/{item_id}/image"): None,
    ("DELETE", "/items/{item_id}/image"): None,
    ("POST", "/imports"): {"items": [fields(title="Vase")]},
    ("GET", "/imports/{import_id}"): None,
}
"""By method and path, a body that the route takes. HEAD, which every GET answers too, is left out."""
