"""The keys of objects in the bucket."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import bucket
from chalicelib.aws.bucket import Upload
from chalicelib.config import Size
from chalicelib.values import ids

SIZE = Size(200, "cover")
ITEM, UPLOAD = "019ca7b4-e400-7abc-8def-0123456789ab", "019ca7b4-e401-7abc-8def-0123456789ab"
owners = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.text("./%2Ee", min_size=1, max_size=4),
)
new_ids = st.builds(ids.new_id, st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))


@given(owners, new_ids, new_ids)
def test_upload_can_be_read_from_its_key(owner: str, item_id: str, upload_id: str) -> None:
    upload = Upload(owner, item_id, upload_id)

    assert Upload.from_key(upload.key) == upload
    assert bucket.upload_id(upload.key) == upload_id
    assert bucket.upload_id(upload.thumbnail_key(SIZE, "0A", "e")) == upload_id


def test_each_focus_and_format_has_its_own_thumbnails() -> None:
    upload, size = Upload("ann", ITEM, UPLOAD), Size(200, "cover")
    keys = [
        upload.thumbnail_key(size, "0A", "e"),
        upload.thumbnail_key(Size(200, "cover", "webp"), "0A", "e"),
        upload.thumbnail_key(size, "0A", "e", focus_changes=2),
    ]

    assert [key.rpartition("/")[2] for key in keys] == ["200.jpg", "200.webp", "200-2.jpg"]
    assert [bucket.thumbnail_version(key) for key in keys] == [("0A", 0), ("0A", 0), ("0A", 2)]


@given(owners, owners, new_ids, new_ids)
def test_folders_of_owners_do_not_overlap(one: str, other: str, item_id: str, upload_id: str) -> None:
    key = Upload(one, item_id, upload_id).key

    assert key.startswith(Upload(other, item_id, "").key) is (one == other)


@given(owners, new_ids, new_ids)
def test_clients_do_not_normalize_the_urls_of_keys(owner: str, item_id: str, upload_id: str) -> None:
    # Clients remove the segments "." and ".." (RFC 3986, section 5.2.4), also as "%2e" (WHATWG URL, section 4.4).
    upload = Upload(owner, item_id, upload_id)
    for key in (upload.key, upload.thumbnail_key(SIZE, "0A", "e"), bucket.import_key(owner, item_id)):
        path = f"/{quote(key)}"
        assert urlsplit(urljoin("https://bucket.example/", path)).path == path
        assert not any(segment.lower().replace("%2e", ".") in (".", "..") for segment in path.split("/"))


@pytest.mark.parametrize("owner", [".", ".."])
def test_owner_of_dots_is_percent_encoded(owner: str) -> None:
    key = Upload(owner, ITEM, UPLOAD).key

    assert key == f"uploads/items/{owner.replace('.', '%2E')}/{ITEM}/{UPLOAD}"
    assert Upload.from_key(key) == Upload(owner, ITEM, UPLOAD)
    assert Upload.from_key(f"uploads/items/{owner}/{ITEM}/{UPLOAD}") is None


@pytest.mark.parametrize(
    "key",
    [
        "uploads/vase.jpg",
        "uploads/holiday/photo one+two.png",
        "uploads/items",
        "uploads/items/",
        "uploads/items/vase.jpg",
        f"uploads/items/ann/{ITEM}",
        f"uploads/items/ann/{ITEM}/vase.jpg",
        f"uploads/items/ann/{ITEM}/{UPLOAD}/200.jpg",
        f"uploads/items/ann/x/{UPLOAD}",
        f"thumbnails/items/ann/{ITEM}/{UPLOAD}",
    ],
)
def test_any_other_key_is_a_loose_file(key: str) -> None:
    assert Upload.from_key(key) is None


@pytest.mark.parametrize(
    ("key", "thumbnail"),
    [
        ("uploads/holiday/photo one+two.png", "thumbnails/holiday/photo one+two.png.jpg"),
        ("uploads/a/b.png", "thumbnails/a/b.png.jpg"),
        ("uploads/a/b.jpg", "thumbnails/a/b.jpg.jpg"),
        ("uploads/noext", "thumbnails/noext.jpg"),
        ("uploads/uploads/ü.png", "thumbnails/uploads/ü.png.jpg"),
    ],
)
def test_loose_thumbnail_keeps_the_extension(key: str, thumbnail: str) -> None:
    assert bucket.loose_thumbnail_key(key) == thumbnail


@given(st.sets(st.text(min_size=1, max_size=8), min_size=2, max_size=2))
def test_loose_files_have_different_thumbnails(names: set[str]) -> None:
    assert len({bucket.loose_thumbnail_key(f"uploads/{name}") for name in names}) == 2


def test_import_key_contains_the_owner() -> None:
    assert bucket.import_key("a/b", ITEM) == f"imports/a%2Fb/{ITEM}.ndjson"
