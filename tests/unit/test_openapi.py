"""The OpenAPI document describes all that the app does, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import app
from chalicelib import config, errors
from chalicelib.catalogue import (
    item_fields,
    models,
    search_index_keys,
    validation,
    webhooks,
)
from chalicelib.catalogue.requested_deliveries import WebhookTest, WebhookTestData
from chalicelib.events import item_events, signatures
from chalicelib.http import api, cors, error_translation, schemas
from chalicelib.values import times
from tests.builders import fields
from tests.change_records import record
from tools.openapi.__main__ import FILE, STALE, rendered
from tools.openapi.document import document
from tools.openapi.examples import ID
from tools.openapi.json_schemas import Schemas

PROJECT = Path(__file__).parents[2]
LATER = "2100-01-01T00:00:00.000Z"
TEXT = rendered()
DOCUMENT = json.loads(TEXT)
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
# An adopter may leave out the descriptions of their fields.
DECLARED = {field.encode_name for field in msgspec.structs.fields(item_fields.ItemFields)}
of_every_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def found(document: dict[str, Any], reference: str) -> Any:
    at: Any = document
    for name in reference.removeprefix("#/").split("/"):
        at = at[name]
    return at


def misfits(document: dict[str, Any], schema: dict[str, Any], example: Any) -> list[str]:
    """Return the messages of the errors when ``example`` is validated against ``schema``."""
    validator = Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [error.message for error in validator.iter_errors(example)]


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield the place, the schema and the value of every example."""
    for node in nodes(document):
        schema = node.get("schema", {})
        if "example" in node:
            yield str(node), schema, node["example"]
        for name, example in node.get("examples", {}).items() if schema else ():
            yield f"{name} {schema}", schema, example["value"]


def misfits_of_examples(document: dict[str, Any]) -> dict[str, list[str]]:
    wrong = {place: misfits(document, schema, example) for place, schema, example in examples(document)}
    return {place: found for place, found in wrong.items() if found}


def family(top: type[Any]) -> list[Any]:
    return [cls for child in top.__subclasses__() for cls in (child, *family(child))]


BY_CODE = {cls.code: cls for cls in family(errors.ApiError)}


def test_committed_file_is_up_to_date() -> None:
    up_to_date = FILE.read_text(encoding="utf-8") == TEXT

    assert up_to_date, STALE


class TestDocument:
    def test_is_valid_openapi(self) -> None:
        assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []

    def test_server_url_is_relative(self) -> None:
        assert [server["url"] for server in DOCUMENT["servers"]] == ["."]

    def test_every_reference_resolves(self) -> None:
        references = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)}
        mappings = {
            place for node in nodes(SCHEMAS) for place in node.get("discriminator", {}).get("mapping", {}).values()
        }

        assert references
        for reference in references | mappings:
            assert found(DOCUMENT, reference)

    def test_every_example_fits_its_schema(self) -> None:
        assert misfits_of_examples(DOCUMENT) == {}

    def test_example_of_an_unavailable_backend_is_what_the_app_responds(self) -> None:
        error = error_translation.as_api_error(EndpointConnectionError(endpoint_url="https://example.com"))
        examples = DOCUMENT["paths"]["/items"]["get"]["responses"]["503"]["content"]["application/json"]["examples"]
        message = examples["BACKEND_UNAVAILABLE"]["value"]["message"].removesuffix(".")

        assert isinstance(error, errors.BackendUnavailableError)
        # In the stage local, the message continues with advice.
        assert error.message.startswith(message.replace("stage dev", f"stage {config.settings().stage}"))

    def test_invalid_example_is_found(self) -> None:
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Item"}, {"id": 1, "": 2})
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Hello"}, {"timestamp": "now"})


class TestDescription:
    TEXT = DOCUMENT["info"]["description"]

    def test_names_existing_errors(self) -> None:
        named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+|[A-Z]{6,})`", self.TEXT))

        assert {"UNAUTHORIZED", "VERSION_MISMATCH", "REQUEST_TOO_LARGE"} <= named <= BY_CODE.keys() | {"DELETE"}

    def test_names_existing_routes(self) -> None:
        named = set(re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`", self.TEXT))

        assert named
        assert named <= app.app.operations.keys()


