"""All errors of the API, with their codes, statuses and messages. docs/errors.md explains them to users.

In AWS, only API Gateway responds with FORBIDDEN, REQUEST_TOO_LARGE and THROTTLED. ``infra/package.json`` repeats the
messages that it needs, and a test compares them.

ApiError
├── InvalidRequestError        400 INVALID_REQUEST
│   ├── InvalidJsonError       400 INVALID_JSON
│   ├── InvalidCsvError        400 INVALID_CSV
│   ├── ReservedFieldError     400 RESERVED_FIELD
│   ├── InvalidCursorError     400 INVALID_CURSOR
│   ├── UnknownParameterError  400 UNKNOWN_PARAMETER
│   ├── FieldNotFindableError  400 FIELD_NOT_FINDABLE
│   └── InvalidExpiryError     400 INVALID_EXPIRY
├── UnauthorizedError          401 UNAUTHORIZED
├── ForbiddenError             403 FORBIDDEN
├── NotFoundError              404 NOT_FOUND
│   ├── ItemNotFoundError      404 ITEM_NOT_FOUND
│   ├── ImageNotFoundError     404 IMAGE_NOT_FOUND
│   ├── ImportNotFoundError    404 IMPORT_NOT_FOUND
│   ├── ExportNotFoundError    404 EXPORT_NOT_FOUND
│   ├── CatalogueNotFoundError 404 CATALOGUE_NOT_FOUND
│   ├── ShareNotFoundError     404 SHARE_NOT_FOUND
│   ├── WebhookNotFoundError   404 WEBHOOK_NOT_FOUND
│   └── DeliveryNotFoundError  404 DELIVERY_NOT_FOUND
├── MethodNotAllowedError      405 METHOD_NOT_ALLOWED
├── TooManySharesError         409 TOO_MANY_SHARES
├── TooManyWebhooksError       409 TOO_MANY_WEBHOOKS
├── VersionMismatchError       412 VERSION_MISMATCH
├── ItemTooLargeError          413 ITEM_TOO_LARGE
├── ImportTooLargeError        413 IMPORT_TOO_LARGE
├── RequestTooLargeError       413 REQUEST_TOO_LARGE
├── UnsupportedEncodingError   415 UNSUPPORTED_ENCODING
├── UnsupportedMediaTypeError  415 UNSUPPORTED_MEDIA_TYPE
├── IdempotencyKeyReusedError  422 IDEMPOTENCY_KEY_REUSED
├── TooManyColumnsError        422 TOO_MANY_COLUMNS
├── ThrottledError             429 THROTTLED
├── TooManyExportsError        429 TOO_MANY_EXPORTS
├── InternalError              500 INTERNAL_ERROR
├── BusyError                  503 BUSY
├── NotTriedError              503 NOT_TRIED
└── BackendUnavailableError    503 BACKEND_UNAVAILABLE

ImageError (stored in the item as the reason why its picture failed; never an HTTP response)
├── ImageTypeUnsupportedError     IMAGE_TYPE_UNSUPPORTED
├── ImageVariantUnsupportedError  IMAGE_VARIANT_UNSUPPORTED
├── ImageUnreadableError          IMAGE_UNREADABLE
├── ImageTooLargeError            IMAGE_TOO_LARGE
├── ImageTooManyPixelsError       IMAGE_TOO_MANY_PIXELS
├── ImageTooComplexError          IMAGE_TOO_COMPLEX
├── ImageDecoderCrashedError      IMAGE_DECODER_CRASHED
└── ImageLostError                IMAGE_LOST
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """An error that the API responds with.

    ``sentence`` is the format string of the message; the keyword arguments fill it in. ``details`` is a list of JSON
    values for the response.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    sentence: ClassVar[str]
    retry_after: ClassVar[int | None] = None
    """The value of Retry-After in seconds (RFC 9110, section 10.2.3), or None for no such header."""
    extra_headers: ClassVar[Mapping[str, str]] = {}
    """Further headers of the response."""

    def __init__(self, *, details: list[Any] | None = None, **values: object) -> None:
        self.message = self.sentence.format(**values)
        self.details = details
        self.headers = dict(self.extra_headers)
        super().__init__(self.message)


class InvalidRequestError(ApiError):
    code = "INVALID_REQUEST"
    status = 400
    sentence = "{problem}"


class InvalidJsonError(InvalidRequestError):
    code = "INVALID_JSON"
    sentence = "{root} is not valid JSON in UTF-8: {problem}."


class InvalidCsvError(InvalidRequestError):
    code = "INVALID_CSV"
    sentence = "The body is not valid CSV in UTF-8: {problem}."


