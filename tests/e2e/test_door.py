"""Test the HTTP requests and responses of `chalice local` and of the packaged API with the same tests.

The packaged REST API runs behind the emulator's API Gateway. The HTTP API (`make package FRONT=http`) is the app in
this process, which gets the events of an HTTP API. docs/errors.md lists how API Gateway in AWS differs.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from chalicelib.config import LOCAL
from tests.builders import as_json, fields
from tests.e2e.door import Door, Header, Reply
from tests.e2e.http_api import HttpApi
from tests.e2e.in_process import pointed_at
from tests.e2e.system import ROOT, System, free_port
from tests.e2e.waiting import eventually
from tests.tables import table_rows
from tools.laptop import run
from tools.laptop.server_supervisor import Server
from tools.laptop.terminal_output import Terminal


@pytest.fixture(scope="module", params=["chalice local", "packaged", "HTTP API"])
def api(request: pytest.FixtureRequest, system: System) -> Iterator[Door]:
    """Yield the API as `chalice local` or as packaged, with the same table, bucket and queue."""
    if request.param == "packaged":
        yield Door(request.param, system.api)
        return
    if request.param == "HTTP API":
        with pointed_at(system.emulator, STAGE=LOCAL, AUTH_MODE=LOCAL, BUCKET_NAME=system.bucket):
            yield HttpApi(request.param, "")
        return
    run.write_aws_config(system.project, system.emulator)
    server = Server(system.project, free_port(), Terminal(io.StringIO()))
    server.start()
    try:
        server.wait_until_ready()
        yield Door(request.param, server.url)
    finally:
        server.stop()


JSON = ("Content-Type", "application/json")
NDJSON = ("Content-Type", "application/x-ndjson")
MERGE_PATCH = ("Content-Type", "application/merge-patch+json")
BOM = b"\xef\xbb\xbf"
AN_IMPORT = b'{"items": [' + as_json() + b"]}"
A_BATCH = b'{"operations": [{"op": "create", "body": ' + as_json() + b"}]}"
NOWHERE = "019ca7b4-e400-7abc-8def-0123456789ab"


def test_item_is_created_and_read(api: Door) -> None:
    item = api.item(title="Vase")

    reply = api.json("GET", f"/items/{item['id']}")

    assert (reply.status, reply.json()) == (200, item)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_write_of_equal_values_keeps_the_version(api: Door, method: str) -> None:
    item = api.item(price=19.5)

    reply = api.json(method, f"/items/{item['id']}", {"title": "Vase", "price": 19.50}, if_match='"1"')

    assert (reply.status, reply.json(), reply.headers["ETag"]) == (200, item, '"1"')


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_item_that_was_read_can_be_sent_back_changed(api: Door, method: str) -> None:
    item = api.item()

    reply = api.json(method, f"/items/{item['id']}", item | {"title": "Blue vase"}, if_match='"1"')

    assert (reply.status, reply.json()["title"], reply.json()["version"]) == (200, "Blue vase", 2)


def test_changed_managed_field_is_named_in_the_error(api: Door) -> None:
    item = api.item()

    reply = api.json("PUT", f"/items/{item['id']}", item | {"version": 7, "image": {"status": "ready"}})

    assert (reply.status, reply.error) == (400, "RESERVED_FIELD")
    assert reply.json()["message"].startswith("version and image are managed by Vitrine")


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("POST", "/items", b"", "The body is not valid JSON in UTF-8: it is empty."),
        ("POST", "/items", b'{"a": 1', "The body is not valid JSON in UTF-8: it ends too early."),
        ("POST", "/items", b"[]", "The body must be a JSON object."),
        (
            "POST",
            "/items",
            b'{"a": ' + b"[" * 2_000,
            "The body is not valid JSON in UTF-8: it nests deeper than 32 levels.",
        ),
        ("POST", "/imports", b'{"items": 1}', "items must be an array, not an integer."),
        ("GET", "/items?limit=ten", None, "limit must be an integer from 1 to 100."),
        ("GET", "/items?order=up", None, "order must be asc or desc."),
    ],
)
def test_error_message_states_the_problem(api: Door, method: str, path: str, body: bytes | None, sentence: str) -> None:
    reply = api.send(method, path, body, [("Content-Type", "application/json")])

    assert (reply.status, reply.json()["message"]) == (400, sentence)


def test_id_in_upper_case_names_the_same_item(api: Door) -> None:
    item = api.item()

    reply = api.json("GET", f"/items/{item['id'].upper()}")

    assert (reply.status, reply.json()) == (200, item)
    assert api.json("DELETE", f"/items/{item['id'].upper()}").json()["id"] == item["id"]


def test_other_spellings_of_an_id_are_not_found(api: Door) -> None:
    item = api.item()

    for id_ in (item["id"].replace("-", ""), f"urn:uuid:{item['id']}", f"%7B{item['id']}%7D"):
        assert api.json("GET", f"/items/{id_}").error == "ITEM_NOT_FOUND"


def imported(api: Door, body: bytes, type_: Header) -> Any:
    """Send an import, wait until its status is ``done`` and return it."""
    begun = api.send("POST", "/imports", body, [type_])
    assert begun.status == 202, begun.body
    path = f"/imports/{begun.json()['id']}"
    eventually(lambda: api.json("GET", path).json()["status"] == "done")
    return api.json("GET", path).json()


def test_operations_of_a_batch_succeed_or_fail_independently(api: Door) -> None:
    item = api.item()
    batch = json.loads(A_BATCH)["operations"] + [
        {"op": "patch", "id": item["id"], "ifMatch": '"1"', "body": {"title": "Jug"}},
        {"op": "patch", "id": item["id"], "ifMatch": '"1"', "body": {"title": "Cup"}},
        {"op": "delete", "id": NOWHERE},
    ]

    reply = api.json("POST", "/items/batch", {"operations": batch}, idempotency_key=item["id"])
    again = api.json("POST", "/items/batch", {"operations": batch}, idempotency_key=item["id"])

    assert [result["status"] for result in reply.json()["results"]] == [201, 200, 412, 404]
    assert api.json("GET", f"/items/{item['id']}").json()["title"] == "Jug"
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (reply.json(), "true")


def test_path_of_batches_is_not_that_of_an_item(api: Door) -> None:
    reply = api.json("GET", "/items/batch")

    assert (reply.status, reply.error) == {
        "chalice local": (405, "METHOD_NOT_ALLOWED"),
        "packaged": (404, "NOT_FOUND"),
        "HTTP API": (404, "ITEM_NOT_FOUND"),  # It has the route GET /items/{item_id}, but no route GET /items/batch.
    }[api.name]


class TestEncoding:
    @pytest.mark.parametrize(
        "text",
        [
            "Käse".encode("latin-1"),
            "€ 5".encode("cp1252"),
            "Käse".encode("utf-16"),
            b"\xed\xa0\x80",
            b"\xc0\xaf",
            b"\xf0\x9f\x98",
        ],
    )
    @pytest.mark.parametrize("type_", [JSON, None])
    def test_body_in_another_encoding_is_refused(self, api: Door, text: bytes, type_: Header | None) -> None:
        item = api.item()
        headers = [type_] if type_ else []
        body = b'{"title": "%s"}' % text

        replies = [
            api.send("POST", "/items", body, headers),
            api.send("PUT", f"/items/{item['id']}", body, headers),
            api.send("PATCH", f"/items/{item['id']}", body, headers),
            api.send("POST", "/imports", b'{"items": [%s]}' % body, headers),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(400, "INVALID_JSON")] * 4
        assert all("UTF-8" in reply.json()["message"] for reply in replies)
        assert api.json("GET", f"/items/{item['id']}").json() == item

    def test_import_in_another_encoding_is_refused_as_a_whole(self, api: Door) -> None:
        reply = api.send("POST", "/imports", '{"title": "Vase"}\n{"title": "Käse"}'.encode("latin-1"), [NDJSON])

        assert (reply.status, reply.error) == (400, "INVALID_JSON")

    def test_replacement_character_must_be_escaped(self, api: Door) -> None:
        refused = api.send("POST", "/items", '{"title": "\ufffd"}'.encode(), [JSON])
        taken = api.send("POST", "/items", b'{"title": "\\ufffd"}', [JSON])

        assert (refused.status, refused.error) == (400, "INVALID_JSON")
        assert "\\ufffd" in refused.json()["message"]
        assert (taken.status, taken.json()["title"]) == (201, "\ufffd")

    @pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
    def test_utf_8_may_be_declared(self, api: Door, charset: str) -> None:
        headers = [("Content-Type", f"application/json; charset={charset}")]

        reply = api.send("POST", "/items", '{"title": "Käse"}'.encode(), headers)

        assert (reply.status, reply.json().get("title")) == (201, "Käse")

    @pytest.mark.parametrize("charset", ["iso-8859-1", "UTF-16", "windows-1252", '"latin1"', "nonsense", ""])
    def test_another_declared_charset_is_refused(self, api: Door, charset: str) -> None:
        item = api.item()
        headers = [("Content-Type", f"application/json; a=b; Charset={charset}")]

        replies = [
            api.send("POST", "/items", as_json(), headers),
            api.send("PATCH", f"/items/{item['id']}", b"{}", headers),
            api.send("POST", "/imports", AN_IMPORT, headers),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(415, "UNSUPPORTED_MEDIA_TYPE")] * 3
        assert all("UTF-8" in reply.json()["message"] for reply in replies)


class TestByteOrderMarks:
    def test_json_body_may_start_with_a_bom(self, api: Door) -> None:
        created = api.send("POST", "/items", BOM + b'{"title": "Vase"}', [JSON])
        path = f"/items/{created.json()['id']}"
        patched = api.send("PATCH", path, BOM + b'{"title": "Jug"}', [MERGE_PATCH])
        replaced = api.send("PUT", path, BOM + b'{"title": "Cup"}', [JSON])
        ticket = api.send("POST", f"{path}/image", BOM + b'{"contentType": "image/png"}', [JSON])
        begun = api.send("POST", "/imports", BOM + b'{"items": [{"title": "Vase"}]}', [JSON])

        assert [one.status for one in (created, patched, replaced, ticket, begun)] == [201, 200, 200, 201, 202]
        assert [one.json()["title"] for one in (created, patched, replaced)] == ["Vase", "Jug", "Cup"]

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_ndjson_lines_may_start_with_a_bom(self, api: Door, end: bytes) -> None:
        lines = [BOM + b'{"title": "One"}', b"", b'{"title": "Two"}', b"  ", BOM + b'{"title": "Three"}', b""]

        done = imported(api, end.join(lines), NDJSON)

        assert (done["total"], done["created"], done["failed"]) == (3, 3, 0)


class TestPreconditions:
    MALFORMED = ("1", "", 'w/"1"', '"1" "2"', '*, "1"')
    """tests/unit/http/test_conditional_requests.py tests more malformed values."""

    @pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
    @pytest.mark.parametrize("value", MALFORMED)
    def test_malformed_condition_is_refused(self, api: Door, name: str, value: str) -> None:
        item = api.item()
        path = f"/items/{item['id']}"
        header = (name, value)

        replies = [
            api.send("PUT", path, as_json(), [JSON, header]),
            api.send("PATCH", path, b'{"title": "Jug"}', [JSON, header]),
            api.send("DELETE", f"{path}/image", headers=[header]),
            api.send("DELETE", path, headers=[header]),
            api.send("GET", path, headers=[header]),
            api.send("GET", "/items", headers=[header]),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(400, "INVALID_REQUEST")] * 6
        assert all(name in reply.json()["message"] for reply in replies)
        assert api.json("GET", path).json() == item

    @pytest.mark.parametrize("path", ["/", "/docs", "/web/api.js", "/openapi.json"])
    def test_pages_evaluate_if_none_match(self, api: Door, path: str) -> None:
        tag = api.send("GET", path).headers["ETag"]

        statuses = [
            api.send("GET", path, headers=[("If-None-Match", value)]).status
            for value in (tag, f"W/{tag}", f'"x", {tag}', "*", '"x"', tag.strip('"'))
        ]

        assert statuses == [304, 304, 304, 304, 200, 400]

    @pytest.mark.parametrize(
        "tags", ['"1"', 'W/"1"', '"7", "1"', '"7",,"1" ,', "*", '"1-gzip"', 'W/"1--gzip"', '"1-491000"']
    )
    def test_write_succeeds_if_a_tag_matches(self, api: Door, tags: str) -> None:
        path = f"/items/{api.item()['id']}"

        reply = api.send("PATCH", path, b'{"title": "Jug"}', [MERGE_PATCH, ("If-Match", tags)])

        assert (reply.status, reply.json()["title"]) == (200, "Jug")

    def test_tags_may_be_split_over_several_headers(self, api: Door) -> None:
        path = f"/items/{api.item()['id']}"
        headers = [MERGE_PATCH, ("If-Match", '"7"'), ("if-match", '"1"')]

        assert api.send("PATCH", path, b'{"title": "Jug"}', headers).status == 200

    @pytest.mark.parametrize(
        "header",
        [("If-Match", '"2"'), ("If-Match", '"abc"'), ("If-Match", '""'), ("If-Match", '"01x"')]
        + [("If-None-Match", value) for value in ("*", '"1"', 'W/"1"', '"7", "1"')],
    )
    def test_write_is_refused_if_a_condition_fails(self, api: Door, header: Header) -> None:
        item = api.item()
        path = f"/items/{item['id']}"

        replies = [
            api.send("PUT", path, as_json(), [JSON, header]),
            api.send("PATCH", path, b'{"title": "Jug"}', [MERGE_PATCH, header]),
            api.send("DELETE", path, headers=[header]),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(412, "VERSION_MISMATCH")] * 3
        assert all(str(header[0]) in reply.json()["message"] for reply in replies)
        assert api.json("GET", path).json() == item

    def test_write_succeeds_if_no_if_none_match_tag_matches(self, api: Door) -> None:
        path = f"/items/{api.item()['id']}"

        assert api.send("PUT", path, as_json(), [JSON, ("If-None-Match", '"7", "abc"')]).status == 200

    @pytest.mark.parametrize("header", [("If-Match", "*"), ("If-None-Match", "*"), ("If-Match", '"1"')])
    def test_missing_item_is_not_found_whatever_the_condition(self, api: Door, header: Header) -> None:
        assert api.send("PUT", f"/items/{NOWHERE}", as_json(), [JSON, header]).status == 404

    def test_read_evaluates_if_match(self, api: Door) -> None:
        path = f"/items/{api.item()['id']}"

        assert api.send("GET", path, headers=[("If-Match", '"1"')]).status == 200
        reply = api.send("GET", path, headers=[("If-Match", '"2"')])
        assert (reply.status, reply.error) == (412, "VERSION_MISMATCH")

    @pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
    def test_routes_that_create_refuse_conditions(self, api: Door, name: str) -> None:
        item = api.item()
        headers = [JSON, (name, '"1"')]

        replies = [
            api.send("POST", "/items", as_json(), headers),
            api.send("POST", f"/items/{item['id']}/image", b'{"contentType": "image/png"}', headers),
            api.send("POST", "/imports", AN_IMPORT, headers),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(400, "INVALID_REQUEST")] * 3

    @pytest.mark.parametrize("path", ["/items", "/", "/openapi.json"])
    def test_reads_without_a_version_refuse_if_match(self, api: Door, path: str) -> None:
        reply = api.send("GET", path, headers=[("If-Match", "*")])

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")

    @pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
    @pytest.mark.parametrize("value", ["Thu, 01 Jan 2015 00:00:00 GMT", "rubbish"])
    def test_dates_are_ignored_as_nothing_has_a_modification_date(self, api: Door, name: str, value: str) -> None:
        path = f"/items/{api.item()['id']}"

        assert api.send("GET", path, headers=[(name, value)]).status == 200
        assert api.send("PATCH", path, b'{"title": "Jug"}', [MERGE_PATCH, (name, value)]).status == 200

    def test_unchanged_item_and_list_return_304(self, api: Door) -> None:
        for path in (f"/items/{api.item()['id']}", "/items?limit=3"):
            first = api.send("GET", path)
            again = api.send("GET", path, headers=[("If-None-Match", f'"x", W/{first.headers["ETag"]}')])

            assert (again.status, again.body) == (304, b"")
            assert again.headers["ETag"] == first.headers["ETag"]
            assert again.headers["Cache-Control"] == "private, no-cache"


GETS = (
    "/",
    "/docs",
    "/web/api.js",
    "/openapi.json",
    "/hello",
    "/health",
    "/items",
    "/items/{item}",
    "/imports/{import}",
)


class TestHead:
    @pytest.mark.parametrize("path", [*GETS, f"/items/{NOWHERE}", "/items/{item}/image"])
    def test_head_is_answered_as_get_without_the_body(self, api: Door, path: str) -> None:
        path = path.replace("{item}", api.item()["id"])
        if "{import}" in path:
            path = path.replace("{import}", imported(api, AN_IMPORT, JSON)["id"])

        got, head = api.send("GET", path), api.send("HEAD", path)

        assert (head.status, head.body) == (got.status, b"")
        changing = {"Date", "X-Request-Id", "Content-Length", "Server", "x-amzn-RequestId", "x-amz-request-id"}
        assert _headers(head, changing) == _headers(got, changing)
        # RFC 9110, section 8.6: Content-Length of HEAD equals that of GET.
        assert head.headers["Content-Length"] == got.headers["Content-Length"]

    def test_head_evaluates_conditions(self, api: Door) -> None:
        path = f"/items/{api.item()['id']}"

        assert api.send("HEAD", path, headers=[("If-None-Match", '"1"')]).status == 304
        assert api.send("HEAD", path, headers=[("If-None-Match", '"2"')]).status == 200


def _headers(reply: Reply, without: set[str]) -> set[tuple[str, str]]:
    unwanted = {name.lower() for name in without}
    return {(name.lower(), value) for name, value in reply.headers.items() if name.lower() not in unwanted}


class TestCacheControl:
    @pytest.mark.parametrize(
        ("path", "cache_control"),
        [
            ("/", "no-cache"),
            ("/docs", "no-cache"),
            ("/web/api.js", "no-cache"),
            ("/openapi.json", "no-cache"),
            ("/hello", "no-store"),
            ("/health", "no-store"),
            ("/items", "private, no-cache"),
            ("/items/{item}", "private, no-cache"),
            ("/items/{item}/image", "no-store"),
            (f"/items/{NOWHERE}", "no-store"),
            (f"/imports/{NOWHERE}", "no-store"),
            ("/items?limit=0", "no-store"),
            ("/nowhere", "no-store"),
        ],
    )
    def test_cache_control_of_reads(self, api: Door, path: str, cache_control: str) -> None:
        reply = api.send("GET", path.replace("{item}", api.item()["id"]))

        assert reply.headers["Cache-Control"] == cache_control

    def test_cache_control_of_writes(self, api: Door) -> None:
        created = api.json("POST", "/items", {"title": "Vase"})
        path = f"/items/{created.json()['id']}"
        ticket = api.json("POST", f"{path}/image", {"contentType": "image/png"})
        begun = api.json("POST", "/imports", {"items": [fields()]})
        progress = api.json("GET", f"/imports/{begun.json()['id']}")

        assert created.headers["Cache-Control"] == "private, no-cache"
        assert [one.headers["Cache-Control"] for one in (ticket, begun, progress)] == ["no-store"] * 3
        assert api.json("DELETE", path).headers["Cache-Control"] == "no-store"


class TestParameters:
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/items?page=2", "page"),
            ("/items?Limit=1", "Limit"),
            ("/items?limit[price]=5", "limit[price]"),
            ("/items?filters[price]=5", "filters[price]"),
            ("/items?createdafter=2026-01-01T00:00:00Z", "createdafter"),
            ("/items?limit=1&x=", "x"),
            ("/hello?Name=Ann", "Name"),
            ("/items/{item}?x=1", "x"),
            ("/items/{item}/image?Size=200", "Size"),
        ],
    )
    def test_unknown_parameter_is_refused_by_name(self, api: Door, path: str, name: str) -> None:
        reply = api.send("GET", path.replace("{item}", api.item()["id"]))

        assert (reply.status, reply.error) == (400, "UNKNOWN_PARAMETER")
        assert reply.json()["details"] == [{"path": f"$.{name}"}]
        assert name in reply.json()["message"]

    def test_error_lists_the_accepted_parameters(self, api: Door) -> None:
        message = api.send("GET", "/items?page=2").json()["message"]

        assert "limit, cursor, filter, q, sort, order, createdAfter, createdBefore" in message
        assert "this route accepts none" in api.send("DELETE", f"/items/{NOWHERE}?x=1").json()["message"]

    def test_writes_refuse_unknown_parameters(self, api: Door) -> None:
        item = api.item()
        path = f"/items/{item['id']}?if-match=1"

        replies = [
            api.send("POST", "/items?dryRun=true", as_json(), [JSON]),
            api.send("PUT", path, as_json(), [JSON]),
            api.send("DELETE", path),
            api.send("POST", "/items/batch?dryRun=true", A_BATCH, [JSON]),
            api.send("POST", "/imports?dryRun=true", AN_IMPORT, [JSON]),
        ]

        assert [(reply.status, reply.error) for reply in replies] == [(400, "UNKNOWN_PARAMETER")] * 5
        assert api.json("GET", f"/items/{item['id']}").json() == item

    @pytest.mark.parametrize("path", ["/", "/docs", "/web/api.js", "/openapi.json", "/health"])
    def test_public_routes_ignore_unknown_parameters(self, api: Door, path: str) -> None:
        """Ignore parameters that links add: a sign-in redirect, a campaign tag, a monitor's cache buster."""
        assert api.send("GET", f"{path}?code=abc&state=def&utm_source=x").status == 200

    @pytest.mark.parametrize(
        "query",
        ["limit=1&limit=2", "order=asc&order=asc", "cursor=a&cursor=b", "filter[updatedAt]=a&filter[updatedAt]=b"],
    )
    def test_repeated_parameter_is_refused(self, api: Door, query: str) -> None:
        reply = api.send("GET", f"/items?{query}")

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")
        assert reply.json()["details"][0]["path"] == f"$.{query.partition('=')[0]}"

    @pytest.mark.parametrize("written", ["filter[updatedAt][lte]", "filter%5BupdatedAt%5D%5Blte%5D"])
    def test_brackets_may_be_encoded(self, api: Door, written: str) -> None:
        item = api.item()
        at = item["updatedAt"]

        reply = api.send("GET", f"/items?{written}={at}&sort=-updatedAt&limit=1")

        assert reply.status == 200, reply.body
        assert [one["id"] for one in reply.json()["items"]] == [item["id"]]

    def test_field_that_is_not_findable_is_refused(self, api: Door) -> None:
        reply = api.send("GET", "/items?filter[schl%C3%BCssel]=1")

        assert (reply.status, reply.error) == (400, "FIELD_NOT_FINDABLE")
        assert reply.json()["details"][0]["path"] == "$.filter[schlüssel]"

    def test_empty_cursor_is_refused(self, api: Door) -> None:
        reply = api.send("GET", "/items?cursor=")

        assert (reply.status, reply.error) == (400, "INVALID_CURSOR")

    def test_plus_of_an_offset_must_be_encoded(self, api: Door) -> None:
        reply = api.send("GET", "/items?createdAfter=2026-01-01T00:00:00+02:00")

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")
        assert "%2B" in reply.json()["message"]
        assert api.send("GET", "/items?createdAfter=2026-01-01T00:00:00%2B02:00").status == 200

    @pytest.mark.parametrize("query", ["createdAfter=%ff", "order=%E4sc", "name=K%e4se"])
    def test_non_utf_8_parameter_is_refused(self, api: Door, query: str) -> None:
        reply = api.send("GET", f"/{'hello' if 'name' in query else 'items'}?{query}")

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")
        assert "UTF-8" in reply.json()["message"]

    @pytest.mark.parametrize(
        ("content_type", "expected_type"),
        [
            ("image/JPG", "image/jpeg"),
            ("image/jpg", "image/jpeg"),
            ("IMAGE/PNG", "image/png"),
            ("image/jpeg", "image/jpeg"),
        ],
    )
    def test_image_types_are_accepted_in_any_case(self, api: Door, content_type: str, expected_type: str) -> None:
        path = f"/items/{api.item()['id']}"

        ticket = api.json("POST", f"{path}/image", {"contentType": content_type})

        assert (ticket.status, ticket.json()["upload"]["fields"]["Content-Type"]) == (201, expected_type)
        assert api.json("GET", path).json()["image"]["contentType"] == expected_type


