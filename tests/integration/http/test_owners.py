"""No route lets an owner see, change, or learn of records of another owner."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from chalice.test import HTTPResponse

from chalicelib import aws, errors
from chalicelib.aws import bucket
from chalicelib.catalogue import import_steps
from chalicelib.catalogue.search import Query
from chalicelib.http import cursors
from chalicelib.values import ids
from tests.builders import fields, jpeg
from tests.integration.routes import ROUTES
from tests.integration.stage import Stage, json_of

Ask = Callable[..., HTTPResponse]

NEVER = "019ca7b4-e400-7abc-8def-0123456789ab"
"""An id that was never used."""

PARAMETERS = {
    "item_id",
    "import_id",
    "export_id",
    "catalogue_id",
    "share_id",
    "webhook_id",
    "delivery_id",
    "token",
    "name",
}
ABOUT_ONE = [route for route in ROUTES if re.search(r"{(item|import|export|catalogue|webhook)_id}", route[1])]
ABOUT_NONE = [route for route in ROUTES if route not in ABOUT_ONE]

HEADERS: list[dict[str, str]] = [
    {},
    {"if_match": "*"},
    {"if_match": '"1"'},
    {"if_match": '"4"'},
    {"if_none_match": "*"},
    {"if_none_match": '"4"'},
    {"idempotency_key": "anns"},
]
QUERIES = ["", "?size=200", "?size=1", "?limit=1"]
BAD_BODIES = [b"{", {"id": 1}, [], {"expiresAt": "2001-01-01T00:00:00Z"}, {"contentType": "text/html"}]


class Holdings(NamedTuple):
    """The records of an owner."""

    owner: str
    item: str
    """An item with a picture, created with the Idempotency-Key ``anns``."""
    import_: str
    export: str
    webhook: str
    cursor: str
    upload: str
    """The key of the picture's original."""

    @property
    def by_parameter(self) -> dict[str, str]:
        """Return the ids by the names of paths' parameters."""
        of_items = dict.fromkeys(("item_id", "catalogue_id", "share_id"), self.item)
        return of_items | {
            "import_id": self.import_,
            "export_id": self.export,
            "webhook_id": self.webhook,
            "delivery_id": self.webhook,
        }


@pytest.fixture
def anns(unmeasured: None, api: Stage, configured: Callable[..., None]) -> Holdings:
    """Create records of Ann, in a stage with sign-in."""
    configured(AUTH_MODE="oidc")
    ann = api.signed_in("ann")
    item = json_of(ann("POST", "/items", fields(title="Vase"), idempotency_key="anns"))["id"]
    for number in range(3):
        ann("POST", "/items", fields(secret=f"of Ann {number}"))
    import_ = json_of(ann("POST", "/imports", {"items": [fields(secret="of Ann")]}, idempotency_key="anns"))["id"]
    export = json_of(ann("POST", "/exports", {"format": "ndjson"}, idempotency_key="anns"))["id"]
    webhook = json_of(ann("POST", "/webhooks", {"url": "https://ann.example/ann/", "events": ["*"]}))["id"]
    key = json_of(ann("POST", f"/items/{item}/image", {"contentType": "image/jpeg"}))["upload"]["fields"]["key"]
    api.put(key, jpeg())
    api.notice(key)
    api.work()
    assert json_of(ann("GET", f"/items/{item}"))["image"]["status"] == "ready"
    return Holdings("ann", item, import_, export, webhook, json_of(ann("GET", "/items?limit=1"))["nextCursor"], key)


@pytest.fixture(autouse=True)
def unchanged(api: Stage, anns: Holdings) -> Iterator[None]:
    """Check after each test that no record or object of Ann has changed."""
    before = everything_of(api, anns)
    yield
    assert everything_of(api, anns) == before


def everything_of(api: Stage, holdings: Holdings) -> tuple[list[Any], dict[str, bytes]]:
    records = [record for record in api.records() if record["pk"]["S"] == f"OWNER#{holdings.owner}"]
    keys = [key for key in api.objects() if f"/{holdings.owner}/" in key]
    kinds = {record["sk"]["S"].partition("#")[0] for record in records}
    searched = {"WORD"} & kinds  # None, if ItemFields declares no searchable field.
    assert kinds - searched == {
        "ITEM",
        "FIND",
        "KEY",
        "IMPORT",
        "IMPORTKEY",
        "CHUNK",
        "EXPORT",
        "EXPORTKEY",
        "WEBHOOKS",
    }
    assert {key.partition("/")[0] for key in keys} == {"uploads", "thumbnails", "imports", "exports"}
    return records, {key: bucket.read(key).data for key in keys}


