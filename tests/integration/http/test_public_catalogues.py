"""The public catalogue: what owners publish, and what visitors see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from chalicelib.aws import table
from chalicelib.catalogue import items, public_copies, search_index_keys
from chalicelib.catalogue.field_annotations import FINDABLE, PUBLIC, SEARCHABLE
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, json_of, run
from tests.rights import Called
from tools.ops import reindexing

if TYPE_CHECKING:
    from chalice.test import HTTPResponse


class Declared(msgspec.Struct, rename="camel"):
    name: Annotated[str, FINDABLE, SEARCHABLE, PUBLIC] | UnsetType = UNSET
    cost: Annotated[Decimal, FINDABLE, PUBLIC] | UnsetType = UNSET
    labels: Annotated[list[str], FINDABLE, SEARCHABLE, PUBLIC] | UnsetType = UNSET
    about: Annotated[str, PUBLIC] | UnsetType = UNSET
    bought_for: Annotated[Decimal, FINDABLE] | UnsetType = UNSET
    note: Annotated[str, SEARCHABLE] | UnsetType = UNSET


class ShowsUndeclared(Declared, rename="camel"):
    UNDECLARED_ARE_PUBLIC = True


@pytest.fixture(autouse=True)
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[msgspec.Struct]], None]:
    """Declare the fields of Declared instead of those of ItemFields. Return a function that declares others."""

    def set_declaration(model: type[msgspec.Struct]) -> None:
        declaration = search_index_keys.declaration_of(model)
        monkeypatch.setattr(search_index_keys, "current", lambda: declaration)

    set_declaration(Declared)
    return set_declaration


@pytest.fixture
def catalogue(api: Stage) -> str:
    """Return the path of the public catalogue."""
    return f"/catalogues/{json_of(api('GET', '/catalogue'))['id']}"


VASE = {"name": "Blue vase", "cost": 12, "labels": ["glass"], "boughtFor": 3, "note": "from Ann", "other": "x"}
LARGE = [
    {"name": " ".join(f"{letter}word{n}" for n in range(25)), "labels": [f"{letter}{n}" for n in range(14)]}
    for letter in ("a", "b")
]
"""Fields of two versions. A transaction has no room for all their index records, private and public."""


def visit(api: Stage, path: str) -> HTTPResponse:
    """Send a request as a visitor."""
    event = api.event("GET", path)
    event["requestContext"].pop("authorizer", None)
    return api.handle(event)


def seen(api: Stage, path: str) -> Any:
    """Return the JSON that a visitor gets."""
    answer = visit(api, path)
    assert answer.status_code == 200, answer.body
    return json_of(answer)


def names(api: Stage, path: str) -> list[str]:
    page = seen(api, path)
    assert page["nextCursor"] is None
    return [item["name"] for item in page["items"]]


def public_records(api: Stage) -> set[str]:
    """Return the sort keys of the public records, except that of the catalogue."""
    found = {one["sk"]["S"] for one in api.records() if one["pk"]["S"].startswith("PUBLIC#")}
    return found - {"CATALOGUE#"}


def check_public_records(api: Stage, *ids: str) -> None:
    """Check that the public records are those that follow from the public items with these ids."""
    copies = [public_copies.of(items.find(OWNER, id_)) for id_ in ids]
    expected: set[str] = set()
    for copy in copies:
        assert copy is not None
        assert items.find(copy.owner, copy.id) == copy
        expected |= {f"ITEM#{copy.id}", *(f"{key.kind}#{key.id}" for key in items.index_records(copy))}
    assert public_records(api) == expected


class TestPublishing:
    def test_items_are_private_by_default(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE)

        assert "visibility" not in item
        assert names(api, f"{catalogue}/items") == []
        assert visit(api, f"{catalogue}/items/{item['id']}").status_code == 404
        assert public_records(api) == set()

    def test_visitors_see_the_public_fields_only(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")

        copy = seen(api, f"{catalogue}/items/{item['id']}")

        assert item["visibility"] == "public"
        assert copy == {
            "id": item["id"],
            "createdAt": item["createdAt"],
            "updatedAt": item["updatedAt"],
            "name": "Blue vase",
            "cost": 12,
            "labels": ["glass"],
        }
        assert seen(api, f"{catalogue}/items")["items"] == [copy]
        check_public_records(api, item["id"])

    @pytest.mark.parametrize(
        "unpublish",
        [
            lambda api, id_: api("PATCH", f"/items/{id_}", {"visibility": "private"}),
            lambda api, id_: api("PATCH", f"/items/{id_}", {"visibility": None}),
            lambda api, id_: api("PUT", f"/items/{id_}", {"name": "Blue vase"}),
            lambda api, id_: api("DELETE", f"/items/{id_}"),
        ],
    )
    def test_what_is_unpublished_is_gone(self, api: Stage, catalogue: str, unpublish: Any) -> None:
        item = api.item(**VASE, visibility="public")

        assert unpublish(api, item["id"]).status_code == 200

        assert visit(api, f"{catalogue}/items/{item['id']}").status_code == 404
        assert public_records(api) == set()

    def test_changes_are_seen_at_once(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE)
        for change in ({"visibility": "public"}, {"name": "Red vase"}, {"labels": None, "about": "New"}):
            assert api("PATCH", f"/items/{item['id']}", change).status_code == 200
            check_public_records(api, item["id"])

        assert seen(api, f"{catalogue}/items/{item['id']}").keys() == {
            *("id", "createdAt", "updatedAt", "name", "cost", "about")
        }

    def test_change_from_true_to_one_is_seen(self, api: Stage, catalogue: str, declare: Callable[..., None]) -> None:
        declare(ShowsUndeclared)
        item = api.item(**VASE, sold=True, visibility="public")

        api("PATCH", f"/items/{item['id']}", {"sold": 1})

        assert seen(api, f"{catalogue}/items/{item['id']}")["sold"] is not True
        check_public_records(api, item["id"])

    def test_private_changes_are_not_noticed(self, api: Stage, catalogue: str, calls: list[Called]) -> None:
        item = api.item(**VASE, visibility="public")
        before = visit(api, f"{catalogue}/items/{item['id']}")
        calls.clear()

        assert api("PATCH", f"/items/{item['id']}", {"boughtFor": 4, "other": "y"}).status_code == 200

        after = visit(api, f"{catalogue}/items/{item['id']}")
        assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
        [written] = [call.parameters for call in calls if call.operation == "TransactWriteItems"]
        assert "PUBLIC#" not in str(written)

    def test_expiry_is_not_noticed(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        before = visit(api, f"{catalogue}/items/{item['id']}")

        soon = times.format_time(times.now() + timedelta(hours=1))
        assert json_of(api("PATCH", f"/items/{item['id']}", {"expiresAt": soon}))["updatedAt"] != item["updatedAt"]

        assert visit(api, f"{catalogue}/items/{item['id']}").body == before.body
        check_public_records(api, item["id"])

    def test_picture_does_not_tell_when_a_private_field_was_changed(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        api.picture(item["id"], jpeg(64, 48))
        api("PATCH", f"/items/{item['id']}", {"visibility": "private"})
        published = json_of(api("PATCH", f"/items/{item['id']}", {"visibility": "public"}))
        assert json_of(api("PATCH", f"/items/{item['id']}", {"note": "y"}))["updatedAt"] != published["updatedAt"]

        api.work()

        copy = seen(api, f"{catalogue}/items/{item['id']}")
        assert copy["image"]["status"] == "ready"
        assert copy["updatedAt"] == published["updatedAt"]

    def test_a_rewritten_item_is_written_in_steps(self, api: Stage, catalogue: str) -> None:
        old, new = LARGE
        item = api.item(**old, visibility="public")

        answer = api("PATCH", f"/items/{item['id']}", new)

        assert answer.status_code == 200, answer.body
        assert json_of(answer)["version"] == 2
        assert names(api, f"{catalogue}/items?q=bword7") == [new["name"]]
        assert names(api, f"{catalogue}/items?q=aword7") == []
        check_public_records(api, item["id"])

    @pytest.mark.parametrize("conflict", ["another change", "a conflict"])
    def test_large_change_is_not_refused_once_it_is_made(
        self, api: Stage, catalogue: str, conflict: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = LARGE
        item = api.item(**old, visibility="public")
        write, calls = table.write_once, []

        def write_once(*writes: table.Write) -> None:
            calls.append(writes)
            if len(calls) == 3 and conflict == "a conflict":
                raise table.TransactionConflictError(may_be_applied=False)
            if len(calls) == 3:
                assert api("PATCH", f"/items/{item['id']}", {"place": "Bonn"}).status_code == 200
            write(*writes)

        monkeypatch.setattr(table, "write_once", write_once)
        answer = api.handle(api.event("PATCH", f"/items/{item['id']}", new, if_match='"1"'))

        assert answer.status_code == 200, answer.body
        assert names(api, f"{catalogue}/items") == [new["name"]]
        check_public_records(api, item["id"])

    def test_cleanup_completes_an_interrupted_change(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        stored = items.find(OWNER, item["id"])
        assert stored is not None
        table.write_once(*items._replace_writes(stored, msgspec.structs.replace(stored, hidden=True)))
        assert names(api, f"{catalogue}/items") == []

        run("clean_up", {})

        assert names(api, f"{catalogue}/items") == ["Blue vase"]
        check_public_records(api, item["id"])

    def test_expired_item_is_not_found(self, api: Stage, catalogue: str, monkeypatch: pytest.MonkeyPatch) -> None:
        soon = times.format_time(times.now() + timedelta(hours=1))
        item = api.item(**VASE, visibility="public", expiresAt=soon)
        later = times.now() + timedelta(hours=2)
        monkeypatch.setattr(times, "now", lambda: later)

        assert names(api, f"{catalogue}/items") == []
        assert visit(api, f"{catalogue}/items/{item['id']}").status_code == 404
        run("clean_up", {})
        assert public_records(api) == set()

    def test_visibility_has_two_values(self, api: Stage) -> None:
        answer = api("POST", "/items", {"visibility": "secret"})

        assert answer.status_code == 400
        assert json_of(answer)["details"][0]["path"] == "$.visibility"


class TestReindex:
    @pytest.mark.parametrize("repaired", ["missing", "other", "orphaned"])
    def test_repairs_public_copies(self, api: Stage, catalogue: str, repaired: str) -> None:
        item = api.item(**VASE, visibility="public")
        copy = public_copies.of(items.find(OWNER, item["id"]))
        assert copy is not None
        key = table.Key(copy.owner, "ITEM", copy.id)
        stored = table.get(key)
        assert stored is not None
        if repaired == "missing":
            table.write(table.Delete(key))
        elif repaired == "other":
            table.write(table.Put(key, stored | {"fields": {"name": "Wrong"}}))
        else:
            assert api("PATCH", f"/items/{item['id']}", {"visibility": None}).status_code == 200
            table.write(table.Put(key, stored))
        assert reindexing.run(times.now(), lambda _: None, repair=False).wrong

        reindexing.run(times.now(), lambda _: None, repair=True)

        assert reindexing.run(times.now(), lambda _: None, repair=False).wrong == 0
        check_public_records(api, *([] if repaired == "orphaned" else [item["id"]]))


class TestVisitors:
    def test_find_by_public_fields(self, api: Stage, catalogue: str) -> None:
        api.item(name="Blue vase", cost=12, labels=["glass"], visibility="public")
        api.item(name="Red vase", cost=5, visibility="public")
        api.item(name="Blue cup", cost=1)

        assert names(api, f"{catalogue}/items") == ["Red vase", "Blue vase"]
        assert names(api, f"{catalogue}/items?sort=-cost") == ["Blue vase", "Red vase"]
        assert names(api, f"{catalogue}/items?filter[labels][has]=glass") == ["Blue vase"]
        assert names(api, f"{catalogue}/items?q=blu") == ["Blue vase"]
        assert names(api, f"{catalogue}/items?sort=updatedAt") == ["Blue vase", "Red vase"]

    @pytest.mark.parametrize("query", ["filter[boughtFor]=3", "sort=boughtFor", "filter[other]=x"])
    def test_cannot_find_by_private_fields(self, api: Stage, catalogue: str, query: str) -> None:
        api.item(**VASE, visibility="public")

        answer = visit(api, f"{catalogue}/items?{query}")

        assert (answer.status_code, json_of(answer)["error"]) == (400, "FIELD_NOT_FINDABLE")
        assert json_of(answer)["message"].endswith("only by name, cost, labels, updatedAt.") or "sort=" in query
        assert names(api, f"{catalogue}/items?q=ann") == []

    def test_pages_follow_each_other(self, api: Stage, catalogue: str) -> None:
        for number in range(5):
            api.item(name=f"Public {number}", visibility="public")
            api.item(name=f"Private {number}")
        first = seen(api, f"{catalogue}/items?limit=3")

        rest = seen(api, f"{catalogue}/items?limit=3&cursor={first['nextCursor']}")

        assert [item["name"] for item in (*first["items"], *rest["items"])] == [f"Public {n}" for n in range(4, -1, -1)]
        assert (rest["count"], rest["nextCursor"]) == (2, None)
        assert api("GET", f"/items?cursor={first['nextCursor']}").status_code == 400

    def test_caches_may_keep_what_they_see(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        for path in (catalogue, f"{catalogue}/items", f"{catalogue}/items/{item['id']}"):
            answer = visit(api, path)
            event = api.event("GET", path, if_none_match=answer.headers["ETag"])

            assert answer.headers["Cache-Control"] == "public, max-age=60, stale-while-revalidate=600"
            assert api.handle(event).status_code == 304

    def test_if_match_is_rejected(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        for path in (catalogue, f"{catalogue}/items", f"{catalogue}/items/{item['id']}"):
            answer = api("GET", path, if_match="*")

            assert (answer.status_code, json_of(answer)["error"]) == (400, "INVALID_REQUEST")

    def test_field_that_is_no_longer_public_is_hidden_at_once(
        self, api: Stage, catalogue: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        item = api.item(**VASE, about="old", visibility="public")
        text = search_index_keys.current().text.replace("about=p", "about=").replace("cost=np", "cost=n")
        monkeypatch.setattr(search_index_keys, "current", lambda: search_index_keys.parse(text))

        assert not {"about", "cost"} & seen(api, f"{catalogue}/items/{item['id']}").keys()
        assert visit(api, f"{catalogue}/items?sort=cost").status_code == 400

    def test_undeclared_fields_are_seen_if_the_class_says_so(
        self, api: Stage, catalogue: str, declare: Callable[[type[msgspec.Struct]], None]
    ) -> None:
        declare(ShowsUndeclared)
        item = api.item(**VASE, visibility="public")

        copy = seen(api, f"{catalogue}/items/{item['id']}")

        assert copy["other"] == "x"
        assert not {"boughtFor", "note"} & copy.keys()


class TestCatalogue:
    def test_says_nothing_of_its_owner(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")
        mine, again, other = (json_of(api.signed_in(who)("GET", "/catalogue")) for who in ("ann", "ann", "bob"))

        assert mine == again
        assert mine["id"] != other["id"]
        assert "ann" not in str(mine)
        assert {**mine, "id": "", "url": ""} == {
            "id": "",
            "title": "",
            "text": "",
            "enabled": True,
            "url": "",
            "itemCount": 0,
        }

    def test_url_begins_with_the_setting(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(PUBLIC_URL="https://d111.cloudfront.net")
        mine = json_of(api("GET", "/catalogue"))

        assert mine["url"] == f"https://d111.cloudfront.net/c/{mine['id']}"

    def test_counts_public_items(self, api: Stage) -> None:
        api.item(name="Private")
        api.item(name="Public", visibility="public")

        assert json_of(api("GET", "/catalogue"))["itemCount"] == 1

    def test_has_a_title_and_a_text(self, api: Stage, catalogue: str) -> None:
        answer = api("PATCH", "/catalogue", {"title": "Vases", "text": "From everywhere"})
        also = api("PATCH", "/catalogue", {"title": "All vases"})

        assert answer.status_code == also.status_code == 200
        assert seen(api, catalogue) == {
            "id": catalogue.rpartition("/")[2],
            "title": "All vases",
            "text": "From everywhere",
        }

    def test_disabled_one_is_not_found(self, api: Stage, catalogue: str) -> None:
        item = api.item(**VASE, visibility="public")
        nothing = "/catalogues/00000000-0000-4000-8000-000000000000"
        paths = ("", "/items", f"/items/{item['id']}")

        assert api("PATCH", "/catalogue", {"enabled": False}).status_code == 200
        hidden = [visit(api, catalogue + path) for path in paths]
        absent = [visit(api, nothing + path) for path in paths]

        assert [one.status_code for one in hidden] == [404] * 3
        for one, other in zip(hidden, absent, strict=True):
            assert json_of(one)["message"] == json_of(other)["message"].replace(nothing[12:], catalogue[12:])
        assert api("PATCH", "/catalogue", {"enabled": True}).status_code == 200
        assert names(api, f"{catalogue}/items") == ["Blue vase"]

    def test_cannot_be_read_as_somebody_elses_items(self, api: Stage, configured: Callable[..., None]) -> None:
        api.item(**VASE, visibility="public")
        own = json_of(api("GET", "/catalogue"))["id"]
        configured(AUTH_MODE="oidc")

        for owner in (f"PUBLIC#{own}", own, f"public {own}"):
            assert json_of(api.signed_in(owner)("GET", "/items"))["items"] == []
