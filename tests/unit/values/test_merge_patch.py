from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from chalicelib.values import exact_json, merge_patch
from tests.json_values import objects


# All examples of RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patch_follows_the_rfc(target: object, patch: object, result: object) -> None:
    assert merge_patch.apply(target, patch) == result


@given(objects, objects)
def test_patch_leaves_its_arguments_unchanged(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = exact_json.to_json([target, patch])

    once = merge_patch.apply(target, patch)

    assert exact_json.to_json([target, patch]) == before
    assert merge_patch.apply(once, patch) == once
