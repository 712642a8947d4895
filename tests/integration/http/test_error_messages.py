"""Error messages for bodies, parameters, headers, import entries and queue messages use no words of a library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import errors
from chalicelib.catalogue import messages
from tests.builders import as_json, fields
from tests.integration.routes import ROUTES
from tests.integration.stage import Stage, json_of
from tests.libraries import words_of_libraries

ID = "019ca7b4-e400-7abc-8def-0123456789ab"
DEEP = b"[" * 5_000

# Bodies that are no JSON object, sent to every route with a body.
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n ",
    "cut off": b'{"a": 1',
    "cut off in a string": b'{"a": "b',
    "a form": b"title=Vase&price=1",
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "latin-1": b'{"a": "caf\xe9"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "half a character": b'{"a": "\\ud800"}',
    "nan": b'{"a": NaN}',
    "a huge number": b'{"a": ' + b"9" * 5_000 + b"}",
    "a huge exponent": b'{"a": 1e99999999999999999999}',
    "two objects": b"{}{}",
    "deep": DEEP,
    "deep in an object": b'{"a": ' + DEEP,
    "array": b"[]",
    "null": b"null",
    "text": b'"a"',
    "number": b"1",
}

# JSON objects that are no valid items.
ITEMS: dict[str, bytes] = {
    "an empty name": as_json('"": 1'),
    "an empty name inside": as_json('"a": [{"": 1}]'),
    "many digits": as_json(f'"a": [{"1" * 39}]'),
    "a small number": as_json('"a": {"b": 1e-131}'),
    "deep": as_json(f'"a": {"[" * 40}{"]" * 40}'),
    "very deep": as_json(f'"a": {"[" * 900}{"]" * 900}'),
    "a long name": as_json(f'"{"x" * 70_000}": 1'),
    "large": as_json(f'"a": "{"x" * 360_000}"'),
    "managed": as_json('"id": 1, "version": 2, "image": {}'),
    "an end that is no time": as_json('"expiresAt": "tomorrow"'),
    "an end that is a number": as_json('"expiresAt": 1900000000'),
    "an end in the past": as_json('"expiresAt": "2001-01-01T00:00:00Z"'),
}

CONTENT_TYPES = "image/avif, image/bmp, image/gif, image/jpeg, image/png, image/tiff or image/webp"

OTHERS: list[tuple[str, str, Any, dict[str, str], str]] = [
    ("GET", "/hello?name=" + "x" * 101, None, {}, "name must be a string of at most 100 characters."),
    ("GET", "/hello?nam=Ada", None, {}, "Unknown query parameter nam: this route accepts name."),
    ("GET", "/items?limit=0", None, {}, "limit must be an integer from 1 to 100."),
    ("GET", "/items?limit=ten", None, {}, "limit must be an integer from 1 to 100."),
    ("GET", "/items?limit=1.5", None, {}, "limit must be an integer from 1 to 100."),
    ("GET", "/items?limit=", None, {}, "limit must be an integer from 1 to 100."),
    ("GET", f"/items?limit={'9' * 300}", None, {}, "limit must be an integer from 1 to 100."),
    ("GET", "/items?order=up", None, {}, "order must be asc or desc."),
    (
        *("GET", "/items?createdAfter=noon", None, {}),
        "createdAfter must be a time in ISO 8601 with its offset (such as 2030-01-31T12:00:00Z).",
    ),
    (
        *("GET", "/items?createdAfter=2026-01-01T00:00:00+01:00", None, {}),
        "The + in createdAfter must be sent as %2B: in a query, + stands for a space.",
    ),
    (
        *("GET", "/items?limit=0&order=up", None, {}),
        "limit must be an integer from 1 to 100. There are other problems too: see details.",
    ),
    ("GET", "/items/{item_id}/image?size=large", None, {}, "size must be an integer."),
    ("POST", "/items/{item_id}/image", {}, {}, "contentType is required."),
    (
        *("POST", "/items/{item_id}/image", {"contentType": "image/x"}, {}),
        f"contentType must be {CONTENT_TYPES}.",
    ),
    (
        *("POST", "/items/{item_id}/image", {"contentType": 7}, {}),
        f"contentType must be {CONTENT_TYPES}, not an integer.",
    ),
    ("POST", "/imports", {}, {}, "items is required."),
    ("POST", "/imports", {"items": {}}, {}, "items must be an array, not an object."),
    ("POST", "/imports", {"items": []}, {}, "There is nothing to import: send at least one item."),
    (
        "POST",
        "/items",
        fields(),
        {"idempotency_key": "x" * 256},
        "Send one Idempotency-Key of 1 to 255 visible ASCII characters without a comma, such as a UUID.",
    ),
]


def bodies() -> Iterator[Any]:
    for (method, path), body in ROUTES.items():
        if body is not None:
            for what, sent in BODIES.items():
                yield pytest.param(method, path, sent, id=f"{method} {path} {what}")
    for method, path in (("POST", "/items"), ("PUT", "/items/{item_id}"), ("PATCH", "/items/{item_id}")):
        for what, sent in ITEMS.items():
            yield pytest.param(method, path, sent, id=f"{method} {path} {what}")


def check(refused: dict[str, Any]) -> None:
    sentences = [
        refused["message"],
        *(detail["message"] for detail in refused.get("details", []) if "message" in detail),
    ]
    assert [words_of_libraries(sentence) for sentence in sentences] == [[]] * len(sentences)
    assert refused["message"].endswith(".")


@pytest.mark.parametrize(("method", "path", "body"), list(bodies()))
def test_error_of_a_body_uses_plain_words(api: Stage, method: str, path: str, body: bytes) -> None:
    response = api(method, path.replace("{item_id}", api.item()["id"]), body)

    assert 400 <= response.status_code < 500
    check(json_of(response))


@pytest.mark.parametrize(("method", "path", "body", "headers", "sentence"), OTHERS)
def test_error_names_the_field_and_what_is_allowed(
    api: Stage, method: str, path: str, body: Any, headers: dict[str, str], sentence: str
) -> None:
    response = api(method, path.replace("{item_id}", api.item()["id"]), body, **headers)

    assert (response.status_code, json_of(response)["message"]) == (400, sentence)
    check(json_of(response))


def is_utf_8(body: bytes) -> bool:
    return "\ufffd" not in body.decode(errors="replace")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/items?page=2", None, {}),
        ("GET", "/items?Limit=1", None, {}),
        ("GET", "/items?cursor=", None, {}),
        ("GET", "/items?cursor=abc", None, {}),
        ("GET", "/items?createdAfter=2026-01-01T00:00:00 01:00", None, {}),
        ("GET", "/hello?nom=Ann", None, {}),
        ("GET", "/items/{item_id}?x=1", None, {}),
        ("GET", "/items/{item_id}", None, {"if_none_match": "abc"}),
        ("GET", "/items/x", None, {}),
        ("GET", "/imports/x", None, {}),
        ("PUT", "/items/{item_id}", fields(), {"if_match": "1"}),
        ("PUT", "/items/{item_id}", fields(), {"if_match": ""}),
        ("PUT", "/items/{item_id}", fields(), {"if_match": '"7"'}),
        ("PATCH", "/items/{item_id}", {}, {"if_none_match": "*"}),
        ("DELETE", "/items/{item_id}", None, {"if_match": "abc"}),
        ("POST", "/items", fields(), {"content_type": "application/json; charset=latin-1"}),
        ("POST", "/items", fields(), {"content_type": "application/xml"}),
        ("POST", "/items", fields(), {"content_type": "json"}),
        ("POST", "/items", fields(), {"idempotency_key": ""}),
        ("POST", "/imports", {"items": [1]}, {"idempotency_key": "é" * 300}),
    ],
)
def test_error_of_a_parameter_or_header_uses_plain_words(
    api: Stage, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    response = api(method, path.replace("{item_id}", api.item()["id"]), body, **headers)

    assert 400 <= response.status_code < 500
    check(json_of(response))


def test_error_of_an_import_entry_uses_plain_words(api: Stage) -> None:
    # An entry has no line break. Bytes that are not UTF-8 are an error of the whole import.
    lines = [body for body in (*BODIES.values(), *ITEMS.values()) if body.strip() and is_utf_8(body)]
    entries = [body.replace(b"\n", b" ") for body in lines]

    begun = json_of(api("POST", "/imports", b"\n".join(entries), content_type="application/x-ndjson"))
    api.work()

    done = json_of(api("GET", f"/imports/{begun['id']}"))
    assert (done["status"], done["created"]) == ("done", 0)
    assert len(done["errors"]) == done["total"] >= len(entries)
    for failure in done["errors"]:
        check(failure)
        assert "body" not in failure["message"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "The message is not valid JSON in UTF-8: it is empty."),
        ("[]", "The message must be a JSON object."),
        ('{"type": "item.delete", "owner": "ann"}', "id is required."),
        ('{"type": "item.delete", "owner": 1, "id": "x"}', "owner must be a string, not an integer."),
        ('{"type": "item.create", "owner": "ann", "item": []}', "item must be a JSON object."),
        ('{"type": "item.create", "owner": "ann", "item": {"": 1}}', "The item has a field with an empty name."),
        (f'{{"type": "import.chunk", "owner": "ann", "importId": "{ID}", "chunk": -1}}', "chunk must be an integer of"),
    ],
)
def test_error_of_a_message_uses_plain_words(body: str, problem: str) -> None:
    error = messages.find_problem(body)

    assert error is not None
    assert error.startswith(problem)
    assert words_of_libraries(error) == []


def test_every_client_error_uses_plain_words() -> None:
    for error in (errors.ReservedFieldError("id"), errors.ReservedFieldError("id", "version", stored=True)):
        assert words_of_libraries(error.message) == []
