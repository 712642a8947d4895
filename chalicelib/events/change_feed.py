"""Process batches of the table's stream: send events to the bus, and to the queue of webhook deliveries.

Records are processed in their order, in groups: the events of a group are sent to the bus in one call. A group never
contains two changes of the same item, and the next group follows only when all events of this one are sent. So the bus
gets the events of an item in their order. If a batch is processed again, it may then get some of them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chalicelib import telemetry
from chalicelib.aws import event_bus, queue, table
from chalicelib.aws.event_bus import Entry
from chalicelib.catalogue import change_counter, webhooks
from chalicelib.catalogue.webhooks import DeliveryMessage, Webhook
from chalicelib.config import settings
from chalicelib.events import failed_changes, item_events
from chalicelib.events.item_events import Encoded

MIN_REMAINING_MS = 25_000
"""Start no attempt if the function has less time left, in milliseconds. A call of AWS takes at most 21 s."""

_MIN_COUNTING_MS = 4_000
"""Count changes only if the function has this many milliseconds left. A call may take longer.

If the function times out because of that, the batch is processed again.
"""

MIN_RETRY_DELAY = 0.25
MAX_RETRY_DELAY = 5.0
"""Seconds between two attempts in one run: MIN_RETRY_DELAY at first, then doubled each time up to this."""


class ChangesDeferredError(Exception):
    """Some changes of a batch were not processed. The whole batch is sent to the function again."""


class RefusedEventError(Exception):
    """The bus refused an event because of its content, and would refuse it again."""


class _DeferredError(Exception):
    """A service of AWS fails, and the function has no time left for another attempt. The message says why."""


class _Change(NamedTuple):
    """A record of the stream, and its events or why it cannot have any."""

    record: Mapping[str, Any]
    events: list[Encoded]
    problem: Exception | None = None

    @property
    def items(self) -> set[tuple[str, str]]:
        """The items that the events are about: one at most."""
        return {(event.owner, event.item_id) for event in self.events}

    @property
    def entries(self) -> list[Entry]:
        """The events as the bus takes them."""
        return [Entry(event.type, event.at, event.json) for event in self.events]


def process_batch(records: Sequence[Mapping[str, Any]], context: Any) -> dict[str, Any] | None:
    """Process records of the stream. The first one that fails and all after it are sent to the function again.

    A record that no attempt can process is set aside: stored in the queue of failed events, and counted as processed.

    If the event source mapping has the setting ``ReportBatchItemFailures``, return the first record that failed (AWS,
    "Configuring partial batch response with DynamoDB and Lambda"). ``infra/package.json`` sets it, and an environment
    variable that says so. Without it, raise ChangesDeferredError if one failed. If an operator has sent a record that
    was set aside, raise it even with the setting, because Lambda repeats such an invocation only after an exception.

    While a service of AWS fails, try again until the Lambda ``context`` has too little time left.
    """
    batch = _Batch(records, context)
    reason = batch.process()
    telemetry.add_count("EventsSent", batch.sent)
    reports = settings().report_batch_item_failures and not any(failed_changes.SET_ASIDE in one for one in records)
    if not reason:
        return {"batchItemFailures": []} if reports else None
    telemetry.logger.error("Changes deferred", count=len(records) - batch.done, reason=reason)
    if not reports:
        raise ChangesDeferredError(f"{len(records) - batch.done} of {len(records)} changes failed: {reason}")
    first = records[batch.done]["dynamodb"]["SequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": first}]}


class _Batch:
    def __init__(self, records: Sequence[Mapping[str, Any]], context: Any) -> None:
        self._records = records
        self._context = context
        self._webhooks: dict[str, tuple[Webhook, ...]] = {}
        self.done = 0
        """How many of the records are processed, from the first one on."""
        self.sent = 0
        """How many events are sent."""

    def process(self) -> str:
        """Process the records. Return why some are not processed, or an empty text."""
        owners: dict[str, None] = {}
        reason = ""
        try:
            for group in _groups(_change(record) for record in self._records):
                self._process(group)
                self.done += len(group)
                owners |= {owner: None for change in group for owner, _ in change.items}
        except _DeferredError as error:
            reason = str(error)
        for owner in owners:
            self._count(owner)
        return reason

    def _process(self, group: list[_Change]) -> None:
        """Send the events of a group to the bus and the webhooks. Raise _DeferredError if not all are sent."""
        refused = self._send_events(group)
        messages: list[DeliveryMessage] = []
        for change in group:
            problem = change.problem or refused.get(change.record["eventID"])
            try:
                messages += [] if problem else self._deliveries_of(change)
            except msgspec.ValidationError as error:  # in the record of the owner's webhooks
                problem = error
            if problem:
                self._set_aside(change.record, problem)
            self.sent += 0 if problem else len(change.events)
        if messages:
            self._attempt(lambda: _reason_of_failure(queue.FAILURES, lambda: webhooks.send(*messages)))

    def _send_events(self, group: list[_Change]) -> dict[str, Exception]:
        """Send events to the bus until it has accepted or refused each. Return why some were refused, by record id."""
        refused: dict[str, Exception] = {}
        pending = [(change.record["eventID"], entry) for change in group for entry in change.entries]

        def attempt() -> str:
            nonlocal pending
            outcomes = event_bus.send([entry for _, entry in pending])
            results = list(zip(pending, outcomes, strict=True))
            refused.update({id_: RefusedEventError(one.reason) for (id_, _), one in results if one.status == "refused"})
            pending = [sending for sending, one in results if one.status == "failed"]
            return next((one.reason for one in outcomes if one.status == "failed"), "")

        if pending:
            self._attempt(attempt)
        return refused

    def _set_aside(self, record: Mapping[str, Any], problem: Exception) -> None:
        """Store a record that no attempt can process, so that those after it are processed."""
        failed = failed_changes.describe(record, problem, self._context)
        self._attempt(lambda: _reason_of_failure(queue.FAILURES, lambda: queue.send(failed, to="events-dead")))
        telemetry.logger.error("Change failed", event_id=record.get("eventID"), exc_info=problem)

    def _deliveries_of(self, change: _Change) -> list[DeliveryMessage]:
        return [
            DeliveryMessage(event.owner, webhook.id, msgspec.Raw(event.json))
            for event in change.events
            for webhook in self._webhooks_of(event.owner)
            if webhook.accepts(event.type)
        ]

    def _webhooks_of(self, owner: str) -> tuple[Webhook, ...]:
        def find() -> None:
            self._webhooks[owner] = webhooks.find_all(owner)

        if owner not in self._webhooks:
            self._attempt(lambda: _reason_of_failure(table.FAILURES, find))
        return self._webhooks[owner]

    def _count(self, owner: str) -> None:
        """Tell clients that items of the owner have changed. If that fails, they find out at the next change."""
        reason = "not enough time left"
        if self._has_time(_MIN_COUNTING_MS):
            reason = _reason_of_failure(change_counter.FAILURES, lambda: change_counter.increase(owner))
        if reason:
            telemetry.logger.warning("Counting changes failed", error=reason)

    def _attempt(self, attempt: Callable[[], str]) -> None:
        """Call ``attempt`` until it returns an empty text, not the reason of a failure. Raise _DeferredError."""
        reason, delay = "not enough time left", MIN_RETRY_DELAY
        while self._has_time():
            reason = attempt()
            if not reason:
                return
            telemetry.logger.warning("Sending events failed; retrying", error=reason)
            time.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_DELAY)
        raise _DeferredError(reason)

    def _has_time(self, milliseconds: int = MIN_REMAINING_MS) -> bool:
        return bool(self._context.get_remaining_time_in_millis() >= milliseconds)


def _change(record: Mapping[str, Any]) -> _Change:
    try:
        return _Change(record, item_events.from_record(record))
    except Exception as error:  # noqa: BLE001 - one record must not block those after it
        return _Change(record, [], error)


def _groups(changes: Iterable[_Change]) -> Iterator[list[_Change]]:
    """Yield the changes in groups whose events fit into one call. A change whose events do not is a group by itself."""
    group: list[_Change] = []
    for change in changes:
        entries = [entry for one in (*group, change) for entry in one.entries]
        is_repeated = any(not change.items.isdisjoint(one.items) for one in group)
        if group and (is_repeated or len(list(event_bus.calls(entries))) > 1):
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _reason_of_failure(failures: tuple[type[Exception], ...], call: Callable[[], None]) -> str:
    """Return an empty text if the call succeeds, or the message of its exception, if it is one of ``failures``."""
    try:
        call()
    except failures as error:
        return f"{type(error).__name__}: {error}"
    return ""
