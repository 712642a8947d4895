"""The OpenAPI document says what the app does, all of it and nothing else, so that a client needs nothing but it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import app
from chalicelib import config, errors
from chalicelib.aws import bucket
from chalicelib.catalogue import bulk_imports, item_fields, item_pictures, items, models, validation
from chalicelib.http import schemas
from chalicelib.openapi import generator
from chalicelib.openapi.generator import OPERATIONS
from chalicelib.values import dynamodb_limits, exact_json
from tests.builders import fields
from tests.integration.processes.test_item_fields import CLOSED, ON_SALE, run_edited

PROJECT = Path(__file__).parents[2]
GUARDED = {
    path: {
        method: SimpleNamespace(view_name=route.view_name, authorizer=app.authorize)
        for method, route in methods.items()
    }
    for path, methods in app.app.routes.items()
}
DOCUMENT = json.loads(exact_json.to_json(generator.document(GUARDED)))
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS_SAID = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
# What an adopter has declared is described, or not, as they like.
DECLARED = {field.encode_name for field in msgspec.structs.fields(item_fields.ItemFields)}
of_every_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS_SAID)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
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


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = found(document, node["$ref"]) if "$ref" in node else node
    return whole


def misfits(document: dict[str, Any], schema: dict[str, Any], example: Any) -> list[str]:
    """What of ``example`` does not fit ``schema``."""
    validator = Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [error.message for error in validator.iter_errors(example)]


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example with where it stands and the schema that is beside it."""
    for node in nodes(document):
        schema = node.get("schema", {})
        if "example" in node:
            yield str(node), schema, node["example"]
        for name, example in node.get("examples", {}).items() if schema else ():
            yield f"{name} {schema}", schema, example["value"]


def family(top: type[Any]) -> list[Any]:
    return [cls for child in top.__subclasses__() for cls in (child, *family(child))]


BY_CODE = {cls.code: cls for cls in family(errors.ApiError)}


class TestDocument:
    def test_is_valid_openapi(self) -> None:
        assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []

    def test_says_what_it_is(self) -> None:
        assert DOCUMENT["openapi"] == "3.1.0"
        assert (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"]) == ("Vitrine", config.VERSION)
        assert DOCUMENT.keys() == {"openapi", "info", "servers", "tags", "paths", "components"}

    def test_stands_beside_the_api_wherever_that_is(self) -> None:
        assert [server["url"] for server in DOCUMENT["servers"]] == ["."]

    def test_every_schema_is_one_of_json_schema_2020_12(self) -> None:
        for schema in SCHEMAS.values():
            Draft202012Validator.check_schema(schema)

    def test_every_reference_leads_somewhere(self) -> None:
        references = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)}
        mappings = {
            place for node in nodes(SCHEMAS) for place in node.get("discriminator", {}).get("mapping", {}).values()
        }

        assert references
        for reference in references | mappings:
            assert found(DOCUMENT, reference)

    @pytest.mark.parametrize("kind", ["schemas", "headers", "links"])
    def test_every_part_is_of_use(self, kind: str) -> None:
        used = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}

        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= used

    def test_every_example_fits_its_schema(self) -> None:
        wrong = {place: misfits(DOCUMENT, schema, example) for place, schema, example in examples(DOCUMENT)}

        assert {place: said for place, said in wrong.items() if said} == {}

    def test_an_example_that_does_not_fit_would_be_found(self) -> None:
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Item"}, {"id": 1, "": 2})
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Hello"}, {"timestamp": "now"})


