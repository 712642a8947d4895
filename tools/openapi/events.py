"""The ``webhooks`` of the OpenAPI document: the events that are sent to webhooks, each with its JSON Schema."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping

import msgspec

from chalicelib.catalogue.requested_deliveries import WebhookTest
from chalicelib.events import item_events
from tools.openapi.examples import ID, ExamplesByModel
from tools.openapi.json_schemas import Schema, ref

_EVENTS: tuple[type[msgspec.Struct], ...] = (*item_events.EVENTS, WebhookTest)

_SCHEMA_VERSION = "The version of the event's format. A change that may break a receiver gets another number."

_HEADERS: dict[str, Schema] = {
    "webhook-id": {
        "description": "The `id` of the event: the same in each attempt.",
        "schema": {"type": "string", "format": "uuid"},
        "example": ID,
    },
    "webhook-timestamp": {
        "description": "When this attempt was made, in Unix seconds. Refuse a request that is more than a few minutes "
        "old.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1772352000",
    },
    "webhook-signature": {
        "description": "Signatures, separated by spaces, one for each secret that is valid. Each is `v1,` and, in "
        "base64, the HMAC-SHA256 of the id, a full stop, the timestamp, a full stop, and the body.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)?$"},
        "example": f"v1,{'q83vASNF' * 5}q80=",
    },
}


def webhooks(examples: ExamplesByModel) -> dict[str, Schema]:
    """Return the path item of each event, by its type."""
    return {str(event.__struct_config__.tag): {"post": _operation(event, examples)} for event in _EVENTS}


def schemas(known: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the schemas of all events, and those to which they refer. ``known`` are those of the API, by name."""
    _, made = msgspec.json.schema_components(_EVENTS, ref_template="#/components/schemas/{name}")
    for event in _EVENTS:
        properties = made[event.__name__]["properties"]
        made[event.__name__]["required"] = list(properties)  # Each is sent.
        # Client generators would make a type of an enumeration of one.
        properties["type"] = {"type": "string", "const": event.__struct_config__.tag}
        properties["schema"] = {"type": "integer", "const": 1, "description": _SCHEMA_VERSION}
    for data in (item_events.ItemData, item_events.UpdateData, item_events.DeletionData):
        properties = made[data.__name__]["properties"]
        properties["item"] |= ref("EventItem")
        # openapi-python-client does not support an enumeration of a boolean.
        properties["itemOmitted"] = {"type": "boolean", "description": properties["itemOmitted"]["description"]}
    made["WebhookTest"]["properties"] |= {
        name: made["ItemCreated"]["properties"][name] for name in ("id", "timestamp", "schema")
    }
    return made | _pictures() | {"EventItem": _item(known)}


def _item(known: Mapping[str, Schema]) -> Schema:
    """Return the schema of an item in an event: that of the API, but its picture has no URLs."""
    item = known["Item"]
    image = json.loads(json.dumps(known["Image"]).replace("/ImageReady", "/EventImageReady"))
    return item | {
        "title": "EventItem",
        "description": "An item as the API shows it, without URLs.",
        "properties": item["properties"] | {"image": {name: image[name] for name in image if name != "title"}},
    }


def _pictures() -> dict[str, Schema]:
    """Return the schemas of a picture in an event, and of its thumbnails."""
    _, made = msgspec.json.schema_components([item_events.ImageReady], ref_template="#/components/schemas/Event{name}")
    del made["Focus"]
    named = {f"Event{name}": schema | {"title": f"Event{name}"} for name, schema in made.items()}
    properties = named["EventImageReady"]["properties"]
    for field, name in {"contentType": "ContentType", "focus": "Focus"}.items():
        properties[field] = ref(name) | {"description": properties[field]["description"]}
    return named


def _operation(event: type[msgspec.Struct], examples: ExamplesByModel) -> Schema:
    summary, _, description = (inspect.getdoc(event) or "").partition(". ")
    operation: Schema = {
        "operationId": f"receive{event.__name__}",
        "summary": summary.removesuffix("."),
        "description": description,
        "tags": ["Webhooks"],
        "parameters": [{"name": name, "in": "header", "required": True, **header} for name, header in _HEADERS.items()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": ref(event.__name__),
                    "examples": {name: {"value": value} for name, value in examples.of(event.__name__).items()},
                }
            },
        },
        "responses": {
            "2XX": {"description": "The event was received."},
            "410": {"description": "No more events are wanted: the webhook is switched off."},
            "default": {"description": "The delivery failed, and is attempted again."},
        },
        "security": [],
    }
    return {name: value for name, value in operation.items() if value != ""}
