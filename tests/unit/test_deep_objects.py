"""The query parameters that the Python client of ``make clients`` makes of an object."""

from __future__ import annotations

from typing import Any

import pytest

from tools.clients.deep_objects import flattened


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ({}, {}),
        ({"price": 5}, {"filter[price]": 5}),
        (
            {"price": {"gte": 5, "lt": 7.5}, "sold": False},
            {"filter[price][gte]": 5, "filter[price][lt]": 7.5, "filter[sold]": False},
        ),
    ],
)
def test_object_becomes_parameters_with_brackets(value: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert flattened("filter", value) == parameters