class TestIdempotencyKeys:
    def test_two_keys_are_refused(self, api: Door) -> None:
        headers = [JSON, ("Idempotency-Key", "one"), ("idempotency-key", "two")]

        reply = api.send("POST", "/items", as_json(), headers)

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")
        assert "Idempotency-Key" in reply.json()["message"]

    @pytest.mark.parametrize("key", ["a,b", "a b", "", "x" * 256, "schlüssel", "ü".encode("latin-1"), "\x7f", "🔑"])
    def test_invalid_key_is_refused(self, api: Door, key: str | bytes) -> None:
        reply = api.send("POST", "/items", as_json(), [JSON, ("Idempotency-Key", key)])

        assert (reply.status, reply.error) == (400, "INVALID_REQUEST")
        assert "255" in reply.json()["message"]

    def test_key_of_255_visible_characters_is_accepted(self, api: Door) -> None:
        key = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ",") + f"{free_port()}"
        headers = [JSON, ("Idempotency-Key", f"  {key.ljust(255, 'x')}  ")]

        first, second = (api.send("POST", "/items", as_json(), headers) for _ in range(2))

        assert (first.status, second.status) == (201, 201)
        assert second.headers["Idempotency-Replayed"] == "true"
        assert second.json() == first.json()


class TestCompression:
    @pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    def test_compressed_body_is_inflated(self, api: Door, coding: str, compress: Callable[[bytes], bytes]) -> None:
        body = compress(b'{"title": "Vase"}')

        reply = api.send("POST", "/items", body, [JSON, ("Content-Encoding", coding)])

        if api.name != "chalice local":
            # The emulator's API Gateway does not decompress: the app receives the compressed bytes as text.
            assert (reply.status, reply.error) == (415, "UNSUPPORTED_ENCODING")
        else:
            assert (reply.status, reply.json().get("title")) == (201, "Vase")

    @pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "rubbish"])
    def test_unsupported_coding_is_refused(self, api: Door, coding: str) -> None:
        reply = api.send("POST", "/items", as_json(), [JSON, ("Content-Encoding", coding)])

        assert (reply.status, reply.error) == (415, "UNSUPPORTED_ENCODING")
        assert reply.headers["Accept-Encoding"] == "gzip, deflate, identity"

    def test_identity_coding_is_accepted(self, api: Door) -> None:
        assert api.send("POST", "/items", as_json(), [JSON, ("Content-Encoding", "identity")]).status == 201

    def test_patch_of_another_type_returns_accept_patch(self, api: Door) -> None:
        path = f"/items/{api.item()['id']}"

        reply = api.send("PATCH", path, b"{}", [("Content-Type", "application/json-patch+json")])

        assert reply.status == 415
        assert reply.headers["Accept-Patch"] == "application/merge-patch+json, application/json"

    @pytest.mark.parametrize(("method", "path"), [("POST", "/items"), ("POST", "/imports"), ("PUT", "/items/{item}")])
    def test_other_routes_have_no_accept_patch(self, api: Door, method: str, path: str) -> None:
        reply = api.send(method, path.replace("{item}", api.item()["id"]), b"{}", [("Content-Type", "text/plain")])

        assert (reply.status, reply.headers["Accept-Patch"]) == (415, None)


