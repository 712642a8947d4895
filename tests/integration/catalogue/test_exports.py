"""Exports: each item is in the files once, and an import makes the same items of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from chalicelib import aws, errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue import (
    export_records,
    export_steps,
    exports,
    hourly_cleanup,
    messages,
    validation,
)
from chalicelib.catalogue.field_annotations import FINDABLE, SEARCHABLE
from chalicelib.http import schemas
from chalicelib.values import exact_json, times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, context, fails, json_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

NDJSON = {"format": "ndjson"}


class Vase(msgspec.Struct):
    """The declared fields of these tests."""

    title: Annotated[str, FINDABLE, SEARCHABLE] | msgspec.UnsetType = msgspec.UNSET
    price: Annotated[Decimal, FINDABLE] | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


@pytest.fixture(autouse=True)
def vases(declare: Callable[[type[msgspec.Struct]], None]) -> None:
    declare(Vase)


def start(api: Stage, **wanted: Any) -> str:
    answer = api("POST", "/exports", NDJSON | wanted)
    assert answer.status_code == 202, answer.body
    id_: str = json_of(answer)["id"]
    return id_


def progress(api: Stage, id_: str) -> dict[str, Any]:
    answer = api("GET", f"/exports/{id_}")
    assert answer.status_code == 200, answer.body
    msgspec.json.decode(answer.body, type=schemas.Export)
    body: dict[str, Any] = json_of(answer)
    return body


def files(api: Stage, id_: str) -> dict[str, bytes]:
    """Return the files of an export that is done, by name. Their URLs are those of objects of the same size."""
    body = progress(api, id_)
    assert body["status"] == "done", body
    found = {}
    for file in body["files"]:
        key = file["url"].partition("?")[0].partition("amazonaws.com/")[2]
        found[file["name"]] = bucket.read(key).data
        assert len(found[file["name"]]) == file["bytes"]
    return found


def export(api: Stage, **wanted: Any) -> dict[str, bytes]:
    """Start an export, let the consumer finish it, and return its files."""
    id_ = start(api, **wanted)
    api.work()
    return files(api, id_)


def create(api: Stage, **own: Any) -> None:
    """Create an item with exact numbers."""
    body = exact_json.to_json(own).replace("\ufffd".encode(), b"\\ufffd")
    assert api("POST", "/items", body).status_code == 201


def rows(file: bytes) -> list[dict[str, Any]]:
    return [exact_json.object_from_json(line) for line in file.splitlines()]


def problem(answer: HTTPResponse) -> tuple[int, str]:
    return answer.status_code, json_of(answer)["error"]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a page of two items for each step, and a delivery of two steps."""
    for name, value in {"STEP_PAGES": 1, "PAGE_ITEMS": 2, "PAGE_ITEMS_WITH_PICTURES": 2, "MAX_STEPS": 2}.items():
        monkeypatch.setattr(export_steps, name, value)


def test_export_is_accepted_with_a_location(api: Stage) -> None:
    answer = api("POST", "/exports", NDJSON | {"pictures": True})

    assert answer.status_code == 202
    body = json_of(answer)
    assert answer.headers["Location"] == f"/exports/{body['id']}"
    assert times.parse_time(body["expiresAt"]) - times.parse_time(body["createdAt"]) == timedelta(days=7)
    queued = {"status": "queued", "format": "ndjson", "items": 0, "pictures": 0, "files": []}
    assert {name: value for name, value in body.items() if name not in ("id", "createdAt", "expiresAt")} == queued
    assert progress(api, body["id"]) == body


@pytest.mark.usefixtures("small_steps")
def test_each_item_is_in_the_export_once(api: Stage) -> None:
    before = [api.item(n=number)["id"] for number in range(9)]
    id_ = start(api)
    api.item(n="later")

    api.work()

    (file,) = files(api, id_).values()
    assert [row["id"] for row in rows(file)] == before
    body = progress(api, id_)
    assert (body["items"], body["total"], [one["name"] for one in body["files"]]) == (9, 9, ["items.ndjson"])
    assert "response-content-disposition=attachment%3B%20filename%3D%22items.ndjson%22" in body["files"][0]["url"]
    assert len(api.objects("exports/")) == 1


