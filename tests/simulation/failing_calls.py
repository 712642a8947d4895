"""Clients of which one call fails: it is refused, it kills the process after its effect, or half of its batch fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulation.calls import Client, refusal


class KilledError(BaseException):
    """The process of the function was killed."""


class Fault:
    """The number of the call that fails. While ``counting``, the calls to all services are counted from 1."""

    def __init__(self) -> None:
        self.counting = False
        self.calls = 0
        self.call = 0

    def next(self) -> bool:
        """Count a call, and return whether it fails."""
        self.calls += self.counting
        return self.counting and self.calls == self.call

    @contextmanager
    def count(self, counting: bool) -> Iterator[None]:
        """Count the calls in the block if ``counting``."""
        before, self.counting = self.counting, counting
        try:
            yield
        finally:
            self.counting = before


class RefusingClient(Client):
    """A client that refuses one call, which has no effect."""

    def __init__(self, service: Any, fault: Fault) -> None:
        super().__init__(service)
        self._fault = fault

    def _call(self, operation: str, args: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        if not operation.startswith("generate_presigned") and self._fault.next():
            raise refusal(operation, "InternalServerError", "provoked")
        return super()._call(operation, args, parameters)


class KillingClient(RefusingClient):
    """A client that kills the process after one of its writes. Reads are excluded because they change nothing."""

    WRITES = ("put_", "copy_", "delete_", "transact_write_", "update_", "send_", "change_")

    def _call(self, operation: str, args: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        result = Client._call(self, operation, args, parameters)
        if operation.startswith(self.WRITES) and self._fault.next():
            raise KilledError
        return result


class HalvingClient(RefusingClient):
    """A client that has one call applied to half of its batch. Only such calls are counted."""

    def _call(self, operation: str, args: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        if operation.endswith(("_batch", "put_events")) and self._fault.next():
            return self.service.half(operation, parameters)
        return Client._call(self, operation, args, parameters)