@pytest.mark.parametrize("path", ["/nowhere", "/health"])
def test_routes_without_sign_in_ignore_authorization(api: Door, path: str) -> None:
    reply = api.send("GET", path, headers=[("Authorization", "Bearer schlüssel")])

    assert reply.status == (404 if path == "/nowhere" else 200)


def test_chunked_body_is_read(api: Door) -> None:
    """Send the body as `curl -T -` and streaming clients do."""
    body = b'6\r\n{"titl\r\nb;x=y\r\ne": "Vase"}\r\n0\r\nTrailer: x\r\n\r\n'

    reply = api.send("POST", "/items", None, [JSON, ("Transfer-Encoding", "chunked")], raw=body)

    assert (reply.status, reply.json().get("title")) == (201, "Vase")


def differences(known_from: str) -> dict[str, tuple[str, str]]:
    """Return the documented results of `chalice local` and of the packaged API, by request, from docs/errors.md."""
    rows = table_rows("docs/errors.md", "Where the ways of running differ")
    return {row[0]: (row[1], row[2]) for row in rows if row[3] == known_from}


class TestDifferences:
    """Test the differences listed in docs/errors.md; the other tests in this file allow no further ones."""

    ASKED: ClassVar[dict[str, Callable[[Door], Reply]]] = {
        "a known path with a method that it does not have": lambda api: api.send("TRACE", "/items"),
    }

    def test_every_listed_difference_is_tested(self) -> None:
        assert set(differences("test")) == set(self.ASKED)

    @pytest.mark.parametrize("request_", ASKED)
    def test_responses_differ_as_listed(self, api: Door, request_: str) -> None:
        documented = differences("test")[request_][api.name != "chalice local"]

        reply = self.ASKED[request_](api)

        assert documented.startswith(f"{reply.status} `{reply.error}`")
        assert (reply.headers["Allow"] is not None) == ("Allow" in documented)

    def test_compression_differs_as_documented(self, api: Door) -> None:
        text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

        reply = api.send("POST", "/items", gzip.compress(as_json()), [JSON, ("Content-Encoding", "gzip")])

        assert "does not decompress requests, so a compressed request gets 415" in " ".join(text.split())
        assert reply.status == (415 if api.name != "chalice local" else 201)