class TestDescription:
    TEXT = DOCUMENT["info"]["description"]

    def test_has_no_gap_left(self) -> None:
        assert "$" not in self.TEXT

    @pytest.mark.parametrize(
        "limit",
        [
            f"{dynamodb_limits.NUMBER_CONTEXT.prec} significant digits",
            f"{validation.MAX_ITEM_BYTES:,} bytes",
            f"{dynamodb_limits.MAX_DEPTH} levels",
            f"1 to {items.MAX_KEY_LENGTH} characters",
            f"{items.IDEMPOTENCY_PERIOD // timedelta(hours=1)} hours",
            f"{item_pictures.TICKET_PERIOD // timedelta(minutes=1)} minutes",
            f"{bucket.DOWNLOAD_URL_PERIOD // timedelta(hours=1)} hours",
            f"{config.MAX_IMAGE_BYTES // 1024**2} MB",
            f"{config.MAX_IMAGE_PIXELS // 10**6} million pixels",
            f"{bulk_imports.MAX_ENTRIES:,} items",
            f"{bulk_imports.MAX_BYTES // 1024**2} MB",
            f"{bulk_imports.KEPT.days} days",
        ],
    )
    def test_says_the_limits_that_there_are(self, limit: str) -> None:
        assert limit in " ".join(self.TEXT.split())

    def test_names_errors_that_there_are(self) -> None:
        named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+|[A-Z]{6,})`", self.TEXT))

        assert {"UNAUTHORIZED", "VERSION_MISMATCH", "REQUEST_TOO_LARGE"} <= named <= BY_CODE.keys() | {"DELETE"}

    def test_names_routes_that_there_are(self) -> None:
        named = set(re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`", self.TEXT))

        assert named
        assert named <= OPERATIONS.keys()

    def test_tells_of_every_state_of_a_picture(self) -> None:
        assert set(get_args(models.ImageStatus)) <= set(re.findall(r"`(\w+)`", self.TEXT))


class TestOperations:
    def test_are_exactly_the_apps_routes(self) -> None:
        documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

        routes = {(method, path) for path, methods in app.app.routes.items() for method in methods}
        assert documented == {route for route in routes if route[0] != "HEAD"}
        assert documented == set(OPERATIONS)

    def test_a_route_that_nobody_described_is_found_out(self) -> None:
        with pytest.raises(KeyError):
            generator.document({"/secret": {"GET": app.app.routes["/health"]["GET"]}})

    def test_a_browsers_question_before_another_is_none(self) -> None:
        routes = {"/items": {**app.app.routes["/items"], "OPTIONS": app.app.routes["/items"]["GET"]}}

        assert generator.document(routes)["paths"]["/items"].keys() == {"get", "post"}

    def test_have_names_of_their_own(self) -> None:
        names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]

        assert len(set(names)) == len(names)
        assert {"createItem", "listItems", "getItem", "createImageTicket", "getOpenapi"} <= set(names)

    @of_every_operation
    def test_are_described(self, path: str, method: str, operation: dict[str, Any]) -> None:
        assert operation["summary"]
        assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
        assert all(response["description"] for response in operation["responses"].values())
        assert any(status < "400" for status in operation["responses"])
        assert ("requestBody" in operation) is (method in ("post", "put", "patch"))

    @of_every_operation
    def test_have_the_parameters_of_their_path_and_no_name_twice(
        self, path: str, method: str, operation: dict[str, Any]
    ) -> None:
        parameters = [(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])]

        assert len(set(parameters)) == len(parameters)
        assert [name for where, name in parameters if where == "path"] == re.findall(r"{(\w+)}", path)
        for parameter in operation.get("parameters", []):
            assert parameter["description"]
            assert parameter.get("required", False) is (parameter["in"] == "path")

    @of_every_operation
    def test_have_the_query_that_their_model_has(self, path: str, method: str, operation: dict[str, Any]) -> None:
        named = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]

        model = OPERATIONS[method.upper(), path].query
        assert named == list(model.__struct_encode_fields__ if model else ())

    @of_every_operation
    def test_give_an_example_of_every_body(self, path: str, method: str, operation: dict[str, Any]) -> None:
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
            assert all(content["examples"] for content in body.get("content", {}).values())

    @of_every_operation
    def test_tell_the_headers_of_every_answer(self, path: str, method: str, operation: dict[str, Any]) -> None:
        for response in operation["responses"].values():
            assert {"X-Request-Id", "X-Content-Type-Options"} <= set(response["headers"])
            for name, header in response["headers"].items():
                assert header["$ref"].rpartition("/")[2].partition(".")[0] == name
                assert resolved(DOCUMENT, header)["description"]

    @of_every_operation
    def test_say_whether_one_has_to_sign_in(self, path: str, method: str, operation: dict[str, Any]) -> None:
        asks = operation["security"] == [{"bearer": []}]

        assert asks is path.startswith(("/items", "/imports"))
        assert ("401" in operation["responses"]) is asks
        assert asks or operation["security"] == []

    def test_that_let_in_whoever_comes_take_a_token_all_the_same(self) -> None:
        document = generator.document({"/items": {"GET": SimpleNamespace(view_name="list_items", authorizer=None)}})

        assert document["paths"]["/items"]["get"]["security"] == [{"bearer": []}, {}]

    def test_read_the_headers_that_are_named(self) -> None:
        named = {
            (method.upper(), path): [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
            for path, methods in DOCUMENT["paths"].items()
            for method, operation in methods.items()
        }

        expected = {
            ("GET", "/"): ["If-None-Match"],
            ("GET", "/docs"): ["If-None-Match"],
            ("GET", "/web/{name}"): ["If-None-Match"],
            ("POST", "/items"): ["Idempotency-Key"],
            ("POST", "/imports"): ["Idempotency-Key"],
            ("GET", "/openapi.json"): ["If-None-Match"],
            ("GET", "/items"): ["If-None-Match"],
            ("GET", "/items/{item_id}"): ["If-Match", "If-None-Match"],
            ("PUT", "/items/{item_id}"): ["If-Match", "If-None-Match"],
            ("PATCH", "/items/{item_id}"): ["If-Match", "If-None-Match"],
            ("DELETE", "/items/{item_id}"): ["If-Match", "If-None-Match"],
            ("DELETE", "/items/{item_id}/image"): ["If-Match", "If-None-Match"],
        }
        assert {route: named[route] for route in expected} == expected

    def test_take_bodies_as_what_the_routes_read(self) -> None:
        paths = DOCUMENT["paths"]

        assert list(paths["/items/{item_id}"]["patch"]["requestBody"]["content"]) == [
            "application/merge-patch+json",
            "application/json",
        ]
        assert list(paths["/imports"]["post"]["requestBody"]["content"]) == ["application/json", "application/x-ndjson"]

    def test_bound_what_is_bounded(self) -> None:
        limit = next(one for one in DOCUMENT["paths"]["/items"]["get"]["parameters"] if one["name"] == "limit")
        key = DOCUMENT["paths"]["/items"]["post"]["parameters"][0]
        name = DOCUMENT["paths"]["/hello"]["get"]["parameters"][0]

        assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}
        assert key["schema"] == {"type": "string", "pattern": r"^[!-+\--~]{1,255}$"}
        assert name["schema"] == {"type": "string", "maxLength": 100, "default": "World"}
        assert SCHEMAS["ImportRequest"]["properties"]["items"]["maxItems"] == bulk_imports.MAX_ENTRIES


