"""JSON Schemas (2020-12) for the OpenAPI document: those that msgspec makes of the models, and those of an item.

An item has the caller's own fields beside the managed ones, so its schemas follow from ``item_fields.ItemFields``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from chalicelib.catalogue import (
    bulk_imports,
    field_annotations,
    import_parsing,
    item_fields,
    models,
    search,
    search_index_keys,
    webhooks,
)
from chalicelib.catalogue.search_index_keys import Declaration
from chalicelib.config import ContentType
from chalicelib.http import schemas, webhook_schemas
from chalicelib.values import dynamodb_limits, exact_json

Schema = dict[str, Any]

_TAG = r'(?:W/)?"[!#-~]*"'
ENTITY_TAGS = rf"^[ \t]*(?:\*|(?:,[ \t]*)*{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*)[ \t]*$"
"""The pattern of an If-Match or If-None-Match."""

_PLACE = "#/components/schemas/{name}"
_PART = "ItemFields.{name}"
"""The name of a model inside ``ItemFields``, which another model may share."""

_ALWAYS: tuple[type[Any], ...] = (
    schemas.Item,
    schemas.ItemPage,
    schemas.PublicItem,
    schemas.PublicItemPage,
    schemas.TicketRequest,
    schemas.ImagePatch,
    schemas.BatchRequest,
    schemas.BatchResults,
    schemas.ImportRequest,
    schemas.Import,
    schemas.ExportRequest,
    schemas.Export,
    schemas.Error,
    webhook_schemas.DeliveryList,
    webhook_schemas.QueuedDelivery,
    webhook_schemas.Webhook,
    webhook_schemas.WebhookPatch,
    webhook_schemas.WebhookRequest,
    webhook_schemas.WebhookList,
    webhook_schemas.WebhookWithSecret,
)
"""Models whose schemas are completed here, or that routes name."""


class Schemas:
    """The schemas of ``models`` and of an item."""

    def __init__(self, models: Iterable[Any]) -> None:
        # A name stands for a schema that is made here.
        known = dict.fromkeys([*_ALWAYS, *(model for model in models if not isinstance(model, str))])
        references, made = msgspec.json.schema_components(list(known), ref_template=_PLACE)
        self._of = dict(zip(known, references, strict=True)) | _INLINE
        self.components: dict[str, Schema] = _completed(made)
        """All schemas that have a name."""

    def of(self, model: Any) -> Schema:
        """Return the schema of a model, or a reference to it; ``model`` may be the name of a schema."""
        found: Schema = self._of[model] if model in self._of else ref(model)
        return found


_INLINE: dict[Any, Schema] = {
    "Page": {"type": "string"},
    "VisitorPage": {"type": "string"},
    "SharePage": {"type": "string"},
    "File": {"type": "string"},
    None: {},
}
"""Schemas that need no name; None stands for a body of which the route declares nothing."""


def ref(name: str) -> Schema:
    """Return a reference to the schema of that name."""
    return {"$ref": _PLACE.format(name=name)}


def parameters(query: type[Any]) -> dict[str, Schema]:
    """Return the schemas of a query's parameters by name, without null, which cannot be sent."""
    _, made = msgspec.json.schema_components([query])
    found = {name: _without_null(schema) for name, schema in made[query.__name__]["properties"].items()}
    if issubclass(query, schemas.ListQuery):
        is_public = query is schemas.PublicListQuery
        declaration = search_index_keys.current().public if is_public else search_index_keys.current()
        filters = _filters(declaration, "Public" if is_public else "")
        found["filter"] = {"description": found["filter"]["description"]} | filters
        found["sort"] |= _sorts(declaration)
    return found


def _sorts(declaration: Declaration) -> Schema:
    """Return the values of the parameter ``sort``, and names for them, which client generators use."""
    fields = declaration.findable.values()
    names = [search.CREATED_AT, *(field.name for field in fields if not field.is_list)]
    constants = [re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).upper() for name in names]
    return {
        "enum": [*names, *(f"-{name}" for name in names)],
        "x-enum-varnames": [*constants, *(f"{name}_DESCENDING" for name in constants)],
    }


