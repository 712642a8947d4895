"""Read the operations in the body of a batch. The body of an operation is validated when the operation runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from chalicelib import errors
from chalicelib.catalogue import batches, validation
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.models import Fields
from chalicelib.http import conditional_requests, managed_fields, schemas
from chalicelib.http.conditional_requests import Preconditions
from chalicelib.values import ids


def parse(sent: Fields) -> list[batches.Operation]:
    """Return the operations in the body of a batch.

    Raise InvalidRequestError if the body is not a BatchRequest, with the first problem of each invalid operation.
    """
    listed = sent.get("operations")
    if isinstance(listed, list):
        sent = sent | {"operations": [_ANY_OPERATION] * len(listed)}
    validation.validate(schemas.BatchRequest, sent)
    operations: list[batches.Operation] = []
    problems: list[tuple[str, str]] = []
    for index, one in enumerate(listed or ()):
        try:
            operations.append(_operation(one))
        except errors.InvalidRequestError as error:
            problems += _with_index(error, index)
    if problems:
        raise validation.problems_at(*problems)
    return operations


_ANY_OPERATION = {"op": "create", "body": {}}
"""Stands for an operation while the object around it is validated."""

_FIRST = "operations[0]"


def _operation(sent: Any) -> batches.Operation:
    body = sent.get("body") if isinstance(sent, dict) else None
    # An invalid body fails only this operation, so the operation validates it itself.
    shape = {**sent, "body": {}} if isinstance(body, dict) else sent
    [valid] = validation.validate(schemas.BatchRequest, {"operations": [shape]}).operations
    name: batches.Name = valid.__struct_config__.tag  # type: ignore[assignment]
    if isinstance(valid, schemas.BatchCreate):
        return batches.Operation(name, body=sent["body"])
    managed, fields = managed_fields.split(body or {})
    return batches.Operation(name, ids.canonical_id(valid.id) or valid.id, fields, _check(valid.if_match, managed))


def _check(if_match: str | UnsetType, managed: Fields) -> Check:
    lines = [] if if_match is UNSET else [if_match]
    conditions = Preconditions(conditional_requests.parse(f"{_FIRST}.ifMatch", lines))
    return managed_fields.write_check(conditions, managed)


def _with_index(error: errors.InvalidRequestError, index: int) -> Iterator[tuple[str, str]]:
    """Yield the problems in an error about ``operations[0]``, with ``index`` instead of 0 in paths and messages."""
    for detail in error.details or ():
        path, message = f"$.{detail['path'].removeprefix('$.')}", detail.get("message", error.message.removesuffix("."))
        own = f"operations[{index}]"
        yield path.replace(_FIRST, own, 1), message.replace(_FIRST, own, 1)
