"""The routes of the API, and the functions for uploads, messages, deliveries, changes of items and the cleanup."""

from __future__ import annotations

from chalicelib import coldstart  # isort: skip - it turns garbage collection off for the imports that follow

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, DynamoDBEvent, Rate, Request, Response, SQSEvent

from chalicelib import config, errors
from chalicelib.aws import bucket
from chalicelib.catalogue import (
    item_pictures,
    items,
    public_catalogues,
    share_links,
    validation,
)
from chalicelib.http import (
    api,
    error_translation,
    requests,
    responses,
    schemas,
    serializers,
    static_files,
)
from chalicelib.values import times

settings = config.settings()
app = api.Api()


@app.authorizer(ttl_seconds=300)
def authorize(request: AuthRequest) -> AuthResponse:
    """Allow requests with a valid token."""
    from chalicelib.http import auth  # noqa: PLC0415 - it imports cryptography, which the other functions do not need

    signed_in = auth.authenticate(request.token)
    if signed_in is None:
        return AuthResponse(routes=[], principal_id="nobody")
    # API Gateway caches this response for all routes, so requests.signed_in_owner checks expiresAt again.
    return AuthResponse(routes=["*"], principal_id=signed_in.owner, context={"expiresAt": str(signed_in.expires_at)})


app.default_authorizer = authorize if config.sign_in_required() else None


_AWS_ERRORS = (errors.BusyError, errors.BackendUnavailableError)
"""The errors of a public route that calls AWS. Routes that require sign-in need not declare them."""


# -------------------------------------------------------------------------------------------------------- public routes


@app.route("/", public=True, response_model="Page")
def show_console(request: Request) -> Response:
    """Show the web console."""
    return static_files.console(request)


@app.route("/docs", public=True, response_model="Page")
def show_docs(request: Request) -> Response:
    """Show the API reference.

    You can try every route on this page.
    """
    return static_files.docs(request)


@app.route("/web/{name}", public=True, response_model="File", errors=[errors.NotFoundError])
def get_web_file(request: Request, name: str) -> Response:
    """Read a file of the console or of the API reference."""
    return static_files.file(request, name)


@app.route("/openapi.json", public=True, response_model="Document")
def get_openapi(request: Request) -> Response:
    """Read the OpenAPI document.

    It is generated from the routes and models of the API.
    """
    return static_files.openapi(request)


@app.route("/hello", public=True, query=schemas.HelloQuery, response_model=schemas.Hello)
def say_hello(request: Request, query: schemas.HelloQuery) -> Response:
    """Greet somebody."""
    at = times.format_time(times.now())
    return responses.json_response(schemas.Hello(f"Hello, {query.name}!", at, requests.request_id(request)))


@app.route("/health", public=True, response_model=schemas.Health)
def get_health(_: Request) -> Response:
    """Check that the API responds."""
    return responses.json_response(schemas.Health("ok", settings.stage, config.VERSION))


# --------------------------------------------------------------------------------------------------------------- items


@app.route(
    "/items",
    methods=["POST"],
    idempotency_key=True,
    body="ItemFields",
    status_code=201,
    response_model=schemas.Item,
    response_description="The new item, or the one that was created with this key before.",
    examples=["withoutPicture"],
)
def create_item(request: Request) -> Response:
    """Create an item.

    The body is the item. With an `Idempotency-Key`, you can repeat the request without creating another item.
    """
    at = times.now()
    draft = validation.validate_item(requests.json_object(request))
    item, replayed = items.create(requests.owner(request), draft, at, requests.idempotency_key(request))
    return responses.created_response(request, item, replayed)


@app.route(
    "/items",
    query=schemas.ListQuery,
    response_model=schemas.ItemPage,
    errors=[errors.InvalidCursorError, errors.FieldNotFindableError],
)
def list_items(request: Request, query: schemas.ListQuery) -> Response:
    """List items, page by page.

    The newest items come first, unless `sort` or `order` says otherwise. `filter` and `q` select items.
    """
    from chalicelib.http import list_queries  # noqa: PLC0415 - only lists need it and the search

    owner, which = requests.owner(request), list_queries.parse(query)
    page = list_queries.find_page(owner, which, query, times.now())
    return responses.page_response(request, owner, which, page)


