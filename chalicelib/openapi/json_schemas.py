"""JSON Schemas (2020-12) of what goes over HTTP: those that msgspec makes of the models, and an item's, made of both.

An item has the caller's own fields beside the managed ones, so its schemas follow from ``models.ItemFields``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from chalicelib import errors
from chalicelib.catalogue import bulk_imports, item_fields, models, validation
from chalicelib.http import schemas
from chalicelib.openapi import operations
from chalicelib.openapi.operations import DOCUMENT, ITEM, ITEM_FIELDS, ITEM_PATCH, ITEM_REPLACEMENT
from chalicelib.values import dynamodb_limits, exact_json

Schema = dict[str, Any]

_PLACE = "#/components/schemas/{name}"


def of(model: Any) -> Schema:
    """The schema of a model, or a reference to the one of that name."""
    if isinstance(model, str):
        return ref(model)
    references, _ = _made()
    made: Schema = references[model] if model in references else msgspec.json.schema(model)
    return made


def ref(name: str) -> Schema:
    """A reference to the schema of that name."""
    return {"$ref": _PLACE.format(name=name)}


def fields(model: type[Any]) -> dict[str, Schema]:
    """The schemas of a query's parameters. None stands for one that is left out: it cannot be sent."""
    _, made = msgspec.json.schema_components([model])
    return {name: _without_null(schema) for name, schema in made[model.__name__]["properties"].items()}


def _without_null(schema: Schema) -> Schema:
    if "anyOf" not in schema:
        return schema
    given: Schema = next(one for one in schema["anyOf"] if one["type"] != "null")
    return {name: said for name, said in schema.items() if name not in ("anyOf", "default")} | given


@functools.cache
def components() -> dict[str, Schema]:
    """All schemas that have a name."""
    made = {**_made()[1], **_parts()}
    managed = made.pop(schemas.Item.__name__)
    made["Value"] = _value()
    made[DOCUMENT] = {"title": DOCUMENT, "description": "An OpenAPI 3.1 document.", "type": "object"}
    made[_CONTENT_TYPE] = msgspec.json.schema(schemas.ContentType) | {
        "title": _CONTENT_TYPE,
        "description": "A type of pictures.",
    }
    for model in (schemas.ImagePending, schemas.ImageReady, schemas.TicketRequest):
        _refer(made[model.__name__]["properties"], "contentType", _CONTENT_TYPE)
    made[_IMAGE] = managed["properties"]["image"] | {"title": _IMAGE}
    _refer(managed["properties"], "image", _IMAGE)
    made |= _of_items(_declared()[ITEM_FIELDS], managed)
    made[schemas.ItemPage.__name__]["properties"]["items"]["items"] = ref(ITEM)
    made[schemas.ImportRequest.__name__]["properties"]["items"] |= {
        "items": _ENTRY,
        "maxItems": bulk_imports.MAX_ENTRIES,
    }
    made[schemas.Import.__name__]["properties"]["errors"]["maxItems"] = bulk_imports.MAX_FAILURES_SHOWN
    return made


def _refer(properties: dict[str, Schema], field: str, name: str) -> None:
    """Have ``field`` refer to the schema of that name, so that generators of clients make one type of it."""
    properties[field] = ref(name) | {"description": properties[field]["description"]}


def _of_items(declared: Schema, managed: Schema) -> dict[str, Schema]:
    """The schemas of an item and of what is sent to make or change one."""
    own = declared["properties"]
    free = {
        "propertyNames": {"minLength": 1},
        "additionalProperties": False if declared.get("additionalProperties") is False else ref("Value"),
    }
    sent = {"expiresAt": _EXPIRES_AT} | _sent_back(managed["properties"])
    return {
        ITEM: free
        | {
            "title": ITEM,
            "description": "A stored item: the managed fields and the caller's own.",
            "type": "object",
            "properties": managed["properties"] | own,
            "required": [*managed["required"], *declared["required"]],
        },
        ITEM_FIELDS: declared
        | free
        | {
            "description": _described(declared),
            "properties": own | {"expiresAt": _EXPIRES_AT},
            "propertyNames": {"minLength": 1, "not": {"enum": list(models.MANAGED_FIELDS)}},
        },
        ITEM_REPLACEMENT: declared
        | free
        | {
            "title": ITEM_REPLACEMENT,
            "description": "An item's own fields, and the managed ones if they equal what is stored.",
            "properties": own | sent,
        },
        ITEM_PATCH: free
        | {
            "title": ITEM_PATCH,
            "description": "A JSON Merge Patch (RFC 7396) of an item's own fields: null removes one. The managed "
            "fields may be sent if they equal what is stored.",
            "type": "object",
            "properties": sent,
            "additionalProperties": ref("Value"),
        },
    }


def _sent_back(managed: dict[str, Schema]) -> dict[str, Schema]:
    """The managed fields in a body: each as it was read, and null if there is no picture."""
    sent = {name: managed[name] for name in models.MANAGED_FIELDS}
    sent["image"] = {
        "description": "As it was read; its URLs are not compared, because they change with time.",
        "anyOf": [ref(_IMAGE), {"type": "null"}],
    }
    return sent