class ReservedFieldError(InvalidRequestError):
    code = "RESERVED_FIELD"
    sentence = "{names} managed by Vitrine and cannot be {done}: {remedy}."

    def __init__(self, *names: str, stored: bool = False) -> None:
        """Make the message for the managed fields ``names``.

        ``stored`` is true if the item exists: then the message says that its stored values are accepted.
        """
        *first, last = names
        are, them = ("are", "them") if first else ("is", "it")
        super().__init__(
            names=f"{', '.join(first)} and {last} {are}" if first else f"{last} {are}",
            done="changed" if stored else "set",
            remedy=f"leave {them} out" + (f", or send {them} as stored" if stored else ""),
            details=[{"path": f"$.{name}"} for name in names],
        )


class InvalidCursorError(InvalidRequestError):
    code = "INVALID_CURSOR"
    sentence = "The cursor is not valid for this list: leave it out to get the first page."


class UnknownParameterError(InvalidRequestError):
    code = "UNKNOWN_PARAMETER"
    sentence = "Unknown query parameter {unknown}: this route accepts {known}."


class FieldNotFindableError(InvalidRequestError):
    code = "FIELD_NOT_FINDABLE"
    sentence = "Items cannot be {used} by {field}, only by {findable}."


class InvalidExpiryError(InvalidRequestError):
    code = "INVALID_EXPIRY"
    sentence = "expiresAt must be a future time in ISO 8601 with its offset, such as 2030-01-31T12:00:00Z."


class UnauthorizedError(ApiError):
    code = "UNAUTHORIZED"
    status = 401
    sentence = "Sign in first: send a valid token as Authorization: Bearer."


class ForbiddenError(ApiError):
    code = "FORBIDDEN"
    status = 403
    sentence = "This request was blocked."


class NotFoundError(ApiError):
    code = "NOT_FOUND"
    status = 404
    sentence = "There is nothing at this path."


class ItemNotFoundError(NotFoundError):
    code = "ITEM_NOT_FOUND"
    sentence = "There is no item {id}."


class ImageNotFoundError(NotFoundError):
    code = "IMAGE_NOT_FOUND"
    sentence = "Item {id} has no picture that is ready, or no thumbnail of this size."


class ImportNotFoundError(NotFoundError):
    code = "IMPORT_NOT_FOUND"
    sentence = "There is no import {id}."


class ExportNotFoundError(NotFoundError):
    code = "EXPORT_NOT_FOUND"
    sentence = "There is no export {id}."


class CatalogueNotFoundError(NotFoundError):
    code = "CATALOGUE_NOT_FOUND"
    sentence = "There is no public catalogue {id}."


class ShareNotFoundError(NotFoundError):
    """The message contains no token, because that is a secret, and does not say why the link shows nothing."""

    code = "SHARE_NOT_FOUND"
    sentence = "There is no such share link, or it no longer shows an item."


class WebhookNotFoundError(NotFoundError):
    code = "WEBHOOK_NOT_FOUND"
    sentence = "There is no webhook {id}."


class DeliveryNotFoundError(NotFoundError):
    code = "DELIVERY_NOT_FOUND"
    sentence = "There is no delivery {id} to this webhook, or it is older than 7 days."


class MethodNotAllowedError(ApiError):
    code = "METHOD_NOT_ALLOWED"
    status = 405
    sentence = "This path supports {allowed} only."


class TooManySharesError(ApiError):
    code = "TOO_MANY_SHARES"
    status = 409
    sentence = "An item can have at most {limit} share links: delete one of them first."


class TooManyWebhooksError(ApiError):
    code = "TOO_MANY_WEBHOOKS"
    status = 409
    sentence = "There can be at most {limit} webhooks: delete one of them first."


class VersionMismatchError(ApiError):
    code = "VERSION_MISMATCH"
    status = 412
    sentence = "Item {id} is at version {version} now, which {condition}: read it again before you change it."


class ItemTooLargeError(ApiError):
    code = "ITEM_TOO_LARGE"
    status = 413
    sentence = "An item may have at most {limit} bytes, as JSON and in the table; this one would have {size}."


class ImportTooLargeError(ApiError):
    code = "IMPORT_TOO_LARGE"
    status = 413
    sentence = "An import may have at most {limit}: split it."


class RequestTooLargeError(ApiError):
    code = "REQUEST_TOO_LARGE"
    status = 413
    sentence = "This request is too large: send less at once."


ENCODINGS = ("gzip", "deflate", "identity")
"""The content encodings of a body that API Gateway decodes (AWS, "Payload compression for REST APIs")."""


