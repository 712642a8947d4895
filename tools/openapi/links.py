"""The links from the response of one operation to the parameters of the next (OpenAPI 3.1, "Link Object")."""

from __future__ import annotations

from collections.abc import Container

from tools.openapi.json_schemas import Schema

_BY_BODY = {"path.item_id": "$response.body#/id"}
_BY_TAG = _BY_BODY | {"header.If-Match": "$response.header.ETag"}
_BY_PATH = {"path.item_id": "$request.path.item_id"}
_WEBHOOK = {"path.webhook_id": "$response.body#/id"}


def _link(operation_id: str, description: str, parameters: dict[str, str]) -> Schema:
    return {"operationId": operation_id, "description": description, "parameters": parameters}


COMPONENTS: dict[str, Schema] = {
    "readItem": _link("getItem", "Read it.", _BY_BODY),
    "readItemIfChanged": _link(
        "getItem", "Read it if it has changed.", _BY_BODY | {"header.If-None-Match": "$response.header.ETag"}
    ),
    "replaceItem": _link("replaceItem", "Replace its fields, unless somebody else has written since.", _BY_TAG),
    "patchItem": _link("patchItem", "Change it, unless somebody else has written since.", _BY_TAG),
    "deleteItem": _link("deleteItem", "Delete it, unless somebody else has written since.", _BY_TAG),
    "createImageTicket": _link("createImageTicket", "Give it a picture.", _BY_BODY),
    "readThumbnail": _link(
        "getImage",
        "Download its first thumbnail.",
        _BY_BODY | {"query.size": "$response.body#/image/thumbnails/0/size"},
    ),
    "watchItem": _link("getItem", "See whether the picture is ready.", _BY_PATH),
    "deleteImage": _link("deleteImage", "Remove the picture again.", _BY_PATH),
    "getImage": _link("getImage", "The picture no longer exists.", _BY_PATH),
    "listShares": _link("listShares", "List the item's share links.", _BY_PATH),
    "deleteShare": _link("deleteShare", "Delete it.", _BY_PATH | {"path.share_id": "$response.body#/id"}),
    "nextPage": _link(
        "listItems",
        "Continue with the same parameters, also those of `filter`, which a link cannot contain.",
        {
            "query.cursor": "$response.body#/nextCursor",
            **{
                f"query.{name}": f"$request.query.{name}"
                for name in ("q", "sort", "order", "createdAfter", "createdBefore")
            },
        },
    ),
    "readFirst": _link("getItem", "Read the first of them.", {"path.item_id": "$response.body#/items/0/id"}),
    "readWebhook": _link("getWebhook", "Read it.", _WEBHOOK),
    "patchWebhook": _link("patchWebhook", "Change it.", _WEBHOOK),
    "rotateSecret": _link("rotateWebhookSecret", "Replace its secret.", _WEBHOOK),
    "deleteWebhook": _link("deleteWebhook", "Delete it.", _WEBHOOK),
    "listDeliveries": _link(
        "listDeliveries", "List its deliveries, with their results.", {"path.webhook_id": "$request.path.webhook_id"}
    ),
    "watchImport": _link("getImport", "Show its progress.", {"path.import_id": "$response.body#/id"}),
    "watchExport": _link("getExport", "Show its progress.", {"path.export_id": "$response.body#/id"}),
}

_ITEM = ("readItem", "readItemIfChanged", "replaceItem", "patchItem", "deleteItem", "createImageTicket")

_FROM: dict[str, tuple[str, ...]] = {
    "createItem": _ITEM,
    "getItem": (*_ITEM, "readThumbnail"),
    "replaceItem": _ITEM,
    "patchItem": _ITEM,
    "deleteItem": ("readItem",),
    "listItems": ("nextPage", "readFirst"),
    "createImageTicket": ("watchItem", "deleteImage"),
    "deleteImage": ("watchItem", "getImage"),
    "createShare": ("listShares", "deleteShare"),
    "createWebhook": ("readWebhook", "patchWebhook", "rotateSecret", "deleteWebhook"),
    "testWebhook": ("listDeliveries",),
    "redeliver": ("listDeliveries",),
    "createImport": ("watchImport",),
    "createExport": ("watchExport",),
}


def references(operation_id: str, operation_ids: Container[str]) -> dict[str, Schema]:
    """Return the links from the response of an operation to those of ``operation_ids``; most have none."""
    names = [name for name in _FROM.get(operation_id, ()) if COMPONENTS[name]["operationId"] in operation_ids]
    return {name: {"$ref": f"#/components/links/{name}"} for name in names}
