"""The logs and metrics of the functions: one JSON object per line, without secrets."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib import aws, telemetry
from chalicelib.aws import bucket
from chalicelib.catalogue import hourly_cleanup, items, sqs_batches
from chalicelib.values import times
from tests.blocks import PROJECT, block
from tests.builders import fields, jpeg
from tests.integration.stage import OWNER, Stage, batch, context, fails, item_input, json_of, raises, run
from tools import processes

Read = Callable[[], str]


def lines(text: str) -> list[dict[str, Any]]:
    """Return the lines of the output, each a JSON object."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def logs(text: str) -> list[dict[str, Any]]:
    return [line for line in lines(text) if "_aws" not in line]


def metrics(text: str) -> dict[str, float]:
    """Return the sum of each metric, from the lines in embedded metric format."""
    sums: dict[str, float] = {}
    for line in lines(text):
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                sums[metric["Name"]] = sums.get(metric["Name"], 0) + sum(value if isinstance(value, list) else [value])
    return sums


class TestLines:
    def test_request_is_logged_in_one_line(self, api: Stage, logged: Read) -> None:
        id_ = api.item()["id"]
        logged()

        answer = api("GET", f"/items/{id_}")

        (line,) = logs(logged())
        assert line.keys() >= {"level", "message", "timestamp", "cold_start", "duration_ms"}
        assert {name: line[name] for name in ("service", "stage", "method", "path", "status", "request_id")} == {
            "service": "vitrine",
            "stage": "local",
            "method": "GET",
            "path": "/items/{item_id}",
            "status": 200,
            "request_id": answer.headers["X-Request-Id"],
        }
        assert line["function"] == "api_handler"
        assert line["duration_ms"] >= 0

    @pytest.mark.parametrize(("path", "status"), [("/items/x", 404), ("/items?limit=0", 400), ("/health", 200)])
    def test_rejected_request_is_logged(self, api: Stage, logged: Read, path: str, status: int) -> None:
        api("GET", path)

        (line,) = logs(logged())
        assert (line["level"], line["status"]) == ("INFO", status)

    def test_ids_in_a_path_are_not_logged(self, api: Stage, logged: Read) -> None:
        api("GET", "/items/MARKER?limit=MARKER")

        assert "MARKER" not in logged()

    @pytest.mark.parametrize("function", ["on_upload", "on_messages", "clean_up"])
    def test_completed_run_is_logged(self, api: Stage, logged: Read, function: str) -> None:
        detail = {"bucket": {"name": "another"}, "object": {"key": "uploads/a"}}
        event = api._client.events.generate_cw_event("aws.s3", "Object Created", detail, [], region="us-east-1")

        run(function, batch([]) if function == "on_messages" else event)

        line = logs(logged())[-1]
        assert (line["message"], line["level"], line["function"]) == ("Invocation completed", "INFO", function)
        assert line["request_id"]
        assert line["duration_ms"] >= 0

    def test_failed_run_is_logged_with_its_traceback(self, api: Stage, logged: Read) -> None:
        item = api.item()
        key = api.put(api.ticket(item["id"]), jpeg())
        raises(aws.dynamodb(), "GetItem", RuntimeError("on fire"))

        with pytest.raises(RuntimeError, match="on fire"):
            api.notice(key)

        line = logs(logged())[-1]
        assert (line["message"], line["level"], line["function"]) == ("Invocation failed", "ERROR", "on_upload")
        assert "RuntimeError: on fire" in line["exception"]

    def test_failed_message_is_logged_with_its_id_and_traceback(self, api: Stage, logged: Read) -> None:
        api.send("nonsense")
        messages = api.receive()

        with pytest.raises(Exception, match="1 of 1 messages failed"):
            run("on_messages", batch(messages))

        (line,) = [line for line in logs(logged()) if line["message"] == "Message failed"]
        assert line["message_id"] == messages[0]["MessageId"]
        assert "Traceback" in line["exception"]

    def test_error_of_aws_is_logged_as_an_error(self, api: Stage, logged: Read) -> None:
        fails(aws.dynamodb(), "Query", "ThrottlingException")

        api("GET", "/items")

        assert [(line["level"], line.get("error")) for line in logs(logged())] == [("ERROR", "BUSY"), ("INFO", None)]

    def test_request_for_changes_is_logged_only_if_there_are_any(self, api: Stage, logged: Read) -> None:
        etag = api("GET", "/changes").headers["ETag"]
        api("GET", "/changes", if_none_match=etag)

        assert [line["status"] for line in logs(logged())] == [200]


def owners(text: str) -> dict[str, set[Any]]:
    """Return the owners in the lines with each message, with None for lines without an owner."""
    found: dict[str, set[Any]] = {}
    for line in logs(text):
        found.setdefault(line["message"], set()).add(line.get("owner"))
    return found


