"""Interrupted, late and repeated steps leave the right records and objects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib import aws, errors
from chalicelib.catalogue import hourly_cleanup, item_pictures, items, job_queue_consumer, sqs_batches, thumbnail_jobs
from chalicelib.catalogue.sqs_batches import ReceivedMessage
from chalicelib.values import exact_json, times
from tests.builders import fields, jpeg
from tests.integration.stage import OWNER, Stage, context, fails, item_input, json_of, meanwhile, provoke, raises

PHOTO, OTHER = jpeg(1600, 1200), jpeg(400, 300)


def clean_up(hours: float) -> dict[str, int]:
    return hourly_cleanup.run(times.now() + timedelta(hours=hours), context("clean_up", 60_000))


@pytest.fixture
def item(api: Stage) -> str:
    return str(api.item(title="Vase")["id"])


class TestObjects:
    def test_failed_delete_is_completed_by_the_cleanup(self, api: Stage, item: str) -> None:
        api.picture(item, PHOTO)
        fails(aws.s3(), "DeleteObject", "InternalError", times=2)
        with pytest.raises(aws.s3().exceptions.ClientError):
            item_pictures.delete(OWNER, item, times.now())

        clean_up(1)
        clean_up(2)

        assert api.objects() == []

    def test_deleting_the_item_deletes_objects_left_by_its_picture(self, api: Stage, item: str) -> None:
        key = api.picture(item, PHOTO)
        item_pictures.delete(OWNER, item, times.now())
        clean_up(1)
        api.put(key, PHOTO)

        api("DELETE", f"/items/{item}")

        assert api.objects() == []

    def test_older_upload_after_a_newer_one_is_deleted(self, api: Stage, item: str) -> None:
        older = api.ticket(item)
        newer = api.picture(item, PHOTO)
        api.put(older, OTHER)

        api.notice(older)

        assert api.objects("uploads/") == [newer]

    def test_older_upload_with_a_lost_event_is_deleted(self, api: Stage, item: str) -> None:
        older = api.ticket(item)
        newer = api.picture(item, PHOTO)
        api.put(older, OTHER)

        clean_up(1)

        assert api.objects("uploads/") == [newer]
        assert api.read(item)["image"]["status"] == "ready"

    def test_redelivered_render_deletes_objects_of_the_older_upload(self, api: Stage, item: str) -> None:
        api.picture(item, OTHER)
        newer = api.upload(item, PHOTO)
        api.drop()
        fails(aws.s3(), "DeleteObject", "InternalError", times=1)
        with pytest.raises(aws.s3().exceptions.ClientError):
            thumbnail_jobs.run(newer)

        thumbnail_jobs.run(newer)

        assert api.objects("uploads/") == [newer]
        assert len(api.objects("thumbnails/")) == 2

    def test_slow_render_of_an_older_upload_leaves_no_thumbnails(self, api: Stage, item: str) -> None:
        older = api.upload(item, OTHER)
        api.drop()
        newer = api.ticket(item)

        def overtake() -> None:
            api.put(newer, PHOTO)
            item_pictures.record_upload(newer, times.now())
            thumbnail_jobs.run(newer)

        meanwhile(aws.s3(), "PutObject", overtake)
        thumbnail_jobs.run(older)

        assert api.objects("uploads/") == [newer]
        assert len(api.objects("thumbnails/")) == 2
        assert api.read(item)["image"]["width"] == 1600


class TestExpiry:
    def test_item_with_an_expiry_postponed_during_the_cleanup_stays(self, api: Stage) -> None:
        at = times.now()
        ending = item_input(expiresAt=times.format_time(at + timedelta(minutes=1)))
        expiring, _ = items.create(OWNER, ending, at)

        def put_off() -> None:
            items.patch(OWNER, expiring.id, {"expiresAt": None}, at)

        meanwhile(aws.dynamodb(), "TransactWriteItems", put_off)
        clean_up(1)

        assert api.read(expiring.id)["version"] == 2

    def test_redelivery_after_expiry_creates_nothing(self, api: Stage) -> None:
        sent = times.now()
        body = {
            "type": "item.create",
            "owner": OWNER,
            "item": fields(expiresAt=times.format_time(sent + timedelta(hours=1))),
        }
        delivery = ReceivedMessage("message-1", "receipt", exact_json.to_json(body).decode(), 1, sent)
        job_queue_consumer.process_message(delivery)

        job_queue_consumer.process_message(delivery._replace(receives=2, sent_at=sent))

        assert len(api.records("ITEM#")) == 1


def send_twice() -> None:
    """Lose the first response to a transaction, so that the SDK retries it."""
    client: Any = aws.dynamodb()
    doing = False

    def once_more(params: dict[str, Any], **_: Any) -> None:
        nonlocal doing
        if not doing:
            doing = True
            client.transact_write_items(**params)

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", once_more)


def time_out() -> None:
    """Lose all responses to a transaction."""
    lost = iter([ReadTimeoutError(endpoint_url="https://dynamodb.aws.invalid")])

    def lose(**_: Any) -> None:
        for error in lost:
            raise error

    provoke(aws.dynamodb(), "TransactWriteItems", lose, "after-call")


class TestLostResponses:
    """DynamoDB applied a write, but its response was lost: the response says what is stored."""

    @pytest.fixture(params=[send_twice, time_out], ids=lambda lose: lose.__name__)
    def lose(self, request: pytest.FixtureRequest) -> Any:
        yield request.param
        aws._client.cache_clear()
        aws._session.cache_clear()

    def test_item_is_created_once(self, api: Stage, lose: Callable[[], None]) -> None:
        lose()

        answer = api("POST", "/items", fields(title="Vase"))

        assert answer.status_code == 201
        assert api.read(json_of(answer)["id"]) == json_of(answer)
        assert len(api.records("ITEM#")) == 1

    def test_item_is_changed(self, api: Stage, item: str, lose: Callable[[], None]) -> None:
        lose()

        answer = api("PUT", f"/items/{item}", fields(title="Bowl"), if_match='"1"')

        assert (answer.status_code, json_of(answer)["version"]) == (200, 2)

    def test_item_is_deleted(self, api: Stage, item: str, lose: Callable[[], None]) -> None:
        lose()

        assert api("DELETE", f"/items/{item}").status_code == 200

    @pytest.mark.parametrize(("method", "path"), [("POST", "/items"), ("PUT", "/items/{id}")])
    def test_failed_write_is_an_error(self, api: Stage, item: str, method: str, path: str) -> None:
        fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException")

        assert api(method, path.format(id=item), fields(title="Bowl")).status_code == 503
        assert (len(api.records("ITEM#")), api.read(item)["version"]) == (1, 1)


def test_write_that_conflicts_with_a_transaction_is_retried(api: Stage) -> None:
    reasons = [{"Code": "TransactionConflict"}]
    fails(aws.dynamodb(), "TransactWriteItems", "TransactionCanceledException", times=1, CancellationReasons=reasons)

    answer = api("POST", "/items", fields(title="Vase"))

    assert answer.status_code == 201
    assert api.read(json_of(answer)["id"]) == json_of(answer)


def test_processed_messages_are_deleted_despite_a_queue_failure(api: Stage) -> None:
    for n in range(3):
        api.send({"type": "item.create", "owner": OWNER, "item": fields(n=n)})
    api.send("nonsense")
    deliveries = [ReceivedMessage.from_event(one) for one in as_records(api.receive())]
    raises(aws.sqs(), "ChangeMessageVisibilityBatch", ReadTimeoutError(endpoint_url="https://aws.invalid"))

    with pytest.raises(sqs_batches.PartialBatchError):
        job_queue_consumer.process_batch(deliveries, context("on_messages"))

    assert api.on_queue() == 1


def as_records(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from tests.integration.stage import batch

    return list(batch(messages)["Records"])


def test_deeply_nested_patch_is_refused(api: Stage, item: str) -> None:
    patch: Any = {}
    for _ in range(900):
        patch = {"a": patch}

    with pytest.raises(errors.InvalidRequestError, match="32 levels"):
        items.patch(OWNER, item, patch, times.now())