def at(path: str, id_: str) -> str:
    return re.sub(r"{\w+}", lambda _: id_, path)


def asks(route: tuple[str, str]) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Return valid and invalid requests to a route."""
    (method, path), body = route, ROUTES[route]
    bodies = [body] if body is None else [body, *BAD_BODIES]
    for query, sent, headers in itertools.product(QUERIES, bodies, HEADERS):
        yield method, path + query, sent, headers


def but_for_its_id(response: HTTPResponse, id_: str) -> tuple[int, str, dict[str, str]]:
    """Return what a response contains, with a placeholder for the requested id."""
    if response.headers["Content-Type"] == "application/json":
        body = json.loads(response.body)
        body.pop("requestId")
    else:
        body = response.body.decode()
    headers = {name: value.replace(id_, "ID") for name, value in response.headers.items() if name != "X-Request-Id"}
    return response.status_code, json.dumps(body).replace(id_, "ID"), headers


def says_nothing_of(holdings: Holdings, response: HTTPResponse) -> bool:
    words = json.dumps(response.headers) + response.body.decode()
    return not any(word in words for word in (*holdings.by_parameter.values(), holdings.upload, "of Ann", "/ann/"))


def test_every_path_parameter_is_known_here() -> None:
    assert {name for _, path in ROUTES for name in re.findall(r"{(\w+)}", path)} == PARAMETERS


@pytest.mark.parametrize("route", ABOUT_ONE, ids=" ".join)
def test_records_of_another_owner_are_not_found(api: Stage, anns: Holdings, route: tuple[str, str]) -> None:
    bob, hers = api.signed_in("bob"), anns.by_parameter[re.findall(r"{(\w+)}", route[1])[-1]]

    for method, path, body, headers in asks(route):
        about_hers = bob(method, at(path, hers), body, **headers)
        about_nothing = bob(method, at(path, NEVER), body, **headers)

        assert but_for_its_id(about_hers, hers) == but_for_its_id(about_nothing, NEVER), (path, body, headers)
        plain = body not in BAD_BODIES and not headers and "?" not in path
        assert about_hers.status_code == 404 or (about_hers.status_code == 400 and not plain)


@pytest.mark.parametrize("route", ABOUT_NONE, ids=" ".join)
def test_routes_without_ids_return_own_records(api: Stage, anns: Holdings, route: tuple[str, str]) -> None:
    bob = api.signed_in("bob")

    for method, path, body, headers in asks(route):
        response = bob(method, at(path, "api.js"), body, **headers)

        assert response.status_code < 500
        assert says_nothing_of(anns, response), (path, body, headers)


LOOK_ALIKES = [
    "an",
    "Ann",
    "ann ",
    "ann/",
    "ann#",
    "ann#ITEM",
    "a%6En",
    "../ann",
    "ann\0",
    "ånn",
    "OWNER#ann",
    "*",
    "a|1/2#3",
]


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_owners_with_similar_names_are_separate(api: Stage, anns: Holdings, name: str) -> None:
    other = api.signed_in(name)

    for method, path in ABOUT_ONE:
        hers = anns.by_parameter[re.findall(r"{(\w+)}", path)[-1]]
        assert other(method, at(path, hers), ROUTES[method, path]).status_code == 404

    assert json_of(other("GET", "/items"))["items"] == []
    mine = json_of(other("POST", "/items", fields(title="Lamp"), idempotency_key="anns"))
    ticket = json_of(other("POST", f"/items/{mine['id']}/image", {"contentType": "image/jpeg"}))
    key = ticket["upload"]["fields"]["key"]
    api.put(key, jpeg(200, 200))
    api.notice(key)
    api.work()
    assert json_of(other("GET", f"/items/{mine['id']}"))["image"]["width"] == 200
    other("DELETE", f"/items/{mine['id']}")
    assert key not in api.objects()


class TestOtherOwner:
    """Requests by Bob with a cursor, key or ticket of Ann."""

    def test_cursor_of_another_owner_is_rejected(self, api: Stage, anns: Holdings) -> None:
        bob = api.signed_in("bob")

        hers = bob("GET", f"/items?limit=1&cursor={anns.cursor}")
        nobodys = bob("GET", f"/items?limit=1&cursor={'A' * 40}")

        assert but_for_its_id(hers, anns.cursor) == but_for_its_id(nobodys, "A" * 40)
        assert json_of(hers)["error"] == "INVALID_CURSOR"

    def test_forged_cursor_continues_in_the_own_list(self, api: Stage, anns: Holdings) -> None:
        bob = api.signed_in("bob")
        forged = cursors.encode(ids.new_id(ids.id_time_ms(anns.item) + 60_000), "bob", *Query())
        mine = json_of(bob("POST", "/items", fields(title="Lamp")))

        assert [item["id"] for item in json_of(bob("GET", f"/items?cursor={forged}"))["items"]] == [mine["id"]]

    def test_idempotency_key_of_another_owner_is_unused(self, api: Stage, anns: Holdings) -> None:
        bob = api.signed_in("bob")

        made = bob("POST", "/items", fields(title="Vase"), idempotency_key="anns")

        assert (made.status_code, made.headers.get("Idempotency-Replayed")) == (201, None)
        assert json_of(made)["id"] != anns.item
        assert (
            bob("POST", "/items", fields(title="Vase"), idempotency_key="anns").headers["Idempotency-Replayed"]
            == "true"
        )

    @pytest.mark.parametrize(
        ("path", "body"), [("/imports", {"items": [fields(secret="of Ann")]}), ("/exports", {"format": "ndjson"})]
    )
    def test_job_key_of_another_owner_is_unused(self, api: Stage, anns: Holdings, path: str, body: Any) -> None:
        begun = api.signed_in("bob")("POST", path, body, idempotency_key="anns")

        assert (begun.status_code, begun.headers.get("Idempotency-Replayed")) == (202, None)
        assert json_of(begun)["id"] not in (anns.import_, anns.export)

    def test_ticket_allows_one_key_of_its_owner(self, api: Stage, anns: Holdings) -> None:
        bob = api.signed_in("bob")
        mine = json_of(bob("POST", "/items", fields()))["id"]

        upload = json_of(bob("POST", f"/items/{mine}/image", {"contentType": "image/jpeg"}))["upload"]

        policy = json.loads(base64.b64decode(upload["fields"]["policy"]))
        assert upload["fields"]["key"].startswith(f"uploads/items/bob/{mine}/")
        assert {"key": upload["fields"]["key"]} in policy["conditions"]
        assert {"bucket": aws.bucket_name()} in policy["conditions"]

    @pytest.mark.parametrize("owner", ["bob", "%61nn", "%61nn/..", "ann%2F", "Ann"])
    def test_object_with_a_similar_key_is_ignored(self, api: Stage, anns: Holdings, owner: str) -> None:
        key = f"uploads/items/{owner}/{anns.item}/{ids.new_id()}"

        api.put(key, jpeg(200, 200))
        api.notice(key)
        api.work()

        assert json_of(api.signed_in("ann")("GET", f"/items/{anns.item}"))["image"]["width"] == 400

    def test_urls_lead_to_own_pictures(self, api: Stage, anns: Holdings) -> None:
        bob = api.signed_in("bob")
        mine = json_of(bob("POST", "/items", fields()))["id"]
        key = json_of(bob("POST", f"/items/{mine}/image", {"contentType": "image/jpeg"}))["upload"]["fields"]["key"]
        api.put(key, jpeg())
        api.notice(key)
        api.work()

        image = json_of(bob("GET", f"/items/{mine}"))["image"]
        urls = [image["url"], *(one["url"] for one in image["thumbnails"])]
        urls += [bob("GET", f"/items/{mine}/image{query}").headers["Location"] for query in ("", "?size=200")]

        assert all(
            re.search(rf"/(uploads|thumbnails)/items/bob/{mine}/[^/?]+(/\w+-\w+/\d+\.jpg)?\?", url) for url in urls
        )

    def test_message_changes_only_its_owners_items(self, api: Stage, anns: Holdings) -> None:
        api.send(
            {"type": "item.delete", "owner": "bob", "id": anns.item},
            {"type": "item.create", "owner": "bob", "item": fields(), "key": "anns"},
        )

        api.work()
        with pytest.raises(errors.ImportNotFoundError):
            import_steps.process("bob", anns.import_, 0)

        assert len(json_of(api.signed_in("bob")("GET", "/items"))["items"]) == 1
