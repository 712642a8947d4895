"""Webhooks: what their owner creates, reads and changes, and their secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from chalicelib import aws
from chalicelib.aws import webhook_master_key
from chalicelib.catalogue import change_counter, delivery_records, webhook_secrets, webhooks
from chalicelib.catalogue.delivery_records import DeliveryRecord
from chalicelib.catalogue.webhooks import Webhook
from chalicelib.values import ids, times
from tests.integration.calls import RECORDER
from tests.integration.stage import OWNER, Stage, answers, fails, json_of, meanwhile, raises
from tests.rights import Called

URL = "https://hooks.example.com/in"


def listed(api: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json_of(api("GET", "/webhooks"))["webhooks"]
    return found


def patch(api: Stage, webhook: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = api("PATCH", f"/webhooks/{webhook['id']}", changes)
    assert answer.status_code == 200, answer.body
    changed: dict[str, Any] = json_of(answer)
    return changed


def set_state(webhook: dict[str, Any], **attributes: Any) -> None:
    """Set attributes of a stored webhook, as a delivery does."""
    webhooks.change(OWNER, webhook["id"], lambda old: msgspec.structs.replace(old, **attributes))


@pytest.fixture
def put_twice() -> Iterator[None]:
    """Send each PutItem of the app twice, and let another request create a webhook in between."""
    client: Any = aws.dynamodb()
    event, doing = "provide-client-params.dynamodb.PutItem", False

    def put(params: dict[str, Any], **_: Any) -> None:
        nonlocal doing
        if not doing:
            doing = True
            with RECORDER.paused():
                client.put_item(**params)
                webhooks.create(OWNER, URL, ["*"], "", times.now())
            doing = False

    client.meta.events.register(event, put)
    yield
    client.meta.events.unregister(event, put)


class TestLife:
    def test_webhook_is_created_read_and_deleted(self, api: Stage) -> None:
        answer = api("POST", "/webhooks", {"url": URL, "events": ["item.created", "item.created"], "description": "É"})

        made = json_of(answer)
        path = f"/webhooks/{made['id']}"
        assert (answer.status_code, answer.headers["Location"]) == (201, path)
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
        webhook = {name: value for name, value in made.items() if name != "secret"}
        assert webhook == {
            "id": made["id"],
            "url": URL,
            "events": ["item.created"],
            "description": "É",
            "status": "active",
            "createdAt": made["createdAt"],
            "updatedAt": made["createdAt"],
        }
        other = api.webhook(events=["item.updated", "*"])
        assert (other["events"], "description" in other) == (["*"], False)
        assert json_of(api("GET", path)) == webhook
        assert [one["id"] for one in listed(api)] == [made["id"], other["id"]]

        assert json_of(api("DELETE", path)) == {"message": "Webhook deleted", "id": made["id"]}
        assert [one["id"] for one in listed(api)] == [other["id"]]
        for method, at in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/rotate")):
            gone = api(method, at, {} if method == "PATCH" else None)
            assert (gone.status_code, json_of(gone)["error"]) == (404, "WEBHOOK_NOT_FOUND")

    def test_owner_changes_a_webhook(self, api: Stage) -> None:
        made = api.webhook(description="old")

        changed = patch(api, made, url=f"{URL}/2", events=["picture.ready"], description=None)

        assert (changed["url"], changed["events"]) == (f"{URL}/2", ["picture.ready"])
        assert "description" not in changed
        assert changed["updatedAt"] > made["updatedAt"]
        assert patch(api, made, events=["picture.ready"]) == changed  # nothing is written
        assert patch(api, made, enabled=False)["status"] == "off"
        assert patch(api, made, enabled=True)["status"] == "active"

    def test_failures_are_shown_and_forgotten(self, api: Stage) -> None:
        made, since = api.webhook(), "2026-01-01T00:00:00.000Z"
        failing = {"consecutive_failures": webhooks.FAILING_AFTER, "failing_since": since, "problem": "Status 500"}
        set_state(made, **failing)

        webhook = json_of(api("GET", f"/webhooks/{made['id']}"))
        assert (webhook["status"], webhook["failingSince"], webhook["problem"]) == ("failing", since, "Status 500")
        assert patch(api, made, events=["item.created"])["status"] == "failing"
        assert "problem" not in patch(api, made, url=f"{URL}/2")
        set_state(made, enabled=False, **failing)
        assert json_of(api("GET", f"/webhooks/{made['id']}"))["status"] == "off"
        switched_on = patch(api, made, enabled=True)
        assert (switched_on["status"], "failingSince" in switched_on) == ("active", False)
        set_state(made, enabled=True, **failing)
        assert "problem" not in patch(api, made, enabled=False)  # Its owner switched it off.

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"url": "https://169.254.169.254/", "events": ["*"]}, "$.url"),
            ({"url": "http://example.com/", "events": ["*"]}, "$.url"),
            ({"url": f"{URL}?{'x' * 2048}", "events": ["*"]}, "$.url"),
            ({"url": URL, "events": []}, "$.events"),
            ({"url": URL, "events": ["item.read"]}, "$.events[0]"),
            ({"url": URL, "events": "*"}, "$.events"),
            ({"url": URL}, "$.events"),
            ({"url": URL, "events": ["*"], "description": "x" * 201}, "$.description"),
            ({"url": URL, "events": ["*"], "secret": "whsec_mine"}, "$.secret"),
        ],
    )
    def test_invalid_webhook_is_refused(self, api: Stage, body: dict[str, Any], path: str) -> None:
        answer = api("POST", "/webhooks", body)

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert [one["path"] for one in json_of(answer)["details"]] == [path]
        if "events" in body and "secret" not in body:
            made = api.webhook()
            changed = api("PATCH", f"/webhooks/{made['id']}", body)
            assert [one["path"] for one in json_of(changed)["details"]] == [path]
            assert len(listed(api)) == 1


class TestLimit:
    def test_eleventh_webhook_is_refused(self, api: Stage) -> None:
        for _ in range(webhooks.MAX_WEBHOOKS - 1):
            api.webhook()
        # Another request takes the last place between this one's read and its write.
        meanwhile(aws.dynamodb(), "PutItem", api.webhook)

        answer = api("POST", "/webhooks", {"url": URL, "events": ["*"]})

        assert (answer.status_code, json_of(answer)["error"]) == (409, "TOO_MANY_WEBHOOKS")
        assert len(listed(api)) == webhooks.MAX_WEBHOOKS
        api("DELETE", f"/webhooks/{listed(api)[0]['id']}")
        api.webhook()

    def test_concurrent_changes_are_all_kept(self, api: Stage) -> None:
        first, second = api.webhook(), api.webhook()
        meanwhile(aws.dynamodb(), "PutItem", lambda: patch(api, second, enabled=False))

        patch(api, first, description="changed")

        assert [(one.get("description"), one["status"]) for one in listed(api)] == [
            ("changed", "active"),
            (None, "off"),
        ]

    def test_write_that_the_sdk_repeats_is_done_once(self, api: Stage, put_twice: None) -> None:
        """The first attempt succeeds, its response is lost, and another request writes before the second one."""
        made = api.webhook()
        assert len(listed(api)) == 2

        api("POST", f"/webhooks/{made['id']}/rotate")
        assert webhooks.get(OWNER, made["id"]).generation == 2
        assert api("DELETE", f"/webhooks/{made['id']}").status_code == 200
        assert len(listed(api)) == 3


class TestSecret:
    def secrets(self, made: dict[str, Any], after: timedelta = timedelta()) -> list[str]:
        """Return the secrets that sign a delivery some time after now."""
        return webhook_secrets.for_signing(OWNER, webhooks.get(OWNER, made["id"]), times.now() + after)

    def test_rotation_keeps_the_previous_secret_for_a_day(self, api: Stage) -> None:
        made = api.webhook()
        assert self.secrets(made) == [made["secret"]]

        rotated = json_of(api("POST", f"/webhooks/{made['id']}/rotate"))

        assert rotated["secret"] != made["secret"]
        assert self.secrets(made) == [rotated["secret"], made["secret"]]
        assert self.secrets(made, timedelta(hours=23, minutes=59)) == [rotated["secret"], made["secret"]]
        assert self.secrets(made, timedelta(hours=24, seconds=1)) == [rotated["secret"]]
        [webhook] = listed(api)
        assert webhook["previousSecretUntil"] == rotated["previousSecretUntil"]
        again = json_of(api("POST", f"/webhooks/{made['id']}/rotate"))
        assert self.secrets(made) == [again["secret"], rotated["secret"]]

    def test_secrets_of_webhooks_and_owners_differ(self, api: Stage) -> None:
        first, second = api.webhook(), api.webhook()
        stored: Webhook = webhooks.get(OWNER, first["id"])

        found = {first["secret"], second["secret"], webhook_secrets.of("other", stored)}
        assert len(found) == 3

    def test_secret_is_neither_stored_nor_shown_again_nor_logged(self, api: Stage, logged: Callable[[], str]) -> None:
        made = api.webhook()
        rotated = json_of(api("POST", f"/webhooks/{made['id']}/rotate"))
        key = aws.ssm().get_parameter(Name="/vitrine/local/webhook-key", WithDecryption=True)["Parameter"]["Value"]
        raises(aws.dynamodb(), "GetItem", RuntimeError(f"{made['secret']} failed"))
        assert api("GET", "/webhooks").status_code == 500

        written = logged() + str(api.records())

        assert "whsec_- failed" in written
        for secret in (made["secret"], rotated["secret"], key):
            assert secret.removeprefix("whsec_") not in written

    def test_secret_is_not_shown_again(self, api: Stage) -> None:
        made = api.webhook()

        responses = [
            api("GET", "/webhooks").body,
            api("GET", f"/webhooks/{made['id']}").body,
            api("PATCH", f"/webhooks/{made['id']}", {"description": "x"}).body,
        ]

        assert b"secret" not in b"".join(responses)

    def test_processes_that_make_the_key_at_once_have_the_same(self, api: Stage) -> None:
        others: list[bytes] = []

        def make_key() -> None:
            others.append(webhook_master_key.read_or_create())
            webhook_master_key.read.cache_clear()  # This process has none yet.

        meanwhile(aws.ssm(), "PutParameter", make_key)
        api.webhook()

        assert others == [webhook_master_key.read()]
        assert len(others[0]) == 32

    def test_webhook_without_a_key_is_not_created(self, api: Stage) -> None:
        fails(aws.ssm(), "PutParameter", "ThrottlingException")

        assert api("POST", "/webhooks", {"url": URL, "events": ["*"]}).status_code == 503
        assert listed(api) == []


def sent() -> list[dict[str, Any]]:
    """Return the messages in the deliveries queue, and delete them."""
    url = aws.queue_url("deliveries")
    messages = aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        aws.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


class TestDeliveries:
    EVENT = '{"type":"item.created","id":"019ca7b4-e7e8-7def-89ab-0123456789ab","data":{"price":48.50}}'

    def record(self, webhook: dict[str, Any], **attributes: Any) -> str:
        """Write the record of a delivery, and return the id of its event."""
        now = times.now()
        new = DeliveryRecord(
            webhook_id=webhook["id"],
            event_id=ids.new_id(),
            event_type="item.created",
            event=self.EVENT,
            created_at=times.format_time(now),
        )
        return delivery_records.change(OWNER, new, lambda old: msgspec.structs.replace(old, **attributes), now).event_id

    def test_test_event_is_queued(self, api: Stage) -> None:
        made = api.webhook(events=["item.created"])
        patch(api, made, enabled=False)

        answer = api("POST", f"/webhooks/{made['id']}/test")

        [message] = sent()
        event = message["event"]
        assert (answer.status_code, json_of(answer)) == (202, {"deliveryId": event["id"]})
        assert message == {"owner": OWNER, "webhookId": made["id"], "event": event, "manual": True}
        assert (event["type"], event["schema"]) == ("webhook.test", 1)
        assert event["data"] == {"owner": OWNER, "webhookId": made["id"]}

    def test_deliveries_are_listed_newest_first(self, api: Stage) -> None:
        made, other = api.webhook(), api.webhook()
        at = "2026-03-01T08:00:00.000Z"
        first = self.record(
            made,
            status="pending",
            attempts=2,
            last_attempt_at=at,
            next_attempt_at=at,
            response_status=500,
            duration_ms=0,
            response="Oh",
            error="The receiver responded with 500, not with 2xx.",
            item_id=made["id"],
        )
        second = self.record(made)
        self.record(other)

        answer = api("GET", f"/webhooks/{made['id']}/deliveries")

        newest, oldest = json_of(answer)["deliveries"]
        assert [newest["id"], oldest["id"]] == [second, first]
        assert newest.keys() == {"id", "type", "status", "attempts", "createdAt"}
        assert oldest | {"id": "", "createdAt": ""} == {
            "id": "",
            "type": "item.created",
            "status": "pending",
            "attempts": 2,
            "createdAt": "",
            "itemId": made["id"],
            "lastAttemptAt": at,
            "nextAttemptAt": at,
            "responseStatus": 500,
            "durationMs": 0,
            "response": "Oh",
            "error": "The receiver responded with 500, not with 2xx.",
        }

    def test_event_is_sent_again_as_it_was(self, api: Stage) -> None:
        made = api.webhook()
        delivery = self.record(made, status="failed")
        url = aws.queue_url("deliveries")

        answer = api("POST", f"/webhooks/{made['id']}/deliveries/{delivery}/redeliver")

        assert (answer.status_code, json_of(answer)) == (202, {"deliveryId": delivery})
        [message] = aws.sqs().receive_message(QueueUrl=url)["Messages"]
        assert f'"event":{self.EVENT},"manual":true' in message["Body"]

    def test_delivery_of_another_webhook_is_not_found(self, api: Stage) -> None:
        made, other = api.webhook(), api.webhook()
        delivery = self.record(other)

        for path, error in (
            (f"/webhooks/{made['id']}/deliveries/{delivery}/redeliver", "DELIVERY_NOT_FOUND"),
            (f"/webhooks/{delivery}/deliveries/{delivery}/redeliver", "WEBHOOK_NOT_FOUND"),
            (f"/webhooks/{delivery}/test", "WEBHOOK_NOT_FOUND"),
        ):
            answer = api("POST", path)
            assert (answer.status_code, json_of(answer)["error"]) == (404, error)
        assert sent() == []

    def test_message_that_the_queue_rejects_is_an_error(self, api: Stage) -> None:
        made = api.webhook()
        answers(aws.sqs(), "SendMessageBatch", {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]})

        answer = api("POST", f"/webhooks/{made['id']}/test")

        assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")


class TestChanges:
    def test_number_grows_with_each_change(self, api: Stage) -> None:
        before = api("GET", "/changes")
        assert (json_of(before), before.headers["Cache-Control"]) == ({"number": 0}, "private, no-cache")
        tag = before.headers["ETag"]
        assert api("GET", "/changes", if_none_match=tag).status_code == 304

        with RECORDER.paused():
            change_counter.increase(OWNER)
            change_counter.increase("other")

        after = api("GET", "/changes", if_none_match=tag)
        assert (after.status_code, json_of(after)) == (200, {"number": 1})
        assert api("GET", "/changes", if_none_match=after.headers["ETag"]).status_code == 304

    def test_one_record_is_read(self, api: Stage, calls: list[Called]) -> None:
        api("GET", "/changes")

        [call] = calls
        assert (call.operation, call.parameters["Key"]["sk"]) == ("GetItem", {"S": "CHANGES#"})
