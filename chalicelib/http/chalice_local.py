"""Make ``chalice local`` respond as the deployed API does, where Chalice's local gateway differs from API Gateway.

Imported only under ``chalice local``: the modules of Chalice that it changes are not in the functions' zip.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
import zlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from chalice import local

from chalicelib import aws, errors, telemetry
from chalicelib.config import LOCAL, settings
from chalicelib.http import local_request_guard, responses
from chalicelib.http.error_translation import HOW_TO_START

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_PAGES = ("/", "/docs")
_BACKLOG = 128
"""Connections waiting to be accepted. With the 5 of ``socketserver``, simultaneous clients lose connections."""


def prepare() -> None:
    """Install :class:`Gateway` and the checks of requests, and warn if there is no backend."""
    if settings().stage == LOCAL:
        # Botocore reads this variable before the profile, and fails if it is empty.
        os.environ.pop("AWS_WEB_IDENTITY_TOKEN_FILE", None)
    local.LocalGateway = Gateway  # type: ignore[misc]
    for name, method in _HANDLER_METHODS.items():
        setattr(local.ChaliceRequestHandler, name, method)
    # The handler writes headers, then the body. With Nagle's algorithm, a client that keeps its connection
    # waits 40 ms for the body, until the delayed acknowledgement of the headers.
    local.ChaliceRequestHandler.disable_nagle_algorithm = True
    local.ThreadedHTTPServer.handle_error = _handle_error
    local.ThreadedHTTPServer.request_queue_size = _BACKLOG
    quieten_libraries()
    warn_without_backend()


def _handle_any_method(handler: Any, name: str) -> Any:
    """Return the handler of an HTTP method. Without it, ``http.server`` responds to unknown methods with HTML."""
    if not name.startswith("do_"):
        raise AttributeError(name)
    return handler.do_GET


def quieten_libraries() -> None:
    """Log nothing below WARNING from libraries: ``chalice local`` would show their INFO lines."""
    logging.getLogger().setLevel(logging.WARNING)
    # Each request has its own thread here. If all connections are in use, urllib3 opens another and warns.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _log_nothing(_: Any, *__: Any) -> None:
    """Replace the request log of ``http.server``: the API logs each request itself."""


def _log_message(_: Any, text: str, *values: Any) -> None:
    """Log what ``http.server`` writes to standard error if it cannot parse a request."""
    telemetry.logger.info("Not an HTTP request", problem=text % values)


def _handle_error(_: Any, __: Any, ___: Any) -> None:
    """Log an exception of a request, unless the client closed the connection."""
    error = sys.exc_info()[1]
    if not isinstance(error, ConnectionError):
        telemetry.logger.error("Request failed", exc_info=error)


def _parse_request(handler: Any) -> bool:
    """Return whether ``http.server`` handles the request. Respond with 403 to requests from other sites."""
    if not BaseHTTPRequestHandler.parse_request(handler):
        return False
    port: int = handler.server.server_port
    _write_origins_for_the_emulator(port)
    reason = _rejection(handler, port)
    if reason is None:
        return True
    telemetry.logger.warning(
        "Request rejected", method=handler.command, path=handler.path.partition("?")[0], problem=reason
    )
    body = local_request_guard.error_body(reason)
    handler.close_connection = True  # the rest of the request is not read
    handler.send_response(403)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return False


def _rejection(handler: Any, port: int) -> str | None:
    headers = list(handler.headers.items())
    opens_page = local_request_guard.opens_page(handler.command, handler.path.partition("?")[0], headers, _PAGES)
    origins = local_request_guard.own_origins([port]).union(settings().cors.origins)
    return local_request_guard.rejection(handler.path, headers, port, origins, harmless=opens_page)


def _write_origins_for_the_emulator(port: int) -> None:
    """Write the file that tells the emulator whose pages may upload: this server's, and those in CORS_ORIGINS."""
    file = Path(os.environ.get("AWS_CONFIG_FILE", "")).parent / local_request_guard.PORTS / str(port)
    origins = "\n".join(settings().cors.origins)
    if settings().stage != LOCAL or not file.parent.is_dir():
        return
    if not file.is_file() or file.read_text(encoding="utf-8") != origins:
        file.write_text(origins, encoding="utf-8")


def _parse_payload(handler: Any) -> tuple[Any, bytes | None]:
    """Return all header lines and the body. Chalice itself keeps one line of each header, and reads no chunked body."""
    try:
        if handler.headers.get("transfer-encoding", "").lower() == "chunked":
            return handler.headers, b"".join(_chunks(handler.rfile))
        length = _size(handler.headers.get("content-length", "0"), 10)
    except ValueError:
        handler.send_error(400, "The Content-Length or a chunk size is malformed")
        raise ConnectionAbortedError from None  # the start of the next request is unknown
    return handler.headers, handler.rfile.read(length) if length > 0 else None


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a body (RFC 9112, section 7.1), and skip the trailers."""
    while size := _size(stream.readline(_MAX_LINE).partition(b";")[0].decode("latin-1"), 16):
        yield stream.read(size)
        stream.readline(_MAX_LINE)
    while stream.readline(_MAX_LINE).strip():
        pass


def _size(text: str, base: int) -> int:
    """Return ``text`` as a number. Raise ValueError if it is not a number, or negative: ``read(-1)`` would block."""
    size = int(text, base)
    if size < 0:
        raise ValueError(text)
    return size


_MAX_LINE = 8192


def _send_without_body(handler: Any, code: int, headers: dict[str, Any]) -> None:
    """Send a response without content. A response to HEAD has the Content-Length of GET (RFC 9110, section 8.6)."""
    if code not in _STATUSES_WITHOUT_CONTENT:
        headers.setdefault("Content-Length", "0")
    handler.send_response(code)
    handler._send_headers(headers)  # noqa: SLF001 - this function becomes a method of the same class


_STATUSES_WITHOUT_CONTENT = (204, 304)
"""Their responses have no Content-Length either (RFC 9110, sections 8.6, 15.3.5 and 15.4.5)."""


_HANDLER_METHODS = {
    "__getattr__": _handle_any_method,
    "parse_request": _parse_request,
    "log_request": _log_nothing,
    "log_message": _log_message,
    "_parse_payload": _parse_payload,
    "_send_http_response_no_body": _send_without_body,
}
"""Methods that replace those of Chalice's request handler."""


