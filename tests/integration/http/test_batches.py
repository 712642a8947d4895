"""POST /items/batch: operations that succeed or fail independently."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from chalice.test import HTTPResponse

import app
from chalicelib import aws
from chalicelib.catalogue import batches, validation
from tests.builders import fields, jpeg
from tests.integration.routes import UNKNOWN_ID
from tests.integration.stage import Stage, context, fails, json_of, meanwhile, raises


def run(api: Stage, *operations: Any, **headers: str) -> HTTPResponse:
    """Send a batch."""
    return api("POST", "/items/batch", {"operations": list(operations)}, **headers)


def results(response: HTTPResponse) -> list[dict[str, Any]]:
    """Return the results of a batch that was accepted."""
    assert response.status_code == 200, response.body
    listed: list[dict[str, Any]] = json_of(response)["results"]
    return listed


def create(**own: Any) -> dict[str, Any]:
    return {"op": "create", "body": fields(**own)}


def of(method: str, id_: str, body: Any = None, if_match: str | None = None) -> dict[str, Any]:
    """Return the operation that is the same as a single request."""
    name = {"POST": "create", "PATCH": "patch", "PUT": "replace", "DELETE": "delete"}[method]
    parts = {"op": name, "id": id_ if name != "create" else None, "ifMatch": if_match, "body": body}
    return {part: value for part, value in parts.items() if value is not None}


class TestResults:
    def test_each_operation_is_done(self, api: Stage) -> None:
        patched, replaced, deleted = (api.item(title="Vase", stock=1)["id"] for _ in range(3))

        made, *others = results(
            run(
                api,
                create(title="Lamp"),
                of("PATCH", patched, {"stock": 2}),
                of("PUT", replaced, fields(title="Cup")),
                of("DELETE", deleted),
            )
        )

        assert made == {"status": 201, "id": made["id"], "version": 1}
        assert others == [
            {"status": 200, "id": patched, "version": 2},
            {"status": 200, "id": replaced, "version": 2},
            {"status": 200, "id": deleted},
        ]
        assert api.read(made["id"])["title"] == "Lamp"
        assert (api.read(patched)["title"], api.read(patched)["stock"]) == ("Vase", 2)
        assert "stock" not in api.read(replaced)
        assert api("GET", f"/items/{deleted}").status_code == 404

    def test_hundred_operations_have_results_in_their_order(self, api: Stage) -> None:
        done = results(run(api, *(create(number=number) for number in range(100))))

        assert [api.read(one["id"])["number"] for one in done] == list(range(100))

    def test_operations_on_one_item_happen_in_order(self, api: Stage) -> None:
        id_ = api.item()["id"]
        steps = [of("PATCH", id_.upper() if number % 2 else id_, {"number": number}) for number in range(20)]

        done = results(run(api, *steps, of("DELETE", id_), of("PATCH", id_, {"number": 0})))

        assert [one.get("version") for one in done] == [*range(2, 22), None, None]
        assert [one["status"] for one in done[-2:]] == [200, 404]
        assert {one["id"] for one in done} == {id_}

    def test_failed_operation_does_not_affect_the_others(self, api: Stage) -> None:
        done = results(run(api, create(id=UNKNOWN_ID), create(), of("DELETE", UNKNOWN_ID), create()))

        assert [one["status"] for one in done] == [400, 201, 404, 201]
        assert [("error" in one, "id" in one) for one in done] == [
            (True, False),
            (False, True),
            (True, True),
            (False, True),
        ]

    def test_deletion_removes_the_picture(self, api: Stage) -> None:
        id_ = api.item()["id"]
        api.picture(id_, jpeg())

        results(run(api, of("DELETE", id_)))

        assert api.objects() == []

    def test_read_item_is_accepted_after_a_change(self, api: Stage) -> None:
        read = api.read(api.item(title="Vase")["id"])

        done = results(
            run(api, of("PUT", read["id"], read | {"title": "Cup"}, '"1"'), of("PATCH", read["id"], {"version": 1}))
        )

        assert [one["status"] for one in done] == [200, 400]
        assert done[1]["error"]["error"] == "RESERVED_FIELD"


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "body", "if_match"),
        [
            ("POST", {"id": UNKNOWN_ID}, None),
            ("POST", {"expiresAt": "2001-01-01T00:00:00Z"}, None),
            ("POST", {"expiresAt": "soon"}, None),
            ("POST", {"": 1, "a": {"": 2}}, None),
            ("POST", {"n": 10**40 + 1}, None),
            ("POST", {"text": "x" * 400_000}, None),
            ("PATCH", {"version": 7}, None),
            ("PATCH", {"title": "Cup"}, '"7"'),
            ("PATCH", {"expiresAt": "soon"}, '"7"'),
            ("PATCH", {"text": "x" * 400_000}, None),
            ("PUT", {"image": {}}, "*"),
            ("PUT", {"title": "Cup"}, '"7", W/"8"'),
            ("DELETE", None, '"7"'),
        ],
    )
    def test_error_is_that_of_a_single_request(
        self, api: Stage, method: str, body: dict[str, Any] | None, if_match: str | None
    ) -> None:
        id_ = api.item()["id"]
        body = body if body is None or method == "PATCH" else fields(**body)
        path = "/items" if method == "POST" else f"/items/{id_}"
        single = api(method, path, body, **({"if_match": if_match} if if_match else {}))

        [done] = results(run(api, of(method, id_, body, if_match)))

        expected = json_of(single)
        del expected["requestId"]
        assert single.status_code >= 400
        assert (done["status"], done["error"]) == (single.status_code, expected)

    @pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
    @pytest.mark.parametrize("id_", [UNKNOWN_ID, "1", "", "ü"])
    def test_unknown_item_is_not_found(self, api: Stage, method: str, id_: str) -> None:
        [done] = results(run(api, of(method, id_, None if method == "DELETE" else fields())))

        assert done["status"] == 404
        assert done["error"] == {"error": "ITEM_NOT_FOUND", "message": f"There is no item {id_}."}

    def test_throttled_operation_is_busy(self, api: Stage) -> None:
        id_ = api.item()["id"]
        fails(aws.dynamodb(), "GetItem", "ThrottlingException")

        done = results(run(api, of("DELETE", id_), create()))

        assert [one["status"] for one in done] == [503, 201]
        assert done[0]["error"]["error"] == "BUSY"

    def test_unexpected_exception_is_logged(self, api: Stage, logged: Callable[[], str]) -> None:
        id_ = api.item()["id"]
        raises(aws.dynamodb(), "GetItem", RuntimeError("MARKER"))

        done = results(run(api, of("DELETE", id_), create()))

        assert [one["status"] for one in done] == [500, 201]
        assert done[0]["error"]["error"] == "INTERNAL_ERROR"
        lines = [json.loads(line) for line in logged().splitlines()]
        [unexpected] = [line for line in lines if line.get("message") == "Unexpected exception"]
        assert "MARKER" in json.dumps(unexpected)
        assert unexpected["request_id"]
        assert unexpected["owner"] == "local"

    def test_details_are_limited_in_all(self, api: Stage) -> None:
        wrong = {f"{number:03d}{'x' * 300}": 10**40 + 1 for number in range(validation.MAX_PROBLEMS)}

        done = results(run(api, *(create(**wrong) for _ in range(100)), idempotency_key="one"))

        assert all("details" in one["error"] for one in done[:3])
        assert "details" not in done[-1]["error"]
        assert all(one["error"]["message"] for one in done)


class TestEnvelope:
    @pytest.mark.parametrize(
        ("body", "path", "message"),
        [
            ({}, "$.operations", "operations is required"),
            ({"operations": []}, "$.operations", "operations must be an array of 1 to 100 values"),
            ({"operations": {}}, "$.operations", "operations must be an array of 1 to 100 values, not an object"),
            (
                {"operations": [{"op": "delete", "id": UNKNOWN_ID}] * 101},
                "$.operations",
                "operations must be an array of 1 to 100 values",
            ),
            (
                {"operations": [create()], "atomic": True},
                "$.atomic",
                "atomic is not an allowed field, such as operations",
            ),
        ],
    )
    def test_invalid_batch_is_rejected_as_a_whole(self, api: Stage, body: Any, path: str, message: str) -> None:
        response = api("POST", "/items/batch", body)

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(response)["details"] == [{"path": path, "message": message}]

    @pytest.mark.parametrize(
        ("operation", "path", "message"),
        [
            (7, "", "must be an object, not an integer"),
            ({}, ".op", "is required"),
            ({"op": "upsert"}, ".op", "must be create, patch, replace or delete"),
            ({"op": None}, ".op", "must be create, patch, replace or delete"),
            ({"op": "create"}, ".body", "is required"),
            ({"op": "create", "body": []}, ".body", "must be an object, not an array"),
            ({"op": "create", "body": {}, "id": UNKNOWN_ID}, ".id", "is not an allowed field, such as op or body"),
            ({"op": "patch", "body": {}}, ".id", "is required"),
            ({"op": "patch", "id": 7, "body": {}}, ".id", "must be a string of at most 36 characters, not an integer"),
            (
                {"op": "delete", "id": UNKNOWN_ID, "if-match": "*"},
                ".if-match",
                "is not an allowed field, such as op, id or ifMatch",
            ),
            (
                {"op": "delete", "id": UNKNOWN_ID, "ifMatch": "1"},
                ".ifMatch",
                'must be * or entity tags with their double quotes, such as "1": send the ETag as it came',
            ),
        ],
    )
    def test_malformed_operation_rejects_the_batch(self, api: Stage, operation: Any, path: str, message: str) -> None:
        response = run(api, create(), operation, create(), operation)

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")
        assert json_of(response)["details"] == [
            {"path": f"$.operations[{index}]{path}", "message": f"operations[{index}]{path} {message}"}
            for index in (1, 3)
        ]
        assert api.records("ITEM") == []

    @pytest.mark.parametrize("header", ["if_match", "if_none_match"])
    def test_preconditions_in_headers_are_rejected(self, api: Stage, header: str) -> None:
        response = run(api, create(), **{header: "*"})

        assert (response.status_code, json_of(response)["error"]) == (400, "INVALID_REQUEST")

    def test_fields_of_a_body_are_not_fields_of_the_batch(self, api: Stage) -> None:
        [done] = results(run(api, create(op="create", operations=[], body={"id": 1})))

        assert done["status"] == 201

    def test_path_does_not_name_an_item(self, api: Stage) -> None:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            response = api(method, "/items/batch", fields())
            assert (response.status_code, response.headers["Allow"]) == (405, "POST")


class TestTime:
    def test_operations_without_time_are_not_tried(self, api: Stage) -> None:
        response = with_time(api, batches.MIN_REMAINING_MS - 1, create(), of("DELETE", UNKNOWN_ID))

        assert [one["status"] for one in results(response)] == [503, 503]
        assert results(response)[1] == {
            "status": 503,
            "id": UNKNOWN_ID,
            "error": {
                "error": "NOT_TRIED",
                "message": "Too little time was left to try this operation: send it again.",
            },
        }
        assert api.records("ITEM") == []

    def test_untried_operations_are_done_when_sent_again(self, api: Stage) -> None:
        id_ = api.item()["id"]
        operations = [create(), of("PATCH", id_, {"a": 1}, '"1"')]

        late = with_time(api, 0, *operations, idempotency_key="one")
        done = run(api, *operations, idempotency_key="one")
        again = run(api, *operations, idempotency_key="one")

        assert [one["status"] for one in results(late)] == [503, 503]
        assert [one["status"] for one in results(done)] == [201, 200]
        assert "Idempotency-Replayed" not in done.headers
        assert (results(again), again.headers["Idempotency-Replayed"]) == (results(done), "true")


def with_time(api: Stage, milliseconds: int, *operations: Any, **headers: str) -> HTTPResponse:
    """Send a batch to a function that has this much time."""
    event = api.event("POST", "/items/batch", {"operations": list(operations)}, **headers)
    return HTTPResponse.create_from_dict(app.app(event, context("api_handler", milliseconds)))


class TestIdempotencyKeys:
    def test_same_batch_is_replayed(self, api: Stage) -> None:
        id_ = api.item()["id"]
        operations = [create(), of("DELETE", id_), of("DELETE", id_), create(id=1)]

        first = run(api, *operations, idempotency_key="one")
        second = run(api, *operations, idempotency_key="one")

        assert [one["status"] for one in results(first)] == [201, 200, 404, 400]
        assert "Idempotency-Replayed" not in first.headers
        assert (results(second), second.headers["Idempotency-Replayed"]) == (results(first), "true")
        assert len(api.records("ITEM")) == 1

    def test_other_batch_with_the_key_is_rejected(self, api: Stage) -> None:
        run(api, create(title="Vase"), idempotency_key="one")

        response = run(api, create(title="Lamp"), idempotency_key="one")

        assert (response.status_code, json_of(response)["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")

    def test_keys_of_single_requests_are_separate(self, api: Stage) -> None:
        api("POST", "/items", fields(), idempotency_key="one")

        [done] = results(run(api, create(), idempotency_key="one"))

        assert done["status"] == 201
        assert len(api.records("ITEM")) == 2

    def test_interrupted_batch_creates_nothing_twice(self, api: Stage) -> None:
        id_ = api.item()["id"]
        operations = [create(title="Vase"), create(title="Vase"), of("PATCH", id_, {"a": 1})]
        fails(aws.dynamodb(), "PutItem", "InternalServerError", times=1)  # storing the results

        first = run(api, *operations, idempotency_key="one")
        second = run(api, *operations, idempotency_key="one")

        assert [one["status"] for one in results(first)] == [201, 201, 200]
        assert "Idempotency-Replayed" not in second.headers
        assert results(second) == results(first)
        assert len(api.records("ITEM")) == 3

    def test_failure_to_store_results_is_logged(self, api: Stage, logged: Callable[[], str]) -> None:
        fails(aws.dynamodb(), "PutItem", "InternalServerError")

        [done] = results(run(api, create(), idempotency_key="one"))

        assert done["status"] == 201
        assert "Storing the results of a batch failed" in logged()

    def test_only_failures_of_the_server_are_tried_again(self, api: Stage) -> None:
        id_ = api.item()["id"]
        operations = [create(id=1), of("DELETE", id_), of("PATCH", UNKNOWN_ID, {})]
        fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError", times=1)

        first = run(api, *operations, idempotency_key="one")
        second = run(api, *operations, idempotency_key="one")

        assert [one["status"] for one in results(first)] == [400, 503, 404]
        assert [one["status"] for one in results(second)] == [400, 200, 404]

    def test_first_stored_result_counts_of_two_at_once(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batches, "WORKERS", 1)  # So the first transaction is that of the deletion.
        id_ = api.item()["id"]
        operations = [of("DELETE", id_), create()]
        seen = []
        meanwhile(
            aws.dynamodb(), "TransactWriteItems", lambda: seen.append(run(api, *operations, idempotency_key="one"))
        )

        outer = run(api, *operations, idempotency_key="one")

        assert [one["status"] for one in results(seen[0])] == [200, 201]
        assert results(outer) == results(seen[0])
        assert len(api.records("ITEM")) == 1

    def test_results_of_two_that_resume_at_once_are_merged(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batches, "WORKERS", 1)  # So the first transaction is that of the deletion.
        id_ = api.item()["id"]
        operations = [of("DELETE", id_), create()]
        with_time(api, 0, *operations, idempotency_key="one")
        seen = []
        meanwhile(
            aws.dynamodb(), "TransactWriteItems", lambda: seen.append(run(api, *operations, idempotency_key="one"))
        )

        outer = run(api, *operations, idempotency_key="one")

        assert results(outer) == results(seen[0])
        assert [one["status"] for one in results(outer)] == [200, 201]

    def test_largest_results_fit_into_a_record(self, api: Stage, logged: Callable[[], str]) -> None:
        wrong = {f"{number:02d}{chr(1) * 500}": 10**40 + 1 for number in range(validation.MAX_PROBLEMS)}

        first = run(api, *(create(**wrong) for _ in range(100)), idempotency_key="one")
        second = run(api, *(create(**wrong) for _ in range(100)), idempotency_key="one")

        assert second.headers["Idempotency-Replayed"] == "true"
        assert results(second) == results(first)
        assert len(api.records("BATCHKEY")[0]["results"]["S"]) < 390_000
