"""Links of the pages resolve to their files, with and without a trailing slash, under any base path."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from chalice.app import Request

from chalicelib.http import static_files


def request(resource: str, path: str) -> Request:
    return Request(
        {
            "multiValueQueryStringParameters": None,
            "headers": {},
            "pathParameters": None,
            "requestContext": {"httpMethod": "GET", "resourcePath": resource, "path": path},
            "body": None,
            "stageVariables": None,
        }
    )


@pytest.mark.parametrize(
    ("page", "resource", "path", "base"),
    [
        (static_files.console, "/", "/", "/"),
        (static_files.console, "/", "/api/", "/api/"),
        (static_files.console, "/", "/api", "/api/"),
        (static_files.docs, "/docs", "/docs", "/"),
        (static_files.docs, "/docs", "/docs/", "/"),
        (static_files.docs, "/docs", "/api/docs", "/api/"),
        (static_files.docs, "/docs", "/api/docs/", "/api/"),
    ],
)
def test_links_resolve_to_the_files(page, resource: str, path: str, base: str) -> None:
    html = page(request(resource, path)).body

    links = [part.partition('"')[0] for part in html.split('="')[1:] if "web/" in part.partition('"')[0]]

    assert links
    for link in links:
        assert urljoin(f"https://host{path}", link).startswith(f"https://host{base}web/")


def custom_properties(name: str) -> set[str]:
    return set(re.findall(r"--[\w-]+: [^;]+;", static_files.file_text(name)))


def test_pages_for_visitors_have_the_colours_of_the_console() -> None:
    own = {"--side", *(f"--{axis}" for axis in "xy")}
    shared = {one for one in custom_properties("visitors.css") if one.partition(":")[0] not in own}

    assert shared
    assert shared <= custom_properties("console.css")
