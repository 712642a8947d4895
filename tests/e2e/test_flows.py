"""The main flows with real input in the packaged app: each function runs under its own role."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import requests
from PIL import Image

from chalicelib.aws.bucket import Upload
from chalicelib.catalogue import models, search_index_keys
from chalicelib.config import Size
from tests.builders import as_json, fields
from tests.e2e.pictures import drawing, photograph, saved
from tests.e2e.system import System
from tests.e2e.waiting import eventually
from tools import restore_export


def create(system: System, **own: Any) -> str:
    answer = system.request("POST", "/items", fields(**own))
    assert answer.status == 201, answer.body
    return str(answer.json()["id"])


def ticket(system: System, item: str, content_type: str = "image/jpeg") -> dict[str, Any]:
    answer = system.request("POST", f"/items/{item}/image", {"contentType": content_type})
    assert answer.status == 201, answer.body
    return dict(answer.json()["upload"])


def post(upload: dict[str, Any], data: bytes, **changed: str) -> requests.Response:
    return requests.post(upload["url"], upload["fields"] | changed, files={"file": data}, timeout=30)


def processed_image(system: System, item: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        image = system.request("GET", f"/items/{item}").json().get("image", {})
        return image if image.get("status") in ("ready", "failed") else None

    return eventually(look)


def keys(system: System, prefix: str) -> list[str]:
    found = system.client("s3").list_objects_v2(Bucket=system.bucket, Prefix=prefix)
    return [one["Key"] for one in found.get("Contents", [])]


def download(url: str) -> bytes:
    with urlopen(url) as answer:
        return bytes(answer.read())


def test_item_is_created_read_listed_changed_and_deleted(system: System) -> None:
    created = system.request("POST", "/items", as_json('"weight": 19.90, "tiny": 1e-30'))
    item = created.json()["id"]
    assert created.headers["Location"].endswith(f"/items/{item}")

    read = system.request("GET", f"/items/{item}")
    assert b'"weight":19.9' in read.body
    assert b'"tiny":1E-30' in read.body

    patched = system.request("PATCH", f"/items/{item}", {"weight": None}, if_match=read.headers["ETag"])
    assert "weight" not in patched.json()
    stale = system.request("PUT", f"/items/{item}", fields(title="Bowl"), if_match=read.headers["ETag"])
    assert (stale.status, stale.json()["error"]) == (412, "VERSION_MISMATCH")

    assert item in [one["id"] for one in system.request("GET", "/items?limit=100").json()["items"]]
    assert system.request("DELETE", f"/items/{item}").json() == {"message": "Item deleted", "id": item}
    assert system.request("GET", f"/items/{item}").status == 404


def test_uploaded_photograph_is_ready_and_downloads(system: System) -> None:
    item, data = create(system, title="Harbour"), photograph(1600, 1200)

    assert post(ticket(system, item), data).ok

    image = processed_image(system, item)
    assert (image["status"], image["width"], image["height"], image["bytes"]) == ("ready", 1600, 1200, len(data))
    sizes = {one["size"]: Image.open(io.BytesIO(download(one["url"]))).size for one in image["thumbnails"]}
    assert sizes == {200: (200, 200), 800: (800, 600)}
    assert download(image["url"]) == data
    redirect = system.request("GET", f"/items/{item}/image?size=200")
    assert redirect.status == 302
    assert Image.open(io.BytesIO(download(redirect.headers["Location"]))).size == (200, 200)


def test_deleted_item_has_no_pictures_left(system: System) -> None:
    item = create(system, title="Harbour")
    post(ticket(system, item), photograph(400, 300))
    processed_image(system, item)

    system.request("DELETE", f"/items/{item}")

    assert keys(system, f"uploads/items/local/{item}/") == keys(system, f"thumbnails/items/local/{item}/") == []


def test_visitors_see_thumbnails_while_the_item_is_public(system: System) -> None:
    item = create(system, title="Harbour")
    post(ticket(system, item), photograph(400, 300))
    processed_image(system, item)
    path = f"/catalogues/{system.request('GET', '/catalogue').json()['id']}/items/{item}"

    system.request("PATCH", f"/items/{item}", {"visibility": "public"})

    picture = eventually(lambda: system.request("GET", path).json().get("image"))
    assert [Image.open(io.BytesIO(download(one["url"]))).width for one in picture["thumbnails"]] == [200, 400]
    system.request("PATCH", f"/items/{item}", {"visibility": "private"})
    assert system.request("GET", path).status == 404
    eventually(lambda: not keys(system, "public/items/"))


def test_only_the_newest_upload_is_kept(system: System) -> None:
    item = create(system, title="Harbour")
    for width in (400, 500):
        post(ticket(system, item), photograph(width, 300))
        assert processed_image(system, item)["status"] == "ready"

    assert processed_image(system, item)["width"] == 500
    assert len(eventually(lambda: keys(system, f"uploads/items/local/{item}/"))) == 1
    assert len(keys(system, f"thumbnails/items/local/{item}/")) == 2


def test_second_upload_with_a_ticket_replaces_the_picture(system: System) -> None:
    item, files = create(system, title="Harbour"), [photograph(width, 300) for width in (400, 500)]
    form = ticket(system, item)
    post(form, files[0])
    assert processed_image(system, item)["width"] == 400

    assert post(form, files[1]).ok

    image = eventually(lambda: (now := processed_image(system, item))["width"] == 500 and now)
    assert image["bytes"] == len(files[1])
    assert download(image["url"]) == files[1]
    assert eventually(lambda: len(keys(system, f"thumbnails/items/local/{item}/")) == 2)


@pytest.mark.parametrize(
    ("data", "changed"),
    [
        (b"x" * 100, {"Content-Type": "text/html"}),
        (b"x" * (20 * 1024 * 1024 + 1), {}),
        (b"x" * 100, {"key": "uploads/items/local/of/somebody-else"}),
        (b"", {}),
    ],
    ids=["another type", "too many bytes", "another key", "no bytes"],
)
def test_s3_refuses_uploads_that_the_ticket_does_not_allow(
    system: System, data: bytes, changed: dict[str, str]
) -> None:
    upload = ticket(system, create(system, title="Harbour"))

    assert post(upload, data, **changed).status_code in (400, 403)
    assert keys(system, upload["fields"]["key"]) == []
    assert keys(system, "uploads/items/local/of/") == []


def test_text_file_fails_as_unreadable_and_is_not_retried(system: System) -> None:
    item = create(system, title="Not a picture")

    assert post(ticket(system, item), b"Dear diary,\nthis is no picture.\n").ok

    image = processed_image(system, item)
    assert image["error"]["error"] == "IMAGE_UNREADABLE"
    assert "not a picture" in image["error"]["message"]
    eventually(lambda: waiting(system, system.queue_url) == 0)
    assert waiting(system, system.dead_letter_queue_url) == 0


def slow_gif() -> bytes:
    """Return a GIF with a comment of 19 MB, for which Pillow takes minutes."""
    data = saved(Image.new("L", (64, 48)), "GIF")
    image = 13 + (3 << (data[10] & 7) + 1)
    return data[:image] + b"!\xfe" + (b"\xff" + bytes(255)) * 74_000 + b"\0" + data[image:]


def test_picture_that_blocks_its_process_fails_alone(system: System) -> None:
    items = [create(system, title="Harbour") for _ in range(10)]
    for item in items:
        assert post(ticket(system, item), slow_gif() if item == items[4] else photograph(400, 300)).ok

    images = [processed_image(system, item) for item in items]

    assert [image["status"] for image in images] == ["ready"] * 4 + ["failed"] + ["ready"] * 5
    assert images[4]["error"]["error"] == "IMAGE_TOO_COMPLEX"
    eventually(lambda: waiting(system, system.queue_url) == 0)


def test_cut_off_photograph_is_ready_with_a_warning(system: System) -> None:
    item = create(system, title="Harbour")

    assert post(ticket(system, item), photograph()[:-20_000]).ok

    image = processed_image(system, item)
    assert (image["status"], image["width"], image["warnings"]) == ("ready", 1600, ["TRUNCATED"])


def test_thumbnail_of_a_loose_picture_has_its_full_name(system: System) -> None:
    key = "uploads/holiday/photo one+two.png"
    system.client("s3").put_object(Bucket=system.bucket, Key=key, Body=drawing(640, 480))

    eventually(lambda: keys(system, "thumbnails/holiday/"))

    assert keys(system, "thumbnails/holiday/") == ["thumbnails/holiday/photo one+two.png.jpg"]
    answer = system.client("s3").get_object(Bucket=system.bucket, Key="thumbnails/holiday/photo one+two.png.jpg")
    thumbnail = Image.open(answer["Body"])
    assert thumbnail.size == (200, 200)
    assert thumbnail.getpixel((5, 100)) == (255, 255, 255)


def test_import_of_500_is_done_and_reports_invalid_items(system: System) -> None:
    lines = [json.dumps(fields(batch="of 500", n=n)) for n in range(500)]
    lines[7] = '{"n": '
    lines[499] = '{"id": "mine"}'

    started = system.request("POST", "/imports", "\n".join(lines).encode(), content_type="application/x-ndjson")
    assert (started.status, started.json()["status"]) == (202, "queued")

    done = finished(system, started.json()["id"])
    assert (done["total"], done["created"], done["failed"]) == (500, 498, 2)
    assert [(one["index"], one["error"]) for one in done["errors"]] == [(7, "INVALID_JSON"), (499, "RESERVED_FIELD")]


def finished(system: System, import_id: str) -> dict[str, Any]:
    """Wait for the end of an import, and return its progress."""

    def look() -> dict[str, Any] | None:
        progress: dict[str, Any] = system.request("GET", f"/imports/{import_id}").json()
        return progress if progress["status"] == "done" else None

    return eventually(look)


@pytest.mark.parametrize("key", sorted({"id", "title"}.intersection(search_index_keys.current().import_keys)))
def test_csv_changes_an_item_by_its_key(system: System, key: str) -> None:
    own = fields(title=f"Vase {time.time_ns()}", price=12.5)
    item = system.request("POST", "/items", own).json()
    cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in item.items()} | {"n": "7"}
    if key != "id":
        cells = {name: cells[name] for name in cells if name not in models.MANAGED_FIELDS}
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=";").writerows([cells, cells.values()])

    started = system.request("POST", f"/imports?key={key}", file.getvalue().encode(), content_type="text/csv")

    done = finished(system, started.json()["id"])
    assert (done["created"], done["updated"], done["errors"]) == (0, 1, [])
    assert system.request("GET", f"/items/{item['id']}").json()["n"] == 7


def test_export_is_restored_with_its_pictures(system: System, tmp_path: Path) -> None:
    pictures = {create(system, mark=f"exported {n}"): photograph(400 + n, 300) for n in range(2)}
    for item, data in pictures.items():
        post(ticket(system, item), data).raise_for_status()
        processed_image(system, item)
    first = next(iter(pictures))
    system.request("PATCH", f"/items/{first}/image", {"focus": {"x": 0.25, "y": 0.5}})
    before = {item: system.request("GET", f"/items/{item}").json() for item in pictures}

    started = system.request("POST", "/exports", {"format": "ndjson", "ids": [*pictures], "pictures": True}).json()

    def look() -> dict[str, Any] | None:
        export: dict[str, Any] = system.request("GET", f"/exports/{started['id']}").json()
        return export if export["status"] not in ("queued", "running") else None

    done = eventually(look)
    assert (done["status"], done["items"], done["pictures"]) == ("done", 2, 2), done
    for file in done["files"]:
        (tmp_path / file["name"]).write_bytes(download(file["url"]))
    for item in pictures:
        system.request("DELETE", f"/items/{item}")
    assert restore_export.main([system.api, *(str(tmp_path / file["name"]) for file in done["files"])]) == 0

    for item, data in pictures.items():
        image = processed_image(system, item)
        assert download(image["url"]) == data
        assert image.get("focus") == before[item]["image"].get("focus")
        after = system.request("GET", f"/items/{item}").json()
        varying = {"image", "version", "updatedAt"}
        assert {name: after[name] for name in after.keys() - varying} == {
            name: before[item][name] for name in before[item].keys() - varying
        }


def test_only_the_bad_message_of_ten_becomes_a_dead_letter(system: System) -> None:
    shelf = f"shelf {time.time_ns()}"
    assert send_nine_good_and_one_bad(system, shelf)

    eventually(lambda: len(on_shelf(system, shelf)) == 9)
    eventually(lambda: waiting(system, system.queue_url) == 1)
    dead = eventually(lambda: received(system, system.dead_letter_queue_url), 60)
    assert [one["Body"] for one in dead] == ['{"type": "item.destroy"}']
    assert waiting(system, system.queue_url) == 0
    assert len(on_shelf(system, shelf)) == 9


def test_cleanup_deletes_expired_data(system: System) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    item = create(system, title="Milk", expiresAt=soon.isoformat())
    kept = create(system, title="Honey", expiresAt=(soon + timedelta(days=1)).isoformat())
    rules = system.client("events").list_rules()["Rules"]
    assert "rate(1 hour)" in [rule.get("ScheduleExpression") for rule in rules]
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.1)

    answer = system.client("lambda").invoke(FunctionName=system.functions["clean_up"], Payload=SCHEDULED)

    assert "FunctionError" not in answer
    assert json.load(answer["Payload"])["expired"] >= 1
    rows = system.client("dynamodb").scan(TableName=system.table)["Items"]
    assert f"ITEM#{item}" not in [row["sk"]["S"] for row in rows]
    assert system.request("GET", f"/items/{kept}").status == 200


SCHEDULED = json.dumps(
    {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:000000000000:rule/hourly"],
        "detail": {},
    }
)


def send_nine_good_and_one_bad(system: System, shelf: str) -> bool:
    bodies = [json.dumps({"type": "item.create", "owner": "local", "item": fields(shelf=shelf, n=n)}) for n in range(9)]
    bodies.insert(4, '{"type": "item.destroy"}')
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
    answer = system.client("sqs").send_message_batch(QueueUrl=system.queue_url, Entries=entries)
    return len(answer["Successful"]) == 10


def on_shelf(system: System, shelf: str) -> list[dict[str, Any]]:
    return [item for item in system.request("GET", "/items?limit=100").json()["items"] if item.get("shelf") == shelf]


def received(system: System, queue_url: str) -> list[dict[str, Any]]:
    sqs = system.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return list(messages)


def waiting(system: System, queue_url: str) -> int:
    """Return the number of messages in a queue, including those in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = system.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


