"""Imports: every entry becomes one item or one failure, however often its chunk is delivered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from chalicelib import aws, bucket, cleanup, config, errors, http, imports, items, models, primitives, queue, wire
from tests.builders import as_json, fields
from tests.integration.stage import (
    OWNER,
    Stage,
    answers,
    context,
    fails,
    forget_what_was_provoked,
    meanwhile,
    said,
)


def start(api: Stage, *entries: Any) -> str:
    answer = api("POST", "/imports", {"items": list(entries)})
    assert answer.status_code == 202, answer.body
    id_: str = said(answer)["id"]
    return id_


def progress(api: Stage, id_: str) -> dict[str, Any]:
    answer = api("GET", f"/imports/{id_}")
    assert answer.status_code == 200
    shown: dict[str, Any] = said(answer)
    msgspec.json.decode(answer.body, type=wire.ImportShown)
    return shown


def counts(api: Stage, id_: str) -> tuple[str, int, int, int]:
    shown = progress(api, id_)
    return shown["status"], shown["total"], shown["created"], shown["failed"]


def titles(api: Stage) -> list[str]:
    """Of all items, the oldest first."""
    return [item["title"] for item in said(api("GET", "/items?order=asc&limit=100"))["items"]]


def test_an_import_is_accepted_and_says_where_to_watch_it(api: Stage) -> None:
    answer = api("POST", "/imports", {"items": [fields(title="Vase"), fields(title="Lamp")]})

    assert answer.status_code == 202
    id_ = said(answer)["id"]
    assert answer.headers["Location"] == f"/imports/{id_}"
    queued = {"id": id_, "status": "queued", "total": 2, "created": 0, "failed": 0, "errors": []}
    assert said(answer) == queued
    assert progress(api, id_) == queued


def test_entries_become_items_in_their_order(api: Stage) -> None:
    id_ = start(api, *(fields(title=f"{number:03d}") for number in range(30)))

    api.work()

    assert counts(api, id_) == ("done", 30, 30, 0)
    assert titles(api) == [f"{number:03d}" for number in range(30)]


def test_items_are_what_creating_them_one_by_one_would_make(api: Stage) -> None:
    start(api, fields(title="Vase", n=12, expiresAt="2100-01-01T00:00:00Z"))

    api.work()

    (item,) = said(api("GET", "/items"))["items"]
    assert (item["version"], item["n"], item["expiresAt"]) == (1, 12, "2100-01-01T00:00:00.000Z")
    assert api("PATCH", f"/items/{item['id']}", {"n": 1}, if_match='"1"').status_code == 200


def test_numbers_keep_their_exact_value(api: Stage) -> None:
    entry = as_json('"n": 0.30000000000000000000000000000000000001')
    api("POST", "/imports", b'{"items": [' + entry + b"]}")

    api.work()

    assert b'"n":0.30000000000000000000000000000000000001' in api("GET", "/items").body


def test_an_import_is_worked_off_chunk_by_chunk(api: Stage) -> None:
    id_ = start(api, *(fields(title=str(number)) for number in range(250)))
    assert api.on_queue() == 3

    imports.work_off(OWNER, id_, 1)
    assert counts(api, id_) == ("running", 250, 100, 0)
    api.work()

    assert counts(api, id_) == ("done", 250, 250, 0)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_json_may_be_written_for_people_to_read(api: Stage, newline: str) -> None:
    body = json.dumps({"items": [fields(title="a\nb\r"), fields(title="c", marks=["x", "y"])]}, indent=2)

    answer = api("POST", "/imports", body.replace("\n", newline).encode())
    api.work()

    assert counts(api, said(answer)["id"]) == ("done", 2, 2, 0)
    assert titles(api) == ["a\nb\r", "c"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_lines_of_json_are_taken_too(api: Stage, newline: str, end: str) -> None:
    body = newline.join(['{"title": "a"}', "", '  {"title": "b\\n\u2028c"}  ', "   ", '{"title": "d"}']) + end

    answer = api("POST", "/imports", body.encode(), content_type="application/x-ndjson; charset=utf-8")
    api.work()

    assert counts(api, said(answer)["id"]) == ("done", 3, 3, 0)
    assert titles(api) == ["a", "b\n\u2028c", "d"]


def test_a_bad_entry_never_stops_the_others_and_is_named_with_its_reason(api: Stage) -> None:
    lines = [
        b'{"title": "a"}',
        b"{",
        b'{"id": "x"}',
        b"[]",
        b'{"n": 1e999}',
        b'{"n": 1e-140}',
        b'{"title": "\xff"}',
        b'{"title": "' + b"x" * 358_400 + b'"}',
        as_json('"expiresAt": "2001-01-01T00:00:00Z"'),
        b'{"": 1}',
        b'{"n": [' + b",".join([b"1"] * 170_000) + b"]}",
        b'{"title": "b"}',
    ]

    answer = api("POST", "/imports", b"\n".join(lines), content_type="application/x-ndjson")
    api.work()

    shown = progress(api, said(answer)["id"])
    assert (shown["status"], shown["total"], shown["created"], shown["failed"]) == ("done", 12, 2, 10)
    assert titles(api) == ["a", "b"]
    assert [(failure["index"], failure["error"]) for failure in shown["errors"]] == [
        (1, "INVALID_JSON"),
        (2, "RESERVED_FIELD"),
        (3, "INVALID_REQUEST"),
        (4, "INVALID_REQUEST"),
        (5, "INVALID_REQUEST"),
        (6, "INVALID_JSON"),
        (7, "ITEM_TOO_LARGE"),
        (8, "INVALID_EXPIRY"),
        (9, "INVALID_REQUEST"),
        (10, "ITEM_TOO_LARGE"),
    ]
    assert all(failure["message"] for failure in shown["errors"])


def test_what_is_kept_of_bad_entries_stays_small_whatever_they_hold(api: Stage) -> None:
    # DynamoDB takes 400 KB a record, and one record says what became of a chunk.
    name = "x" * 40_000
    id_ = start(api, *({name: 10**40 + 1} for _ in range(100)))

    api.work()

    assert counts(api, id_) == ("done", 100, 0, 100)
    (record,) = api.records("CHUNK")
    assert len(json.dumps(record)) < 100_000


def test_an_index_counts_through_all_chunks(api: Stage) -> None:
    entries: list[dict[str, Any]] = [fields() for _ in range(205)]
    entries[99] = entries[100] = entries[204] = {"id": "x"}

    id_ = start(api, *entries)
    api.work()

    assert [failure["index"] for failure in progress(api, id_)["errors"]] == [99, 100, 204]


def test_the_first_thousand_failures_are_shown_and_all_are_counted(api: Stage) -> None:
    id_ = start(api, *({"id": "x"} for _ in range(1_001)))

    api.work()

    shown = progress(api, id_)
    assert (shown["failed"], len(shown["errors"])) == (1_001, 1_000)
    assert [failure["index"] for failure in shown["errors"]] == list(range(1_000))


class TestLimits:
    def test_ten_thousand_entries_are_taken(self, api: Stage) -> None:
        answer = api("POST", "/imports", b'{"items":[' + b",".join([b"{}"] * 10_000) + b"]}")

        assert (answer.status_code, said(answer)["total"]) == (202, 10_000)
        assert api.on_queue() == 100

    @pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
    def test_one_more_is_too_many(self, api: Stage, content_type: str) -> None:
        entries = [b"{}"] * 10_001
        body = b"\n".join(entries) if "nd" in content_type else b'{"items":[' + b",".join(entries) + b"]}"

        answer = api("POST", "/imports", body, content_type=content_type)

        assert (answer.status_code, said(answer)["error"]) == (413, "IMPORT_TOO_LARGE")
        assert "10000 items" in said(answer)["message"]
        assert (api.on_queue(), api.objects(), api.records()) == (0, [], [])

    @pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
    def test_five_megabytes_are_taken_and_one_byte_more_is_not(self, api: Stage, content_type: str) -> None:
        body = b'{"items":[{}]}' if content_type == "application/json" else b"{}"
        full = body + b" " * (5 * 1024 * 1024 - len(body))

        assert api("POST", "/imports", full, content_type=content_type).status_code == 202
        answer = api("POST", "/imports", full + b" ", content_type=content_type)

        assert (answer.status_code, said(answer)["error"]) == (413, "IMPORT_TOO_LARGE")
        assert "5 MB" in said(answer)["message"]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b'{"items": []}', "application/json"),
            (b"", "application/x-ndjson"),
            (b"\n \r\n", "application/x-ndjson"),
        ],
    )
    def test_nothing_is_too_little(self, api: Stage, body: bytes, content_type: str) -> None:
        answer = api("POST", "/imports", body, content_type=content_type)

        assert (answer.status_code, said(answer)["message"]) == (400, "There is nothing to import.")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{}", "INVALID_REQUEST"),
            (b"[{}]", "INVALID_REQUEST"),
            (b'{"items": {}}', "INVALID_REQUEST"),
            (b'{"items": null}', "INVALID_REQUEST"),
            (b'{"items": [{}', "INVALID_JSON"),
            (b'{"items": [{]}', "INVALID_JSON"),
            (b"\xff", "INVALID_JSON"),
            (b'{"items": ' + b"[" * 100_000, "INVALID_JSON"),
        ],
    )
    def test_a_body_that_is_no_import_is_refused_as_a_whole(self, api: Stage, body: bytes, code: str) -> None:
        answer = api("POST", "/imports", body)

        assert (answer.status_code, said(answer)["error"]) == (400, code)
        assert api.on_queue() == 0


class TestTwice:
    def test_a_chunk_that_is_delivered_twice_creates_its_items_once(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"}, {"id": "x"}, {"title": "b"})

        imports.work_off(OWNER, id_, 0)
        imports.work_off(OWNER, id_, 0)
        api.work()

        assert counts(api, id_) == ("done", 3, 2, 1)
        assert titles(api) == ["a", "b"]

    def test_a_chunk_that_was_worked_off_by_half_is_finished_without_doing_anything_twice(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"}, {"title": "b"}, {"title": "c"})
        puts = 0

        def third_fails(**_: Any) -> None:
            nonlocal puts
            puts += 1
            if puts == 3:
                raise ConnectionError

        aws.dynamodb().meta.events.register("before-call.dynamodb.PutItem", third_fails, unique_id="third")
        try:
            with pytest.raises(ConnectionError):
                imports.work_off(OWNER, id_, 0)
        finally:
            aws.dynamodb().meta.events.unregister("before-call.dynamodb.PutItem", unique_id="third")
        assert counts(api, id_) == ("queued", 3, 0, 0)

        api.work()

        assert counts(api, id_) == ("done", 3, 3, 0)
        assert titles(api) == ["a", "b", "c"]

    def test_an_item_that_was_deleted_since_is_not_made_again_once_its_chunk_is_done(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"})
        imports.work_off(OWNER, id_, 0)
        (item,) = said(api("GET", "/items"))["items"]
        api("DELETE", f"/items/{item['id']}")

        api.work()

        assert titles(api) == []

    def test_one_import_sent_twice_is_two(self, api: Stage) -> None:
        start(api, {"title": "a"})
        start(api, {"title": "a"})

        api.work()

        assert titles(api) == ["a", "a"]


class TestQueueing:
    def test_an_import_that_could_not_be_queued_is_accepted_and_done_by_the_cleanup(
        self, api: Stage, logged: Callable[[], str]
    ) -> None:
        fails(aws.sqs(), "SendMessageBatch", "ServiceUnavailable", times=1)

        id_ = start(api, {"title": "a"}, {"title": "b"})
        assert counts(api, id_) == ("queued", 2, 0, 0)
        assert api.on_queue() == 0
        assert "An import could not be queued" in logged()

        cleanup.sweep(primitives.now() + timedelta(hours=1), context("clean_up"))
        api.work()
        assert counts(api, id_) == ("done", 2, 2, 0)
        assert titles(api) == ["a", "b"]

    def test_an_import_that_was_queued_by_half_makes_each_item_once(self, api: Stage) -> None:
        refused = {"Failed": [{"Id": "1", "SenderFault": False, "Code": "InternalError"}], "Successful": []}
        answers(aws.sqs(), "SendMessageBatch", refused)
        id_ = start(api, *({"title": f"{number:03d}"} for number in range(200)))
        forget_what_was_provoked()
        imports.work_off(OWNER, id_, 0)

        cleanup.sweep(primitives.now() + timedelta(hours=1), context("clean_up"))
        api.work()

        assert counts(api, id_) == ("done", 200, 200, 0)
        assert len(api.records("ITEM#")) == 200

    def test_an_import_that_was_not_kept_is_refused_and_creates_nothing(self, api: Stage) -> None:
        fails(aws.dynamodb(), "PutItem", "ThrottlingException")

        answer = api("POST", "/imports", {"items": [{"title": "a"}]})

        assert answer.status_code == 503
        assert (api.records(), api.on_queue()) == ([], 0)

    def test_a_chunk_of_no_import_is_a_failure_that_somebody_sees(self) -> None:
        with pytest.raises(errors.ImportNotFoundError):
            imports.work_off(OWNER, primitives.new_id(), 0)

    def test_a_queue_that_refuses_a_message_says_so(self) -> None:
        answers(aws.sqs(), "SendMessageBatch", {"Failed": [{"Id": "0", "SenderFault": True, "Code": "Nope"}]})

        with pytest.raises(queue.NotSentError, match="1 of 1 messages were not taken: Nope"):
            queue.send(models.RenderImage("uploads/vase.png"))


class TestLost:
    def test_chunks_that_got_lost_are_queued_again_after_an_hour(self, api: Stage) -> None:
        id_ = start(api, *(fields(title=str(number)) for number in range(250)))
        imports.work_off(OWNER, id_, 1)
        api.drop()

        imports.resume(OWNER, id_, primitives.now() + timedelta(hours=1))

        assert sorted(message["chunk"] for message in api.drop()) == [0, 2]

    def test_an_import_that_is_done_is_not_looked_at_again(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"})
        api.work()

        imports.resume(OWNER, id_, primitives.now() + timedelta(hours=1))

        assert api.on_queue() == 0
        assert "dueAt" not in api.records("IMPORT")[0]
        assert counts(api, id_) == ("done", 1, 1, 0)

    def test_one_that_is_not_is_looked_at_every_hour_for_a_day(self, api: Stage) -> None:
        id_, at = start(api, {"title": "a"}), primitives.now()

        imports.resume(OWNER, id_, at + timedelta(hours=1))
        (record,) = api.records("IMPORT")
        assert record["dueAt"]["S"] == primitives.timestamp(at + timedelta(hours=2))
        api.drop()
        imports.resume(OWNER, id_, at + timedelta(hours=25))

        assert api.on_queue() == 0
        assert "dueAt" not in api.records("IMPORT")[0]

    def given_up(self, api: Stage) -> str:
        """An import of 150 entries whose second chunk got lost for good."""
        id_ = start(api, *({"title": f"{number:03d}"} for number in range(150)))
        imports.work_off(OWNER, id_, 0)
        api.drop()
        imports.resume(OWNER, id_, primitives.now() + timedelta(hours=25))
        return id_

    def test_an_import_that_is_given_up_is_done_and_says_which_entries_are_lost(
        self, api: Stage, logged: Callable[[], str]
    ) -> None:
        id_ = self.given_up(api)

        assert counts(api, id_) == ("done", 150, 100, 50)
        lost = progress(api, id_)["errors"]
        assert [one["index"] for one in lost] == list(range(100, 150))
        assert lost[0]["error"] == "INTERNAL_ERROR"
        assert "not worked off within a day" in lost[0]["message"]
        lines = logged()
        assert '"level":"ERROR"' in lines
        assert "An import was given up" in lines
        assert '"ImportsGivenUp":[1.0]' in lines

    def test_giving_up_twice_is_giving_up_once(self, api: Stage) -> None:
        id_ = self.given_up(api)
        before = progress(api, id_)

        imports.resume(OWNER, id_, primitives.now() + timedelta(hours=25))

        assert progress(api, id_) == before

    def test_a_dead_letter_that_is_sent_back_after_that_creates_its_items_after_all(self, api: Stage) -> None:
        id_ = self.given_up(api)

        for _ in range(2):
            api.send({"type": "import.chunk", "owner": OWNER, "importId": id_, "chunk": 1})
            api.work()

        assert counts(api, id_) == ("done", 150, 150, 0)
        assert len(api.records("ITEM#")) == 150

    def test_a_chunk_that_is_done_while_it_is_given_up_counts_as_done(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"})
        meanwhile(aws.dynamodb(), "PutItem", lambda: imports.work_off(OWNER, id_, 0))

        imports.resume(OWNER, id_, primitives.now() + timedelta(hours=25))

        assert counts(api, id_) == ("done", 1, 1, 0)

    def test_a_chunk_whose_entries_are_gone_is_a_failure_that_somebody_sees(self, api: Stage) -> None:
        id_ = start(api, {"title": "a"})
        bucket.delete(api.objects("imports/"))

        with pytest.raises(bucket.ObjectGoneError):
            imports.work_off(OWNER, id_, 0)


def test_a_store_that_is_busy_is_no_failure_of_an_entry(api: Stage) -> None:
    id_ = start(api, {"title": "a"})
    fails(aws.dynamodb(), "PutItem", "ThrottlingException", times=1)

    with pytest.raises(aws.dynamodb().exceptions.ClientError):
        imports.work_off(OWNER, id_, 0)
    api.work()

    assert counts(api, id_) == ("done", 1, 1, 0)


def test_failures_are_cut_before_they_outgrow_lambda() -> None:
    failures = [models.Failure(index, "INVALID_REQUEST", "\U0001f600" * 800) for index in range(1_000)]

    answer = http.import_answer("id", imports.Progress("done", 2_000, 0, 2_000, failures))

    shown = primitives.from_json(answer.body)
    assert len(json.dumps(answer.body)) < 6 * 1024 * 1024
    assert shown["failed"] == 2_000
    assert [one["index"] for one in shown["errors"]] == list(range(len(shown["errors"])))
    assert len(shown["errors"]) > 600


def test_what_is_kept_of_an_import_is_forgotten_after_thirty_days(api: Stage) -> None:
    at = primitives.now()
    start(api, {"title": "a"})
    api.work()

    for record in api.records("IMPORT") + api.records("CHUNK"):
        assert abs(int(record["ttl"]["N"]) - (at + timedelta(days=30)).timestamp()) < 5


def test_entries_lie_under_their_owner_as_lines_of_json(api: Stage) -> None:
    id_ = start(api, {"title": "a"}, {"title": "b"})

    (key,) = api.objects()

    assert key == f"imports/{OWNER}/{id_}/00000.ndjson"
    kept = aws.s3().get_object(Bucket=str(config.settings().bucket), Key=key)
    assert kept["ContentType"] == "application/x-ndjson"
    assert [json.loads(line) for line in kept["Body"].read().split(b"\n")] == [{"title": "a"}, {"title": "b"}]


def test_items_of_an_import_stand_at_its_time(api: Stage) -> None:
    id_ = start(api, {"title": "a"})
    api.work()

    (item,) = items.page(OWNER, items.Range(), 10, None, primitives.now()).items

    assert primitives.id_time_ms(item.id) == primitives.id_time_ms(id_)
