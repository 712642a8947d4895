"""Items over HTTP: create, read, replace, patch, delete, preconditions and idempotency keys."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from chalicelib import aws, errors
from chalicelib.catalogue import items, models
from chalicelib.http import schemas
from chalicelib.values import exact_json, ids, times
from tests.builders import as_json, fields
from tests.integration.stage import OWNER, Stage, fails, item_input, json_of, meanwhile

VASE = fields(title="Vase", weight=12, marks=["blue", None, True], box={"height": 30})


def after(at: datetime, seconds: float) -> str:
    return times.format_time(at + timedelta(seconds=seconds))


class TestLifecycle:
    def test_created_item_has_location_and_etag(self, api: Stage) -> None:
        answer = api("POST", "/items", VASE)

        item = json_of(answer)
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/items/{item['id']}"
        assert answer.headers["ETag"] == '"1"'
        assert item == VASE | {name: item[name] for name in ("id", "version", "createdAt", "updatedAt")}
        assert (item["version"], item["createdAt"]) == (1, item["updatedAt"])

    def test_item_is_read_as_created(self, api: Stage) -> None:
        item = api.item(**VASE)

        answer = api("GET", f"/items/{item['id']}")

        assert json_of(answer) == item
        assert answer.headers["ETag"] == '"1"'

    def test_response_has_the_managed_fields_of_the_schema(self, api: Stage) -> None:
        item = api.item(expiresAt="2100-01-01T00:00:00Z")

        managed = msgspec.json.decode(exact_json.to_json(item), type=schemas.Item)

        assert managed.created_at == item["createdAt"]
        assert item["expiresAt"] == "2100-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        "number",
        ["0.1", "1e-130", f"1.{'1' * 37}e-130", "9.99E+125", "1" * 38, "12345678901234567890", "-0.30"],
    )
    def test_number_keeps_its_exact_value(self, api: Stage, number: str) -> None:
        created = api("POST", "/items", as_json(f'"n": {number}'))

        kept = json_of(api("GET", f"/items/{json_of(created)['id']}"))

        assert kept["n"] == exact_json.from_json(number)

    @pytest.mark.parametrize("number", ["0E-200", "0e400", "-0.0"])
    def test_every_notation_of_zero_is_accepted(self, api: Stage, number: str) -> None:
        created = api("POST", "/items", as_json(f'"n": {number}'))

        assert json_of(api("GET", f"/items/{json_of(created)['id']}"))["n"] == 0

    def test_reserved_words_of_dynamodb_are_valid_names(self, api: Stage) -> None:
        body = {
            "pk": 1,
            "sk": 2,
            "ttl": 3,
            "dueAt": "x",
            "fields": {},
            "owner": "me",
            "name": "n",
            "#a": ":b",
            "a.b": 0,
        }

        item = api.item(**body)

        assert api.read(item["id"]) == item

    def test_replace_removes_all_old_fields(self, api: Stage) -> None:
        item = api.item(**VASE, expiresAt="2100-01-01T00:00:00Z")

        answer = api("PUT", f"/items/{item['id']}", fields(title="Lamp"))

        assert answer.status_code == 200
        assert answer.headers["ETag"] == '"2"'
        assert json_of(answer) == fields(title="Lamp") | {
            "id": item["id"],
            "version": 2,
            "createdAt": item["createdAt"],
            "updatedAt": json_of(answer)["updatedAt"],
        }
        assert api.read(item["id"]) == json_of(answer)

    def test_patch_changes_only_the_named_fields(self, api: Stage) -> None:
        item = api.item(**VASE)
        patch = {"weight": None, "box": {"width": 7}, "marks": [1], "new": {"a": {"gone": None}}}

        answer = api("PATCH", f"/items/{item['id']}", patch, content_type="application/merge-patch+json")

        assert answer.status_code == 200
        kept = fields(title="Vase", marks=[1], box={"height": 30, "width": 7}, new={"a": {}})
        assert json_of(answer).items() >= kept.items()
        assert "weight" not in json_of(answer)
        assert api.read(item["id"]) == json_of(answer)

    def test_patch_keeps_other_numbers_exact(self, api: Stage) -> None:
        item = json_of(api("POST", "/items", as_json('"n": 0.30000000000000000000000000000000000001')))

        api("PATCH", f"/items/{item['id']}", {"title": "Vase"})

        assert b'"n":0.30000000000000000000000000000000000001' in api("GET", f"/items/{item['id']}").body

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize(
        "again",
        ['"n": 1.0', '"n": 1', '"n": 10E-1', '"n": 1.00, "expiresAt": "2100-01-01T01:00:00+01:00"'],
    )
    def test_replace_by_equal_values_writes_nothing(self, api: Stage, method: str, again: str) -> None:
        item = json_of(api("POST", "/items", as_json('"n": 1, "expiresAt": "2100-01-01T00:00:00Z"')))
        if "expiresAt" not in again:
            again += ', "expiresAt": "2100-01-01T00:00:00.0004Z"'
        fails(aws.dynamodb(), "TransactWriteItems", "ValidationException")

        answer = api(method, f"/items/{item['id']}", as_json(again), if_match='"1"')

        assert (answer.status_code, json_of(answer), answer.headers["ETag"]) == (200, item, '"1"')

    @pytest.mark.parametrize("patch", [{}, {"gone": None}, {"box": {}}, {"box": {"height": 30, "gone": None}}])
    def test_patch_that_changes_nothing_writes_nothing(self, api: Stage, patch: dict[str, Any]) -> None:
        item = api.item(**VASE)
        fails(aws.dynamodb(), "TransactWriteItems", "ValidationException")

        answer = api("PATCH", f"/items/{item['id']}", patch)

        assert (answer.status_code, json_of(answer)) == (200, item)

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize(("before", "after"), [("1", "true"), ("0", "false"), ("1", '"1"'), ("[1, 2]", "[2, 1]")])
    def test_change_of_type_or_order_is_written(self, api: Stage, method: str, before: str, after: str) -> None:
        item = json_of(api("POST", "/items", as_json(f'"n": {before}')))

        answer = json_of(api(method, f"/items/{item['id']}", as_json(f'"n": {after}')))

        assert (answer["version"], answer["n"]) == (2, exact_json.from_json(after))
        assert type(api.read(item["id"])["n"]) is type(exact_json.from_json(after))

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_unchanged_write_checks_its_precondition(self, api: Stage, method: str) -> None:
        item = api.item(**VASE)

        answer = api(method, f"/items/{item['id']}", VASE, if_match='"2"')

        assert (answer.status_code, json_of(answer)["error"]) == (412, "VERSION_MISMATCH")

    def test_patch_sets_keeps_and_removes_the_expiry(self, api: Stage) -> None:
        path = f"/items/{api.item()['id']}"

        assert (
            json_of(api("PATCH", path, {"expiresAt": "2100-01-01T00:00:00Z"}))["expiresAt"]
            == "2100-01-01T00:00:00.000Z"
        )
        assert json_of(api("PATCH", path, {"title": "Vase"}))["expiresAt"] == "2100-01-01T00:00:00.000Z"
        assert "expiresAt" not in json_of(api("PATCH", path, {"expiresAt": None}))

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (fields(id="x"), "RESERVED_FIELD"),
            (fields(image={"status": "ready"}), "RESERVED_FIELD"),
            (fields(expiresAt="2001-01-01T00:00:00Z"), "INVALID_EXPIRY"),
            (fields(expiresAt="9999-12-31T23:59:59-23:00"), "INVALID_EXPIRY"),
            ({"a": {"": 1}}, "INVALID_REQUEST"),
            ({"a": "x" * 358_400}, "ITEM_TOO_LARGE"),
        ],
    )
    def test_refused_change_leaves_the_item_unchanged(
        self, api: Stage, method: str, body: dict[str, Any], code: str
    ) -> None:
        item = api.item(**VASE)

        answer = api(method, f"/items/{item['id']}", body)

        assert json_of(answer)["error"] == code
        assert 400 <= answer.status_code < 500
        assert api.read(item["id"]) == item

    def test_patch_cannot_exceed_the_size_limit(self, api: Stage) -> None:
        item = api.item(a="x" * 200_000)

        answer = api("PATCH", f"/items/{item['id']}", {"b": "x" * 200_000})

        assert (answer.status_code, json_of(answer)["error"]) == (413, "ITEM_TOO_LARGE")

    def test_deleted_item_is_not_found(self, api: Stage) -> None:
        item = api.item()

        answer = api("DELETE", f"/items/{item['id']}")

        assert (answer.status_code, json_of(answer)) == (200, {"message": "Item deleted", "id": item["id"]})
        for method in ("GET", "DELETE"):
            assert api(method, f"/items/{item['id']}").status_code == 404
        assert api.records() == []

    def test_expired_item_is_not_found_before_the_cleanup(self, api: Stage) -> None:
        past = times.now() - timedelta(days=1)
        item, _ = items.create(OWNER, item_input(expiresAt=times.format_time(past + timedelta(hours=1))), past)

        for method, body in {"GET": None, "PUT": fields(), "PATCH": {}, "DELETE": None}.items():
            assert api(method, f"/items/{item.id}", body).status_code == 404
        assert json_of(api("GET", "/items"))["items"] == []
        assert len(api.records("ITEM")) == 1

    def test_expiry_in_the_past_is_refused(self, api: Stage) -> None:
        at = times.now()
        expired, valid = item_input(expiresAt=times.format_time(at)), item_input(expiresAt=after(at, 0.001))

        item, _ = items.create(OWNER, valid, at)

        for refused in (
            lambda: items.create(OWNER, expired, at),
            lambda: items.create(OWNER, expired, at, "k"),
            lambda: items.prepare_create(OWNER, ids.new_id(), expired, at),
            lambda: items.replace(OWNER, item.id, fields(expiresAt=expired.expires_at), at),
            lambda: items.patch(OWNER, item.id, {"expiresAt": expired.expires_at}, at),
        ):
            with pytest.raises(errors.InvalidExpiryError):
                refused()
        assert len(api.records("ITEM")) == 1
        assert items.get(OWNER, item.id, at) == item

    def test_item_is_found_until_it_expires(self, api: Stage) -> None:
        at = times.now()
        until = at + timedelta(hours=1)
        item, _ = items.create(OWNER, item_input(expiresAt=times.format_time(until)), at)

        assert items.get(OWNER, item.id, until - timedelta(seconds=1)) == item
        with pytest.raises(errors.ItemNotFoundError):
            items.get(OWNER, item.id, until)


class TestPreconditions:
    @pytest.fixture
    def item(self, api: Stage) -> dict[str, Any]:
        """Return an item at version 3."""
        id_ = api.item()["id"]
        api("PATCH", f"/items/{id_}", {"a": 1})
        api("PATCH", f"/items/{id_}", {"a": 2})
        return api.read(id_)

    @pytest.mark.parametrize("tags", ['"3"', '"1", "3"', '"1","2","3"', "*", " * ", '"3-494000"', 'W/"3"', '"3-gzip"'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_write_with_the_current_version_succeeds(
        self, api: Stage, item: dict[str, Any], method: str, tags: str
    ) -> None:
        body = None if method == "DELETE" else fields(b=1)

        assert api(method, f"/items/{item['id']}", body, if_match=tags).status_code == 200

    @pytest.mark.parametrize("tags", ['"2"', '"1", "2"', 'W/"2"', '"33"', '""', '"abc"', '"-3"', f'"{"3" * 5_000}"'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_write_with_another_version_is_refused(
        self, api: Stage, item: dict[str, Any], method: str, tags: str
    ) -> None:
        body = None if method == "DELETE" else fields(b=1)

        answer = api(method, f"/items/{item['id']}", body, if_match=tags)

        assert (answer.status_code, json_of(answer)["error"]) == (412, "VERSION_MISMATCH")
        assert "at version 3 now" in json_of(answer)["message"]
        assert api.read(item["id"]) == item

    @pytest.mark.parametrize("tags", ['"3"', 'W/"3"', '"1", W/"3"', "*", '"a,b", "3"'])
    def test_read_with_the_current_etag_is_304(self, api: Stage, item: dict[str, Any], tags: str) -> None:
        answer = api("GET", f"/items/{item['id']}", if_none_match=tags)

        assert (answer.status_code, answer.body) == (304, b"")
        assert answer.headers["ETag"] == '"3"'
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("tags", ['"2"', '"1", "2"', '"33"', '""', '"*"', 'W/"2"'])
    def test_read_with_another_etag_returns_the_item(self, api: Stage, item: dict[str, Any], tags: str) -> None:
        answer = api("GET", f"/items/{item['id']}", if_none_match=tags)

        assert (answer.status_code, json_of(answer)) == (200, item)

    def test_write_succeeds_if_no_etag_of_if_none_match_matches(self, api: Stage, item: dict[str, Any]) -> None:
        assert api("PUT", f"/items/{item['id']}", fields(), if_none_match='"3-1"').status_code == 412
        assert api("PUT", f"/items/{item['id']}", fields(), if_none_match='"4"').status_code == 200

    def test_second_write_of_the_same_version_is_refused(self, api: Stage, item: dict[str, Any]) -> None:
        first = api("PUT", f"/items/{item['id']}", fields(by="ann"), if_match='"3"')
        second = api("PUT", f"/items/{item['id']}", fields(by="bob"), if_match='"3"')

        assert (first.status_code, second.status_code) == (200, 412)
        assert api.read(item["id"])["by"] == "ann"


class TestConcurrentWrites:
    """Another request changes the item between a request's read and its write."""

    def patch(self, id_: str, **changes: Any) -> models.Item:
        return items.patch(OWNER, id_, changes, times.now())

    def test_concurrent_patches_of_different_fields_both_apply(self, api: Stage) -> None:
        id_ = api.item(title="Vase")["id"]
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: self.patch(id_, theirs=1))

        answer = api("PATCH", f"/items/{id_}", {"ours": 2})

        assert answer.status_code == 200
        assert api.read(id_).items() >= {"title": "Vase", "theirs": 1, "ours": 2, "version": 3}.items()

    def test_concurrent_write_with_if_match_is_refused(self, api: Stage) -> None:
        id_ = api.item(title="Vase")["id"]
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: self.patch(id_, title="theirs"))

        answer = api("PUT", f"/items/{id_}", fields(title="ours"), if_match='"1"')

        assert answer.status_code == 412
        assert api.read(id_)["title"] == "theirs"

    def test_concurrently_deleted_item_is_not_recreated(self, api: Stage) -> None:
        id_ = api.item(title="Vase")["id"]
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: items.delete(OWNER, id_, times.now()))

        answer = api("PATCH", f"/items/{id_}", {"title": "ours"})

        assert answer.status_code == 404
        assert api.records() == []

    def test_delete_with_if_match_keeps_a_newer_version(self, api: Stage) -> None:
        id_ = api.item(title="Vase")["id"]
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: self.patch(id_, title="theirs"))

        answer = api("DELETE", f"/items/{id_}", if_match='"1"')

        assert answer.status_code == 412
        assert api.read(id_)["title"] == "theirs"

    def test_delete_without_if_match_deletes_a_newer_version(self, api: Stage) -> None:
        id_ = api.item()["id"]
        meanwhile(aws.dynamodb(), "TransactWriteItems", lambda: self.patch(id_, title="theirs"))

        assert api("DELETE", f"/items/{id_}").status_code == 200
        assert api.records() == []

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    def test_busy_after_eight_conflicts(self, api: Stage, method: str) -> None:
        id_ = api.item()["id"]
        fails(aws.dynamodb(), "TransactWriteItems", "ConditionalCheckFailedException")

        answer = api(method, f"/items/{id_}", {"a": 1} if method == "PATCH" else None)

        assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")
        assert answer.headers["Retry-After"] == "1"