def test_export_without_items_has_an_empty_file(api: Stage) -> None:
    assert export(api) == {"items.ndjson": b""}
    assert export(api, format="csv") == {"items.csv": b"id,version,createdAt,updatedAt,expiresAt,visibility,image\r\n"}


@pytest.mark.usefixtures("small_steps")
def test_lines_import_to_the_same_items(api: Stage) -> None:
    create(api, title="Vase", text="a\nb \ufffd \u2028 é", number=Decimal("1E+30"), nested={"a": [1, None, {}]})
    create(
        api,
        visibility="public",
        expiresAt="2100-01-01T00:00:00Z",
        small=Decimal("0.30000000000000000000000000000000000001"),
    )
    changed = api.item(n=1, visibility="public")
    api("PATCH", f"/items/{changed['id']}", {"n": 2})
    before = json_of(api("GET", "/items"))
    (file,) = export(api).values()

    for item in before["items"]:
        api("DELETE", f"/items/{item['id']}")
    api("POST", "/imports?key=id", file, content_type="application/x-ndjson")
    api.work()

    assert json_of(api("GET", "/items")) == before


@pytest.mark.usefixtures("small_steps")
def test_pictures_are_in_archives(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_steps, "MAX_ARCHIVE_ENTRIES", 2)
    pictures = {api.item()["id"]: jpeg(40 + number, 30) for number in range(3)}
    for item_id, data in pictures.items():
        api.picture(item_id, data)
    broken = api.item()["id"]
    api.picture(broken, b"no picture")
    pending = api.item()["id"]
    api.ticket(pending)

    made = export(api, pictures=True)

    assert sorted(made) == ["items.ndjson", "pictures-1.zip", "pictures-2.zip"]
    unpacked: dict[str, bytes] = {}
    for name in ("pictures-1.zip", "pictures-2.zip"):
        with zipfile.ZipFile(io.BytesIO(made[name])) as archive:
            assert archive.testzip() is None
            unpacked |= {entry: archive.read(entry) for entry in archive.namelist()}
    images = {row["id"]: row.get("image") for row in rows(made["items.ndjson"])}
    assert {images[id_]["file"]: data for id_, data in pictures.items()}.items() <= unpacked.items()
    assert [images[id_]["file"] for id_ in pictures] == [f"{id_}.jpg" for id_ in pictures]
    assert unpacked[images[broken]["file"]] == b"no picture"
    assert (images[broken]["status"], images[pending]) == ("failed", None)


def test_lines_have_no_field_without_a_value(api: Stage) -> None:
    plain, broken = api.item(n=1), api.item(n=2)
    api.picture(broken["id"], b"no picture")

    (file,) = export(api).values()

    first, second = rows(file)
    assert first == plain
    assert second["image"] == {"status": "failed"}


def test_export_is_done_although_its_parts_stay(api: Stage, logged: Callable[[], str]) -> None:
    item_id = api.item()["id"]
    fails(aws.s3(), "DeleteObject", "SlowDown")

    made = export(api, format="csv")

    assert item_id in made["items.csv"].decode()
    assert "Deleting parts of an export failed" in logged()