class TestErrors:
    @of_every_operation
    def test_are_named_with_their_status_and_sentence(self, path: str, method: str, operation: dict[str, Any]) -> None:
        refusals = {status: said for status, said in operation["responses"].items() if status >= "400"}

        assert {"429", "500"} <= refusals.keys()
        for status, said in refusals.items():
            content = said["content"]["application/json"]
            codes = content["schema"]["properties"]["error"]["enum"]
            assert content["schema"]["$ref"] == "#/components/schemas/Error"
            assert said["description"] == ", ".join(codes)
            assert list(content["examples"]) == codes
            for code, example in content["examples"].items():
                assert str(BY_CODE[code].status) == status
                assert example["value"]["error"] == code
                assert is_said(BY_CODE[code], example["value"]["message"])
            assert ("Retry-After" in said["headers"]) is all(BY_CODE[code].retry_after for code in codes)
            assert ("WWW-Authenticate" in said["headers"]) is (status == "401")

    def test_of_no_route_are_named_too(self) -> None:
        apart = DOCUMENT["components"]["responses"]

        assert {name: said["description"] for name, said in apart.items()} == {
            "UnknownPath": "NOT_FOUND",
            "UnknownMethod": "METHOD_NOT_ALLOWED",
            "Forbidden": "FORBIDDEN",
        }
        assert "Allow" in apart["UnknownMethod"]["headers"]

    def test_are_all_in_it(self) -> None:
        responses = [
            response
            for operation in [*nodes(DOCUMENT["paths"]), DOCUMENT["components"]]
            for response in (operation.get("responses") or {}).values()
        ]

        named = {code for response in responses for code in response["description"].split(", ")}
        assert BY_CODE.keys() <= named

    def test_of_pictures_and_of_entries_are_told_by_code(self) -> None:
        assert set(SCHEMAS["ImageProblem"]["properties"]["error"]["enum"]) == {
            cls.code for cls in family(errors.ImageError)
        }
        assert set(SCHEMAS["ImportFailure"]["properties"]["error"]["enum"]) <= BY_CODE.keys()

    def test_of_api_gateway_come_as_they_are_documented(self) -> None:
        package = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8"))
        responses = package["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
        said = [
            (json.loads(response["ResponseTemplates"]["application/json"]), response["ResponseParameters"]["Headers"])
            for response in responses.values()
        ]

        assert {body["error"] for body, _ in said} == {
            "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "REQUEST_TOO_LARGE", "THROTTLED", "INTERNAL_ERROR",
            "UNSUPPORTED_ENCODING",
        }  # fmt: skip
        for body, headers in said:
            assert misfits(DOCUMENT, {"$ref": "#/components/schemas/Error"}, body) == []
            documented = next(refusals_of(body["error"]))
            assert documented["headers"].keys() - {"Accept-Patch"} <= headers.keys()
            assert (
                documented["content"]["application/json"]["examples"][body["error"]]["value"]["message"]
                == body["message"]
            )


def is_said(error: type[errors.ApiError], message: str) -> bool:
    """Whether ``message`` is the error's sentence, with something in each of its gaps."""
    pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(error.sentence))
    return re.fullmatch(pattern, message, re.DOTALL) is not None


