"""The console, the API reference and the OpenAPI document, as a browser gets them."""

from __future__ import annotations

import gzip
import json
import math
import re
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import pytest

import app
from chalicelib import errors
from chalicelib.catalogue import import_parsing, webhook_urls, webhooks
from chalicelib.http import schemas, webhook_schemas
from chalicelib.pictures import unsupported_formats

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
def test_page_has_a_content_security_policy(api, configured, path: str, settings: dict[str, str], others: str) -> None:
    configured(**settings)

    response = api("GET", path)

    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Content-Security-Policy"].split("; ") == [
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
def test_page_has_no_inline_code_or_foreign_host(api, path: str) -> None:
    html = api("GET", path).body.decode()

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)


@pytest.mark.parametrize("path", PAGES)
def test_files_of_a_page_exist(api, path: str) -> None:
    named = re.findall(r'="(web/[^"]+)"', api("GET", path).body.decode())

    assert named
    for name in named:
        assert api("GET", f"/{name}").status_code == 200, name


def code_of(script: str) -> list[str]:
    """Return the lines of a script or of styles without indentation and comments."""
    lines = [re.sub(r"/\*\* @type.*?\*/ ?|(?<=\}) /\*.*| // .*", "", line).strip() for line in script.split("\n")]
    return [line for line in lines if line and not re.match(r"//|/\*|\* |\*/", line)]


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.glob("*.js")))
def test_scripts_are_sent_without_comments(api, name: str) -> None:
    sent, stored = api("GET", f"/web/{name}").body.decode(), (WEB / name).read_text(encoding="utf-8")

    assert not re.search(r"^(//|\*|[ \t])|/\*\*", sent, re.MULTILINE)
    assert sent.count("\n") == stored.count("\n")
    # A comment at the end of a line is not removed from within a text.
    for line in stored.split("\n"):
        code, _, comment = line.partition(" // ")
        assert not comment or all(code.count(quote) % 2 == 0 for quote in "\"'`") or line.strip() in sent, line
    # Indentation within a template literal would be part of its text.
    assert [line for line in code_of(stored) if re.sub(r"/\(.*\)/", "", line).count("`") % 2] == []


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.glob("*.css")))
def test_styles_are_sent_without_comments(api, name: str) -> None:
    sent, stored = api("GET", f"/web/{name}").body.decode(), (WEB / name).read_text(encoding="utf-8")

    assert not re.search(r"/\*|^[ \t]", sent, re.MULTILINE)
    assert sent.count("\n") == stored.count("\n")


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.iterdir()))
def test_file_has_its_type_and_is_revalidated(api, name: str) -> None:
    first = api("GET", f"/web/{name}")
    again = api("GET", f"/web/{name}", if_none_match=first.headers["ETag"])

    assert code_of(first.body.decode()) == code_of((WEB / name).read_text(encoding="utf-8"))
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Content-Type"].endswith("; charset=utf-8")
    assert (again.status_code, again.body) == (304, b"")


def loaded(page: str, *, at_once: bool = False) -> set[str]:
    """Return the files that a page loads, including itself; with ``at_once``, without those that follow later."""
    later = "" if at_once else r"|import\(|URL\("
    found: set[str] = set()
    waiting = {page}
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = (WEB / name).read_text(encoding="utf-8")
        waiting |= {*re.findall(rf'(?:="web|(?:from {later})"\.)/([^"]+)"', text)} - found
    return found


def test_every_file_is_used_by_a_page() -> None:
    pages = (*PAGES.values(), "visitors.html")
    assert set().union(*(loaded(page) for page in pages)) == {path.name for path in WEB.iterdir()}


@pytest.mark.parametrize("page", PAGES.values())
def test_page_and_its_files_are_under_120_kb_compressed(api, page: str) -> None:
    # The rest is loaded when it is needed. 7 KB of it are the views of webhooks, which few visits open.
    assert compressed_size(api, loaded(page)) < 120_000


def test_first_items_need_less_than_40_kb_compressed(api) -> None:
    assert compressed_size(api, loaded("index.html", at_once=True)) < 40_000


def compressed_size(api, names: set[str]) -> int:
    """Return the number of bytes that a browser loads for these files."""
    return sum(len(gzip.compress(api("GET", f"/web/{name}").body)) for name in names)