class TestIdempotency:
    def post(self, api: Stage, key: str, body: Any) -> Any:
        return api("POST", "/items", body, idempotency_key=key)

    def test_same_key_and_body_replay_the_response(self, api: Stage) -> None:
        first = self.post(api, "k", VASE)

        second = self.post(api, "k", VASE)

        assert (second.status_code, second.headers["Idempotency-Replayed"]) == (201, "true")
        assert json_of(second) == json_of(first)
        for header in ("ETag", "Location"):
            assert second.headers[header] == first.headers[header]
        assert "Idempotency-Replayed" not in first.headers
        assert len(api.records("ITEM")) == 1

    def test_replay_does_not_show_later_changes(self, api: Stage) -> None:
        first = self.post(api, "k", VASE)
        api("PATCH", f"/items/{json_of(first)['id']}", {"title": "Lamp"})
        api("DELETE", f"/items/{json_of(first)['id']}")

        assert json_of(self.post(api, "k", VASE)) == json_of(first)

    @pytest.mark.parametrize("members", ['"b": [1.0], "a": 100', ' "a": 1E2, "b": [1] '])
    def test_same_body_in_another_notation_is_replayed(self, api: Stage, members: str) -> None:
        first = self.post(api, "k", as_json('"a": 100, "b": [1]'))

        assert json_of(self.post(api, "k", as_json(members)))["id"] == json_of(first)["id"]

    @pytest.mark.parametrize(
        "body",
        [
            {"a": 2},
            {"a": 1, "b": None},
            {"a": "1"},
            {"a": True},
            {"a": "number 1"},
            {"a": 1, "expiresAt": "2100-01-01T00:00:00Z"},
        ],
    )
    def test_same_key_with_another_body_is_refused(self, api: Stage, body: dict[str, Any]) -> None:
        self.post(api, "k", fields(a=1))

        answer = self.post(api, "k", fields(**body))

        assert (answer.status_code, json_of(answer)["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert len(api.records("ITEM")) == 1

    def test_other_keys_create_other_items(self, api: Stage) -> None:
        created = {json_of(self.post(api, key, VASE))["id"] for key in ("1", "2", "1#2", "x" * 255, "~", "!")}

        assert len(created) == 6

    @pytest.mark.parametrize("key", ["", "x" * 256])
    def test_key_has_1_to_255_characters(self, api: Stage, key: str) -> None:
        answer = self.post(api, key, VASE)

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")
        assert api.records() == []

    def test_key_expires_after_a_day_without_ttl(self, api: Stage) -> None:
        at = times.now()
        first, _ = items.create(OWNER, item_input(a=1), at, "k")

        soon, replayed = items.create(OWNER, item_input(a=1), at + timedelta(hours=23, minutes=59), "k")
        late, made_again = items.create(OWNER, item_input(a=2), at + timedelta(hours=24, minutes=1), "k")

        assert (soon, replayed) == (first, True)
        assert (late.id == first.id, made_again) == (False, False)

    def test_replay_works_after_the_item_has_expired(self, api: Stage) -> None:
        earlier = times.now() - timedelta(hours=2)
        until = times.format_time(earlier + timedelta(hours=1))
        first, _ = items.create(OWNER, item_input(title="Milk", expiresAt=until), earlier, "k")

        again = self.post(api, "k", fields(title="Milk", expiresAt=until))

        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert (json_of(again)["id"], json_of(again)["expiresAt"]) == (first.id, until)

    def test_new_key_with_a_past_expiry_is_refused(self, api: Stage) -> None:
        answer = self.post(api, "k", fields(title="Milk", expiresAt="2001-01-01T00:00:00Z"))

        assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_EXPIRY")
        assert api.records() == []

    def test_record_of_a_key_has_a_ttl_of_a_day(self, api: Stage) -> None:
        at = times.now()
        items.create(OWNER, item_input(), at, "k")

        (record,) = api.records("KEY")

        assert 0 <= int(record["ttl"]["N"]) - (at + timedelta(hours=24)).timestamp() < 1

    def test_concurrent_requests_with_one_key_create_one_item(self, api: Stage) -> None:
        theirs: list[models.Item] = []

        def they_come_first() -> None:
            at = times.now()
            theirs.append(items.create(OWNER, item_input(title="Vase"), at, "k")[0])

        meanwhile(aws.dynamodb(), "TransactWriteItems", they_come_first)

        ours = self.post(api, "k", fields(title="Vase"))

        assert ours.headers["Idempotency-Replayed"] == "true"
        assert json_of(ours)["id"] == theirs[0].id
        assert len(api.records("ITEM")) == 1

    def test_concurrent_request_with_another_body_is_refused(self, api: Stage) -> None:
        def they_come_first() -> None:
            at = times.now()
            items.create(OWNER, item_input(title="Lamp"), at, "k")

        meanwhile(aws.dynamodb(), "TransactWriteItems", they_come_first)

        assert self.post(api, "k", fields(title="Vase")).status_code == 422
        assert len(api.records("ITEM")) == 1

    def test_failed_create_does_not_use_the_key(self, api: Stage) -> None:
        fails(aws.dynamodb(), "TransactWriteItems", "ThrottlingException", times=1)

        assert self.post(api, "k", VASE).status_code == 503
        again = self.post(api, "k", VASE)

        assert again.status_code == 201
        assert "Idempotency-Replayed" not in again.headers

    def test_busy_after_eight_conflicts(self, api: Stage) -> None:
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        fails(aws.dynamodb(), "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)

        answer = self.post(api, "k", VASE)

        assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")

    def test_throttled_transaction_is_busy(self, api: Stage) -> None:
        # AWS, "TransactionCanceledException": ThrottlingError and ProvisionedThroughputExceeded are among its reasons.
        reasons = [{"Code": "None"}, {"Code": "ThrottlingError"}]
        fails(aws.dynamodb(), "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)

        answer = self.post(api, "k", VASE)

        assert (answer.status_code, json_of(answer)["error"]) == (503, "BUSY")

    def test_deepest_item_can_be_created_with_a_key(self, api: Stage) -> None:
        # The result is stored with the key. Its fields must not nest deeper there than in the item.
        deep: dict[str, Any] = {}
        for _ in range(30):
            deep = {"a": deep}

        self.post(api, "k", fields(a=deep))

        assert max(_levels(record) for record in api.records()) <= 32


def _levels(attribute: Any) -> int:
    """Return the nesting depth of a record as DynamoDB counts it (AWS, "Nested attribute depth")."""
    if isinstance(attribute, dict) and attribute.keys() in ({"M"}, {"L"}):
        inner = attribute.get("M") or attribute.get("L") or {}
        values = inner.values() if isinstance(inner, dict) else inner
        return 1 + max(map(_levels, values), default=0)
    return max(map(_levels, attribute.values()), default=0) if isinstance(attribute, dict) else 0


def test_id_of_an_item_starts_with_its_time(api: Stage) -> None:
    item = api.item()

    assert re.fullmatch(r"[0-9a-f-]{36}", item["id"])
    assert times.format_time(times.parse_time(item["createdAt"])) == item["createdAt"]
    assert abs(ids.id_time_ms(item["id"]) - times.parse_time(item["createdAt"]).timestamp() * 1000) < 2
