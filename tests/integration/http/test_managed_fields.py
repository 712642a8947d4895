"""Managed fields in the body of a write: accepted if they equal the stored ones."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from chalicelib.values import exact_json
from tests.builders import fields, jpeg
from tests.integration.stage import Stage, json_of

of_both = pytest.mark.parametrize("method", ["PUT", "PATCH"])
OTHER_ID = "019ca7b4-e400-7abc-8def-0123456789ab"


@pytest.fixture
def item(api: Stage) -> dict[str, Any]:
    """Return an item at version 2."""
    id_ = api.item(title="Vase")["id"]
    api("PATCH", f"/items/{id_}", {"stock": 19})
    return api.read(id_)


@pytest.fixture
def pictured(api: Stage) -> dict[str, Any]:
    """Return an item whose picture is ready."""
    id_ = api.item(title="Vase")["id"]
    api.picture(id_, jpeg(400, 300))
    ready_item = api.read(id_)
    assert ready_item["image"]["status"] == "ready"
    return ready_item


@of_both
@pytest.mark.parametrize("which", ["item", "pictured"])
def test_read_item_is_accepted_after_a_change(
    api: Stage, request: pytest.FixtureRequest, method: str, which: str
) -> None:
    read = request.getfixturevalue(which)

    response = api(method, f"/items/{read['id']}", read | {"title": "Blue vase"})

    assert response.status_code == 200
    assert json_of(response)["title"] == api.read(read["id"])["title"] == "Blue vase"
    assert json_of(response).keys() == read.keys()
    assert json_of(response)["version"] == read["version"] + 1


@of_both
def test_read_item_sent_back_unchanged_changes_nothing(api: Stage, pictured: dict[str, Any], method: str) -> None:
    response = api(method, f"/items/{pictured['id']}", exact_json.to_json(spelled_otherwise(pictured)))

    assert (response.status_code, json_of(response)["version"]) == (200, pictured["version"])


def spelled_otherwise(read: dict[str, Any]) -> dict[str, Any]:
    """Return an equal item with other spellings of its values."""
    image = read["image"] | {"width": 400.0, "url": "https://elsewhere.example"}
    image["thumbnails"] = [
        {name: value for name, value in one.items() if name != "url"} for one in read["image"]["thumbnails"]
    ]
    return read | {
        "id": read["id"].upper(),
        "version": Decimal(f"{read['version']}.0"),
        "createdAt": read["createdAt"].replace("Z", "000+00:00"),
        "updatedAt": read["updatedAt"].replace("Z", "+00:00"),
        "image": image,
    }


@of_both
def test_other_spelling_of_the_same_values_is_accepted(api: Stage, pictured: dict[str, Any], method: str) -> None:
    body = exact_json.to_json(spelled_otherwise(pictured))

    assert api(method, f"/items/{pictured['id']}", body).status_code == 200


@of_both
def test_null_is_the_same_as_no_picture(api: Stage, item: dict[str, Any], method: str) -> None:
    assert api(method, f"/items/{item['id']}", fields(image=None)).status_code == 200


@of_both
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", OTHER_ID),
        ("id", None),
        ("id", 7),
        ("version", 1),
        ("version", "2"),
        ("version", True),
        ("version", 2.5),
        ("version", None),
        ("version", 10**40),
        ("createdAt", "2001-01-01T00:00:00Z"),
        ("createdAt", "yesterday"),
        ("createdAt", 1),
        ("updatedAt", "2001-01-01T00:00:00Z"),
        ("updatedAt", None),
        ("image", {"status": "ready"}),
        ("image", {}),
        ("image", []),
        ("image", "none"),
    ],
)
def test_other_value_is_rejected_by_name(
    api: Stage, item: dict[str, Any], method: str, name: str, value: object
) -> None:
    response = api(method, f"/items/{item['id']}", item | {name: value})

    assert (response.status_code, json_of(response)["error"]) == (400, "RESERVED_FIELD")
    assert json_of(response)["message"] == (
        f"{name} is managed by Vitrine and cannot be changed: leave it out, or send it as stored."
    )
    assert json_of(response)["details"] == [{"path": f"$.{name}"}]
    assert api.read(item["id"]) == item


@of_both
@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"width": 401},
        {"thumbnails": []},
        {"thumbnails": [{"size": 200, "width": 1, "height": 1}]},
        {"error": {"error": "X", "message": "Y"}},
        {"alt": "A vase"},
    ],
)
def test_other_picture_is_rejected(api: Stage, pictured: dict[str, Any], method: str, change: dict[str, Any]) -> None:
    body = pictured | {"image": pictured["image"] | change}

    response = api(method, f"/items/{pictured['id']}", body)

    assert (response.status_code, json_of(response)["error"]) == (400, "RESERVED_FIELD")
    assert "image is managed" in json_of(response)["message"]


@of_both
def test_null_does_not_remove_a_picture(api: Stage, pictured: dict[str, Any], method: str) -> None:
    assert json_of(api(method, f"/items/{pictured['id']}", fields(image=None)))["error"] == "RESERVED_FIELD"


@of_both
def test_only_differing_fields_are_named(api: Stage, item: dict[str, Any], method: str) -> None:
    body = item | {"version": 7, "updatedAt": "2001-01-01T00:00:00Z", "image": {"status": "ready"}}

    refused = json_of(api(method, f"/items/{item['id']}", body))

    assert refused["message"] == (
        "version, updatedAt and image are managed by Vitrine and cannot be changed: "
        "leave them out, or send them as stored."
    )
    assert [detail["path"] for detail in refused["details"]] == ["$.version", "$.updatedAt", "$.image"]


@of_both
def test_precondition_comes_first(api: Stage, item: dict[str, Any], method: str) -> None:
    stale = item | {"version": 1}

    refused = api(method, f"/items/{item['id']}", stale, if_match='"1"')

    assert (refused.status_code, json_of(refused)["error"]) == (412, "VERSION_MISMATCH")


@of_both
def test_missing_item_comes_first(api: Stage, item: dict[str, Any], method: str) -> None:
    assert json_of(api(method, f"/items/{OTHER_ID}", item))["error"] == "ITEM_NOT_FOUND"


def test_new_item_has_no_stored_value(api: Stage, item: dict[str, Any]) -> None:
    refused = api("POST", "/items", item)

    assert (refused.status_code, json_of(refused)["error"]) == (400, "RESERVED_FIELD")
    assert json_of(refused)["message"] == (
        "id, version, createdAt and updatedAt are managed by Vitrine and cannot be set: leave them out."
    )