@app.route(
    "/items/{item_id}",
    query=schemas.ItemQuery,
    response_model=schemas.Item,
    errors=[errors.ItemNotFoundError, errors.VersionMismatchError],
)
def get_item(request: Request, item_id: str, query: schemas.ItemQuery) -> Response:
    """Read an item."""
    item = items.get(requests.owner(request), item_id, times.now())
    return responses.item_response(request, item if query.image is None else item.without_image())


@app.route(
    "/items/{item_id}",
    methods=["PUT"],
    body="ItemReplacement",
    response_model=schemas.Item,
    errors=[errors.ItemNotFoundError, errors.VersionMismatchError],
)
def replace_item(request: Request, item_id: str) -> Response:
    """Replace an item's own fields.

    Replaces all own fields, `expiresAt` and `visibility`: those that are not in the body are removed, or get their
    default. The picture stays. You can read an item, change it, and send all of it: managed fields are accepted if they
    equal what is stored. If nothing changes, nothing is written and the version stays.
    """
    at = times.now()
    managed, fields = requests.item_body(request)
    item = items.replace(requests.owner(request), item_id, fields, at, requests.write_check(request, managed))
    return responses.item_response(request, item)


@app.route(
    "/items/{item_id}",
    methods=["PATCH"],
    body={requests.MERGE_PATCH: "ItemPatch", requests.JSON: "ItemPatch"},
    response_model=schemas.Item,
    errors=[errors.ItemNotFoundError, errors.VersionMismatchError],
)
def patch_item(request: Request, item_id: str) -> Response:
    """Change some of an item's own fields.

    The body is a JSON Merge Patch (RFC 7396). The result must follow the rules for a whole item. If it is the same as
    before, nothing is written and the version stays.
    """
    managed, changes = requests.item_body(request, requests.MERGE_PATCH, requests.JSON)
    check = requests.write_check(request, managed)
    item = items.patch(requests.owner(request), item_id, changes, times.now(), check)
    return responses.item_response(request, item)


@app.route(
    "/items/{item_id}",
    methods=["DELETE"],
    response_model=schemas.Deleted,
    response_description="The item is deleted.",
    examples=["itemDeleted"],
    errors=[errors.ItemNotFoundError, errors.VersionMismatchError],
)
def delete_item(request: Request, item_id: str) -> Response:
    """Delete an item.

    Its picture and thumbnails are deleted too.
    """
    item_pictures.delete_item(requests.owner(request), item_id, times.now(), requests.write_check(request))
    return responses.json_response(schemas.Deleted("Item deleted", item_id))


@app.route(
    "/items/batch",
    methods=["POST"],
    idempotency_key=True,
    body=schemas.BatchRequest,
    response_model=schemas.BatchResults,
    response_description="The result of each operation, in the same order.",
)
def run_batch(request: Request) -> Response:
    """Create, change and delete up to 100 items.

    Each operation succeeds or fails on its own, with the status and the error that a single request would have. With an
    `Idempotency-Key`, you can repeat the request: only the operations that failed with a status of 500 or more are
    tried again, and nothing is created twice.
    """
    from chalicelib.catalogue import batches  # noqa: PLC0415 - few requests need it
    from chalicelib.http import batch_bodies  # noqa: PLC0415

    owner, operations = requests.owner(request), batch_bodies.parse(requests.json_object(request))
    key = requests.idempotency_key(request)
    keyed = None if key is None else batches.keyed_request(owner, key, requests.body(request))
    outcome = batches.run(
        owner, operations, lambda: requests.time_left(request), error_translation.logged_api_error, keyed
    )
    return responses.batch_response(outcome)


# ------------------------------------------------------------------------------------------------------------ pictures


@app.route(
    "/items/{item_id}/image",
    methods=["POST"],
    tag="Pictures",
    body=schemas.TicketRequest,
    status_code=201,
    response_model=schemas.Ticket,
    errors=[errors.ItemNotFoundError],
)
def create_image_ticket(request: Request, item_id: str) -> Response:
    """Get a ticket to upload a picture.

    When the upload arrives, it replaces the item's current picture.
    """
    content_type = requests.ticket_request(request).content_type
    ticket = item_pictures.create_ticket(requests.owner(request), item_id, content_type, times.now())
    return responses.json_response(
        schemas.Ticket(
            schemas.PresignedPost(ticket.post.url, ticket.post.fields), config.MAX_IMAGE_BYTES, ticket.expires_at
        ),
        201,
    )