class TestOperations:
    def test_are_the_routes_of_the_app(self) -> None:
        documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

        routes = {(method, path) for path, methods in app.app.routes.items() for method in methods}
        assert documented == {route for route in routes if route[0] != "HEAD"}

    def test_ids_are_unique(self) -> None:
        names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]

        assert len(set(names)) == len(names)
        assert {"createItem", "listItems", "getItem", "createImageTicket", "getOpenapi"} <= set(names)

    @of_every_operation
    def test_require_a_token_unless_public(self, path: str, method: str, operation: dict[str, Any]) -> None:
        asks = operation["security"] == [{"bearer": []}]

        assert asks is not app.app.operations[method.upper(), path].public
        assert ("401" in operation["responses"]) is asks
        assert asks or operation["security"] == []


class TestUndeclaredRoute:
    """A route of which nothing but its path and its view is declared."""

    @staticmethod
    def operation(view: Any, path: str = "/shelves/{shelf_id}", method: str = "GET", **declared: Any) -> dict[str, Any]:
        shop = api.Api()
        shop.route(path, methods=[method], **declared)(view)
        made = json.loads(json.dumps(document(shop)))
        assert [str(error) for error in OpenAPIV31SpecValidator(made).iter_errors()] == []
        assert misfits_of_examples(made) == {}
        operation: dict[str, Any] = made["paths"][path][method.lower()]
        return operation

    def test_is_described_by_its_docstring(self) -> None:
        def get_shelf() -> None:
            """Read a shelf.

            All of it,
            at once.
            """

        operation = self.operation(get_shelf)

        assert (operation["operationId"], operation["tags"]) == ("getShelf", ["Shelves"])
        assert (operation["summary"], operation["description"]) == ("Read a shelf", "All of it, at once.")

    def test_is_described_by_its_name_without_a_docstring(self) -> None:
        def get_shelf() -> None: ...

        assert self.operation(get_shelf)["summary"] == "Get shelf"

    def test_has_the_common_errors(self) -> None:
        def get_shelf() -> None: ...

        guarded, public = self.operation(get_shelf), self.operation(get_shelf, public=True)

        assert list(guarded["responses"]) == ["200", "400", "401", "429", "500", "503"]
        assert list(public["responses"]) == ["200", "429", "500"]

    def test_has_an_example_of_its_own_model(self) -> None:
        class Shelf(msgspec.Struct):
            """A shelf. It holds items."""

            id: schemas._Id
            name: str
            width: Annotated[int, msgspec.Meta(ge=10)]

        def create_shelf() -> None: ...

        operation = self.operation(create_shelf, "/shelves", "POST", body=Shelf, response_model=Shelf, status_code=201)

        for body in (operation["requestBody"], operation["responses"]["201"]):
            content = body["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Shelf"}
            assert content["examples"]["example"]["value"] == {"id": ID, "name": "x", "width": 10}
        assert operation["responses"]["201"]["description"] == "A shelf."

    def test_has_an_example_of_an_invalid_parameter(self) -> None:
        class ShelfQuery(msgspec.Struct):
            text: str = ""

        def list_shelves() -> None: ...

        operation = self.operation(list_shelves, "/shelves", query=ShelfQuery)

        examples = operation["responses"]["400"]["content"]["application/json"]["examples"]
        assert examples["INVALID_REQUEST"]["value"]["message"] == "text may be given once, not 2 times."
        assert [one["description"] for one in operation["parameters"]] == ["The parameter `text`."]

    def test_has_its_own_errors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A new class would be found by the tests of all errors, which may run in the same process.
        monkeypatch.setattr(errors.ImportNotFoundError, "sentence", "Shelf {id} has {count} items.")

        def fill_shelf() -> None: ...

        operation = self.operation(fill_shelf, method="PUT", errors=[errors.ImportNotFoundError])

        example = operation["responses"]["404"]["content"]["application/json"]["examples"]["IMPORT_NOT_FOUND"]
        assert example["value"]["message"] == f"Shelf {ID} has … items."

    def test_with_status_204_has_no_content(self) -> None:
        def delete_shelf() -> None: ...

        operation = self.operation(delete_shelf, method="DELETE", status_code=204)

        assert "content" not in operation["responses"]["204"]

    def test_with_a_misspelt_declaration_is_refused(self) -> None:
        with pytest.raises(TypeError, match="respnse_model"):
            api.Api().route("/shelves", respnse_model=schemas.Hello)

    def test_view_of_several_methods_has_unique_ids(self) -> None:
        def serve_shelves() -> None: ...

        shop = api.Api()
        shop.route("/shelves", methods=["GET", "POST"])(serve_shelves)

        methods = document(shop)["paths"]["/shelves"]
        assert {one["operationId"] for one in methods.values()} == {"getServeShelves", "postServeShelves"}

    def test_link_to_a_missing_operation_is_left_out(self) -> None:
        def get_item() -> None: ...

        def delete_item() -> None: ...

        shop = api.Api()
        shop.route("/items/{item_id}")(get_item)
        shop.route("/items/{item_id}", methods=["DELETE"])(delete_item)

        made = document(shop)

        assert made["components"]["links"].keys() == {"readItem", "readItemIfChanged", "deleteItem"}

    def test_preflight_is_not_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cors, "has_preflight_routes", lambda: True)
        shop = api.Api()
        shop.route("/shelves")(lambda: None)

        assert "OPTIONS" in shop.routes["/shelves"]
        assert document(shop)["paths"]["/shelves"].keys() == {"get"}


