"""The main job of Vitrine, done with the Python client of ``make clients``: python job.py API PHOTO."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import httpx
from vitrine_client import AuthenticatedClient
from vitrine_client.api.exports import create_export, get_export
from vitrine_client.api.imports import create_import, get_import
from vitrine_client.api.items import (
    create_item,
    delete_item,
    get_item,
    list_items,
    patch_item,
    replace_item,
    run_batch,
)
from vitrine_client.api.pictures import create_image_ticket
from vitrine_client.models import (
    BatchCreate,
    BatchRequest,
    BatchResults,
    ContentType,
    Deleted,
    Error,
    Export,
    ExportRequest,
    ExportRequestFormat,
    ExportStatus,
    ImageReady,
    Import,
    ImportRequest,
    ImportStatus,
    Item,
    ItemFields,
    ItemPage,
    ItemPatch,
    ItemReplacement,
    ListItemsFilter,
    ListItemsFilterUpdatedAtConditions,
    ListItemsImage,
    ListItemsSort,
    Ticket,
    TicketRequest,
)
from vitrine_client.types import UNSET, File

Found = TypeVar("Found")

API, PHOTO = sys.argv[1:]
client = AuthenticatedClient(base_url=API, token="none")


def eventually(look: Callable[[], Found | None]) -> Found:
    """Ask `look` until it finds something, for a minute at most."""
    for _ in range(120):
        found = look()
        if found is not None:
            return found
        time.sleep(0.5)
    raise TimeoutError


def read(id_: UUID) -> tuple[Item, str]:
    answer = get_item.sync_detailed(id_, client=client)
    assert isinstance(answer.parsed, Item), answer.parsed
    return answer.parsed, answer.headers["ETag"]


def create() -> UUID:
    item = create_item.sync(client=client, body=ItemFields(title="Harbour", price=19.9))
    assert isinstance(item, Item), item
    assert (item.title, item.price) == ("Harbour", 19.9)
    return item.id


def upload(id_: UUID) -> None:
    request = TicketRequest(content_type=ContentType.IMAGEJPEG)
    ticket = create_image_ticket.sync(id_, client=client, body=request)
    assert isinstance(ticket, Ticket), ticket
    photo = Path(PHOTO).read_bytes()
    stored = httpx.post(ticket.upload.url, data=ticket.upload.fields.to_dict(), files={"file": photo}, timeout=30)
    assert stored.is_success, stored.text

    def ready() -> ImageReady | None:
        image = read(id_)[0].image
        return image if isinstance(image, ImageReady) else None

    thumbnail = httpx.get(eventually(ready).thumbnails[0].url)
    assert thumbnail.is_success
    assert thumbnail.content


def change(id_: UUID) -> None:
    _, tag = read(id_)
    patched = patch_item.sync(id_, client=client, body=ItemPatch.from_dict({"price": None, "year": 1998}), if_match=tag)
    assert isinstance(patched, Item), patched
    assert patched["year"] == 1998
    assert patched.price is UNSET
    late = patch_item.sync_detailed(id_, client=client, body=ItemPatch.from_dict({"year": 1999}), if_match=tag)
    assert late.status_code == 412
    assert isinstance(late.parsed, Error)
    assert late.parsed.error == "VERSION_MISMATCH"

    item, tag = read(id_)
    item.title = "Harbour at dawn"
    item.expires_at = datetime(2100, 1, 31, 12, tzinfo=UTC)
    sent = ItemReplacement.from_dict(item.to_dict())
    replaced = replace_item.sync(id_, client=client, body=sent, if_match=tag)
    assert isinstance(replaced, Item), replaced
    assert (replaced.title, replaced["year"]) == ("Harbour at dawn", 1998)
    assert isinstance(replaced.image, ImageReady)


def find() -> None:
    started = datetime.now(UTC)
    entries = [ItemFields(title=title) for title in ("One", "Two")]
    done = run_batch.sync(client=client, body=BatchRequest([BatchCreate(op="create", body=one) for one in entries]))
    assert isinstance(done, BatchResults), done
    assert [result.status for result in done.results] == [201, 201]
    written = ListItemsFilterUpdatedAtConditions(gte=started, lt=started + timedelta(hours=1))
    latest = ListItemsSort.UPDATED_AT_DESCENDING
    page = list_items.sync(client=client, filter_=ListItemsFilter(updated_at=written), sort=latest)
    assert isinstance(page, ItemPage), page
    assert {str(item.id) for item in page.items} == {result.id for result in done.results}


def bulk() -> None:
    entries = [ItemFields(title="One"), ItemFields(title="Two", tags=["a", "b"])]
    begun = create_import.sync(client=client, body=ImportRequest(items=list(entries)))
    assert isinstance(begun, Import), begun
    id_ = begun.id

    def done() -> Import | None:
        progress = get_import.sync(id_, client=client)
        assert isinstance(progress, Import), progress
        return progress if progress.status == ImportStatus.DONE else None

    progress = eventually(done)
    assert (progress.created, progress.failed) == (2, 0)


def bulk_text() -> None:
    for type_, text in (("text/csv", b"title,year\nThree,1998\n"), ("application/x-ndjson", b'{"title": "Four"}\n')):
        begun = create_import.sync(client=client, body=File(payload=io.BytesIO(text), mime_type=type_))
        assert isinstance(begun, Import), begun
        assert begun.total == 1


def export(id_: UUID) -> None:
    begun = create_export.sync(client=client, body=ExportRequest(format_=ExportRequestFormat.NDJSON, ids=[id_]))
    assert isinstance(begun, Export), begun

    def done() -> Export | None:
        progress = get_export.sync(begun.id, client=client)
        assert isinstance(progress, Export), progress
        return progress if progress.status == ExportStatus.DONE else None

    (file,) = eventually(done).files
    assert f'"id":"{id_}"' in httpx.get(file.url).raise_for_status().text


def listed() -> list[UUID]:
    ids: list[UUID] = []
    cursor: str | None = None
    while True:
        page = list_items.sync(
            client=client, limit=2, cursor=UNSET if cursor is None else cursor, image=ListItemsImage.NONE
        )
        assert isinstance(page, ItemPage), page
        assert all(item.image is UNSET for item in page.items)
        ids += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def remove(id_: UUID) -> None:
    deleted = delete_item.sync(id_, client=client)
    assert isinstance(deleted, Deleted), deleted
    gone = get_item.sync(id_, client=client)
    assert isinstance(gone, Error), gone
    assert gone.error == "ITEM_NOT_FOUND"


created = create()
upload(created)
change(created)
find()
bulk()
bulk_text()
export(created)
ids = listed()
assert len(set(ids)) == len(ids) >= 3
assert created in ids
remove(created)
assert created not in listed()
print("done")
