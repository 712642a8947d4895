"""Every way into Vitrine: its HTTP routes, its upload listener, its queue consumer, its hourly cleanup."""

from __future__ import annotations

from chalicelib import coldstart  # isort: skip - it turns garbage collection off for the imports that follow

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate, Request, Response, SQSEvent

from chalicelib import config
from chalicelib.aws import bucket
from chalicelib.catalogue import bulk_imports, cleanup, item_pictures, items, validation
from chalicelib.http import api, requests, responses, schemas, static_files
from chalicelib.values import exact_json, times

settings = config.settings()
app = api.Api()


@app.authorizer(ttl_seconds=300)
def authorize(request: AuthRequest) -> AuthResponse:
    from chalicelib.http import auth  # noqa: PLC0415 - it brings cryptography, which the other functions need not pay for

    caller = auth.authenticate(request.token)
    if caller is None:
        return AuthResponse(routes=[], principal_id="nobody")
    # API Gateway caches this for all routes: requests.signed_in_owner checks expiresAt again.
    return AuthResponse(routes=["*"], principal_id=caller.owner, context={"expiresAt": str(caller.expires_at)})


# Every route below stands behind it, unless it says that it is public.
app.guard = authorize if config.sign_in_required() else None


# -------------------------------------------------------------------------------------------------------- public routes


@app.route("/", public=True)
def show_console(request: Request) -> Response:
    return static_files.console(request)


@app.route("/docs", public=True)
def show_docs(request: Request) -> Response:
    return static_files.docs(request)


@app.route("/web/{name}", public=True)
def get_web_file(request: Request, name: str) -> Response:
    return static_files.file(request, name)


@app.route("/openapi.json", public=True)
def get_openapi(request: Request) -> Response:
    from chalicelib.openapi import generator  # noqa: PLC0415 - it describes every route, for whoever asks for that alone

    text = exact_json.to_json(generator.document(app.routes)).decode()
    return responses.file_answer(request, text, {"Content-Type": requests.JSON})


@app.route("/hello", public=True, query=schemas.HelloQuery)
def say_hello(request: Request, asked: schemas.HelloQuery) -> Response:
    at = times.format_time(times.now())
    return responses.json_answer(schemas.Hello(f"Hello, {asked.name}!", at, requests.request_id(request)))


@app.route("/health", public=True)
def get_health(_: Request) -> Response:
    return responses.json_answer(schemas.Health("ok", settings.stage, config.VERSION))


# --------------------------------------------------------------------------------------------------------------- items


@app.route("/items", methods=["POST"], keyed=True)
def create_item(request: Request) -> Response:
    at = times.now()
    draft = validation.draft(requests.json_object(request))
    item, replayed = items.create(requests.owner(request), draft, at, requests.idempotency_key(request))
    return responses.created(request, item, replayed)


@app.route("/items", methods=["GET"], query=schemas.ListQuery)
def list_items(request: Request, asked: schemas.ListQuery) -> Response:
    owner = requests.owner(request)
    which = items.Range(asked.order == "desc", asked.created_after, asked.created_before)
    page = items.page(owner, which, asked.limit, requests.start_after(asked, owner), times.now())
    return responses.items_answer(request, asked, owner, page)


@app.route("/items/{item_id}", methods=["GET"])
def get_item(request: Request, item_id: str) -> Response:
    return responses.item_answer(request, items.get(requests.owner(request), item_id, times.now()))


@app.route("/items/{item_id}", methods=["PUT"])
def replace_item(request: Request, item_id: str) -> Response:
    at = times.now()
    managed, fields = requests.item_body(request)
    item = items.replace(requests.owner(request), item_id, fields, at, requests.write_check(request, managed))
    return responses.item_answer(request, item)


@app.route("/items/{item_id}", methods=["PATCH"])
def patch_item(request: Request, item_id: str) -> Response:
    managed, changes = requests.item_body(request, requests.MERGE_PATCH, requests.JSON)
    check = requests.write_check(request, managed)
    item = items.patch(requests.owner(request), item_id, changes, times.now(), check)
    return responses.item_answer(request, item)


@app.route("/items/{item_id}", methods=["DELETE"])
def delete_item(request: Request, item_id: str) -> Response:
    item_pictures.remove_item(requests.owner(request), item_id, times.now(), requests.write_check(request))
    return responses.json_answer(schemas.Deleted("Item deleted", item_id))


# ------------------------------------------------------------------------------------------------------------ pictures


@app.route("/items/{item_id}/image", methods=["POST"])
def create_image_ticket(request: Request, item_id: str) -> Response:
    asked = requests.image_ticket_request(request)
    ticket = item_pictures.ticket(requests.owner(request), item_id, asked.content_type, times.now())
    return responses.json_answer(
        schemas.Ticket(schemas.PresignedPost(*ticket.post), config.MAX_IMAGE_BYTES, ticket.expires_at), 201
    )


@app.route("/items/{item_id}/image", methods=["GET"], query=schemas.ImageQuery)
def get_image(request: Request, item_id: str, asked: schemas.ImageQuery) -> Response:
    item = items.get(requests.owner(request), item_id, times.now())
    return responses.redirect(item_pictures.url(item, asked.size))


@app.route("/items/{item_id}/image", methods=["DELETE"])
def delete_image(request: Request, item_id: str) -> Response:
    item_pictures.remove(requests.owner(request), item_id, times.now(), requests.write_check(request))
    return responses.json_answer(schemas.Deleted("Image deleted", item_id))


# ------------------------------------------------------------------------------------------------------- bulk imports


@app.route("/imports", methods=["POST"], keyed=True)
def create_import(request: Request) -> Response:
    owner, entries, at = requests.owner(request), requests.entries(request), times.now()
    return responses.accepted(request, bulk_imports.start(owner, entries, at, requests.idempotency_key(request)))


@app.route("/imports/{import_id}", methods=["GET"])
def get_import(request: Request, import_id: str) -> Response:
    return responses.import_answer(import_id, bulk_imports.progress(requests.owner(request), import_id, times.now()))


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
    if event.detail["bucket"]["name"] == settings.bucket:
        put = event.detail["object"]
        item_pictures.note(put["key"], times.now(), put.get("sequencer", ""))


@app.on_sqs_message(queue=settings.queue, batch_size=10)
def on_messages(event: SQSEvent) -> dict[str, Any] | None:
    from chalicelib.catalogue import consumer  # noqa: PLC0415 - it brings Pillow, which the other functions need not pay for

    records = [consumer.Record.of(record.to_dict()) for record in event]
    return consumer.settle(records, event.context)


@app.schedule(Rate(1, unit=Rate.HOURS), description="Does what is due: expired items, lost uploads, stuck renders.")
def clean_up(event: CloudWatchEvent) -> dict[str, int]:
    return cleanup.sweep(times.now(), event.context)


if config.is_chalice_local():
    from chalicelib.http import chalice_local

    chalice_local.prepare()

coldstart.finish()