class TestErrors:
    @of_every_operation
    def test_have_their_status_and_sentence(self, path: str, method: str, operation: dict[str, Any]) -> None:
        refused = {status: response for status, response in operation["responses"].items() if status >= "400"}

        assert {"429", "500"} <= refused.keys()
        for status, response in refused.items():
            content = response["content"]["application/json"]
            codes = content["schema"]["properties"]["error"]["enum"]
            assert content["schema"]["$ref"] == "#/components/schemas/Error"
            assert response["description"] == ", ".join(codes)
            assert list(content["examples"]) == codes
            for code, example in content["examples"].items():
                assert str(BY_CODE[code].status) == status
                assert example["value"]["error"] == code
                assert has_sentence(BY_CODE[code], example["value"]["message"])
            assert ("Retry-After" in response["headers"]) is all(BY_CODE[code].retry_after for code in codes)
            assert ("WWW-Authenticate" in response["headers"]) is (status == "401")

    def test_are_all_documented(self) -> None:
        responses = [
            response
            for operation in [*nodes(DOCUMENT["paths"]), DOCUMENT["components"]]
            for response in (operation.get("responses") or {}).values()
        ]

        named = {code for response in responses for code in response["description"].split(", ")}
        of_operations = set(SCHEMAS["BatchError"]["properties"]["error"]["enum"])
        of_exports = set(SCHEMAS["ExportProblem"]["properties"]["error"]["enum"])
        assert BY_CODE.keys() <= named | of_operations | of_exports
        assert (of_operations | of_exports) - named == {"NOT_TRIED", "TOO_MANY_COLUMNS"}

    def test_of_pictures_and_imports_are_listed_by_code(self) -> None:
        assert set(SCHEMAS["ImageProblem"]["properties"]["error"]["enum"]) == {
            cls.code for cls in family(errors.ImageError)
        }
        assert set(SCHEMAS["ImportFailure"]["properties"]["error"]["enum"]) <= BY_CODE.keys()

    def test_of_api_gateway_are_documented(self) -> None:
        package = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8"))
        responses = package["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
        bodies_and_headers = [
            (json.loads(response["ResponseTemplates"]["application/json"]), response["ResponseParameters"]["Headers"])
            for response in responses.values()
        ]

        assert {body["error"] for body, _ in bodies_and_headers} == {
            "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "REQUEST_TOO_LARGE", "THROTTLED", "INTERNAL_ERROR",
            "UNSUPPORTED_ENCODING",
        }  # fmt: skip
        for body, headers in bodies_and_headers:
            assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Error"}, body) == []
            documented = next(responses_with(body["error"]))
            assert documented["headers"].keys() - {"Accept-Patch"} <= headers.keys()
            assert (
                documented["content"]["application/json"]["examples"][body["error"]]["value"]["message"]
                == body["message"]
            )


def has_sentence(error: type[errors.ApiError], message: str) -> bool:
    """Return whether ``message`` is the error's sentence, with something in each placeholder."""
    pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(error.sentence))
    return re.fullmatch(pattern, message, re.DOTALL) is not None