@app.route(
    "/items/{item_id}/image",
    tag="Pictures",
    query=schemas.ImageQuery,
    status_code=302,
    response_description="A redirect to a temporary download URL.",
    errors=[errors.ItemNotFoundError, errors.ImageNotFoundError],
)
def get_image(request: Request, item_id: str, query: schemas.ImageQuery) -> Response:
    """Download the picture or a thumbnail.

    Available only when the item's `image.status` is `ready`.
    """
    item = items.get(requests.owner(request), item_id, times.now())
    return responses.redirect_response(item_pictures.download_url(item, query.size))


@app.route(
    "/items/{item_id}/image",
    methods=["PATCH"],
    tag="Pictures",
    body={requests.MERGE_PATCH: schemas.ImagePatch, requests.JSON: schemas.ImagePatch},
    response_model=schemas.Item,
    errors=[errors.ItemNotFoundError, errors.ImageNotFoundError, errors.VersionMismatchError],
)
def patch_image(request: Request, item_id: str) -> Response:
    """Change the picture's focus.

    Thumbnails that crop the picture are made again, around this point of the upright picture. Available only when the
    item's `image.status` is `ready`; the status does not change. The picture of the next upload has no focus.
    """
    focus, check = requests.image_focus(request), requests.write_check(request)
    item = item_pictures.change_focus(requests.owner(request), item_id, focus, times.now(), check)
    return responses.item_response(request, item)


@app.route(
    "/items/{item_id}/image",
    methods=["DELETE"],
    tag="Pictures",
    response_model=schemas.Deleted,
    response_description="The picture is removed.",
    examples=["imageDeleted"],
    errors=[errors.ItemNotFoundError, errors.ImageNotFoundError, errors.VersionMismatchError],
)
def delete_image(request: Request, item_id: str) -> Response:
    """Remove the picture.

    The thumbnails are removed too; the item stays. If the picture is still `pending`, uploads with its tickets are
    discarded. Otherwise, a ticket for a picture that would have replaced it can still be used.
    """
    item_pictures.delete(requests.owner(request), item_id, times.now(), requests.write_check(request))
    return responses.json_response(schemas.Deleted("Image deleted", item_id))


# --------------------------------------------------------------------------------------------------- public catalogues


@app.route("/catalogue", tag="Catalogues", response_model=schemas.Catalogue)
def get_catalogue(request: Request) -> Response:
    """Show the caller's public catalogue.

    Visitors see the public fields of the caller's items whose `visibility` is `public`.
    """
    catalogue = public_catalogues.get_or_create(requests.owner(request))
    return responses.catalogue_response(request, catalogue, public_catalogues.count_items(catalogue))


@app.route(
    "/catalogue",
    methods=["PATCH"],
    tag="Catalogues",
    body={requests.MERGE_PATCH: schemas.CataloguePatch, requests.JSON: schemas.CataloguePatch},
    response_model=schemas.Catalogue,
)
def patch_catalogue(request: Request) -> Response:
    """Change the caller's public catalogue.

    With `enabled` set to false, visitors find neither the catalogue nor its items, which stay public.
    """
    owner, changes = requests.owner(request), requests.catalogue_changes(request)
    catalogue = public_catalogues.change(owner, changes)
    return responses.catalogue_response(request, catalogue, public_catalogues.count_items(catalogue))


@app.route(
    "/catalogues/{catalogue_id}",
    public=True,
    tag="Catalogues",
    response_model=schemas.PublicCatalogue,
    errors=[errors.CatalogueNotFoundError, *_AWS_ERRORS],
)
def get_public_catalogue(request: Request, catalogue_id: str) -> Response:
    """Read a public catalogue."""
    catalogue = public_catalogues.get(catalogue_id)
    return responses.public_response(request, serializers.public_catalogue(catalogue))


@app.route(
    "/catalogues/{catalogue_id}/items",
    public=True,
    tag="Catalogues",
    query=schemas.PublicListQuery,
    response_model=schemas.PublicItemPage,
    errors=[
        errors.CatalogueNotFoundError,
        errors.InvalidCursorError,
        errors.FieldNotFindableError,
        *_AWS_ERRORS,
    ],
)
def list_public_items(request: Request, catalogue_id: str, query: schemas.PublicListQuery) -> Response:
    """List the items of a public catalogue, page by page.

    Works as `GET /items` does, but returns only the public fields.
    """
    from chalicelib.http import list_queries  # noqa: PLC0415 - only lists need it and the search

    which = list_queries.parse(query)
    catalogue = public_catalogues.get(catalogue_id)
    page = list_queries.find_page(catalogue.partition, which, query, times.now())
    return responses.public_page_response(request, catalogue, which, page)


