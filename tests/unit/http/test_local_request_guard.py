"""Requests that servers on a developer's machine accept and reject: from browsers, programs and attackers."""

from __future__ import annotations

import json

import pytest

from chalicelib.http import local_request_guard

PORT, OTHER_PORT = 8000, 4566
OURS = local_request_guard.own_origins([PORT, OTHER_PORT])
HOST = ("Host", "127.0.0.1:8000")


def reason(*headers: tuple[str, str], target: str = "/items", port: int = PORT, harmless: bool = False) -> str | None:
    return local_request_guard.rejection(target, headers, port, OURS, harmless)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000", "[::1]:8000"])
def test_host_names_of_this_machine_are_accepted(host: str) -> None:
    assert reason(("host", host)) is None


def test_port_80_may_be_omitted() -> None:
    assert reason(("host", "localhost"), port=80) is None
    assert reason(("host", "localhost:80"), port=80) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1",
        "127.0.0.1:4566",
        "127.0.0.1:8000.evil.example",
        "127.0.0.1.:8000",
        "localhost.:8000",
        "bucket.localhost:8000",
        "localhost.evil.example:8000",
        "evil@127.0.0.1:8000",
        "127.0.0.1:8000@evil.example",
        "127.0.0.1:8000, evil.example",
        "0.0.0.0:8000",
        "127.1:8000",
        "2130706433:8000",
        "[::ffff:127.0.0.1]:8000",
        "192.168.0.7:8000",
        "",
    ],
)
def test_other_host_names_are_rejected(host: str) -> None:
    assert "Host" in (reason(("host", host)) or "")


def test_host_must_be_sent_exactly_once() -> None:
    assert reason() is not None
    assert reason(HOST, HOST) is not None
    assert reason(HOST, ("host", "evil.example")) is not None


@pytest.mark.parametrize(
    "target", ["http://evil.example/items", "http://127.0.0.1:8000/items", "*", "evil.example:443"]
)
def test_target_that_is_no_path_is_rejected(target: str) -> None:
    assert "target" in (reason(HOST, target=target) or "")


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://localhost:4566",
        "HTTP://LOCALHOST:8000",
    ],
)
@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site"])
def test_own_pages_are_accepted(origin: str, site: str) -> None:
    # http://localhost:8000 and http://127.0.0.1:4566 are different sites.
    assert reason(HOST, ("Origin", origin), ("Sec-Fetch-Site", site)) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:3000",
        "http://localhost:3000",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:80000",
        "http://localhost.evil.example:8000",
        "http://a.localhost:8000",
        "file://",
    ],
)
@pytest.mark.parametrize("site", [(), (("sec-fetch-site", "same-origin"),), (("sec-fetch-site", "none"),)])
@pytest.mark.parametrize("harmless", [False, True])
def test_pages_of_other_origins_are_rejected(origin: str, site: tuple[tuple[str, str], ...], harmless: bool) -> None:
    assert "CORS_ORIGINS" in (reason(HOST, ("Origin", origin), *site, harmless=harmless) or "")


def test_one_foreign_origin_of_several_is_rejected() -> None:
    assert reason(HOST, ("Origin", "http://127.0.0.1:8000"), ("Origin", "https://evil.example")) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "", "anything"])
def test_cross_site_request_is_rejected_unless_harmless(site: str) -> None:
    # http://127.0.0.1:3000 and http://127.0.0.1:8000 are the same site.
    assert "Sec-Fetch-Site" in (reason(HOST, ("Sec-Fetch-Site", site)) or "")
    assert reason(HOST, ("Sec-Fetch-Site", site), harmless=True) is None


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_typed_url_and_own_page_are_accepted(site: str) -> None:
    assert reason(HOST, ("Sec-Fetch-Site", site)) is None


def test_one_foreign_site_of_several_is_rejected() -> None:
    assert reason(HOST, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")) is not None


def test_client_that_is_no_browser_is_accepted() -> None:
    assert reason(HOST) is None


def test_other_origins_can_be_allowed() -> None:
    page = ("Origin", "https://shop.example")
    headers = [HOST, page, ("Sec-Fetch-Site", "cross-site")]
    assert local_request_guard.rejection("/", headers, PORT, {"https://shop.example"}) is None
    assert local_request_guard.rejection("/", [HOST, page], PORT, {"*"}) is None
    assert local_request_guard.rejection("/", [("Host", "evil.example"), page], PORT, {"*"}) is not None


TAB = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


def test_link_may_only_open_a_page_in_a_tab() -> None:
    pages = ("/", "/docs")
    assert local_request_guard.opens_page("GET", "/", TAB, pages)
    assert not local_request_guard.opens_page("POST", "/", TAB, pages)
    assert not local_request_guard.opens_page("GET", "/items", TAB, pages)
    assert not local_request_guard.opens_page("GET", "/", [TAB[0], ("Sec-Fetch-Dest", "iframe")], pages)
    assert not local_request_guard.opens_page("GET", "/", [("Sec-Fetch-Mode", "no-cors"), TAB[1]], pages)
    assert not local_request_guard.opens_page("GET", "/", [], pages)


def test_rejection_has_the_shape_of_errors() -> None:
    body = json.loads(local_request_guard.error_body("No."))
    assert (body["error"], body["message"], set(body)) == ("FORBIDDEN", "No.", {"error", "message", "requestId"})