def refusals_of(code: str) -> Iterator[dict[str, Any]]:
    for node in [*nodes(DOCUMENT["paths"]), DOCUMENT["components"]]:
        for response in (node.get("responses") or {}).values():
            if code in response["description"].split(", "):
                yield response


class TestSchemas:
    @pytest.mark.parametrize("name", SCHEMAS)
    def test_are_described_down_to_the_last_field(self, name: str) -> None:
        assert SCHEMAS[name].get("description"), name
        for field, schema in SCHEMAS[name].get("properties", {}).items():
            if (field != "status" and field not in DECLARED) or "description" in schema:
                assert schema["description"], field

    def test_an_item_has_every_managed_field_and_whatever_the_caller_likes(self) -> None:
        item = SCHEMAS["Item"]

        assert item["properties"].keys() == {*models.MANAGED_FIELDS, "expiresAt", *DECLARED}
        assert set(item["required"]) - DECLARED == set(models.MANAGED_FIELDS) - {"image"}
        assert item["additionalProperties"] == {"$ref": "#/components/schemas/Value"}

    @pytest.mark.parametrize("name", [*models.MANAGED_FIELDS, ""])
    def test_a_new_item_has_no_managed_field(self, name: str) -> None:
        sent = {"$ref": "#/components/schemas/ItemFields"}

        assert misfits(DOCUMENT, sent, {"title": "Vase", name: 1})
        assert misfits(DOCUMENT, sent, {"title": "Vase", "expiresAt": "2100-01-01T00:00:00Z"}) == []

    @pytest.mark.parametrize("schema", ["ItemReplacement", "ItemPatch"])
    def test_an_item_that_was_read_can_be_sent_back(self, schema: str) -> None:
        sent = {"$ref": f"#/components/schemas/{schema}"}
        answered = DOCUMENT["paths"]["/items/{item_id}"]["get"]["responses"]["200"]["content"]["application/json"]

        assert "withPictureReady" in answered["examples"]
        for example in answered["examples"].values():
            assert misfits(DOCUMENT, sent, example["value"]) == []
        assert misfits(DOCUMENT, sent, {"title": "Vase", "image": None}) == []

    @pytest.mark.parametrize("schema", ["ItemReplacement", "ItemPatch"])
    @pytest.mark.parametrize("name", [*models.MANAGED_FIELDS, ""])
    def test_a_change_has_managed_fields_only_as_they_can_be_stored(self, schema: str, name: str) -> None:
        assert misfits(DOCUMENT, {"$ref": f"#/components/schemas/{schema}"}, {"title": "Vase", name: -1})

    def test_generators_take_a_free_field_for_any_value(self) -> None:
        # openapi-typescript makes a map of a schema without a type that has additionalProperties.
        assert SCHEMAS["Value"].keys().isdisjoint({"type", "properties", "additionalProperties"})

    def test_generators_find_a_name_for_every_object(self) -> None:
        inline = [
            schema
            for path in nodes(DOCUMENT["paths"])
            for schema in [path.get("schema", {})]
            if "$ref" not in schema and (schema.get("type") == "object" or "allOf" in schema)
        ]

        assert inline == []

    @pytest.mark.parametrize("value", [{"a": {"": 1}}, {"a": [{"": 1}]}, {"a": 1e126}, {"a": [[-1e126]]}])
    def test_what_no_item_holds_is_in_none(self, value: Any) -> None:
        for schema in ("ItemFields", "ItemReplacement", "ItemPatch"):
            assert misfits(DOCUMENT, {"$ref": f"#/components/schemas/{schema}"}, value)

    @pytest.mark.parametrize("value", [None, 0, -1.5, 9.9e125, "", True, [], {}, [[{"a": [None]}]]])
    def test_any_other_value_may_be_in_one(self, value: Any) -> None:
        assert misfits(DOCUMENT, {"$ref": "#/components/schemas/ItemFields"}, fields(a=value)) == []

    def test_a_picture_has_the_fields_of_its_state(self) -> None:
        states = SCHEMAS["Image"]["discriminator"]["mapping"]

        assert {state: set(found(DOCUMENT, place)["properties"]) - {"status"} for state, place in states.items()} == {
            "pending": {"contentType"},
            "processing": set(),
            "ready": {"contentType", "width", "height", "bytes", "url", "thumbnails"},
            "failed": {"error"},
        }
        assert states.keys() == set(get_args(models.ImageStatus))

    def test_times_and_ids_are_told_as_such(self) -> None:
        formats = {
            name: schema.get("format") for name, schema in SCHEMAS["Item"]["properties"].items() if "format" in schema
        }

        assert formats == {
            "id": "uuid",
            "createdAt": "date-time",
            "updatedAt": "date-time",
            "expiresAt": "date-time",
        }
        assert SCHEMAS["Ticket"]["properties"]["expiresAt"]["format"] == "date-time"
        assert SCHEMAS["Hello"]["properties"]["timestamp"]["format"] == "date-time"

    def test_the_kinds_of_pictures_that_may_be_uploaded_are_listed(self) -> None:
        schema = SCHEMAS[schemas.TicketRequest.__name__]["properties"]["contentType"]

        assert "image/jpeg" in resolved(DOCUMENT, schema)["enum"]