@app.route(
    "/catalogues/{catalogue_id}/items/{item_id}",
    public=True,
    tag="Catalogues",
    response_model=schemas.PublicItem,
    errors=[errors.CatalogueNotFoundError, errors.ItemNotFoundError, *_AWS_ERRORS],
)
def get_public_item(request: Request, catalogue_id: str, item_id: str) -> Response:
    """Read an item of a public catalogue.

    An item that is private is not found, as if it did not exist.
    """
    copy = items.get(public_catalogues.get(catalogue_id).partition, item_id, times.now())
    return responses.public_response(request, serializers.public_item(copy))


@app.route(
    "/c/{catalogue_id}",
    public=True,
    page=True,
    tag="Catalogues",
    query=schemas.CataloguePageQuery,
    response_model="VisitorPage",
    errors=[errors.CatalogueNotFoundError, errors.InvalidCursorError, errors.FieldNotFindableError, *_AWS_ERRORS],
)
def show_catalogue(request: Request, catalogue_id: str, query: schemas.CataloguePageQuery) -> Response:
    """Show a public catalogue as a page.

    Other query parameters are ignored, because trackers add some to links.
    """
    from chalicelib.http import list_queries, visitor_pages  # noqa: PLC0415 - few requests need them

    shown = visitor_pages.list_query(query)
    which, catalogue = list_queries.parse(shown), public_catalogues.get(catalogue_id)
    page = list_queries.find_page(catalogue.partition, which, shown, times.now())
    next_cursor = responses.next_cursor(len(page.items), catalogue.partition, which, page)
    return visitor_pages.catalogue_page(request, catalogue, shown, page, next_cursor)


@app.route(
    "/c/{catalogue_id}/{item_id}",
    public=True,
    page=True,
    tag="Catalogues",
    response_model="VisitorPage",
    errors=[errors.CatalogueNotFoundError, errors.ItemNotFoundError, *_AWS_ERRORS],
)
def show_public_item(request: Request, catalogue_id: str, item_id: str) -> Response:
    """Show an item of a public catalogue as a page."""
    from chalicelib.http import visitor_pages  # noqa: PLC0415 - few requests need it and the module html

    catalogue = public_catalogues.get(catalogue_id)
    copy = items.get(catalogue.partition, item_id, times.now())
    return visitor_pages.item_page(request, serializers.public_item(copy), catalogue)


# --------------------------------------------------------------------------------------------------------- share links


@app.route(
    "/items/{item_id}/shares",
    methods=["POST"],
    tag="Share links",
    body=schemas.ShareRequest,
    status_code=201,
    response_model=schemas.NewShare,
    errors=[errors.ItemNotFoundError, errors.InvalidExpiryError, errors.TooManySharesError],
)
def create_share(request: Request, item_id: str) -> Response:
    """Make a share link.

    Everybody who has its URL sees the public fields and the picture of the item, even if the item is private, until the
    link or the item expires or is deleted.
    """
    expires_at = requests.share_expiry(request)
    share, token = share_links.create(requests.owner(request), item_id, expires_at, times.now())
    return responses.share_created_response(request, share, token)


@app.route(
    "/items/{item_id}/shares",
    tag="Share links",
    response_model=schemas.ShareList,
    errors=[errors.ItemNotFoundError],
)
def list_shares(request: Request, item_id: str) -> Response:
    """List an item's share links."""
    at = times.now()
    item = items.get(requests.owner(request), item_id, at)
    return responses.json_response(serializers.shares(share_links.live(item, at)))


@app.route(
    "/items/{item_id}/shares/{share_id}",
    methods=["DELETE"],
    tag="Share links",
    response_model=schemas.Deleted,
    response_description="The link shows nothing any more.",
    examples=["shareDeleted"],
    errors=[errors.ItemNotFoundError, errors.ShareNotFoundError],
)
def delete_share(request: Request, item_id: str, share_id: str) -> Response:
    """Delete a share link.

    URLs of thumbnails that the link returned before may work for up to three hours more.
    """
    share_links.revoke(requests.owner(request), item_id, share_id, times.now())
    return responses.json_response(schemas.Deleted("Share link deleted", share_id))


