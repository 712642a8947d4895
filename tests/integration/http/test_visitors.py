"""Whatever strangers ask for: they learn nothing of private items, and nothing of owners."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chalicelib.catalogue import public_catalogues
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.calls import RECORDER
from tests.integration.routes import PUBLIC, UNKNOWN_ID
from tests.integration.stage import Stage, json_of

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

OWNER = "ann@example.com"
SECRET = "zebra"
"""It is in all values that are private."""

ROUTES = [path for path in PUBLIC if "{" in path and path != "/web/{name}"]
QUERIES = [
    "",
    "limit=1",
    f"q={SECRET}",
    f"filter[title]={SECRET}",
    "filter[price][gte]=0",
    "filter[boughtFor]=1",
    "sort=boughtFor",
    "sort=price",
    "sort=updatedAt",
    "order=asc",
    "image=none",
    "createdAfter=2001-01-01T00:00:00Z",
]


class Town(NamedTuple):
    """What there is to be found."""

    catalogue: str
    public: str
    """A public item with a picture, and with a private field."""
    unseen: dict[str, str]
    """The ids of items that visitors cannot see, by the reason."""
    shared: str
    """The token of a link to a private item."""
    dead: dict[str, str]
    """The tokens of links that show nothing, by the reason."""
    words: tuple[str, ...]
    """What no visitor may get."""
    queries: tuple[str, ...]


@pytest.fixture
def town(unmeasured: None, api: Stage, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Town:
    """Create the items of an owner, in a stage with sign-in."""
    configured(AUTH_MODE="oidc")
    ann = api.signed_in(OWNER)

    def item(**own: Any) -> str:
        id_: str = json_of(ann("POST", "/items", own))["id"]
        key = json_of(ann("POST", f"/items/{id_}/image", {"contentType": "image/jpeg"}))["upload"]["fields"]["key"]
        api.put(key, jpeg(64, 48))
        api.notice(key)
        return id_

    private = {"title": f"Old {SECRET}", "price": 7, "tags": [SECRET], "boughtFor": 1, "from": f"{SECRET}"}
    public = item(title="Harbour", price=12, tags=["sea"], boughtFor=1, note=SECRET, visibility="public")
    soon = times.format_time(times.now() + timedelta(hours=1))
    unseen = {
        "private": item(**private),
        "unpublished": item(**private, visibility="public"),
        "deleted": item(**private, visibility="public"),
        "expired": item(**private, visibility="public", expiresAt=soon),
    }
    shared = item(**private | {"title": "Gift", "tags": []})

    def link(id_: str, **until: str) -> tuple[str, str]:
        answer = json_of(ann("POST", f"/items/{id_}/shares", until))
        return answer["url"].rpartition("/")[2], answer["id"]

    revoked, revoked_id = link(shared)
    dead = {
        "never": "A" * 32,
        "short": "too-short",
        "revoked": revoked,
        "expired": link(shared, expiresAt=soon)[0],
        "of an expired item": link(unseen["expired"])[0],
        "of a deleted item": link(unseen["deleted"])[0],
    }
    token, _ = link(shared)
    assert ann("DELETE", f"/items/{shared}/shares/{revoked_id}").status_code == 200
    api.work()
    ann("PATCH", f"/items/{unseen['unpublished']}", {"visibility": "private"})
    ann("DELETE", f"/items/{unseen['deleted']}")
    api.work()
    reference = public_catalogues.get_or_create_reference(OWNER)
    cursors = [json_of(ann("GET", f"/items?limit=1{more}"))["nextCursor"] for more in ("", "&sort=price")]
    later = times.now() + timedelta(hours=2)
    monkeypatch.setattr(times, "now", lambda: later)
    words = (
        OWNER,
        OWNER.replace("@", "%40"),
        SECRET,
        reference.secret,
        "boughtFor",
        "uploads/",
        "thumbnails/items",
        *cursors,
    )
    return Town(
        reference.catalogue, public, unseen, token, dead, words, (*QUERIES, *(f"cursor={one}" for one in cursors))
    )


def visit(api: Stage, path: str, method: str = "GET") -> HTTPResponse:
    """Send a request without a token."""
    event = api.event(method, path)
    event["requestContext"].pop("authorizer", None)
    return api.handle(event)


def paths(town: Town) -> Iterator[str]:
    """Return every public address with the ids of what there is, of what there is not, and of something else."""
    items = [town.public, *town.unseen.values(), town.catalogue, UNKNOWN_ID]
    for route, token in itertools.product(ROUTES, [town.shared, *town.dead.values(), town.public, town.catalogue]):
        if "{token}" in route:
            yield route.replace("{token}", token)
    for route, catalogue in itertools.product(ROUTES, [town.catalogue, town.public, OWNER]):
        for item in items if "{item_id}" in route and catalogue == town.catalogue else items[:1]:
            yield route.replace("{catalogue_id}", catalogue).replace("{item_id}", item)


def test_every_route_with_an_id_is_tried() -> None:
    assert {name for path in ROUTES for name in re.findall(r"{(\w+)}", path)} == {"catalogue_id", "item_id", "token"}


def test_no_answer_has_a_private_word(api: Stage, town: Town) -> None:
    found = 0
    for path in paths(town):
        sent = town.queries if path in (f"/c/{town.catalogue}", f"/catalogues/{town.catalogue}/items") else ("",)
        for query in sent:
            answer = visit(api, f"{path}?{query}")
            found += answer.status_code == 200
            text = json.dumps(dict(answer.headers)) + answer.body.decode()
            for part in (*path.split("/"), query.partition("=")[2], *re.findall(r"boughtFor", query)):
                text = text.replace(part or "\0", "")
            assert [word for word in (*town.words, *town.unseen.values()) if word in text] == [], (path, query, text)
    assert found > len(ROUTES)


def test_item_that_is_not_public_is_one_that_never_was(api: Stage, town: Town) -> None:
    """The answers are the same, and the same calls to AWS lead to them."""

    def response_and_calls(path: str, id_: str) -> tuple[Any, ...]:
        RECORDER.forget()
        answer = visit(api, path.replace("{catalogue_id}", town.catalogue).replace("{item_id}", id_))
        request = answer.headers["X-Request-Id"]
        text = (json.dumps(dict(answer.headers)) + answer.body.decode()).replace(request, "").replace(id_, "ID")
        return answer.status_code, text, [(one.service, one.operation) for one in RECORDER.calls]

    for route in (route for route in ROUTES if "{item_id}" in route):
        never = response_and_calls(route, UNKNOWN_ID)
        assert never[0] == 404
        for reason, id_ in town.unseen.items():
            assert response_and_calls(route, id_) == never, reason


def test_link_shows_the_public_fields_of_its_item_only(api: Stage, town: Town) -> None:
    item = json_of(visit(api, f"/shares/{town.shared}"))

    assert item.keys() == {"id", "createdAt", "updatedAt", "image", "title", "price", "tags"}
    assert (item["title"], item["price"], item["image"]["status"]) == ("Gift", 7, "ready")
    page = visit(api, f"/s/{town.shared}")
    assert page.status_code == 200
    assert b"Gift" in page.body
    assert town.catalogue.encode() not in page.body

    # A link that shows nothing is one that never was.
    for route in (route for route in ROUTES if "{token}" in route):
        answers = {}
        for reason, token in town.dead.items():
            answer = visit(api, route.replace("{token}", token))
            text = json.dumps(dict(answer.headers)) + answer.body.decode()
            answers[reason] = answer.status_code, text.replace(answer.headers["X-Request-Id"], "").replace(token, "")
        assert answers["never"][0] == 404
        assert answers == dict.fromkeys(answers, answers["never"])


def test_lists_are_as_if_private_items_did_not_exist(api: Stage, town: Town) -> None:
    path = f"/catalogues/{town.catalogue}/items"
    for query in QUERIES:
        page = json_of(visit(api, f"{path}?{query}"))
        if "boughtFor" in query:
            assert page["error"] == "FIELD_NOT_FINDABLE"
            continue
        found = page["items"]
        # An item that has expired may leave a page empty until the cleanup deletes it.
        while page["nextCursor"]:
            page = json_of(visit(api, f"{path}?{query}&cursor={page['nextCursor']}"))
            found += page["items"]
        assert [one["id"] for one in found] == ([] if SECRET in query else [town.public]), query