class TestLinks:
    @of_every_operation
    def test_lead_to_parameters_that_there_are_from_what_the_answer_has(
        self, path: str, method: str, operation: dict[str, Any]
    ) -> None:
        for response in operation["responses"].values():
            for name in response.get("links", {}):
                link = DOCUMENT["components"]["links"][name]
                target = next(one for one in nodes(DOCUMENT["paths"]) if one.get("operationId") == link["operationId"])
                assert link["parameters"].keys() <= {f"{one['in']}.{one['name']}" for one in target["parameters"]}
                assert all(has(operation, response, expression) for expression in link["parameters"].values()), name

    def test_walk_from_the_first_request_to_the_last(self) -> None:
        leads = {
            (operation["operationId"], DOCUMENT["components"]["links"][name]["operationId"])
            for methods in DOCUMENT["paths"].values()
            for operation in methods.values()
            for response in operation["responses"].values()
            for name in response.get("links", {})
        }

        assert leads >= {
            ("createItem", "getItem"),
            ("getItem", "patchItem"),
            ("patchItem", "createImageTicket"),
            ("createImageTicket", "deleteImage"),
            ("patchItem", "deleteItem"),
            ("listItems", "listItems"),
            ("listItems", "getItem"),
            ("createImport", "getImport"),
        }