class TestOwner:
    @pytest.fixture(autouse=True)
    def signed_in(self, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/items", None, 200),
            ("POST", "/items", b"{", 400),
            ("GET", "/items/x", None, 404),
            ("TRACE", "/items", None, 405),
        ],
    )
    def test_line_of_a_request_names_its_owner(
        self, api: Stage, logged: Read, method: str, path: str, body: bytes | None, status: int
    ) -> None:
        assert api.signed_in("ann")(method, path, body).status_code == status

        assert owners(logged())["Response sent"] == {"ann"}

    def test_earlier_lines_of_a_request_name_its_owner(self, api: Stage, logged: Read) -> None:
        raises(aws.dynamodb(), "Query", RuntimeError("on fire"))

        api.signed_in("ann")("GET", "/items")

        assert owners(logged()) == {"Unexpected exception": {"ann"}, "Response sent": {"ann"}}

    def test_next_request_does_not_name_the_owner(self, api: Stage, logged: Read) -> None:
        api.signed_in("ann")("GET", "/items")
        logged()

        api("GET", "/health")
        api("GET", "/items")
        api.signed_in("ann", until="1")("GET", "/items")

        assert owners(logged()) == {"Response sent": {None}}

    def test_lines_of_messages_name_their_own_owner(self, api: Stage, logged: Read) -> None:
        names = [f"owner {number}" for number in range(10)]
        api.send(*({"type": "item.create", "owner": name, "item": fields()} for name in names))

        api.work()

        found = owners(logged())
        assert found["Message processed"] == set(names)
        assert found["Invocation completed"] == {None}

    def test_failed_message_names_its_owner(self, api: Stage, logged: Read) -> None:
        api.send({"type": "item.create", "owner": "ann", "item": {"id": "mine"}})

        with pytest.raises(Exception, match="1 of 1"):
            run("on_messages", batch(api.receive()))

        found = owners(logged())
        assert found["Message failed"] == {"ann"}
        assert found["Invocation failed"] == {None}

    def test_lines_of_a_picture_name_its_owner(self, api: Stage, logged: Read) -> None:
        self.refused_picture(api)

        found = owners(logged())
        assert found["Thumbnail job failed"] == found["Message processed"] == {"ann"}

    def test_failed_cleanup_task_names_its_owner(self, api: Stage, logged: Read) -> None:
        ends = times.format_time(times.now() + timedelta(seconds=1))
        api.signed_in("ann")("POST", "/items", fields(expiresAt=ends))
        fails(aws.dynamodb(), "GetItem", "InternalServerError")
        logged()

        hourly_cleanup.run(times.now() + timedelta(days=1), context("clean_up"))

        found = owners(logged())
        assert found["Cleanup task failed"] == {"ann"}
        assert found["Cleanup finished"] == {None}

    def test_owner_is_hashed_with_the_key(self, api: Stage, logged: Read, configured: Callable[..., None]) -> None:
        seen = []
        for key in ("k" * 16, "K" * 16):
            configured(LOG_OWNER="hash", LOG_OWNER_KEY=key)
            self.refused_picture(api)
            text = logged()
            assert "ann" not in re.findall(r"\w+", text)
            found = owners(text)
            assert found["Thumbnail job failed"] == found["Response sent"]
            seen += found["Response sent"]
        assert len(set(seen)) == 2
        assert all(re.fullmatch("[0-9a-f]{16}", one) for one in seen)

    def test_runbook_computes_the_hash_of_an_owner(self, configured: Callable[..., None]) -> None:
        key = "a key of the stage's own"
        configured(LOG_OWNER="hash", LOG_OWNER_KEY=key)
        typed = block("docs/operating.md", "hash of an owner").replace(".venv/bin/python", sys.executable)

        status, printed = processes.run(
            ["bash", "-c", typed.replace(" OWNER", " ann")], env=os.environ | {"LOG_OWNER_KEY": key}, cwd=PROJECT
        )

        assert (status, printed.strip()) == (0, telemetry.logged_owner("ann"))

    def test_log_owner_none_removes_the_owner(self, api: Stage, logged: Read, configured: Callable[..., None]) -> None:
        configured(LOG_OWNER="none")

        self.refused_picture(api)

        text = logged()
        assert "ann" not in re.findall(r"\w+", text)
        assert set().union(*owners(text).values()) == {None}

    @pytest.mark.parametrize("log_owner", [{"LOG_OWNER": "none"}, {"LOG_OWNER": "hash", "LOG_OWNER_KEY": "k" * 16}])
    def test_owner_is_redacted_in_error_messages(
        self, api: Stage, logged: Read, configured: Callable[..., None], log_owner: dict[str, str]
    ) -> None:
        configured(**log_owner)
        ask = api.signed_in("ann|1")
        ask("POST", "/imports", {"items": [fields()]})
        bucket.delete(api.objects("imports/"))
        with pytest.raises(sqs_batches.PartialBatchError):
            run("on_messages", batch(api.receive()))
        address = f"https://b.s3.amazonaws.com/{quote(bucket.import_key('ann|1', 'id'))}"
        raises(aws.s3(), "PutObject", ReadTimeoutError(endpoint_url=address))
        assert ask("POST", "/imports", {"items": [fields()]}).status_code == 503

        text = logged()
        assert "ObjectNotFoundError" in text
        assert "Read timeout" in text
        assert "ann" not in re.findall(r"[a-z]+", text)

    def refused_picture(self, api: Stage) -> None:
        """As Ann, upload a file that is not a picture to an item, and another after the item is deleted."""
        ask = api.signed_in("ann")
        item = json_of(ask("POST", "/items", fields()))["id"]
        keys = [
            json_of(ask("POST", f"/items/{item}/image", {"contentType": "image/png"}))["upload"]["fields"]["key"]
            for _ in range(2)
        ]
        api.notice(api.put(keys[0], b"no picture"))
        api.work()
        ask("DELETE", f"/items/{item}")
        api.notice(api.put(keys[1], b"no picture"))


