"""Remove work from moto that changes no response. It took almost half of the time of the tests of items and lists."""

from __future__ import annotations

import copy
import functools
from types import SimpleNamespace
from typing import Any

import pytest
from moto import backend_index
from moto.core import responses
from moto.core.serialize import ResponseSerializer
from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table


def install(patch: pytest.MonkeyPatch) -> None:
    """Replace what is slow. Calls must come one at a time."""
    patch.setattr(models.DynamoDBBackend, "transact_write_items", _transact_write_items)
    patch.setattr(ResponseSerializer, "get_value", _value)
    # moto lists the methods of the class anew with each request.
    patch.setattr(responses, "method_names_from_class", functools.cache(responses.method_names_from_class))
    # It tries the addresses of all services in turn. These two have addresses that no other service has.
    first = sorted(backend_index.backend_url_patterns, key=lambda one: one[0] not in ("dynamodb", "sqs"))
    patch.setattr(backend_index, "backend_url_patterns", first)


def _transact_write_items(backend: models.DynamoDBBackend, operations: list[dict[str, Any]]) -> None:
    """Keep the items of the operations for the rollback. moto copies the table, with all items, for each operation."""
    touched = [operation for one in operations for operation in one.values()]

    def deepcopy(value: Any, memo: Any = None) -> Any:
        return _restorable(value, touched) if isinstance(value, Table) else copy.deepcopy(value, memo)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "copy", SimpleNamespace(deepcopy=deepcopy))
        _transact_with_copies(backend, operations)


_transact_with_copies = models.DynamoDBBackend.transact_write_items


def _restorable(table: Table, operations: list[dict[str, Any]]) -> Table:
    """Return a copy of the table that shares the items that the operations do not change."""
    copied = copy.copy(table)
    copied.items = copy.copy(table.items)
    for operation in operations:
        key = operation.get("Key") or operation["Item"]
        hash_key, range_key = (DynamoType(key[name]) for name in (table.hash_key_attr, table.range_key_attr))
        if hash_key in table.items:
            if copied.items[hash_key] is table.items[hash_key]:
                copied.items[hash_key] = copy.copy(table.items[hash_key])
            if range_key in table.items[hash_key]:
                copied.items[hash_key][range_key] = copy.deepcopy(table.items[hash_key][range_key])
    return copied


def _value(serializer: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
    """Return a member of a response. moto looks up each type of an attribute value under eight names."""
    if isinstance(value, dict) and getattr(shape, "parent", None) and shape.parent.name == "AttributeValue":
        return value.get(key)
    return _get_value(serializer, value, key, shape)


_get_value = ResponseSerializer.get_value