def has(operation: dict[str, Any], response: dict[str, Any], expression: str) -> bool:
    """Whether a runtime expression (OpenAPI 3.1, section 4.8.20.4) finds something after this answer."""
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


NAMESAKES = '''
class Value(msgspec.Struct):
    amount: Annotated[int, msgspec.Meta(ge=1, description="How much.")]
    currency: str


class ItemFields(msgspec.Struct, rename="camel"):
    """A box of boxes."""

    value: Value
    name: Annotated[str, msgspec.Meta(min_length=3, max_length=5)]
    inner: list["ItemFields"] = msgspec.field(default_factory=list)
'''


@pytest.fixture(scope="module", params=[ON_SALE, CLOSED, NAMESAKES], ids=["on-sale", "closed", "namesakes"])
def adopted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of an app with fields of its own."""
    done = run_edited(tmp_path_factory.mktemp("adopted"), request.param, [])
    document: dict[str, Any] = json.loads(done.stdout)["document"]
    return document


class TestFieldsOfOnesOwn:
    def test_leave_the_document_valid_and_its_examples_right(self, adopted: dict[str, Any]) -> None:
        assert [str(error) for error in OpenAPIV31SpecValidator(adopted).iter_errors()] == []
        wrong = {place: misfits(adopted, schema, example) for place, schema, example in examples(adopted)}
        assert {place: said for place, said in wrong.items() if said} == {}

    def test_are_asked_for_and_answered(self, adopted: dict[str, Any]) -> None:
        sent, item = (adopted["components"]["schemas"][name] for name in ("ItemFields", "Item"))

        assert sent["required"]
        assert set(sent["required"]) <= set(item["required"])
        assert sent["properties"].keys() <= item["properties"].keys()
        assert sent["additionalProperties"] == item["additionalProperties"]

    def test_are_optional_if_they_may_be_left_out(self, adopted: dict[str, Any]) -> None:
        # A field that is left out stays out: openapi-typescript takes one with a default for one that is always there.
        own = [schema for name, schema in adopted["components"]["schemas"].items() if name.startswith("Item")]

        assert not any("default" in node for node in nodes(own))

    def test_have_a_name_of_their_own_in_clients(self, adopted: dict[str, Any]) -> None:
        titles = [schema["title"] for schema in adopted["components"]["schemas"].values()]

        assert len(set(titles)) == len(titles)

    def test_show_in_the_examples(self, adopted: dict[str, Any]) -> None:
        examples = adopted["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]["examples"]

        assert examples
        for example in examples.values():
            assert set(adopted["components"]["schemas"]["ItemFields"]["required"]) <= example["value"].keys()


def test_an_item_that_nobody_can_make_up_has_no_example(tmp_path: Path) -> None:
    edit = '''
class ItemFields(msgspec.Struct):
    """A book."""

    isbn: Annotated[str, msgspec.Meta(pattern="^97[89][0-9]{10}$")]
'''
    document = json.loads(run_edited(tmp_path, edit, []).stdout)["document"]

    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]["examples"] == {}
    assert document["paths"]["/hello"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]


def test_a_number_that_is_kept_exactly_may_be_sent_as_one(tmp_path: Path) -> None:
    document = json.loads(run_edited(tmp_path, ON_SALE, []).stdout)["document"]
    price = document["components"]["schemas"]["ItemFields"]["properties"]["price"]

    assert misfits(document, price, 12.10) == misfits(document, price, "12.10") == misfits(document, price, None) == []


def test_the_issuer_is_named_where_the_stage_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = {"OIDC_ISSUER": "https://id.example", "OIDC_AUDIENCE": "shop, desk"}
    monkeypatch.setattr(config, "settings", lambda: config.load(stage))

    said = generator.document(app.app.routes)["components"]["securitySchemes"]["bearer"]

    assert (said["type"], said["scheme"], said["bearerFormat"]) == ("http", "bearer", "JWT")
    assert "https://id.example" in said["description"]
    assert "`shop` or `desk`" in said["description"]