@app.route(
    "/shares/{token}",
    public=True,
    tag="Share links",
    response_model=schemas.SharedItem,
    errors=[errors.ShareNotFoundError, *_AWS_ERRORS],
)
def get_shared_item(request: Request, token: str) -> Response:
    """Read the item that a share link shows.

    The token is the last part of the link's URL. An expired or deleted link is not found, as if it had never existed.
    """
    return responses.shared_item_response(request, share_links.find_item(token, times.now()))


@app.route(
    "/s/{token}",
    public=True,
    page=True,
    tag="Share links",
    response_model="SharePage",
    errors=[errors.ShareNotFoundError, *_AWS_ERRORS],
)
def show_shared_item(request: Request, token: str) -> Response:
    """Show the item of a share link as a page."""
    from chalicelib.http import visitor_pages  # noqa: PLC0415 - few requests need it and the module html

    return visitor_pages.item_page(request, serializers.public_item(share_links.find_item(token, times.now())))


# ------------------------------------------------------------------------------------------------------- bulk imports


@app.route(
    "/imports",
    methods=["POST"],
    query=schemas.ImportQuery,
    idempotency_key=True,
    body={requests.JSON: schemas.ImportRequest, requests.NDJSON: schemas.ImportLines, requests.CSV: schemas.ImportRows},
    status_code=202,
    response_model=schemas.Import,
    response_description="The new import, or the one that was started with this key before, as it was then.",
    examples=["queued"],
    errors=[
        errors.InvalidCsvError,
        errors.ReservedFieldError,
        errors.FieldNotFindableError,
        errors.ImportTooLargeError,
    ],
)
def create_import(request: Request, query: schemas.ImportQuery) -> Response:
    """Create or change many items.

    The body may contain up to 10,000 items, in up to 5 MB. Every item of an accepted import is tried: usually within
    seconds, and within hours if the queue is unavailable. With an `Idempotency-Key`, you can repeat the request without
    importing anything twice.
    """
    from chalicelib.catalogue import bulk_imports  # noqa: PLC0415 - few requests need it

    owner, entries = requests.owner(request), requests.import_entries(request)
    started = bulk_imports.start(owner, entries, times.now(), requests.idempotency_key(request), query.key)
    return responses.import_accepted_response(request, started, bulk_imports.queued(started))


@app.route(
    "/imports/{import_id}",
    response_model=schemas.Import,
    examples=["running", "done", "oneFailed"],
    errors=[errors.ImportNotFoundError],
)
def get_import(request: Request, import_id: str) -> Response:
    """Show the progress of an import."""
    from chalicelib.catalogue import bulk_imports  # noqa: PLC0415 - few requests need it

    return responses.import_response(import_id, bulk_imports.progress(requests.owner(request), import_id, times.now()))


# ------------------------------------------------------------------------------------------------------------- exports


@app.route(
    "/exports",
    methods=["POST"],
    idempotency_key=True,
    body=schemas.ExportRequest,
    status_code=202,
    response_model=schemas.Export,
    response_description="The new export, or the one that was started with this key before, as it was then.",
    examples=["queued"],
    errors=[errors.FieldNotFindableError, errors.TooManyExportsError],
)
def create_export(request: Request) -> Response:
    """Export many items.

    Exports all items, or those that `filter`, `q` and `ids` select. Each item is in the files once, as it was at some
    time during the export. Items that are created, changed or deleted meanwhile may be missing. With an
    `Idempotency-Key`, you can repeat the request without starting another export.
    """
    from chalicelib.catalogue import exports  # noqa: PLC0415 - few requests need it
    from chalicelib.http import export_requests  # noqa: PLC0415

    owner, options = requests.owner(request), export_requests.parse(requests.json_object(request))
    started = exports.start(owner, options, times.now(), requests.idempotency_key(request))
    return responses.export_accepted_response(request, started, exports.queued(started))


@app.route(
    "/exports/{export_id}",
    response_model=schemas.Export,
    examples=["running", "done", "failed"],
    errors=[errors.ExportNotFoundError],
)
def get_export(request: Request, export_id: str) -> Response:
    """Show the progress of an export, and its files."""
    from chalicelib.catalogue import exports  # noqa: PLC0415 - few requests need it

    return responses.export_response(exports.progress(requests.owner(request), export_id, times.now()))