@pytest.mark.parametrize(
    ("file", "name", "limit"),
    [
        ("import-file.js", "MAX_BYTES", import_parsing.MAX_BYTES),
        ("import-file.js", "MAX_ENTRIES", import_parsing.MAX_ENTRIES),
        ("bulk-run.js", "MAX_OPERATIONS", schemas.MAX_OPERATIONS),
        ("exports.js", "MAX_IDS", schemas.MAX_EXPORT_IDS),
        ("public-catalogue.js", "MAX_TITLE", schemas.MAX_CATALOGUE_TITLE),
        ("public-catalogue.js", "MAX_TEXT", schemas.MAX_CATALOGUE_TEXT),
        ("webhook-form.js", "MAX_URL", webhook_urls.MAX_URL_LENGTH),
        ("webhook-form.js", "MAX_DESCRIPTION", webhook_schemas.MAX_DESCRIPTION),
    ],
)
def test_console_has_the_limits_of_the_api(file: str, name: str, limit: int) -> None:
    found = re.search(rf"{name} = ([\d_ *]+);", (WEB / file).read_text(encoding="utf-8"))

    assert found is not None
    assert math.prod(map(int, found[1].split("*"))) == limit


def test_console_names_all_events() -> None:
    text = (WEB / "webhook-event-labels.js").read_text(encoding="utf-8")

    assert re.findall(r'^  "([a-z.]+)": "', text, re.MULTILINE) == [*get_args(webhooks.EventType)]


def test_console_has_the_types_and_sentences_of_pictures() -> None:
    text = (WEB / "picture-types.js").read_text(encoding="utf-8")

    assert {*re.findall(r'"(image/[a-z]+)"', text)} == {*get_args(schemas.ContentType)}
    for sentence in (
        errors.ImageTypeUnsupportedError.sentence,
        errors.ImageUnreadableError().message,
        errors.ImageTooLargeError.sentence,
    ):
        assert f'"{sentence}"' in text
    assert f'HEIC: "{unsupported_formats.HINTS["HEIC"]}"' in text
    assert {*re.findall(r'\b[a-z0-9]{3,4}: "([^"/]+)"', text)} <= {*unsupported_formats.UNSUPPORTED}


def sign_in_settings(api) -> str:
    """Return the sign-in settings in the console's page."""
    found = re.search(r'<meta name="sign-in" content="([^"]*)">', api("GET", "/").body.decode())
    assert found is not None
    return unquote(found[1])


def test_console_has_the_sign_in_settings(api, configured) -> None:
    configured(
        AUTH_MODE="oidc", OIDC_ISSUER='https://sign.in/?"<a>', OIDC_AUDIENCE="shop,app", OIDC_CLIENT_ID="console"
    )

    assert json.loads(sign_in_settings(api)) == {
        "issuer": 'https://sign.in/?"<a>',
        "clientId": "console",
        "audiences": ["shop", "app"],
    }


def test_console_has_no_issuer_without_sign_in(api) -> None:
    assert sign_in_settings(api) == ""


def test_console_has_the_schemas_of_item_fields(api) -> None:
    found = re.search(r'<meta name="item-schemas" content="([^"]*)">', api("GET", "/").body.decode())
    document = json.loads(api("GET", "/openapi.json").body)

    assert found is not None
    assert json.loads(unquote(found[1])) == {"ItemFields": document["components"]["schemas"]["ItemFields"]}


@pytest.mark.parametrize(
    "name", ["nothing.js", "..", "..%2Fconfig.py", "%2e%2e%2fapp.py", "__init__.py", "%2Fetc%2Fpasswd", "index", ""]
)
def test_other_files_are_not_served(api, name: str) -> None:
    response = api("GET", f"/web/{name}")

    assert response.status_code in (403, 404)
    assert b"import" not in response.body


def test_pages_contain_no_foreign_urls() -> None:
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        foreign = re.findall(r"https?://[a-z0-9][^\s\"'`)<]+", text)
        assert [url for url in foreign if not url.startswith("http://www.w3.org/")] == [], path.name


def test_openapi_document_has_every_path(api) -> None:
    document = json.loads(api("GET", "/openapi.json").body)

    assert document["openapi"] == "3.1.0"
    assert document["paths"].keys() == app.app.routes.keys()
