"""Query parameters that are objects. This module becomes part of the Python client."""

from __future__ import annotations

from typing import Any


def flattened(name: str, value: Any) -> dict[str, Any]:
    """Return the parameters of an object: ``filter[price][gte]`` for ``{"price": {"gte": 5}}`` of ``filter``."""
    if not isinstance(value, dict):
        return {name: value}
    return {inner: found for key, one in value.items() for inner, found in flattened(f"{name}[{key}]", one).items()}