def warn_without_backend() -> None:
    """Log a warning if the backend does not respond, with its cause and what to do.

    Otherwise, only the first request would show that.
    """
    try:
        aws.check_backend()
    except aws.NotProvisionedError as error:
        telemetry.logger.warning(f"{error}: {HOW_TO_START}.")
    except Exception as error:  # noqa: BLE001 - no failure of the backend stops chalice local
        reason = f"The backend of the stage {settings().stage} cannot be reached ({error})"
        telemetry.logger.warning(f"{reason}: {HOW_TO_START}.")


class Gateway(local.LocalGateway):
    """Chalice's local gateway, with the gateway responses of ``infra/package.json``."""

    def handle_request(self, method: str, path: str, headers: dict[str, Any], body: bytes | None) -> dict[str, Any]:
        """Return the app's response to a request, or an error in the app's shape if the gateway rejects it."""
        logged = False
        try:
            response = super().handle_request(method, path, headers, _decompress(headers, body))
            logged = "X-Request-Id" in response["headers"]  # it comes from the app, which logs its responses
        except errors.ApiError as error:
            response = _error_response(error, headers)
        except UnicodeEncodeError:
            # If the path is unknown, Chalice encodes the Authorization header that its message quotes.
            response = _error_response(errors.NotFoundError(), headers)
        except local.LocalGatewayException as error:
            response = _error_response(_as_api_error(error), headers)
        except Exception:  # noqa: BLE001 - API Gateway also handles every exception of an authorizer
            telemetry.logger.exception("Authorizer failed")
            response = _error_response(errors.InternalError(), headers)
        status = response["statusCode"]
        if not logged:
            telemetry.logger.info("Response sent", method=method, path=path.partition("?")[0], status=status)
        return _without_body(response) if method == "HEAD" or status in _STATUSES_WITHOUT_CONTENT else response

    def _generate_lambda_event(
        self, method: str, path: str, headers: dict[str, Any], body: bytes | None
    ) -> dict[str, Any]:
        event: dict[str, Any] = super()._generate_lambda_event(method, path, headers, body)
        event["multiValueHeaders"] = {}
        for name, value in headers.items():
            event["multiValueHeaders"].setdefault(name, []).append(value)
        event["pathParameters"] = {name: unquote(value) for name, value in (event["pathParameters"] or {}).items()}
        return event


def _decompress(headers: Mapping[str, Any], body: bytes | None) -> bytes | None:
    """Return the decompressed body. Raise UnsupportedEncodingError or RequestTooLargeError."""
    coding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "").lower()
    if not body or coding in ("", "identity"):
        return body
    if coding not in errors.ENCODINGS:
        raise errors.UnsupportedEncodingError
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | _GZIP_OR_ZLIB)
    try:
        decompressed = decompressor.decompress(body, _MAX_BODY_BYTES + 1)
    except zlib.error:
        raise errors.UnsupportedEncodingError from None
    if len(decompressed) > _MAX_BODY_BYTES:
        raise errors.RequestTooLargeError
    if not decompressor.eof:
        raise errors.UnsupportedEncodingError
    return decompressed


_GZIP_OR_ZLIB = 32  # zlib's manual, inflateInit2: detect which of the two formats the data has
_MAX_BODY_BYTES = 10 * 1024 * 1024
"""AWS, "API Gateway quotas": Payload size."""


def _without_body(response: dict[str, Any]) -> dict[str, Any]:
    """Return ``response`` without content, which the client would read as the next response on the connection."""
    if response["statusCode"] not in _STATUSES_WITHOUT_CONTENT:
        response["headers"]["Content-Length"] = str(len((response["body"] or "").encode()))
    return response | {"body": None}


def _as_api_error(error: local.LocalGatewayException) -> errors.ApiError:
    if error.headers.get("x-amzn-ErrorType") == "AccessDeniedException" or error.CODE == 401:
        return errors.UnauthorizedError()
    return errors.NotFoundError() if error.CODE == 403 else errors.InternalError()


def _error_response(error: errors.ApiError, request_headers: dict[str, Any]) -> dict[str, Any]:
    origin = next((value for name, value in request_headers.items() if name.lower() == "origin"), None)
    request_id = str(uuid.uuid4())
    response = responses.error_response(error, request_id)
    responses.add_common_headers(response, origin, request_id)
    return response.to_dict()