# ------------------------------------------------------------------------------------------------------------ webhooks


@app.route(
    "/webhooks",
    methods=["POST"],
    body="WebhookRequest",
    status_code=201,
    response_model="WebhookWithSecret",
    response_description="The new webhook, and its secret.",
    errors=[errors.TooManyWebhooksError],
)
def create_webhook(request: Request) -> Response:
    """Create a webhook.

    Events are sent to its URL, signed with the secret, at least once each and not always in order. You can have ten
    webhooks.
    """
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    at, body = times.now(), webhook_bodies.webhook_request(request)
    webhook, secret = webhooks.create(requests.owner(request), body.url, body.events, body.description, at)
    return responses.created_at_response(request, webhook.id, webhook_bodies.with_secret(webhook, secret, at))


@app.route("/webhooks", response_model="WebhookList")
def list_webhooks(request: Request) -> Response:
    """List the webhooks."""
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    return responses.json_response(webhook_bodies.webhook_list(webhooks.find_all(requests.owner(request)), times.now()))


@app.route("/webhooks/{webhook_id}", response_model="Webhook", errors=[errors.WebhookNotFoundError])
def get_webhook(request: Request, webhook_id: str) -> Response:
    """Read a webhook."""
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    webhook = webhooks.get(requests.owner(request), webhook_id)
    return responses.json_response(webhook_bodies.webhook(webhook, times.now()))


@app.route(
    "/webhooks/{webhook_id}",
    methods=["PATCH"],
    body={requests.MERGE_PATCH: "WebhookPatch", requests.JSON: "WebhookPatch"},
    response_model="Webhook",
    errors=[errors.WebhookNotFoundError],
)
def patch_webhook(request: Request, webhook_id: str) -> Response:
    """Change a webhook.

    With `enabled` set to false, nothing is sent. Events of that time are not sent later.
    """
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    at, changes = times.now(), webhook_bodies.webhook_changes(request)
    webhook = webhooks.update(requests.owner(request), webhook_id, changes, at)
    return responses.json_response(webhook_bodies.webhook(webhook, at))


@app.route(
    "/webhooks/{webhook_id}",
    methods=["DELETE"],
    response_model=schemas.Deleted,
    response_description="The webhook is deleted.",
    examples=["webhookDeleted"],
    errors=[errors.WebhookNotFoundError],
)
def delete_webhook(request: Request, webhook_id: str) -> Response:
    """Delete a webhook.

    Events that wait for delivery to it are not sent.
    """
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it

    webhooks.delete(requests.owner(request), webhook_id)
    return responses.json_response(schemas.Deleted("Webhook deleted", webhook_id))


@app.route(
    "/webhooks/{webhook_id}/rotate",
    methods=["POST"],
    response_model="WebhookWithSecret",
    response_description="The webhook, and its new secret.",
    errors=[errors.WebhookNotFoundError],
)
def rotate_webhook_secret(request: Request, webhook_id: str) -> Response:
    """Replace the secret of a webhook.

    For 24 hours, each delivery is signed with the previous secret too.
    """
    from chalicelib.catalogue import webhooks  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    at = times.now()
    webhook, secret = webhooks.rotate_secret(requests.owner(request), webhook_id, at)
    return responses.json_response(webhook_bodies.with_secret(webhook, secret, at))


@app.route(
    "/webhooks/{webhook_id}/test",
    methods=["POST"],
    status_code=202,
    response_model="QueuedDelivery",
    response_description="The event will be sent within seconds.",
    errors=[errors.WebhookNotFoundError],
)
def test_webhook(request: Request, webhook_id: str) -> Response:
    """Send a test event to a webhook.

    Its type is `webhook.test`. It is sent even if the webhook is switched off or selects other events.
    """
    from chalicelib.catalogue import requested_deliveries  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    delivery_id = requested_deliveries.send_test(requests.owner(request), webhook_id, times.now())
    return responses.json_response(webhook_bodies.queued_delivery(delivery_id), 202)


@app.route(
    "/webhooks/{webhook_id}/deliveries",
    response_model="DeliveryList",
    errors=[errors.WebhookNotFoundError],
)
def list_deliveries(request: Request, webhook_id: str) -> Response:
    """List the latest deliveries to a webhook."""
    from chalicelib.catalogue import requested_deliveries  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    found = requested_deliveries.find_newest(requests.owner(request), webhook_id)
    return responses.json_response(webhook_bodies.deliveries(found))