def responses_with(code: str) -> Iterator[dict[str, Any]]:
    for node in [*nodes(DOCUMENT["paths"]), DOCUMENT["components"]]:
        for response in (node.get("responses") or {}).values():
            if code in response["description"].split(", "):
                yield response


class TestSchemas:
    def test_item_has_managed_and_free_fields(self) -> None:
        item = SCHEMAS["Item"]

        assert item["properties"].keys() == {*models.MANAGED_FIELDS, *models.SETTINGS, *DECLARED}
        assert set(item["required"]) - DECLARED == set(models.MANAGED_FIELDS) - {"image"}
        assert item["additionalProperties"] == {"$ref": "#/components/schemas/Value"}

    @pytest.mark.parametrize("name", [*models.MANAGED_FIELDS, ""])
    def test_new_item_has_no_managed_field(self, name: str) -> None:
        sent = {"$ref": "#/components/schemas/ItemFields"}

        assert misfits(DOCUMENT, sent, fields(**{name: 1}))
        assert misfits(DOCUMENT, sent, fields(expiresAt="2100-01-01T00:00:00Z")) == []

    @pytest.mark.parametrize("schema", ["ItemReplacement", "ItemPatch"])
    def test_item_that_was_read_can_be_sent_back(self, schema: str) -> None:
        sent = {"$ref": f"#/components/schemas/{schema}"}
        answered = DOCUMENT["paths"]["/items/{item_id}"]["get"]["responses"]["200"]["content"]["application/json"]

        assert "withPictureReady" in answered["examples"]
        for example in answered["examples"].values():
            assert misfits(DOCUMENT, sent, example["value"]) == []
        assert misfits(DOCUMENT, sent, fields(image=None)) == []

    @pytest.mark.parametrize("schema", ["ItemReplacement", "ItemPatch"])
    @pytest.mark.parametrize("name", [*models.MANAGED_FIELDS, ""])
    def test_change_has_valid_managed_fields_only(self, schema: str, name: str) -> None:
        assert misfits(DOCUMENT, {"$ref": f"#/components/schemas/{schema}"}, {"title": "Vase", name: -1})

    def test_value_has_no_type(self) -> None:
        # openapi-typescript makes a map of a schema without a type that has additionalProperties.
        assert SCHEMAS["Value"].keys().isdisjoint({"type", "properties", "additionalProperties"})

    @pytest.mark.parametrize("value", [{"a": {"": 1}}, {"a": [{"": 1}]}, {"a": 1e126}, {"a": [[-1e126]]}])
    def test_value_that_cannot_be_stored_is_invalid(self, value: Any) -> None:
        for schema in ("ItemFields", "ItemReplacement", "ItemPatch"):
            assert misfits(DOCUMENT, {"$ref": f"#/components/schemas/{schema}"}, value)

    @pytest.mark.parametrize("value", [None, 0, -1.5, 9.9e125, "", True, [], {}, [[{"a": [None]}]]])
    def test_any_other_value_is_valid(self, value: Any) -> None:
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/ItemFields"}, fields(a=value)) == []

    def test_undeclared_fields_are_marked_if_visitors_see_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class ShowsUndeclared(msgspec.Struct):
            UNDECLARED_ARE_PUBLIC = True

        declaration = search_index_keys.declaration_of(ShowsUndeclared)
        monkeypatch.setattr(search_index_keys, "current", lambda: declaration)

        assert Schemas([]).components["ItemFields"]["x-others-public"] is True
        assert "x-others-public" not in SCHEMAS["ItemFields"]


class TestLinks:
    @of_every_operation
    def test_lead_from_the_response_to_parameters(self, path: str, method: str, operation: dict[str, Any]) -> None:
        for response in operation["responses"].values():
            for name in response.get("links", {}):
                link = DOCUMENT["components"]["links"][name]
                target = next(one for one in nodes(DOCUMENT["paths"]) if one.get("operationId") == link["operationId"])
                assert link["parameters"].keys() <= {f"{one['in']}.{one['name']}" for one in target["parameters"]}
                assert all(has(operation, response, expression) for expression in link["parameters"].values()), name


