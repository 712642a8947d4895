"""The console and the API page, as a browser gets them."""

from __future__ import annotations

import gzip
import json
import math
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from chalicelib.catalogue import import_entries

WEB = Path(__file__).parents[3] / "chalicelib" / "web"
PAGES = {"/": "index.html", "/docs": "docs.html"}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("settings", "others"),
    [
        ({}, "https: http:"),
        ({"STAGE": "dev", "AUTH_MODE": "none"}, "https:"),
        ({"STAGE": "dev", "AUTH_MODE": "oidc", "OIDC_ISSUER": "https://sign.in", "OIDC_AUDIENCE": "app"}, "https:"),
        ({"STAGE": "dev", "AUTH_MODE": "oidc", "OIDC_ISSUER": "http://[::1]", "OIDC_AUDIENCE": "app"}, "https: http:"),
    ],
    ids=["on this machine", "deployed", "with an issuer", "with an issuer on this machine"],
)
def test_a_page_may_run_only_its_own_files_and_ask_others_only_over_tls(
    api, configured, path: str, settings: dict[str, str], others: str
) -> None:
    configured(**settings)

    answer = api("GET", path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' blob: data: {others}",
        f"connect-src 'self' {others}",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_no_code_of_its_own_and_names_no_other_host(api, path: str) -> None:
    html = api("GET", path).body.decode()

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)


@pytest.mark.parametrize("path", PAGES)
def test_every_file_that_a_page_names_is_there(api, path: str) -> None:
    named = re.findall(r'="(web/[^"]+)"', api("GET", path).body.decode())

    assert named
    for name in named:
        assert api("GET", f"/{name}").status_code == 200, name


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.iterdir()))
def test_a_file_comes_with_its_type_and_is_not_sent_twice(api, name: str) -> None:
    first = api("GET", f"/web/{name}")
    again = api("GET", f"/web/{name}", if_none_match=first.headers["ETag"])

    assert first.body == (WEB / name).read_bytes()
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Content-Type"].endswith("; charset=utf-8")
    assert (again.status_code, again.body) == (304, b"")


def loaded(page: str) -> set[str]:
    """The files that a page loads in the end, itself among them."""
    found: set[str] = set()
    waiting = {page}
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = (WEB / name).read_text(encoding="utf-8")
        waiting |= {*re.findall(r'="web/([^"]+)"', text), *re.findall(r'(?:from|import\() ?"\./([^"]+)"', text)} - found
    return found


def test_every_file_belongs_to_a_page() -> None:
    assert set().union(*(loaded(page) for page in PAGES.values())) == {path.name for path in WEB.iterdir()}


@pytest.mark.parametrize("page", PAGES.values())
def test_a_page_and_all_that_it_loads_is_less_than_60_kb_on_the_line(page: str) -> None:
    assert sum(len(gzip.compress((WEB / name).read_bytes())) for name in loaded(page)) < 60_000


def test_console_knows_the_apis_limit_of_an_import() -> None:
    said = re.search(r"MAX_BYTES = ([\d *]+);", (WEB / "imports.js").read_text(encoding="utf-8"))

    assert said is not None
    assert math.prod(map(int, said[1].split("*"))) == import_entries.MAX_BYTES


def told(api) -> str:
    """What the console is told of the issuer."""
    found = re.search(r'<meta name="sign-in" content="([^"]*)">', api("GET", "/").body.decode())
    assert found is not None
    return unquote(found[1])


def test_console_knows_where_people_sign_in(api, configured) -> None:
    configured(
        AUTH_MODE="oidc", OIDC_ISSUER='https://sign.in/?"<a>', OIDC_AUDIENCE="shop,app", OIDC_CLIENT_ID="console"
    )

    assert json.loads(told(api)) == {
        "issuer": 'https://sign.in/?"<a>',
        "clientId": "console",
        "audiences": ["shop", "app"],
    }


def test_console_is_told_of_no_issuer_where_nobody_has_to_sign_in(api) -> None:
    assert told(api) == ""


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fhttp.py", "__init__.py", "%2Fetc%2Fpasswd"])
def test_nothing_else_is_served(api, name: str) -> None:
    answer = api("GET", f"/web/{name}")

    assert answer.status_code in (403, 404)
    assert b"import" not in answer.body


def test_no_page_asks_anything_of_third_parties() -> None:
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        foreign = re.findall(r"https?://[a-z0-9][^\s\"'`)<]+", text)
        assert [url for url in foreign if not url.startswith("http://www.w3.org/")] == [], path.name
