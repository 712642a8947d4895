"""The OpenAPI document says what the app does, all of it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import app
from chalicelib import errors, models, openapi, primitives, wire

DOCUMENT = msgspec.json.decode(primitives.to_json(openapi.document(app.app.routes)))
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_it_has_exactly_the_apps_routes() -> None:
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert documented == {(method, path) for path, methods in app.app.routes.items() for method in methods}
    assert documented == set(openapi.OPERATIONS)


def test_a_route_that_nobody_described_is_found_out() -> None:
    with pytest.raises(KeyError):
        openapi.document({"/secret": ["GET"]})


def test_it_says_what_it_is() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"] == "Vitrine"
    assert DOCUMENT.keys() == {"openapi", "info", "servers", "paths", "components"}


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}

    assert references
    for reference in references:
        folder, _, name = reference.rpartition("/")
        assert folder == "#/components/schemas"
        assert name in DOCUMENT["components"]["schemas"]


def test_every_schema_is_of_use() -> None:
    references = {node["$ref"].rpartition("/")[2] for node in nodes(DOCUMENT) if "$ref" in node}

    query_models = {operation.query.__name__ for operation in openapi.OPERATIONS.values() if operation.query}
    assert DOCUMENT["components"]["schemas"].keys() - references <= query_models


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["tags"]
    assert all(response["description"] for response in operation["responses"].values())
    assert any(status < "400" for status in operation["responses"])
    assert ("requestBody" in operation) is (method in ("post", "put", "patch"))


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_its_parameters_are_those_of_its_path_and_no_name_stands_twice(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    parameters = [(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])]

    assert len(set(parameters)) == len(parameters)
    assert [name for where, name in parameters if where == "path"] == re.findall(r"{(\w+)}", path)
    assert all("schema" in parameter for parameter in operation.get("parameters", []))


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_error_that_it_names_exists_and_has_this_status(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    statuses = {cls.code: str(cls.status) for cls in _family(errors.ApiError)}
    refusals = {status: said for status, said in operation["responses"].items() if status >= "400"}

    assert "500" in refusals
    for status, said in refusals.items():
        assert {statuses[code] for code in said["description"].split(", ")} == {status}
        assert said["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_it_says_whether_one_has_to_sign_in(path: str, method: str, operation: dict[str, Any]) -> None:
    asks = operation["security"] != []

    assert asks is (path.startswith(("/items", "/imports")))
    assert ("401" in operation["responses"]) is asks


def test_an_item_has_every_managed_field_and_no_other() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["Item"] == {
        "allOf": [{"$ref": "#/components/schemas/ManagedFields"}, {"$ref": "#/components/schemas/ItemFields"}]
    }
    assert schemas["ManagedFields"]["properties"].keys() == {*models.MANAGED_FIELDS, "expiresAt"}
    assert set(schemas["ManagedFields"]["required"]) == set(models.MANAGED_FIELDS) - {"image"}


def test_the_limits_of_a_list_stand_in_it() -> None:
    parameters = {one["name"]: one["schema"] for one in DOCUMENT["paths"]["/items"]["get"]["parameters"]}

    assert parameters.keys() == {"limit", "cursor", "order", "createdAfter", "createdBefore"}
    assert {name: parameters["limit"][name] for name in ("minimum", "maximum", "default")} == {
        "minimum": 1,
        "maximum": 100,
        "default": 25,
    }


def test_bodies_come_as_what_the_routes_read() -> None:
    paths = DOCUMENT["paths"]

    assert list(paths["/items/{item_id}"]["patch"]["requestBody"]["content"]) == [
        "application/merge-patch+json",
        "application/json",
    ]
    assert list(paths["/imports"]["post"]["requestBody"]["content"]) == ["application/json", "application/x-ndjson"]


def test_headers_that_a_route_reads_are_named() -> None:
    named = {
        (method.upper(), path): [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }

    assert {route: names for route, names in named.items() if names} == {
        ("POST", "/items"): ["Idempotency-Key"],
        ("GET", "/items/{item_id}"): ["If-None-Match"],
        ("PUT", "/items/{item_id}"): ["If-Match"],
        ("PATCH", "/items/{item_id}"): ["If-Match"],
        ("DELETE", "/items/{item_id}"): ["If-Match"],
        ("DELETE", "/items/{item_id}/image"): ["If-Match"],
    }


def test_the_kinds_of_pictures_that_may_be_uploaded_are_listed() -> None:
    schema = DOCUMENT["components"]["schemas"][wire.TicketRequest.__name__]

    assert "image/jpeg" in schema["properties"]["contentType"]["enum"]


def _family(top: type[Any]) -> list[Any]:
    return [cls for child in top.__subclasses__() for cls in (child, *_family(child))]