@pytest.mark.parametrize("owner", [".", "..", "a/../b", "%2E"])
def test_owner_with_special_characters_has_valid_picture_urls(system: System, owner: str) -> None:
    s3, id_ = system.client("s3"), "019ca7b4-e400-7abc-8def-0123456789ab"
    # Under thumbnails/, because the listener deletes objects under uploads/ that belong to no item.
    key, data = Upload(owner, id_, id_).thumbnail_key(Size(200, "cover"), "0A", "e"), photograph(20, 20)
    sent = post(s3.generate_presigned_post(system.bucket, key), data)
    url = s3.generate_presigned_url("get_object", {"Bucket": system.bucket, "Key": key})
    try:
        assert sent.status_code == 204
        assert requests.get(url, timeout=10).content == data
    finally:
        s3.delete_object(Bucket=system.bucket, Key=key)


def test_request_id_of_a_response_is_in_the_logs(system: System) -> None:
    answer = system.request("GET", "/items/no-such-item", authorization="Bearer of-a-secret")
    assert answer.json()["requestId"] == answer.headers["X-Request-Id"]

    line = eventually(lambda: logged(system, "api_handler", answer.headers["X-Request-Id"]))

    assert (line["level"], line["method"], line["path"], line["status"]) == ("INFO", "GET", "/items/{item_id}", 404)
    assert (line["service"], line["stage"]) == ("vitrine", "local")
    assert "of-a-secret" not in json.dumps(line)


def logged(system: System, function: str, request_id: str) -> dict[str, Any] | None:
    group = f"/aws/lambda/{system.functions[function]}"
    events = system.client("logs").filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(event["message"]) for event in events if event["message"].startswith('{"level"')]
    return next((line for line in lines if line["request_id"] == request_id), None)