def test_picture_replaced_during_a_step_is_the_new_one(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    item_id = api.item()["id"]
    api.picture(item_id, jpeg(40, 30))
    read = bucket.read

    def replaced_before(key: str, limit: int | None = None) -> bucket.Object:
        monkeypatch.setattr(bucket, "read", read)
        api.picture(item_id, jpeg(50, 30))
        return read(key, limit)

    id_ = start(api, pictures=True)
    api.drop()
    monkeypatch.setattr(bucket, "read", replaced_before)
    export_steps.process(OWNER, id_, 0)

    made = files(api, id_)
    (row,) = rows(made["items.ndjson"])
    with zipfile.ZipFile(io.BytesIO(made["pictures.zip"])) as archive:
        assert archive.read(row["image"]["file"]) == jpeg(50, 30)
    assert (row["image"]["width"], row["version"]) == (50, api.read(item_id)["version"])


def test_item_that_no_longer_matches_is_left_out(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    item_id = api.item(price=5)["id"]
    api.picture(item_id, jpeg(40, 30))
    read = bucket.read

    def changed_before(key: str, limit: int | None = None) -> bucket.Object:
        monkeypatch.setattr(bucket, "read", read)
        api("PATCH", f"/items/{item_id}", {"price": 500})
        api("DELETE", f"/items/{item_id}/image")
        return read(key, limit)

    id_ = start(api, pictures=True, filter={"price": 5})
    api.drop()
    monkeypatch.setattr(bucket, "read", changed_before)
    export_steps.process(OWNER, id_, 0)

    assert files(api, id_) == {"items.ndjson": b""}


@pytest.mark.usefixtures("small_steps")
def test_files_are_split_and_joined(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[int] = []

    def join(key: str, parts: list[str], content_type: str) -> None:
        """Join objects that are smaller than S3 joins."""
        joined.append(len(parts))
        bucket.write(key, b"".join(bucket.read(part).data for part in parts), content_type)

    monkeypatch.setattr(bucket, "join", join)
    monkeypatch.setattr(export_steps, "MIN_PART_BYTES", 1)
    for number in range(8):
        api.item(n=number)
    made = export(api)
    assert ([row["n"] for row in rows(made["items.ndjson"])], joined) == (list(range(8)), [4])

    monkeypatch.setattr(export_steps, "FILE_BYTES", len(made["items.ndjson"]) // 2)
    made = export(api)
    assert sorted(made) == ["items-1.ndjson", "items-2.ndjson"]
    assert [row["n"] for name in sorted(made) for row in rows(made[name])] == list(range(8))

    monkeypatch.setattr(export_steps, "FILE_BYTES", 1)
    made = export(api, format="csv")
    lines = [made[f"items-{number}.csv"].decode().splitlines() for number in (1, 2, 3, 4)]
    assert {header for header, *_ in lines} == {"id,version,createdAt,updatedAt,expiresAt,visibility,image,n"}
    assert [row[-1] for _, *two in lines for row in two] == list("01234567")
    assert len(api.objects("exports/")) == 1 + 2 + 4


def test_parts_are_joined_by_s3(api: Stage) -> None:
    parts = [bytes([number]) * bucket.MIN_PART_BYTES for number in range(2)] + [b"end"]
    keys = [bucket.export_key(OWNER, "e", f"{number} ä+%") for number in range(3)]
    for key, data in zip(keys, parts, strict=True):
        bucket.write(key, data, "text/plain")

    bucket.join(bucket.export_key(OWNER, "e", "joined"), keys, "text/plain")

    assert bucket.read(bucket.export_key(OWNER, "e", "joined")).data == b"".join(parts)


class TestSelection:
    def test_filter_words_and_ids(self, api: Stage) -> None:
        ids = [
            api.item(title=title, price=price)["id"]
            for title, price in (("Blue vase", 5), ("Red vase", 20), ("Blue lamp", 7.25))
        ]

        def found(**wanted: Any) -> list[int]:
            (file,) = export(api, **wanted).values()
            return [ids.index(row["id"]) for row in rows(file)]

        assert found(filter={"price": {"lt": 10}}) == [0, 2]
        assert found(filter={"price": 20}) == [1]
        assert found(filter={"price": 7.25}) == found(filter={"price": {"gt": 7.2, "lt": 7.3}}) == [2]
        assert found(filter={"title": {"in": "Blue vase,Red vase"}, "price": {"gte": "6"}}) == [1]
        assert found(q="blue") == [0, 2]
        assert found(ids=[ids[2].upper(), ids[1], "019ca7b4-e400-7abc-8def-0123456789ab"], q="red") == [1]

    def test_many_missing_ids_are_skipped(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        unknown = [f"00000000-0000-7000-8000-{number:012d}" for number in range(250)]
        item = api.item()["id"]
        read_at_once = []
        get_all = table.get_all

        def counted(owner: str, kind: table.Kind, ids: Sequence[str]) -> dict[str, table.Record]:
            read_at_once.append(len(ids))
            return get_all(owner, kind, ids)

        monkeypatch.setattr(table, "get_all", counted)
        (file,) = export(api, ids=[*unknown, item]).values()

        assert [row["id"] for row in rows(file)] == [item]
        assert max(read_at_once) * validation.MAX_ITEM_BYTES < 4 * 1024**2, "a query reads 1 MB at once"

    @pytest.mark.parametrize(
        ("wanted", "code", "path"),
        [
            ({"filter": {"colour": "red"}}, "FIELD_NOT_FINDABLE", "$.filter[colour]"),
            ({"filter": {"price": {"about": 5}}}, "INVALID_REQUEST", "$.filter[price][about]"),
            ({"filter": {"price": {"gt": [5]}}}, "INVALID_REQUEST", "$.filter[price][gt]"),
            ({"filter": {"price": {}}}, "INVALID_REQUEST", "$.filter[price]"),
            ({"filter": {"price": "dear"}}, "INVALID_REQUEST", "$.filter[price]"),
            ({"q": "!"}, "INVALID_REQUEST", "$.q"),
            ({"ids": ["1"]}, "INVALID_REQUEST", "$.ids[0]"),
            ({"ids": []}, "INVALID_REQUEST", "$.ids"),
            ({"format": "xlsx"}, "INVALID_REQUEST", "$.format"),
            ({"sort": "title"}, "INVALID_REQUEST", "$.sort"),
        ],
    )
    def test_invalid_request_is_refused(self, api: Stage, wanted: dict[str, Any], code: str, path: str) -> None:
        answer = api("POST", "/exports", NDJSON | wanted)

        assert problem(answer) == (400, code)
        assert [detail["path"] for detail in json_of(answer)["details"]] == [path]
        assert api.records("EXPORT") == []


def test_csv_with_many_columns_is_made_in_small_steps(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise rows that are much longer than the lines of which they are made would fill the memory."""
    monkeypatch.setattr(export_steps, "STEP_BYTES", 8_000)
    ids = [api.item(**{f"c{number}": 1 for number in range(500)})["id"], *(api.item()["id"] for _ in range(80))]
    read, starts = bucket.read_range, []

    def recorded(key: str, start: int, size: int) -> bytes:
        starts.append(start)
        return read(key, start, size)

    monkeypatch.setattr(bucket, "read_range", recorded)

    (file,) = export(api, format="csv").values()

    rows = file.splitlines()[1:]
    assert [row.partition(b",")[0].decode() for row in rows] == ids
    assert len(starts) >= sum(len(row) for row in rows) // (8_000 + len(rows[0]))


def test_csv_has_all_columns_and_imports_again(api: Stage) -> None:
    create(api, title='Vase, "blue"', price=Decimal("12.50"), tags=["a", "b"], note="two\nlines")
    create(api, sold=True, zip="A-007", size={"h": 1}, big=Decimal("1E+30"))
    before = json_of(api("GET", "/items"))

    (file,) = export(api, format="csv").values()
    for item in before["items"]:
        api("DELETE", f"/items/{item['id']}")
    api("POST", "/imports?key=id", file, content_type="text/csv")
    api.work()

    header = file.decode().splitlines()[0]
    assert header == "id,version,createdAt,updatedAt,expiresAt,visibility,image,title,price,tags,big,note,size,sold,zip"
    later, earlier = json_of(api("GET", "/items"))["items"]
    assert earlier == before["items"][1]
    assert later == before["items"][0] | {"size": '{"h":1}'}


def test_too_many_columns_fail(api: Stage) -> None:
    for part in "ab":
        api.item(**{f"{part * 50}{number}": 1 for number in range(700)})
    id_ = start(api, format="csv")

    api.work()

    body = progress(api, id_)
    assert (body["status"], body["error"]["error"], body["files"]) == ("failed", "TOO_MANY_COLUMNS", [])
    assert api.records("EXPORTSLOT") == []


def test_expired_items_are_left_out(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    api.item(expiresAt="2100-01-01T00:00:00Z")
    id_ = start(api)
    monkeypatch.setattr(export_steps.times, "now", lambda: times.parse_time("2100-01-01T00:00:00Z"))

    export_steps.process(OWNER, id_, 0)

    assert export_records.get(OWNER, id_).items == 0


class TestLimit:
    def test_three_exports_run_at_once(self, api: Stage) -> None:
        for _ in range(3):
            start(api)
        answer = api("POST", "/exports", NDJSON)
        assert problem(answer) == (429, "TOO_MANY_EXPORTS")
        assert "Retry-After" in answer.headers
        api.signed_in("another")("POST", "/exports", NDJSON)

        api.work()

        start(api)

    def test_slot_taken_meanwhile_is_left_to_the_other(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        create = export_records.prepare_create

        def late(*arguments: Any) -> list[table.Write]:
            writes = create(*arguments)
            monkeypatch.setattr(export_records, "prepare_create", create)
            start(api)
            return writes

        monkeypatch.setattr(export_records, "prepare_create", late)
        start(api)

        assert len(api.records("EXPORTSLOT")) == len(api.records("EXPORT#")) == 2


class TestIdempotencyKey:
    def test_repeated_request_starts_one_export(self, api: Stage) -> None:
        first = api("POST", "/exports", NDJSON | {"q": "vase"}, idempotency_key="k")
        again = api("POST", "/exports", {"q": "vase", **NDJSON}, idempotency_key="k")
        other = api("POST", "/exports", NDJSON, idempotency_key="k")

        assert again.body == first.body
        assert again.headers["Idempotency-Replayed"] == "true"
        assert problem(other) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert len(api.drop()) == 1

    def test_repeated_request_needs_no_slot(self, api: Stage) -> None:
        keyed = [api("POST", "/exports", NDJSON, idempotency_key=f"k{number}") for number in range(3)]

        again = api("POST", "/exports", NDJSON, idempotency_key="k0")

        assert (again.status_code, again.body) == (202, keyed[0].body)


@pytest.mark.usefixtures("small_steps")
class TestDelivery:
    def test_repeated_messages_change_nothing(self, api: Stage) -> None:
        before = [api.item(n=number)["id"] for number in range(9)]
        id_ = start(api)
        sent = api.drop()
        while sent:
            for message in sent * 2:
                parsed = messages.parse(json.dumps(message))
                assert isinstance(parsed, messages.ExportChunk)
                export_steps.process(parsed.owner, parsed.export_id, parsed.turn)
            # The function that continued an export may have failed before it sent the next message. So both send it.
            sent = api.drop()
            assert len({message["turn"] for message in sent}) <= 1
            sent = sent[:1]

        (file,) = files(api, id_).values()
        assert [row["id"] for row in rows(file)] == before

    def test_two_functions_at_once(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        before = [api.item(n=number)["id"] for number in range(5)]
        id_ = start(api)
        write = bucket.write

        def other_first(key: str, data: bytes, content_type: str) -> None:
            monkeypatch.setattr(bucket, "write", write)
            export_steps.process(OWNER, id_, 0)
            write(key, data, content_type)

        monkeypatch.setattr(bucket, "write", other_first)
        api.work()

        (file,) = files(api, id_).values()
        assert [row["id"] for row in rows(file)] == before

    def test_part_is_replaced_by_another_function(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        before = [api.item(n=number)["id"] for number in range(9)]
        id_ = start(api)
        export_steps.process(OWNER, id_, 0)
        api.drop()
        read = bucket.read

        def other_first(key: str, limit: int | None = None) -> bucket.Object:
            monkeypatch.setattr(bucket, "read", read)
            export_steps.process(OWNER, id_, 1)
            return read(key, limit)

        monkeypatch.setattr(bucket, "read", other_first)
        export_steps.process(OWNER, id_, 1)
        assert bucket.read is read
        api.work()

        (file,) = files(api, id_).values()
        assert [row["id"] for row in rows(file)] == before

    def test_step_without_its_part_fails(self, api: Stage) -> None:
        for number in range(9):
            api.item(n=number)
        id_ = start(api)
        export_steps.process(OWNER, id_, 0)
        bucket.delete(api.objects("exports/"))

        with pytest.raises(bucket.ObjectNotFoundError):
            export_steps.process(OWNER, id_, 1)

    def test_interrupted_step_is_done_again(self, api: Stage) -> None:
        before = [api.item(n=number)["id"] for number in range(3)]
        id_ = start(api)
        fails(aws.dynamodb(), "PutItem", "InternalServerError", times=1)
        with pytest.raises(aws.dynamodb().exceptions.ClientError):
            export_steps.process(OWNER, id_, 0)

        api.work()

        (file,) = files(api, id_).values()
        assert [row["id"] for row in rows(file)] == before

    def test_time_limit_sends_the_next_message(self, api: Stage) -> None:
        api.item()
        id_ = start(api)
        api.drop()

        export_steps.process(OWNER, id_, 0, has_time=lambda: False)

        assert api.drop() == [{"type": "export.chunk", "owner": OWNER, "exportId": id_, "turn": 1}]
        assert progress(api, id_)["status"] == "queued"

    def test_message_of_an_expired_export_is_skipped(self, api: Stage) -> None:
        api.send({"type": "export.chunk", "owner": OWNER, "exportId": "019ca7b4-e400-7abc-8def-0123456789ab"})

        api.work()

    def test_declaration_changed_meanwhile_fails(self, api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        id_ = start(api, filter={"price": 5})
        error = errors.FieldNotFindableError(used="filtered", field="price", findable="title")

        def refuse(_: object) -> None:
            raise error

        monkeypatch.setattr(export_steps.search, "matcher", refuse)
        api.work()

        body = progress(api, id_)
        assert (body["status"], body["error"]) == ("failed", {"error": error.code, "message": error.message})


class TestCleanup:
    def test_lost_message_is_sent_again(self, api: Stage) -> None:
        id_ = start(api)
        api.drop()

        counts = hourly_cleanup.run(times.now() + timedelta(hours=1), context("clean_up"))
        api.work()

        assert counts["exports"] == 1
        assert progress(api, id_)["status"] == "done"
        assert not hourly_cleanup.run(times.now() + timedelta(hours=30), context("clean_up"))

    def test_export_is_given_up_after_a_day(self, api: Stage) -> None:
        id_ = start(api)
        (message,) = api.drop()

        hourly_cleanup.run(times.now() + timedelta(hours=25), context("clean_up"))
        api.send(message)
        api.work()

        body = progress(api, id_)
        assert (body["status"], body["error"]["error"]) == ("failed", "INTERNAL_ERROR")
        assert api.records("EXPORTSLOT") == []

    def test_export_expires_with_its_files(self, api: Stage) -> None:
        id_ = start(api)
        (record,) = api.records("EXPORT#")
        end = export_records.end(export_records.get(OWNER, id_))

        assert abs(int(record["ttl"]["N"]) - end.timestamp()) < 1
        with pytest.raises(errors.ExportNotFoundError):
            exports.progress(OWNER, id_, end)


def test_refused_export_never_starts(api: Stage) -> None:
    fails(aws.dynamodb(), "TransactWriteItems", "InternalServerError")

    answer = api("POST", "/exports", NDJSON)

    assert answer.status_code in (500, 503)
    assert api.drop() == []
    (record,) = api.records("EXPORT")
    assert "void" in record
    answer = api("GET", f"/exports/{record['sk']['S'].removeprefix('EXPORT#')}")
    assert problem(answer) == (404, "EXPORT_NOT_FOUND")


def test_export_is_accepted_without_the_queue(api: Stage) -> None:
    fails(aws.sqs(), "SendMessageBatch", "ServiceUnavailable", times=1)

    id_ = start(api)

    assert progress(api, id_)["status"] == "queued"
