"""Share links: whoever has one sees an item, private or not, until the link or the item expires or is deleted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import aws
from chalicelib.catalogue import hourly_cleanup, items, share_links
from chalicelib.values import times
from tests.builders import jpeg
from tests.integration.stage import OWNER, Stage, context, fails, json_of, meanwhile, raises

if TYPE_CHECKING:
    from chalice.test import HTTPResponse

VASE = {"title": "Blue vase", "price": 12, "boughtFor": 3}


@pytest.fixture
def item(api: Stage) -> str:
    """Return the id of a private item."""
    return str(api.item(**VASE)["id"])


def share(api: Stage, item: str, **body: Any) -> dict[str, Any]:
    """Make a share link, and return it with its token."""
    answer = api("POST", f"/items/{item}/shares", body)
    assert answer.status_code == 201, answer.body
    link: dict[str, Any] = json_of(answer)
    return link | {"token": link["url"].rpartition("/")[2]}


def visit(api: Stage, token: str, path: str = "/shares/", **headers: str) -> HTTPResponse:
    """Read what a link shows, without being signed in."""
    event = api.event("GET", path + token, **headers)
    event["requestContext"].pop("authorizer", None)
    return api.handle(event)


def listed(api: Stage, item: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json_of(api("GET", f"/items/{item}/shares"))["shares"]
    return found


def in_an_hour() -> str:
    return times.format_time(times.now() + timedelta(hours=1))


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    now = times.now() + ahead
    monkeypatch.setattr(times, "now", lambda: now)


class TestLink:
    def test_shows_a_private_item(self, api: Stage, item: str) -> None:
        answer = visit(api, share(api, item)["token"])

        assert answer.status_code == 200, answer.body
        seen = json_of(answer)
        assert seen.keys() == {"id", "createdAt", "updatedAt", "title", "price"}
        assert (seen["title"], seen["id"]) == ("Blue vase", item)
        headers = ("Cache-Control", "Referrer-Policy", "X-Robots-Tag")
        assert [answer.headers[name] for name in headers] == ["private, no-cache", "no-referrer", "noindex"]
        assert visit(api, share(api, item)["token"], if_none_match=answer.headers["ETag"]).status_code == 304

    def test_page_shows_the_same(self, api: Stage, item: str) -> None:
        url = share(api, item)["url"]

        answer = visit(api, url.rpartition("/")[2], "/s/")

        assert answer.status_code == 200
        page = answer.body.decode()
        assert "<h1" in page
        assert "Blue vase" in page
        assert '<meta name="robots" content="noindex">' in page
        assert not {"boughtFor", "/c/"} & {*re.findall(r"boughtFor|/c/", page)}
        headers = ("Cache-Control", "Referrer-Policy")
        assert [answer.headers[name] for name in headers] == ["private, no-cache", "no-referrer"]

    def test_url_is_shown_once(self, api: Stage, item: str, configured: Callable[..., None]) -> None:
        configured(PUBLIC_URL="https://visitors.example")
        made = share(api, item)
        until = in_an_hour()
        other = share(api, item, expiresAt=until)

        assert re.fullmatch(r"https://visitors\.example/s/[\w-]{32}", made["url"], re.ASCII)
        assert made["token"] != other["token"]
        first, second = listed(api, item)
        assert first == {"id": made["id"], "createdAt": made["createdAt"]}
        assert second == {"id": other["id"], "createdAt": other["createdAt"], "expiresAt": until}

    def test_shows_the_picture(self, api: Stage, item: str) -> None:
        api.picture(item, jpeg(64, 48))
        token = share(api, item)["token"]
        assert "image" not in json_of(visit(api, token))

        api.work()

        assert [one["size"] for one in json_of(visit(api, token))["image"]["thumbnails"]] == [200, 800]
        assert len(api.objects("public/")) == 2

    def test_does_not_tell_that_the_item_is_published(self, api: Stage, item: str) -> None:
        token = share(api, item)["token"]
        before = visit(api, token).body

        for body in ({"visibility": "public"}, {"note": "private"}, {"visibility": "private"}):
            api("PATCH", f"/items/{item}", body)

            assert visit(api, token).body == before

    def test_stays_when_the_item_changes(self, api: Stage, item: str) -> None:
        token = share(api, item)["token"]
        api("PUT", f"/items/{item}", {"title": "Red vase"})
        api("PATCH", f"/items/{item}", {"visibility": "public"})
        api("PATCH", f"/items/{item}", {"visibility": "private"})

        assert json_of(visit(api, token))["title"] == "Red vase"

    def test_is_no_update_of_the_item(self, api: Stage, item: str) -> None:
        before = api.read(item)["updatedAt"]

        link = share(api, item)
        shared = api.read(item)["updatedAt"]
        api("DELETE", f"/items/{item}/shares/{link['id']}")

        assert (shared, api.read(item)["updatedAt"]) == (before, before)

    def test_only_its_hash_is_stored(self, api: Stage, item: str) -> None:
        token = share(api, item, expiresAt=in_an_hour())["token"]

        assert token not in str(api.records())
        (record,) = api.records("SHARE")
        assert record["pk"]["S"] == f"SHARE#{hashlib.sha256(token.encode()).hexdigest()}"
        assert int(record["ttl"]["N"]) > times.now().timestamp() + 3500


class TestEnd:
    def nothing(self, api: Stage) -> tuple[Any, ...]:
        """Return what a visitor gets for a token that never existed."""
        return self.answer(api, "A" * 32)

    def answer(self, api: Stage, token: str) -> tuple[Any, ...]:
        got = visit(api, token)
        body = json_of(got) | {"requestId": ""}
        headers = {name: value for name, value in got.headers.items() if name != "X-Request-Id"}
        return got.status_code, body, headers

    def test_unknown_token(self, api: Stage) -> None:
        status, body, _ = self.nothing(api)
        assert (status, body["error"]) == (404, "SHARE_NOT_FOUND")
        for token in ("x", "A" * 33, "%C3%BC" * 32, "A" * 31 + "%2F"):
            assert self.answer(api, token) == self.nothing(api)

    def test_deleted_link_shows_nothing(self, api: Stage, item: str) -> None:
        api.picture(item, jpeg(64, 48))
        link, other = share(api, item), share(api, item)
        api.work()

        assert api("DELETE", f"/items/{item}/shares/{link['id']}").status_code == 200
        assert self.answer(api, link["token"]) == self.nothing(api)
        assert visit(api, other["token"]).status_code == 200
        assert [one["id"] for one in listed(api, item)] == [other["id"]]
        assert json_of(api("DELETE", f"/items/{item}/shares/{link['id']}"))["error"] == "SHARE_NOT_FOUND"
        assert api("DELETE", f"/items/{item}/shares/{other['id']}").status_code == 200
        api.work()
        assert api.objects("public/") == []
        assert api.records("SHARE") == []

    def test_link_of_a_deleted_item_shows_nothing(self, api: Stage, item: str) -> None:
        token = share(api, item)["token"]
        share(api, item)

        api("DELETE", f"/items/{item}")

        assert self.answer(api, token) == self.nothing(api)
        assert api.records("SHARE") == []

    @pytest.mark.parametrize("of", ["link", "item"])
    def test_expiry_does_not_wait_for_the_cleanup(
        self, api: Stage, item: str, of: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = share(api, item, **({"expiresAt": in_an_hour()} if of == "link" else {}))["token"]
        if of == "item":
            api("PATCH", f"/items/{item}", {"expiresAt": in_an_hour()})
        assert visit(api, token).status_code == 200

        set_clock(monkeypatch, timedelta(hours=1, seconds=1))

        assert self.answer(api, token) == self.nothing(api)
        assert of == "item" or listed(api, item) == []

    def test_cleanup_removes_expired_links(self, api: Stage, item: str) -> None:
        api.picture(item, jpeg(64, 48))
        share(api, item, expiresAt=in_an_hour())
        api.work()
        assert api.objects("public/")

        hourly_cleanup.run(times.now() + timedelta(hours=2), context("clean_up"))
        api.work()

        stored = items.find(OWNER, item)
        assert stored is not None
        assert (stored.shares, stored.due_at, api.objects("public/")) == ((), None, [])


class TestRules:
    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"expiresAt": "2020-01-01T00:00:00Z"}, "INVALID_EXPIRY"),
            ({"expiresAt": "soon"}, "INVALID_EXPIRY"),
            ({"expiresAt": 5}, "INVALID_REQUEST"),
            ({"until": "2100-01-01T00:00:00Z"}, "INVALID_REQUEST"),
        ],
    )
    def test_invalid_body_is_refused(self, api: Stage, item: str, body: dict[str, Any], error: str) -> None:
        answer = api("POST", f"/items/{item}/shares", body)

        assert (answer.status_code, json_of(answer)["error"]) == (400, error)
        assert api.records("SHARE") == []

    def test_number_of_links_is_limited(self, api: Stage, item: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(share_links, "MAX_SHARES", 2)
        share(api, item, expiresAt=in_an_hour())
        share(api, item)

        answer = api("POST", f"/items/{item}/shares", {})
        assert (answer.status_code, json_of(answer)["error"]) == (409, "TOO_MANY_SHARES")
        set_clock(monkeypatch, timedelta(hours=2))
        share(api, item)

    def test_owner_has_own_links_only(self, api: Stage, configured: Callable[..., None]) -> None:
        configured(AUTH_MODE="oidc")
        ann, bob = api.signed_in("ann"), api.signed_in("bob")
        item = json_of(ann("POST", "/items", {"title": "Vase"}))["id"]
        link = json_of(ann("POST", f"/items/{item}/shares", {}))
        path = f"/items/{item}/shares"

        for method, at in (("POST", path), ("GET", path), ("DELETE", f"{path}/{link['id']}")):
            answer = bob(method, at, {} if method == "POST" else None)
            assert (answer.status_code, json_of(answer)["error"]) == (404, "ITEM_NOT_FOUND")
        assert visit(api, link["url"].rpartition("/")[2]).status_code == 200


class TestFaults:
    def test_link_whose_item_was_not_written_is_no_link(self, api: Stage, item: str) -> None:
        share(api, item)  # The catalogue is made.
        meanwhile(
            aws.dynamodb(), "PutItem", lambda: fails(aws.dynamodb(), "PutItem", "InternalServerError"), "after-call"
        )

        assert api("POST", f"/items/{item}/shares", {}).status_code == 503
        assert (len(api.records("SHARE")), len(listed(api, item))) == (2, 1)

    def test_link_is_deleted_although_its_record_stays(self, api: Stage, item: str) -> None:
        link = share(api, item)
        fails(aws.dynamodb(), "DeleteItem", "InternalServerError")

        assert api("DELETE", f"/items/{item}/shares/{link['id']}").status_code == 200
        assert len(api.records("SHARE")) == 1
        assert visit(api, link["token"]).status_code == 404

    def test_item_is_deleted_although_records_stay(self, api: Stage, item: str) -> None:
        link = share(api, item)
        fails(aws.dynamodb(), "DeleteItem", "InternalServerError")

        assert api("DELETE", f"/items/{item}").status_code == 200
        assert visit(api, link["token"]).status_code == 404


class TestLogs:
    def test_token_is_not_logged(self, api: Stage, item: str, logged: Callable[[], str]) -> None:
        token = share(api, item)["token"]
        unknown = token[::-1]

        for path in ("/shares/", "/s/"):
            assert [visit(api, one, path).status_code for one in (token, unknown)] == [200, 404]
        problem = f"GET /s/{token}, //s//{token} and https://a.example/shares/{token}?x failed"
        raises(aws.dynamodb(), "GetItem", RuntimeError(problem))
        assert [visit(api, token, path).status_code for path in ("/shares/", "/s/")] == [500, 500]

        text = logged()
        assert token not in text
        assert unknown not in text
        assert "GET /s/-, //s//- and https://a.example/shares/-?x failed" in text
        for path in ("/shares/", "/s/"):
            assert text.count(f'"path":"{path}{{token}}"') == 3