def _described(declared: Schema) -> str:
    # While it declares nothing, what the class says of itself is for whoever adopts it.
    said: str = declared.get("description", "") if declared["properties"] else ""
    return said or "An item's own fields, of any name and type."


_IMAGE, _CONTENT_TYPE = "Image", "ContentType"

_MODELS: tuple[type[Any], ...] = (
    schemas.Item,
    schemas.ItemPage,
    schemas.Deleted,
    schemas.TicketRequest,
    schemas.Ticket,
    schemas.ImportRequest,
    schemas.Import,
    schemas.ImportFailure,
    schemas.Hello,
    schemas.Health,
    schemas.Error,
)

_EXPIRES_AT: Schema = {
    "description": "When the item expires, a future time. Null or absent: never.",
    "type": ["string", "null"],
    "format": "date-time",
}

_ENTRY: Schema = {
    "anyOf": [ref(ITEM_FIELDS), {"description": "Anything else is accepted too, and fails when it is processed."}]
}


def _value() -> Schema:
    exact = dynamodb_limits.NUMBER_CONTEXT
    beyond = float(f"1e{exact.Emax + 1}")
    return {
        "title": "Value",
        "description": f"Any JSON value. A number has at most {exact.prec} significant digits, and is 0 or at least "
        f"1E{exact.Emin} in magnitude. Nesting goes at most {dynamodb_limits.MAX_DEPTH} levels deep.",
        "exclusiveMinimum": -beyond,
        "exclusiveMaximum": beyond,
        "items": ref("Value"),
        "propertyNames": {"minLength": 1},
        # Not additionalProperties: generators of clients would take any value for an object.
        "unevaluatedProperties": ref("Value"),
    }


@functools.cache
def _made() -> tuple[dict[type[Any], Schema], dict[str, Schema]]:
    """References to the models, and their schemas by name, as msgspec makes them."""
    references, made = msgspec.json.schema_components(_MODELS, ref_template=_PLACE)
    return dict(zip(_MODELS, references, strict=True)), made


@functools.cache
def _declared() -> dict[str, Schema]:
    """The schemas of ``models.ItemFields`` and of the models in it, by name, as msgspec makes them."""
    _, made = msgspec.json.schema_components([item_fields.ItemFields], ref_template=_PLACE.format(name=_PART))
    declared: dict[str, Schema] = _as_kept(made)
    return declared


def _parts() -> dict[str, Schema]:
    """The schemas of the models in ``models.ItemFields``, by names that no other model has."""
    text = exact_json.to_json(_declared()).decode()
    named = {_PART.format(name=name): schema for name, schema in _declared().items()}
    # Generators of clients name a model for its title.
    return {name: schema | {"title": name} for name, schema in named.items() if f'"{ref(name)["$ref"]}"' in text}


_PART = f"{ITEM_FIELDS}.{{name}}"


def _as_kept(schema: Any) -> Any:
    """``schema`` as the API keeps to it: a decimal may be a number too, of which msgspec does not tell.

    And it has no defaults: a field that is left out stays out of the item, while generators of clients take a field
    with a default for one that is always there.
    """
    if isinstance(schema, list):
        return [_as_kept(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    number = {"type": ["number", "string"]} if schema.get("format") == "decimal" else {}
    kept = {name: _as_kept(inner) for name, inner in schema.items() if name not in ("default", "properties")}
    fields = {"properties": {name: _as_kept(inner) for name, inner in schema.get("properties", {}).items()}}
    return kept | number | (fields if "properties" in schema else {})


# --------------------------------------------------------------------------------------------------- an item's example


@functools.cache
def own_example() -> models.Fields | None:
    """What an item's own fields may look like: the vase, or what is made of ``ItemFields``; None if neither will do."""
    for example in (operations.VASE, _sample(_declared()[ITEM_FIELDS])):
        try:
            return validation.draft(example).fields
        except errors.ApiError:
            continue
    return None


def _sample(schema: Schema) -> Any:
    """A value that is likely to fit a schema of msgspec's."""
    if "$ref" in schema:
        return _sample(_declared()[schema["$ref"].rpartition(".")[2]])
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0])
    if said := [*schema.get("examples", ()), *schema.get("enum", ())]:
        return said[0]
    types = schema.get("type")
    make = _SAMPLES.get(types[0] if isinstance(types, list) else str(types))
    return make and make(schema)


def _number(schema: Schema) -> int:
    lowest: int = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return lowest


_SAMPLES: dict[str, Callable[[Schema], Any]] = {
    "object": lambda schema: {name: _sample(schema["properties"][name]) for name in schema.get("required", ())},
    "array": lambda schema: [_sample(schema.get("items", {}))] * schema.get("minItems", 1),
    "string": lambda schema: operations.LATER if "format" in schema else "x" * schema.get("minLength", 1),
    "integer": _number,
    "number": _number,
    "boolean": lambda _: True,
}