def _filters(declaration: Declaration, name: str = "", *, in_body: bool = False) -> Schema:
    """Return the schema of the parameter ``filter``, or of the field in a body: an object of the findable fields.

    Client generators name a model after the title of a schema, of which ``name`` is a part.
    """
    fields = declaration.findable.items()
    properties = {field_name: _filter(field, name, in_body=in_body) for field_name, field in fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _filter(field: search_index_keys.Field, name: str, *, in_body: bool) -> Schema:
    """Return the schema of the filters by a field: a value, or an object of operators."""
    value = _any_of(
        [one for kind in field.kinds for one in (_KINDS[kind], *(_AS_TEXT.get(kind, ()) if in_body else ()))]
    )
    title = f"{field.name[0].upper()}{field.name[1:]}{name}Conditions"
    if field.is_list:
        return _operators(title, {"has": value}, in_body=in_body)
    lists = f"At most {search.MAX_VALUES} values, separated by commas."
    operators = dict.fromkeys(("eq", "gt", "gte", "lt", "lte"), value)
    operators |= {"prefix": {"type": "string"}} if "s" in field.kinds else {}
    operators["in"] = {"type": "string", "description": lists}
    return _any_of([value, _operators(title, operators, in_body=in_body)])


def _operators(title: str, values: dict[str, Schema], *, in_body: bool) -> Schema:
    schema: Schema = {"title": title, "type": "object", "properties": values, "additionalProperties": False}
    return schema | ({"minProperties": 1} if in_body else {})  # A query cannot contain an object without properties.


def _any_of(alternatives: list[Schema]) -> Schema:
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


_KINDS: dict[str, Schema] = {
    "s": {"type": "string"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "d": {"type": "string", "format": "date-time"},
}
"""The schemas of values by their kinds (``search_index_keys.Kind``)."""

_AS_TEXT: dict[str, tuple[Schema]] = {
    "n": ({"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$"},),
    "b": ({"type": "string", "enum": ["true", "false"]},),
}
"""The schemas of text that stands for values in a body, as in a query."""


def _without_null(schema: Schema) -> Schema:
    if "anyOf" not in schema:
        return schema
    other: Schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
    return {name: value for name, value in schema.items() if name not in ("anyOf", "default")} | other


def _completed(made: dict[str, Schema]) -> dict[str, Schema]:
    """Add what the types of the models do not contain, and the schemas that follow from ``ItemFields``."""
    made |= _parts()
    made["Value"] = _value()
    made["Document"] = {"title": "Document", "description": "An OpenAPI 3.1 document.", "type": "object"}
    _share(made, "ContentType", "A type of pictures.", schemas.ImagePending, schemas.ImageReady, schemas.TicketRequest)
    managed = made.pop(schemas.Item.__name__)
    made["Image"] = managed["properties"]["image"] | {"title": "Image"}
    _refer(managed["properties"], "image", "Image")
    declared = _declared()["ItemFields"]
    made |= _of_items(declared, managed)
    _extend(made, schemas.ItemPage, "items", items=ref("Item"))
    made["PublicItem"] = _public_item(declared, made["PublicItem"])
    _extend(made, schemas.PublicItemPage, "items", items=ref("PublicItem"))
    _complete_operations(made)
    _extend(made, schemas.ImportRequest, "items", items=_ENTRY, maxItems=import_parsing.MAX_ENTRIES)
    made["ExportRequest"]["properties"]["filter"] |= _filters(search_index_keys.current(), "Export", in_body=True)
    made["EventType"] = msgspec.json.schema(webhooks.AcceptedEvents) | {
        "title": "EventType",
        "description": "A type of events; `*` stands for all, also for those that are added later.",
    }
    for model in (webhook_schemas.Webhook, webhook_schemas.WebhookPatch, webhook_schemas.WebhookRequest):
        _extend(made, model, "events", items=ref("EventType"))
    _extend(made, webhook_schemas.WebhookWithSecret, "events", items=ref("EventType"))
    _extend(made, schemas.Import, "errors", maxItems=bulk_imports.MAX_FAILURES_SHOWN)
    return made


def _share(made: dict[str, Schema], name: str, description: str, *models: type[Any]) -> None:
    """Give the fields ``contentType`` of ``models`` one common schema, so that client generators make one type."""
    made[name] = msgspec.json.schema(ContentType) | {"title": name, "description": description}
    for model in models:
        _refer(made[model.__name__]["properties"], "contentType", name)


def _refer(properties: dict[str, Schema], field: str, name: str) -> None:
    properties[field] = ref(name) | {"description": properties[field]["description"]}


def _extend(made: dict[str, Schema], model: type[Any], field: str, **more: Any) -> None:
    made[model.__name__]["properties"][field] |= more


def _of_items(declared: Schema, managed: Schema) -> dict[str, Schema]:
    """Return the schemas of an item, and of the bodies that create, replace and change one."""
    own = declared["properties"]
    free = {
        "propertyNames": {"minLength": 1},
        "additionalProperties": False if declared.get("additionalProperties") is False else ref("Value"),
    }
    sent = _SETTINGS | _sent_back(managed["properties"])
    return {
        "Item": free
        | {
            "title": "Item",
            "description": "A stored item: the managed fields and the caller's own.",
            "type": "object",
            "properties": managed["properties"] | _without_default(own),
            "required": [*managed["required"], *declared["required"]],
        },
        "ItemFields": declared
        | free
        | {
            "description": declared.get("description", "An item's own fields."),
            "properties": own | _SETTINGS,
            "propertyNames": {"minLength": 1, "not": {"enum": list(models.MANAGED_FIELDS)}},
        }
        | ({"x-others-public": True} if _shows_undeclared() else {}),
        "ItemReplacement": declared
        | free
        | {
            "title": "ItemReplacement",
            "description": "An item's own fields, and the managed ones if they equal what is stored.",
            "properties": own | sent,
        },
        "ItemPatch": free
        | {
            "title": "ItemPatch",
            "description": "A JSON Merge Patch (RFC 7396) of an item's own fields: null removes one. The managed "
            "fields may be sent if they equal what is stored.",
            "type": "object",
            "properties": sent,
            "additionalProperties": ref("Value"),
        },
    }


def _public_item(declared: Schema, managed: Schema) -> Schema:
    """Return the schema of what visitors see of an item."""
    shown = search_index_keys.current().shown(declared["properties"])
    required = [name for name in declared["required"] if name in shown]
    return managed | {
        "properties": managed["properties"] | _without_default(shown),
        "required": [*managed["required"], *required],
        "additionalProperties": ref("Value") if _shows_undeclared() else False,
    }


def _shows_undeclared() -> bool:
    """Return whether visitors see the fields that are not declared."""
    return bool(search_index_keys.current().shown({"": None}))


def _sent_back(managed: dict[str, Schema]) -> dict[str, Schema]:
    """Return the managed fields in a body: each as it was read, and null if there is no picture."""
    sent = {name: managed[name] for name in models.MANAGED_FIELDS}
    sent["image"] = {
        "description": "As it was read; its URLs are not compared, because they change with time.",
        "anyOf": [ref("Image"), {"type": "null"}],
    }
    return sent


_SETTINGS: dict[str, Schema] = {
    "expiresAt": {
        "description": "When the item expires, a future time. Null or absent: never.",
        "type": ["string", "null"],
        "format": "date-time",
    },
    "visibility": {
        "description": "Visitors see public items without signing in. Private if it is not set.",
        "type": ["string", "null"],
        "enum": ["private", "public", None],
    },
}


def _complete_operations(made: dict[str, Schema]) -> None:
    """Complete the schemas of a batch's operations."""
    for model, body in _BODIES.items():
        properties = made[model.__name__]["properties"]
        properties["op"] = {"type": "string", "const": model.__struct_config__.tag}
        if body:
            _refer(properties, "body", body)
        if "ifMatch" in properties:
            properties["ifMatch"]["pattern"] = ENTITY_TAGS


_BODIES: dict[type[Any], str | None] = {
    schemas.BatchCreate: "ItemFields",
    schemas.BatchPatch: "ItemPatch",
    schemas.BatchReplace: "ItemReplacement",
    schemas.BatchDelete: None,
}


_ENTRY: Schema = {
    "anyOf": [ref("ItemFields"), {"description": "Anything else is accepted too, and fails when it is processed."}]
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
        # Not additionalProperties: client generators would take any value for an object.
        "unevaluatedProperties": ref("Value"),
    }


@functools.cache
def _declared() -> dict[str, Schema]:
    """Return the schemas of ``ItemFields`` and of the models in it, by name."""
    _, made = msgspec.json.schema_components([item_fields.ItemFields], ref_template=_PLACE.format(name=_PART))
    declared: dict[str, Schema] = _as_enforced(made)
    return declared


def _parts() -> dict[str, Schema]:
    """Return the schemas of the models in ``ItemFields``, by names that no other model has."""
    text = exact_json.to_json(_declared()).decode()
    named = {_PART.format(name=name): schema for name, schema in _declared().items()}
    # Client generators name a model after its title.
    return {name: schema | {"title": name} for name, schema in named.items() if f'"{ref(name)["$ref"]}"' in text}


def _as_enforced(schema: Any) -> Any:
    """Return a schema of msgspec's as the API enforces it: a decimal is sent as a number, and so is its default."""
    if isinstance(schema, list):
        return [_as_enforced(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _as_enforced(inner) for name, inner in schema.items() if name not in ("default", "properties")}
    if schema.get("format") == "decimal":
        kept |= {"type": ["number", "string"]} if kept.pop(field_annotations.OR_TEXT, False) else {"type": "number"}
        if kept["type"] == "number":
            del kept["format"]
    if "properties" in schema:
        kept["properties"] = {name: _as_enforced(inner) for name, inner in schema["properties"].items()}
    return kept | _default(schema)


def _default(schema: Schema) -> Schema:
    """Return the default in a schema of msgspec's, which has decimals as text. Leave out a collection of decimals."""
    if "default" not in schema:
        return {}
    default = schema["default"]
    if not default or "'decimal'" not in str(schema):
        return {"default": default}
    if not isinstance(default, str):
        return {}
    number = Decimal(default)
    return {"default": int(number) if number == int(number) else float(number)}


def _without_default(properties: dict[str, Schema]) -> dict[str, Schema]:
    """Return the schemas of fields that were stored: the class may have got a default later."""
    return {
        field: {name: value for name, value in schema.items() if name != "default"}
        for field, schema in properties.items()
    }
