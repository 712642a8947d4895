"""The records of deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from chalicelib import errors
from chalicelib.aws import table
from chalicelib.aws.table import Key
from chalicelib.catalogue import delivery_records
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.values import ids, times

AT = times.parse_time("2026-11-27T12:00:00Z")
OWNER = "owner-1"
WEBHOOK, OTHER_WEBHOOK = ids.new_id(1), ids.new_id(2)


def delivery(webhook_id: str, number: int, event: str = "{}") -> DeliveryRecord:
    at = AT + timedelta(seconds=number)
    event_id = ids.new_id(times.unix_ms(at))
    return DeliveryRecord(
        webhook_id=webhook_id,
        event_id=event_id,
        event_type="item.created",
        event=event,
        created_at=times.format_time(at),
    )


def attempted(record: DeliveryRecord) -> DeliveryRecord:
    return msgspec.structs.replace(record, attempts=record.attempts + 1)


def save(record: DeliveryRecord) -> DeliveryRecord:
    return delivery_records.change(OWNER, record, attempted, AT)


def test_newest_deliveries_of_a_webhook_are_listed() -> None:
    # More than a page of a query, which has at most 1 MB.
    saved = [save(delivery(WEBHOOK, number, "x" * 30_000)) for number in range(102)]
    save(delivery(OTHER_WEBHOOK, 0))

    assert delivery_records.find_newest(OWNER, WEBHOOK) == saved[:1:-1]
    assert delivery_records.find_newest("owner-2", WEBHOOK) == []


def test_change_is_made_to_what_is_stored() -> None:
    new = delivery(WEBHOOK, 1)
    save(new)

    assert save(new).attempts == 2
    assert delivery_records.get(OWNER, WEBHOOK, new.event_id).attempts == 2


def test_change_in_between_is_kept() -> None:
    new = delivery(WEBHOOK, 1)
    others = [lambda record: msgspec.structs.replace(record, response="other")]

    def transform(record: DeliveryRecord) -> DeliveryRecord:
        if others:
            delivery_records.change(OWNER, new, others.pop(), AT)
        return attempted(record)

    changed = delivery_records.change(OWNER, new, transform, AT)

    assert (changed.attempts, changed.response) == (1, "other")


def test_unknown_delivery_is_not_found() -> None:
    with pytest.raises(errors.DeliveryNotFoundError):
        delivery_records.get(OWNER, WEBHOOK, ids.new_id())


def test_text_that_is_no_id_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # DynamoDB refuses keys of more than 1024 bytes ("Quotas in Amazon DynamoDB"). Here, it accepts them.
    monkeypatch.setattr(table, "get", lambda key: pytest.fail(f"{key} was looked up"))

    assert delivery_records.find(OWNER, WEBHOOK, "0" * 1100) is None


def test_webhooks_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(which: str) -> Iterator[Key]:
        return (Key(OWNER, "DELIVERY", f"{webhook}#{number}") for number, webhook in enumerate(which))

    def order(which: Iterator[Key]) -> str:
        return " ".join(key.id.replace("#", "") for key in delivery_records.in_fair_order(which))

    assert order(keys("aaabca")) == "a0 b3 c4 a1 a2 a5"
    monkeypatch.setattr(delivery_records, "_MAX_RESUMED", 2)
    assert order(keys("aaabca")) == "a0 b3 c4 a1"
    monkeypatch.setattr(delivery_records, "_MAX_KEPT", 3)
    assert order(read := keys("aaabca")) == "a0 b3 a1"
    assert next(read).id == "c#4"
