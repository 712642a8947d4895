"""Batches: up to 100 operations on items in one request. Each succeeds or fails on its own."""

from __future__ import annotations

import contextvars
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from chalicelib import aws, errors, telemetry
from chalicelib.aws import table
from chalicelib.catalogue import idempotency, item_pictures, items, validation
from chalicelib.catalogue.items import Check
from chalicelib.catalogue.models import Fields
from chalicelib.values import times

WORKERS = aws.CONNECTIONS
"""Operations that run at the same time. Those on the same item run one after the other."""

MIN_REMAINING_MS = 9_000
"""Start no operation if the function has less time left, in milliseconds.

An operation takes milliseconds, or 7 seconds if one of its calls times out once (``chalicelib/aws``). After that, the
results must still be stored.
"""

MAX_DETAILS_BYTES = 64 * 1024
"""The most bytes of the details of all errors together. With everything else, the results fit into a record (400 KB).

A message has at most some 450 characters (``validation.MAX_TEXT_LENGTH``), which JSON may write as 6 bytes each.
"""

Name = Literal["create", "patch", "replace", "delete"]


class Operation(NamedTuple):
    """One operation of a batch. ``id`` is empty for a new item, ``body`` for a deletion."""

    name: Name
    id: str = ""
    body: Fields = {}  # noqa: RUF012 - never changed
    check: Check = items.allow_write


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an operation failed: an error of the API, without the request's id."""

    error: str
    message: str
    details: list[Any] | None = None


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an operation. ``status`` is that of a single request."""

    status: int
    id: str | None = None
    version: int | None = None
    error: Problem | None = None

    @property
    def is_final(self) -> bool:
        """Whether the operation is not to be tried again: it succeeded, or it was refused."""
        return self.status < 500


class Outcome(NamedTuple):
    """The results of a batch, in the order of its operations. If ``replayed``, an earlier request ran all of them."""

    results: list[Result]
    replayed: bool = False


def keyed_request(owner: str, key: str, body: bytes) -> idempotency.KeyedRequest:
    """Return the KeyedRequest for a batch with this idempotency key and ``body``."""
    return idempotency.KeyedRequest(table.Key(owner, "BATCHKEY", key), hashlib.sha256(body).hexdigest())


def run(
    owner: str,
    operations: Sequence[Operation],
    time_left: Callable[[], int],
    as_api_error: Callable[[Exception], errors.ApiError],
    request: idempotency.KeyedRequest | None = None,
) -> Outcome:
    """Run the operations of a batch with the functions of the single routes, and return their results.

    Operations on the same item run in their order. ``as_api_error`` turns an exception into the error of a result.
    If ``time_left()``, in milliseconds, is too little for an operation, its result is a NotTriedError.

    With a ``request``, final results are stored for a day, and are returned again for the same request. The other
    operations are then tried again. After an interruption nothing is created twice.

    Raise IdempotencyKeyReusedError if the key was used for another body.
    """
    aws.require_provisioned()
    stored = _load(request) if request else None
    results = stored.results if stored else [None] * len(operations)
    if all(results):
        return Outcome([result for result in results if result], replayed=True)
    complete = _Batch(owner, operations, time_left, as_api_error, request).run(results)
    if request:
        complete = _save(request, stored, complete)
    failed = sum(result.error is not None for result in complete)
    telemetry.logger.info("Batch processed", operations=len(complete), failed=failed)
    return Outcome(complete)


# ---------------------------------------------------------------------------------------------------------- operations


class _Batch:
    """The operations of one request."""

    def __init__(
        self,
        owner: str,
        operations: Sequence[Operation],
        time_left: Callable[[], int],
        as_api_error: Callable[[Exception], errors.ApiError],
        request: idempotency.KeyedRequest | None,
    ) -> None:
        self._owner = owner
        self._operations = operations
        self._time_left = time_left
        self._as_api_error = as_api_error
        self._key = request.record_key.id if request else None

    def run(self, known: Sequence[Result | None]) -> list[Result]:
        """Return the ``known`` results, with those of the other operations, which run now."""
        results = dict(enumerate(known))
        by_item: dict[str | int, list[int]] = {}
        for index, operation in enumerate(self._operations):
            if results[index] is None:
                by_item.setdefault(operation.id or index, []).append(index)

        def run_in_order(indexes: list[int]) -> None:
            for index in indexes:
                results[index] = self._run_one(index)

        _in_parallel(run_in_order, list(by_item.values()))
        return _with_limited_details([result for _, result in sorted(results.items()) if result])

    def _run_one(self, index: int) -> Result:
        operation = self._operations[index]
        if self._time_left() < MIN_REMAINING_MS:
            return _failed(operation, errors.NotTriedError())
        try:
            return self._do(operation, index)
        except Exception as exception:  # noqa: BLE001 - it must not affect the other operations
            return _failed(operation, self._as_api_error(exception))

    def _do(self, operation: Operation, index: int) -> Result:
        at = times.now()
        if operation.name == "create":
            # A key from a client has no comma. So this one is different from that of any single request.
            key = self._key and f"{self._key},{index}"
            created, _ = items.create(self._owner, validation.validate_item(operation.body), at, key)
            return Result(201, created.id, created.version)
        if operation.name == "delete":
            item_pictures.delete_item(self._owner, operation.id, at, operation.check)
            return Result(200, operation.id)
        change = items.patch if operation.name == "patch" else items.replace
        changed = change(self._owner, operation.id, operation.body, at, operation.check)
        return Result(200, changed.id, changed.version)


def _failed(operation: Operation, error: errors.ApiError) -> Result:
    telemetry.add_count(f"Error.{error.code}")
    return Result(error.status, operation.id or None, error=Problem(error.code, error.message, error.details))


def _in_parallel(work: Callable[[list[int]], None], groups: list[list[int]]) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only batches need it

    with ThreadPoolExecutor(min(WORKERS, len(groups))) as pool:
        # With the context, the log lines of the thread have the request's id and owner.
        for done in [pool.submit(contextvars.copy_context().run, work, group) for group in groups]:
            done.result()


def _with_limited_details(results: list[Result]) -> list[Result]:
    """Return the results without the details that exceed MAX_DETAILS_BYTES. Each error keeps its message."""
    left = MAX_DETAILS_BYTES
    limited = []
    for result in results:
        if result.error and result.error.details:
            size = len(msgspec.json.encode(result.error.details))
            if size > left:
                error = msgspec.structs.replace(result.error, details=None)
                limited.append(msgspec.structs.replace(result, error=error))
                continue
            left -= size
        limited.append(result)
    return limited


# ------------------------------------------------------------------------------------------------------ stored results


class _Stored(NamedTuple):
    """The final results in the record of an idempotency key, None for the others, and their JSON as stored."""

    results: list[Result | None]
    text: str


_decoder = msgspec.json.Decoder(list[Result | None])


def _load(request: idempotency.KeyedRequest) -> _Stored | None:
    record = idempotency.find(request, times.now())
    return _Stored(_decoder.decode(record["results"]), record["results"]) if record else None


def _save(request: idempotency.KeyedRequest, stored: _Stored | None, results: list[Result]) -> list[Result]:
    """Store the final results, and return all results.

    If two requests ran the same batch at once, the first stored result of an operation counts. If storing them fails,
    the operations are done nevertheless, so this is only logged.
    """
    try:
        for _ in table.write_attempts():
            text = msgspec.json.encode([result if result.is_final else None for result in results]).decode()
            try:
                table.write(_put(request, stored, text))
            except table.WriteRejectedError:
                stored = _load(request)
                known = stored.results if stored else [None] * len(results)
                results = [first or own for first, own in zip(known, results, strict=True)]
                continue
            return results
    except table.FAILURES as error:
        telemetry.logger.warning("Storing the results of a batch failed", error=str(error))
        return results
    telemetry.logger.warning("Storing the results of a batch failed: too many requests with the same key")
    return results


def _put(request: idempotency.KeyedRequest, stored: _Stored | None, text: str) -> table.Put:
    at = times.now()
    put = idempotency.prepare_record(request, {"results": text}, at, at + idempotency.PERIOD)
    if stored is None:
        return put
    return msgspec.structs.replace(
        put, condition=table.Condition("#results = :results", {":results": {"S": stored.text}}, {"#results": "results"})
    )
