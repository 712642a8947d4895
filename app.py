"""Every way into Vitrine: its HTTP routes, its upload listener, its queue consumer, its hourly cleanup."""

from __future__ import annotations

from chalicelib import start  # isort: skip - before all that it is for

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate, Request, Response, SQSEvent

from chalicelib import (
    bucket,
    cleanup,
    config,
    http,
    images,
    imports,
    items,
    models,
    pages,
    primitives,
    wire,
)

settings = config.settings()
app = http.Api()


@app.authorizer(ttl_seconds=300)
def authorize(request: AuthRequest) -> AuthResponse:
    from chalicelib import auth  # noqa: PLC0415 - it brings cryptography, which the other functions need not pay for

    caller = auth.caller(request.token)
    if caller is None:
        return AuthResponse(routes=[], principal_id="nobody")
    # API Gateway keeps this answer for five minutes and for all routes: the edge looks at the time once more.
    return AuthResponse(routes=["*"], principal_id=caller.owner, context={"until": str(caller.until)})


# Every route below stands behind it, unless it says that it is public.
app.guard = authorize if config.sign_in_demanded() else None


# -------------------------------------------------------------------------------------------------------- public routes


@app.route("/", public=True)
def show_console(request: Request) -> Response:
    return pages.console(request)


@app.route("/docs", public=True)
def show_docs(request: Request) -> Response:
    return pages.docs(request)


@app.route("/web/{name}", public=True)
def get_web_file(request: Request, name: str) -> Response:
    return pages.file(request, name)


@app.route("/openapi.json", public=True)
def get_openapi(request: Request) -> Response:
    from chalicelib import openapi  # noqa: PLC0415 - it describes every route, for whoever asks for that alone

    text = primitives.to_json(openapi.document(app.routes)).decode()
    return http.file_answer(request, text, {"Content-Type": http.JSON})


@app.route("/hello", public=True, query=wire.HelloQuery)
def say_hello(request: Request, asked: wire.HelloQuery) -> Response:
    at = primitives.timestamp(primitives.now())
    return http.json_answer(wire.Hello(f"Hello, {asked.name}!", at, http.request_id(request)))


@app.route("/health", public=True)
def get_health(_: Request) -> Response:
    return http.json_answer(wire.Health("ok", settings.stage, config.VERSION))


# --------------------------------------------------------------------------------------------------------------- items


@app.route("/items", methods=["POST"], keyed=True)
def create_item(request: Request) -> Response:
    at = primitives.now()
    draft = models.draft(http.json_object(request))
    item, replayed = items.create(http.owner(request), draft, at, http.idempotency_key(request))
    return http.created(request, item, replayed)


@app.route("/items", methods=["GET"], query=wire.ListQuery)
def list_items(request: Request, asked: wire.ListQuery) -> Response:
    owner = http.owner(request)
    which = items.Range(asked.order == "desc", asked.created_after, asked.created_before)
    page = items.page(owner, which, asked.limit, http.start_after(asked, owner), primitives.now())
    return http.items_answer(request, asked, owner, page)


@app.route("/items/{item_id}", methods=["GET"])
def get_item(request: Request, item_id: str) -> Response:
    return http.item_answer(request, items.get(http.owner(request), item_id, primitives.now()))


@app.route("/items/{item_id}", methods=["PUT"])
def replace_item(request: Request, item_id: str) -> Response:
    at = primitives.now()
    body = http.json_object(request)
    item = items.replace(http.owner(request), item_id, body, at, http.conditions(request))
    return http.item_answer(request, item)


@app.route("/items/{item_id}", methods=["PATCH"])
def patch_item(request: Request, item_id: str) -> Response:
    changes = http.json_object(request, http.MERGE_PATCH, http.JSON)
    item = items.patch(http.owner(request), item_id, changes, primitives.now(), http.conditions(request))
    return http.item_answer(request, item)


@app.route("/items/{item_id}", methods=["DELETE"])
def delete_item(request: Request, item_id: str) -> Response:
    images.remove_item(http.owner(request), item_id, primitives.now(), http.conditions(request))
    return http.json_answer(wire.Deleted("Item deleted", item_id))


# ------------------------------------------------------------------------------------------------------------ pictures


@app.route("/items/{item_id}/image", methods=["POST"])
def create_image_ticket(request: Request, item_id: str) -> Response:
    asked = http.image_ticket_request(request)
    ticket = images.ticket(http.owner(request), item_id, asked.content_type, primitives.now())
    return http.json_answer(
        wire.Ticket(wire.PresignedPost(*ticket.post), config.MAX_IMAGE_BYTES, ticket.expires_at), 201
    )


@app.route("/items/{item_id}/image", methods=["GET"], query=wire.ImageQuery)
def get_image(request: Request, item_id: str, asked: wire.ImageQuery) -> Response:
    item = items.get(http.owner(request), item_id, primitives.now())
    return http.redirect(images.url(item, asked.size))


@app.route("/items/{item_id}/image", methods=["DELETE"])
def delete_image(request: Request, item_id: str) -> Response:
    images.remove(http.owner(request), item_id, primitives.now(), http.conditions(request))
    return http.json_answer(wire.Deleted("Image deleted", item_id))


# ------------------------------------------------------------------------------------------------------- bulk imports


@app.route("/imports", methods=["POST"], keyed=True)
def create_import(request: Request) -> Response:
    owner, entries, at = http.owner(request), http.entries(request), primitives.now()
    return http.accepted(request, imports.start(owner, entries, at, http.idempotency_key(request)))


@app.route("/imports/{import_id}", methods=["GET"])
def get_import(request: Request, import_id: str) -> Response:
    return http.import_answer(import_id, imports.progress(http.owner(request), import_id, primitives.now()))


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
        images.note(put["key"], primitives.now(), put.get("sequencer", ""))


@app.on_sqs_message(queue=settings.queue, batch_size=10)
def on_messages(event: SQSEvent) -> dict[str, Any] | None:
    from chalicelib import jobs  # noqa: PLC0415 - it brings Pillow, which the other functions need not pay for

    records = [jobs.Record.of(record.to_dict()) for record in event]
    return jobs.settle(records, event.context)


@app.schedule(Rate(1, unit=Rate.HOURS), description="Does what is due: expired items, lost uploads, stuck renders.")
def clean_up(event: CloudWatchEvent) -> dict[str, int]:
    return cleanup.sweep(primitives.now(), event.context)


if config.serving_locally():
    from chalicelib import local

    local.prepare()

start.over()