@app.route(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    methods=["POST"],
    status_code=202,
    response_model="QueuedDelivery",
    response_description="The event will be sent again within seconds.",
    errors=[errors.WebhookNotFoundError, errors.DeliveryNotFoundError],
)
def redeliver(request: Request, webhook_id: str, delivery_id: str) -> Response:
    """Send an event to a webhook again.

    The event is unchanged, and has the same id. It is sent even if the webhook is switched off.
    """
    from chalicelib.catalogue import requested_deliveries  # noqa: PLC0415 - few requests need it
    from chalicelib.http import webhook_bodies  # noqa: PLC0415

    requested_deliveries.send_again(requests.owner(request), webhook_id, delivery_id)
    return responses.json_response(webhook_bodies.queued_delivery(delivery_id), 202)


# ------------------------------------------------------------------------------------------------------------- changes


@app.route("/changes", tag="Webhooks", response_model=schemas.Changes)
def get_changes(request: Request) -> Response:
    """See whether items have changed.

    Cheap enough to ask every few seconds: with `If-None-Match`, the response is empty until items have changed.
    """
    from chalicelib.catalogue import change_counter  # noqa: PLC0415 - few requests need it

    return responses.changes_response(request, change_counter.read(requests.owner(request)))


# ------------------------------------------------------------------------------------------------------ event functions

_UPLOADED = {
    "source": ["aws.s3"],
    "detail-type": ["Object Created"],
    "detail": {
        "bucket": {"name": [{"prefix": settings.bucket_prefix}]},
        "object": {"key": [{"prefix": bucket.UPLOADS}]},
    },
}


@app.on_cw_event(_UPLOADED)
def on_upload(event: CloudWatchEvent) -> None:
    """Record an upload on its item, and queue the job that makes its thumbnails."""
    if event.detail["bucket"]["name"] == settings.bucket:
        put = event.detail["object"]
        item_pictures.record_upload(put["key"], times.now(), put.get("sequencer", ""), put.get("etag", ""))


@app.on_sqs_message(queue=settings.queue_name("jobs"), batch_size=10)
def on_messages(event: SQSEvent) -> dict[str, Any] | None:
    """Process messages from the queue."""
    # It imports Pillow, which the other functions do not need.
    from chalicelib.catalogue import job_queue_consumer, sqs_batches  # noqa: PLC0415

    received = [sqs_batches.ReceivedMessage.from_event(record.to_dict()) for record in event]
    return job_queue_consumer.process_batch(received, event.context)


@app.on_sqs_message(queue=settings.queue_name("deliveries"), batch_size=10)
def on_deliveries(event: SQSEvent) -> dict[str, Any] | None:
    """Deliver events to webhooks."""
    # It imports an HTTP client, which the other functions do not need.
    from chalicelib.catalogue import sqs_batches  # noqa: PLC0415
    from chalicelib.events import delivery_queue_consumer  # noqa: PLC0415

    received = [sqs_batches.ReceivedMessage.from_event(record.to_dict()) for record in event]
    return delivery_queue_consumer.process_batch(received)


@app.on_dynamodb_record(
    stream_arn=settings.table_stream_arn,
    batch_size=100,
    starting_position="TRIM_HORIZON",
    maximum_batching_window_in_seconds=1,
)
def on_change(event: DynamoDBEvent) -> dict[str, Any] | None:
    """Publish the changes of items as events."""
    from chalicelib.events import change_feed  # noqa: PLC0415 - the other functions do not need it

    return change_feed.process_batch([record.to_dict() for record in event], event.context)


@app.schedule(
    Rate(1, unit=Rate.HOURS),
    description="Does work that is due: deletes expired items, finds lost uploads, continues jobs that stopped.",
)
def clean_up(event: CloudWatchEvent) -> dict[str, int]:
    """Do the work that is due, such as deleting expired items and queueing overdue thumbnail jobs again."""
    from chalicelib.catalogue import hourly_cleanup  # noqa: PLC0415 - the other functions do not need it

    return hourly_cleanup.run(times.now(), event.context)


if config.is_chalice_local():
    from chalicelib.http import chalice_local

    chalice_local.prepare()

coldstart.finish()

if config.is_started_early():
    from chalicelib.aws import lambda_start_hooks

    lambda_start_hooks.prepare()
