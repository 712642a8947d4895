"""botocore clients for services in memory, with timeouts, retries and exceptions like botocore's.

Each attempt of a call is a switch point between tasks, and may fail. botocore's standard mode retries, so a call may be
applied twice: by an attempt whose response was lost, and by the next attempt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from tests.simulation import faults
from tests.simulation.faults import Fault, Faults
from tests.simulation.timeline import Timeline

if TYPE_CHECKING:
    from botocore.config import Config

ENDPOINT = "https://aws.invalid"
# The errors that the standard mode retries (botocore, retries/standard.py).
_RETRIED = frozenset(
    {
        "ThrottlingException",
        "SlowDown",
        "InternalServerError",
        "RequestThrottled",
        "InternalError",
        "InternalException",
    }
)


class Client:
    """A client that responds at once and never fails: for tests and for calls that the app does not make."""

    def __init__(self, service: Any) -> None:
        self.service = service

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda *args, **parameters: self._call(operation, args, parameters)

    def _call(self, operation: str, args: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        if operation.startswith("generate_presigned"):
            return getattr(self.service, operation)(*args, **parameters)
        return getattr(self.service, operation)(**parameters)

    def get_paginator(self, operation: str) -> Paginator:
        """Return a paginator as botocore does."""
        return Paginator(self, operation)


class SimulatedClient(Client):
    """A client whose attempts take time and may fail."""

    def __init__(self, service: Any, config: Config, timeline: Timeline, faults: Faults) -> None:
        super().__init__(service)
        options: Any = config
        self._attempts: int = options.retries["total_max_attempts"]
        self._connect_timeout: float = options.connect_timeout
        self._read_timeout: float = options.read_timeout
        self._timeline = timeline
        self._faults = faults

    def _call(self, operation: str, args: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        if operation.startswith("generate_presigned"):
            return super()._call(operation, args, parameters)
        if operation == "transact_write_items":
            # botocore gives each call its own token, by which DynamoDB recognises a repeated attempt.
            parameters = {"ClientRequestToken": f"{self._timeline.chance.getrandbits(64):x}", **parameters}
        for attempt in range(1, self._attempts + 1):
            try:
                return self._attempt(operation, parameters, attempt)
            except (ClientError, HTTPClientError, NoConnectionError) as error:
                if attempt == self._attempts or not _tried_again(error):
                    if isinstance(error, ClientError):
                        error.response["ResponseMetadata"]["RetryAttempts"] = attempt - 1
                    raise
                self._timeline.pause(self._timeline.chance.random() * 2 ** (attempt - 1))
        raise AssertionError("There is at least one attempt.")

    def _attempt(self, operation: str, parameters: dict[str, Any], attempt: int) -> Any:
        fault = self._faults.at(self.service.name, operation, attempt, self._timeline.now)
        call = (f"{self.service.name}.{operation}", _short(parameters), attempt)
        self._timeline.pause(self._faults.latency())
        if fault is faults.CONFLICT and self.service.knows(parameters.get("ClientRequestToken")):
            fault = None
        if fault and not fault.has_effect:
            self._timeline.note(*call, fault.kind)
            if fault is faults.DELAYED:
                self._arrive_late(operation, parameters, call)
            self._fail(fault, operation, parameters)
        answer = self._carry_out(operation, parameters, fault, call)
        if fault and fault is not faults.HALF_DONE:
            self._fail(fault, operation, parameters)
        self._timeline.pause(self._faults.latency())
        if isinstance(answer, ClientError):
            raise answer
        if operation == "get_object":
            answer["Body"] = _Body(answer["Body"].read(), self)
        return answer

    def _carry_out(
        self, operation: str, parameters: dict[str, Any], fault: Fault | None, call: tuple[Any, ...]
    ) -> dict[str, Any] | ClientError:
        """Return the response of the service."""
        try:
            if fault is faults.HALF_DONE:
                answer = self.service.half(operation, parameters)
            else:
                answer = getattr(self.service, operation)(**parameters)
        except ClientError as error:
            self._timeline.note(*call, error.response["Error"]["Code"])
            return error
        self._timeline.note(*call, fault.kind if fault else "ok")
        found: dict[str, Any] = answer
        return found

    def _arrive_late(self, operation: str, parameters: dict[str, Any], call: tuple[Any, ...]) -> None:
        def arrive() -> None:
            self._timeline.note(*call, "carried out late")
            with contextlib.suppress(ClientError):
                getattr(self.service, operation)(**parameters)

        self._timeline.later(self._timeline.chance.random() * self._read_timeout, arrive)

    def _fail(self, fault: Fault, operation: str, parameters: dict[str, Any]) -> None:
        """Raise botocore's exception for a fault, after the time until botocore detects it, or end the process."""
        if fault in (faults.KILLED_BEFORE, faults.KILLED_AFTER):
            self._timeline.die(fault.kind)
        if fault is faults.UNREACHABLE:
            self._timeline.pause(self._connect_timeout)
            if self._timeline.chance.random() < 0.5:
                raise ConnectTimeoutError(endpoint_url=ENDPOINT)
            raise EndpointConnectionError(endpoint_url=ENDPOINT, error="refused")
        if fault in (faults.LOST, faults.DELAYED, faults.ANSWER_LOST):
            self._timeline.pause(self._read_timeout)
            raise ReadTimeoutError(endpoint_url=ENDPOINT)
        self._timeline.pause(self._faults.latency())
        if fault is faults.CLOSED:
            raise ConnectionClosedError(endpoint_url=ENDPOINT)
        if fault is faults.CONFLICT:
            raise _conflict(operation, parameters)
        raise refusal(operation, self._timeline.chance.choice(self.service.refusals), "Try again.")

    def body_fails(self) -> bool:
        """Return whether the rest of an object's bytes does not arrive."""
        if not self._faults.happens(self._faults.rate):
            return False
        self._timeline.pause(self._read_timeout)
        return True