class UnsupportedEncodingError(ApiError):
    code = "UNSUPPORTED_ENCODING"
    status = 415
    sentence = "Content-Encoding must be gzip, deflate or identity, and the body must be encoded accordingly."
    # RFC 9110, section 12.5.3.
    extra_headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": ", ".join(ENCODINGS)}


class UnsupportedMediaTypeError(ApiError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    sentence = "Content-Type must be {accepted}, and its charset UTF-8."


class IdempotencyKeyReusedError(ApiError):
    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422
    sentence = "This Idempotency-Key was used with a different body: use a new key for a new request."


class TooManyColumnsError(ApiError):
    """Why an export failed, never the response to a request."""

    code = "TOO_MANY_COLUMNS"
    status = 422
    sentence = "The names of the items' fields have more than {limit} bytes, too many for a header row: use NDJSON."


class ThrottledError(ApiError):
    code = "THROTTLED"
    status = 429
    sentence = "Too many requests at once: try again in a moment."
    retry_after = 1


class TooManyExportsError(ApiError):
    code = "TOO_MANY_EXPORTS"
    status = 429
    sentence = "At most {limit} exports can run at once: wait until one of them is done."
    retry_after = 10


class InternalError(ApiError):
    code = "INTERNAL_ERROR"
    status = 500
    sentence = "Internal error: find its cause in the logs of the API with this request id."


class BusyError(ApiError):
    code = "BUSY"
    status = 503
    sentence = "{problem}: try again in a moment."
    retry_after = 1

    def __init__(self, *, problem: str = "Too many requests are changing the same data at once", **_: object) -> None:
        super().__init__(problem=problem)


class NotTriedError(ApiError):
    """The result of an operation in a batch, never the response to a request."""

    code = "NOT_TRIED"
    status = 503
    sentence = "Too little time was left to try this operation: send it again."
    retry_after = 1


class BackendUnavailableError(ApiError):
    code = "BACKEND_UNAVAILABLE"
    status = 503
    sentence = "{problem}."
    retry_after = 10


PICTURE_FORMATS = "JPEG, PNG, WebP, GIF, TIFF, AVIF or BMP"


class ImageError(Exception):
    """Why no thumbnails were made of a picture. Only after ImageLostError can a retry succeed."""

    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, **values: object) -> None:
        self.message = self.sentence.format(**values)
        super().__init__(self.message)


class ImageUnreadableError(ImageError):
    """The file is damaged, or in a format that is not recognised: then ``kind`` is empty."""

    code = "IMAGE_UNREADABLE"
    sentence = "{problem}"

    def __init__(self, kind: str = "") -> None:
        super().__init__(
            problem=f"This {kind} file is damaged or incomplete: export the picture again and upload that."
            if kind
            else f"This file is not a picture in a format that is recognised: upload one in {PICTURE_FORMATS}."
        )


class ImageTypeUnsupportedError(ImageError):
    code = "IMAGE_TYPE_UNSUPPORTED"
    sentence = "{kind} is not supported: save the picture as JPEG or PNG and upload that{hint}."

    def __init__(self, kind: str, hint: str = "") -> None:
        super().__init__(kind=kind, hint=hint)


class ImageVariantUnsupportedError(ImageError):
    """The file is in a supported format, but not in a variant of it that can be decoded."""

    code = "IMAGE_VARIANT_UNSUPPORTED"
    sentence = "{variant} is not supported: save the picture as JPEG or PNG and upload that."


class ImageTooLargeError(ImageError):
    code = "IMAGE_TOO_LARGE"
    sentence = "A picture can be at most {limit} bytes; this one has {size}."


class ImageTooManyPixelsError(ImageError):
    code = "IMAGE_TOO_MANY_PIXELS"
    sentence = "A {kind} picture can have at most {limit:,} pixels; this one has {width:,} × {height:,}."


class ImageTooComplexError(ImageError):
    code = "IMAGE_TOO_COMPLEX"
    sentence = "Decoding this picture takes more {resource} than allowed: save it as a new JPEG or PNG and upload that."


class ImageDecoderCrashedError(ImageError):
    code = "IMAGE_DECODER_CRASHED"
    sentence = "The decoder crashed on this picture: save it as a new JPEG or PNG and upload that."


class ImageLostError(ImageError):
    """The thumbnail job failed until its retries were used up. The original still exists, despite the code."""

    code = "IMAGE_LOST"
    sentence = "This picture could not be processed: upload it again."


def image_error(code: str, message: str) -> ImageError:
    """Return the ImageError with this code and message. Raise ValueError if no class has the code."""
    for kind in ImageError.__subclasses__():
        if kind.code == code:
            error = kind.__new__(kind)
            error.message = message
            return error
    raise ValueError(f"Unknown code: {code[:40]!r}")