def has(operation: dict[str, Any], response: dict[str, Any], expression: str) -> bool:
    """Return whether a runtime expression (OpenAPI 3.1, section 4.8.20.4) finds something in this response."""
    source, _, pointer = expression.partition("#")
    where, _, name = source.removeprefix("$").partition(".")[2].partition(".")
    if source.startswith("$request."):
        return any((one["in"], one["name"]) == (where, name) for one in operation["parameters"])
    if where == "header":
        return name in response["headers"]
    examples = response["content"]["application/json"]["examples"].values()
    return any(points(example["value"], pointer.split("/")[1:]) for example in examples)


def points(value: Any, steps: list[str]) -> bool:
    for step in steps:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except LookupError:
            return False
    return True


class TestWebhooks:
    """The ``webhooks`` of the document are the events that the code makes."""

    FAILED = models.Image(status="failed", error=models.PictureFailure("IMAGE_UNREADABLE", "This file is damaged."))
    READY = models.Image(
        status="ready",
        upload_id=ID,
        sequencer="1",
        content_type="image/png",
        width=400,
        height=300,
        bytes=1000,
        thumbnails=(models.Thumbnail(200, 200, 200, "a"),),
        focus=models.Focus(Decimal("0.3"), Decimal(1)),
        placeholder="HAkGbZpxeoawaIiIeKiGiHDb",
        warnings=("TRUNCATED",),
    )

    def schema(self, kind: str) -> dict[str, Any]:
        body = DOCUMENT["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]
        schema: dict[str, Any] = body["schema"]
        return schema

    def item(self, **changes: Any) -> models.Item:
        written = dict.fromkeys(("created_at", "updated_at"), "2026-03-01T08:00:00.000Z")
        item = models.Item(owner="ann", id=ID, version=1, fields=validation.validate_item(fields()).fields, **written)
        return msgspec.structs.replace(item, **changes)

    def test_every_event_fits_its_schema(self) -> None:
        plain, public = self.item(), self.item(visibility="public", image=self.FAILED)
        large = self.item(version=2, fields=fields(text="x" * 250_000))
        expiring = self.item(version=2, expires_at=LATER)
        changes = [
            (None, plain),
            (None, public),
            (public, None),
            (plain, expiring),
            (expiring, large),
            (plain, self.item(image=self.READY)),
            (plain, self.item(image=self.FAILED)),
            (plain, self.item(image=models.Image(status="pending", content_type="image/png"), expires_at=LATER)),
            (plain, self.item(image=models.Image(status="processing"), expires_at=LATER)),
        ]

        made = [json.loads(one.json) for change in changes for one in item_events.from_record(record(*change))]

        types = {event["type"] for event in made}
        assert types == set(get_args(webhooks.EventType)) == DOCUMENT["webhooks"].keys() - {webhooks.TEST_EVENT}
        assert any("itemOmitted" in event["data"] for event in made)
        for event in made:
            assert misfits(DOCUMENT, self.schema(event["type"]), event) == []
            assert misfits(DOCUMENT, self.schema(event["type"]), event | {"schema": 2})
            assert "http" not in json.dumps(event)

    def test_test_event_fits_its_schema(self) -> None:
        event = WebhookTest(ID, "2026-03-01T08:00:00.000Z", WebhookTestData("ann", ID))

        assert misfits(DOCUMENT, self.schema(webhooks.TEST_EVENT), json.loads(msgspec.json.encode(event))) == []

    def test_headers_are_those_of_a_delivery(self) -> None:
        signed = signatures.sign([f"whsec_{'A' * 43}="] * 2, ID, b"{}", times.now())

        for item in DOCUMENT["webhooks"].values():
            documented = {one["name"]: one["schema"] for one in item["post"]["parameters"]}
            assert documented.keys() == signed.keys()
            assert all(misfits(DOCUMENT, documented[name], value) == [] for name, value in signed.items())