class Paginator:
    """A paginator like botocore's: one call for each page."""

    NEXT = {"query": ("LastEvaluatedKey", "ExclusiveStartKey"), "list_objects_v2": ("NextContinuationToken",) * 2}  # noqa: RUF012

    def __init__(self, client: Client, operation: str) -> None:
        self._client = client
        self._operation = operation

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        """Yield the pages."""
        token, parameter = self.NEXT[self._operation]
        if self._operation == "list_objects_v2":
            parameter = "ContinuationToken"
        while True:
            page = getattr(self._client, self._operation)(**parameters)
            yield page
            if token not in page:
                return
            parameters[parameter] = page[token]


class _Body:
    """The bytes of an object, which may stop arriving before the end."""

    def __init__(self, data: bytes, client: SimulatedClient) -> None:
        self._data = data
        self._client = client

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> bytes:
        """Return all bytes."""
        if self._client.body_fails():
            raise ReadTimeoutError(endpoint_url=ENDPOINT)
        return self._data


def refusal(operation: str, code: str, message: str, status: int = 400, **details: Any) -> ClientError:
    """Return an error as a service returns it."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        **details,
    }
    return ClientError(response, "".join(part.title() for part in operation.split("_")))


def _conflict(operation: str, parameters: dict[str, Any]) -> ClientError:
    if operation != "transact_write_items":
        return refusal(operation, "TransactionConflictException", "Transaction is ongoing for the item")
    reasons = [{"Code": "None"} for _ in parameters["TransactItems"]]
    reasons[0] = {"Code": "TransactionConflict"}
    return refusal(operation, "TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)


def _tried_again(error: Exception) -> bool:
    return isinstance(error, HTTPClientError | NoConnectionError) or (
        isinstance(error, ClientError) and error.response["Error"]["Code"] in _RETRIED
    )


def _short(parameters: dict[str, Any]) -> str:
    """Return a short description of a call, for the trace."""
    if "TransactItems" in parameters:
        writes = [f"{kind} {_short(one)}" for write in parameters["TransactItems"] for kind, one in write.items()]
        index = [one for one in writes if " FIND#" in one or " WORD#" in one]
        counted = [f"{len(index)} index records"] if index else []
        return " + ".join([one for one in writes if one not in index] + counted)
    if "Item" in parameters or isinstance(parameters.get("Key"), dict):
        record = parameters.get("Item") or parameters["Key"]
        version = f" v{record['version']['N']}" if "version" in record else ""
        return f"{record['pk']['S']} {record['sk']['S']}{version}"
    if "Entries" in parameters:
        return " ".join(str(one.get("MessageBody") or one.get("Detail") or one)[:300] for one in parameters["Entries"])
    if "ExpressionAttributeValues" in parameters:
        return " ".join(str(next(iter(one.values()))) for one in parameters["ExpressionAttributeValues"].values())
    return str(parameters.get("Key") or parameters.get("Prefix") or parameters.get("ReceiptHandle") or "")