class TestSecrets:
    def test_bodies_and_tokens_are_not_logged(self, api: Stage, logged: Read) -> None:
        secret = fields(title="MARKER", nested={"deep": ["MARKER"]})
        token = "Bearer MARKER"

        item = json_of(api("POST", "/items", secret, authorization=token, idempotency_key="MARKER"))
        api("PUT", f"/items/{item['id']}", secret, authorization=token)
        api("PATCH", f"/items/{item['id']}", secret, authorization=token)
        api("GET", f"/items/{item['id']}", authorization=token, cookie="MARKER")
        api("GET", "/hello?name=MARKER")
        api("POST", "/items", {**secret, "id": "MARKER"})
        api("POST", "/items", b'{"MARKER": ')
        api("POST", "/items", {"expiresAt": "MARKER"})
        api("POST", "/imports", {"items": [secret, {**secret, "id": "x"}]})
        api.work()
        api.notice(api.put(api.ticket(item["id"]), b"MARKER, and no picture"))
        api.work()

        text = logged()
        assert lines(text)
        assert "MARKER" not in text

    def test_bodies_are_not_logged_with_unknown_exceptions(self, api: Stage, logged: Read) -> None:
        raises(aws.dynamodb(), "TransactWriteItems", RuntimeError("on fire"))

        api("POST", "/items", fields(title="MARKER"), authorization="Bearer MARKER")

        text = logged()
        assert "on fire" in text
        assert "MARKER" not in text

    @pytest.mark.parametrize(
        "body",
        [
            '{"type": "item.create", "owner": "local", "item": {"title": "MARKER", "id": 1}}',
            '{"type": "item.create", "owner": "local", "item": {"title": "MARKER"',
            '{"type": "item.create", "owner": {"a": "MARKER"}, "item": {}}',
            '{"type": "image.render", "key": ["MARKER"]}',
            "MARKER",
        ],
    )
    def test_bodies_of_failed_messages_are_not_logged(self, api: Stage, logged: Read, body: str) -> None:
        api.send(body)

        with pytest.raises(Exception, match="1 of 1"):
            run("on_messages", batch(api.receive()))

        assert "MARKER" not in logged()


class TestMetrics:
    def test_metrics_are_in_embedded_metric_format(self, api: Stage, logged: Read) -> None:
        api("GET", "/health")

        (line,) = [line for line in lines(logged()) if "_aws" in line]
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert isinstance(line["_aws"]["Timestamp"], int)
        assert directive["Namespace"] == "Vitrine"
        assert [sorted(dimensions) for dimensions in directive["Dimensions"]] == [["service", "stage"]]
        assert (line["service"], line["stage"]) == ("vitrine", "local")
        assert all(line[metric["Name"]] for metric in directive["Metrics"])

    def test_metrics_of_other_threads_are_not_lost(self, logged: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        # chalice local processes several requests at once.
        serialize, threads = telemetry._metrics.serialize_metric_set, []

        def meanwhile(*arguments: Any) -> Any:
            serialized = serialize(*arguments)
            if not threads:
                threads.append(Thread(target=telemetry.add_count, args=("Other",)))
                threads[0].start()
                threads[0].join(0.1)
            return serialized

        monkeypatch.setattr(telemetry._metrics, "serialize_metric_set", meanwhile)
        with telemetry.invocation(None):
            telemetry.add_count("First")
        threads[0].join()
        with telemetry.invocation(None):
            telemetry.add_count("Second")

        assert metrics(logged()) == {"First": 1, "Other": 1, "Second": 1}

    def test_requests_errors_and_items_are_counted(self, api: Stage, logged: Read) -> None:
        api.item()
        api("POST", "/items", fields(), idempotency_key="k")
        api("POST", "/items", fields(), idempotency_key="k")
        api("GET", "/items/x")
        api("GET", "/items/y")
        api("GET", "/items?limit=0")

        assert (
            metrics(logged()).items()
            >= {
                "Requests": 6,
                "ItemsCreated": 2,
                "Error.ITEM_NOT_FOUND": 2,
                "Error.INVALID_REQUEST": 1,
            }.items()
        )

    def test_renders_are_counted_and_timed(self, api: Stage, logged: Read) -> None:
        item = api.item()

        api.picture(item["id"], jpeg())
        api.picture(item["id"], b"no picture")

        counted = metrics(logged())
        assert counted.items() >= {"Renders": 1, "RenderFailed.IMAGE_UNREADABLE": 1}.items()
        assert counted["RenderTime"] > 0

    def test_failed_messages_and_entries_are_counted(self, api: Stage, logged: Read) -> None:
        api("POST", "/imports", {"items": [fields(), {"id": "x"}]})
        api.send("nonsense")

        with pytest.raises(Exception, match="1 of 2"):
            run("on_messages", batch(api.receive()))

        assert metrics(logged()).items() >= {"MessagesFailed": 1, "ImportEntriesFailed": 1, "ItemsCreated": 1}.items()

    def test_tasks_of_the_cleanup_are_counted(self, api: Stage, logged: Read) -> None:
        at = times.now() - timedelta(days=1)
        items.create(OWNER, item_input(expiresAt=times.format_time(at + timedelta(hours=1))), at)
        event = api._client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [], region="us-east-1")

        run("clean_up", event)

        assert metrics(logged())["Cleanup.expired"] == 1

    def test_metrics_are_written_once(self, api: Stage, logged: Read) -> None:
        api("GET", "/health")
        logged()

        api("GET", "/health")

        assert metrics(logged()) == {"Requests": 1}


class TestTraces:
    """The subsegments in full: tests/unit/aws/test_traces.py."""

    @pytest.fixture
    def daemon(self, configured: Callable[..., None]) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as received:
            received.bind(("127.0.0.1", 0))
            received.settimeout(5)
            configured(AUTH_MODE="oidc", AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{received.getsockname()[1]}")
            yield received

    def test_calls_are_traced_without_keys(
        self, api: Stage, daemon: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = api.signed_in("ann")
        item = json_of(ask("POST", "/items", fields(title="MARKER")))["id"]  # not sampled
        ticket = f"/items/{item}/image"

        self.invoke(monkeypatch, "a")
        ask("GET", f"/items/{item}")
        self.invoke(monkeypatch, "b")
        key = json_of(ask("POST", ticket, {"contentType": "image/jpeg"}))["upload"]["fields"]["key"]
        api.notice(api.put(key, jpeg()))
        api.work()
        self.invoke(monkeypatch, "c")
        aws.check_backend()

        sent = []
        while not sent or sent[-1]["aws"]["operation"] != "DescribeTable":
            text = daemon.recv(65_535).decode()
            assert not set(re.findall(r"\w+", text)) & {"ann", item, key.rpartition("/")[2], "MARKER"}
            sent.append(json.loads(text.splitlines()[1]))
        calls = [(one["parent_id"][0], one["name"], one["aws"]["operation"]) for one in sent]
        assert calls[0] == ("a", "DynamoDB", "GetItem")
        assert {name for parent, name, _ in calls[1:-1] if parent == "b"} == {"DynamoDB", "S3", "SQS"}
        assert {operation for *_, operation in calls} >= {
            "TransactWriteItems",
            "GetObject",
            "PutObject",
            "SendMessageBatch",
        }
        assert {one["trace_id"] for one in sent} == {self.TRACE}

    TRACE = "1-5759e988-bd862e3fe1be46a994272793"

    def invoke(self, patch: pytest.MonkeyPatch, digit: str) -> None:
        """Begin a sampled invocation, whose segment's id consists of this digit."""
        patch.setenv("_X_AMZN_TRACE_ID", f"Root={self.TRACE};Parent={digit * 16};Sampled=1")


def test_any_value_is_logged_as_json(logged: Read) -> None:
    telemetry.logger.info(
        '{"not": "parsed"}', price=Decimal("19.90"), error=ValueError("no"), text="Grüße\n", ratio=0.1
    )

    (line,) = lines(logged())
    assert line["message"] == '{"not": "parsed"}'
    assert [line[name] for name in ("price", "error", "text", "ratio")] == ["19.90", "no", "Grüße\n", 0.1]
