"""Has ``chalice local`` answer as the packaged API does, where Chalice's stand-in for API Gateway does not.

Imported under ``chalice local`` alone: what it changes is not in the functions' zip.
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

from chalicelib import errors, telemetry
from chalicelib.config import LOCAL, settings
from chalicelib.http import exceptions, loopback, responses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_PAGES = ("/", "/docs")
_WAITING = 128
"""Connections that wait to be accepted. ``socketserver`` has 5, so that clients that came together lost theirs."""


def prepare() -> None:
    """Puts :class:`Gateway` in its place with a guard before it, and looks whether there is a backend."""
    if settings().stage == LOCAL:
        # Botocore looks there before it looks into the profile, and takes an empty value for one that is wrong.
        os.environ.pop("AWS_WEB_IDENTITY_TOKEN_FILE", None)
    local.LocalGateway = Gateway  # type: ignore[misc]
    for name, method in _HANDLER.items():
        setattr(local.ChaliceRequestHandler, name, method)
    local.ThreadedHTTPServer.handle_error = _handle_error
    local.ThreadedHTTPServer.request_queue_size = _WAITING
    quieten_libraries()
    warn_without_backend()


def _do_any_method(handler: Any, name: str) -> Any:
    """For ``http.server``, which answers a method that its class has no ``do_…`` for with 501, in HTML."""
    if not name.startswith("do_"):
        raise AttributeError(name)
    return handler.do_GET


def quieten_libraries() -> None:
    """Log nothing of libraries below WARNING, which ``chalice local`` shows from INFO on."""
    logging.getLogger().setLevel(logging.WARNING)
    # Each request has a thread here, and may find all connections in use: urllib3 then opens another, and warns.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _log_nothing(_: Any, *__: Any) -> None:
    """For ``http.server``, which logs each request: we do, with more to say."""


def _log_message(_: Any, text: str, *values: Any) -> None:
    """For ``http.server``, which says so on standard error if it cannot read a request."""
    telemetry.logger.info("Not a request of HTTP", problem=text % values)


def _handle_error(_: Any, __: Any, ___: Any) -> None:
    """For ``socketserver``, which shows the stack of any error: a client that has left is not an error of ours."""
    error = sys.exc_info()[1]
    if not isinstance(error, ConnectionError):
        telemetry.logger.error("A request failed", exc_info=error)


def _parse_request(handler: Any) -> bool:
    """For ``http.server``, which answers a request only if this returns true: refuse those of other sites."""
    if not BaseHTTPRequestHandler.parse_request(handler):
        return False
    port: int = handler.server.server_port
    _say_whose_pages_may_upload(port)
    reason = _refusal(handler, port)
    if reason is None:
        return True
    telemetry.logger.warning("Refused", method=handler.command, path=handler.path.partition("?")[0], problem=reason)
    body = loopback.answer(reason)
    handler.close_connection = True  # what is left of the request is not read
    handler.send_response(403)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return False


def _refusal(handler: Any, port: int) -> str | None:
    headers = list(handler.headers.items())
    opens_page = loopback.opens_page(handler.command, handler.path.partition("?")[0], headers, _PAGES)
    origins = loopback.own_origins([port]).union(settings().cors.origins)
    return loopback.refusal(handler.path, headers, port, origins, harmless=opens_page)


def _say_whose_pages_may_upload(port: int) -> None:
    """Tell the emulator, in the folder where it looks, that pages of this server and of CORS_ORIGINS may."""
    file = Path(os.environ.get("AWS_CONFIG_FILE", "")).parent / loopback.PORTS / str(port)
    origins = "\n".join(settings().cors.origins)
    if settings().stage != LOCAL or not file.parent.is_dir():
        return
    if not file.is_file() or file.read_text(encoding="utf-8") != origins:
        file.write_text(origins, encoding="utf-8")


def _parse_payload(handler: Any) -> tuple[Any, bytes | None]:
    """Return the headers, every line of them, and the body: Chalice keeps one line of a name, and reads no chunks."""
    try:
        if handler.headers.get("transfer-encoding", "").lower() == "chunked":
            return handler.headers, b"".join(_chunks(handler.rfile))
        length = _size(handler.headers.get("content-length", "0"), 10)
    except ValueError:
        handler.send_error(400, "The length of the body cannot be read")
        raise ConnectionAbortedError from None  # where the next request begins is not known
    return handler.headers, handler.rfile.read(length) if length > 0 else None


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a body (RFC 9112, section 7.1), and read what follows them."""
    while size := _size(stream.readline(_MAX_LINE).partition(b";")[0].decode("latin-1"), 16):
        yield stream.read(size)
        stream.readline(_MAX_LINE)
    while stream.readline(_MAX_LINE).strip():
        pass


def _size(text: str, base: int) -> int:
    """Return the number. Raise ValueError if it is none, or negative, which ``read`` would take for everything."""
    size = int(text, base)
    if size < 0:
        raise ValueError(text)
    return size


_MAX_LINE = 8192


def _send_without_body(handler: Any, code: int, headers: dict[str, Any]) -> None:
    """Send a response without content; one to HEAD brings the length that GET's has (RFC 9110, section 8.6)."""
    if code not in _EMPTY:
        headers.setdefault("Content-Length", "0")
    handler.send_response(code)
    handler._send_headers(headers)  # noqa: SLF001 - this is a method of the same class, in effect


_EMPTY = (204, 304)
"""Statuses whose responses have no content and no Content-Length (RFC 9110, sections 8.6, 15.3.5 and 15.4.5)."""


_HANDLER = {
    "__getattr__": _do_any_method,
    "parse_request": _parse_request,
    "log_request": _log_nothing,
    "log_message": _log_message,
    "_parse_payload": _parse_payload,
    "_send_http_response_no_body": _send_without_body,
}
"""Methods that Chalice's handler of requests gets."""


def warn_without_backend() -> None:
    """Log a warning if the backend does not respond, with what to do: otherwise only the first request would tell."""
    problem = exceptions.backend_problem()
    if problem is not None:
        telemetry.logger.warning(problem)


class Gateway(local.LocalGateway):
    """API Gateway with the gateway responses of ``infra/package.json``."""

    def handle_request(self, method: str, path: str, headers: dict[str, Any], body: bytes | None) -> dict[str, Any]:
        """The answer to a request, one in the shape of ours where Chalice's own would have another."""
        by_app = False
        try:
            answer = super().handle_request(method, path, headers, _inflated(headers, body))
            by_app = "X-Request-Id" in answer["headers"]
        except errors.ApiError as refused:
            answer = _answer(refused, headers)
        except UnicodeEncodeError:
            # Chalice encodes the Authorization that it quotes, if there is no such path.
            answer = _answer(errors.NotFoundError(), headers)
        except local.LocalGatewayException as refused:
            answer = _answer(_meaning(refused), headers)
        except Exception:  # noqa: BLE001 - as API Gateway does: whatever the authorizer raised
            telemetry.logger.exception("The authorizer failed")
            answer = _answer(errors.InternalError(), headers)
        if not by_app:  # which logs what it answers
            telemetry.logger.info("Answered", method=method, path=path.partition("?")[0], status=answer["statusCode"])
        return _without_body(answer) if method == "HEAD" or answer["statusCode"] in _EMPTY else answer

    def _generate_lambda_event(
        self, method: str, path: str, headers: dict[str, Any], body: bytes | None
    ) -> dict[str, Any]:
        event: dict[str, Any] = super()._generate_lambda_event(method, path, headers, body)
        event["multiValueHeaders"] = {}
        for name, value in headers.items():
            event["multiValueHeaders"].setdefault(name, []).append(value)
        event["pathParameters"] = {name: unquote(value) for name, value in (event["pathParameters"] or {}).items()}
        return event


def _inflated(headers: Mapping[str, Any], body: bytes | None) -> bytes | None:
    """Return the body without its compression. Raise UnsupportedEncodingError, RequestTooLargeError."""
    coding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "").lower()
    if not body or coding in ("", "identity"):
        return body
    if coding not in errors.ENCODINGS:
        raise errors.UnsupportedEncodingError
    inflater = zlib.decompressobj(zlib.MAX_WBITS | _EITHER_FORMAT)
    try:
        inflated = inflater.decompress(body, _MAX_BODY + 1)
    except zlib.error:
        raise errors.UnsupportedEncodingError from None
    if len(inflated) > _MAX_BODY:
        raise errors.RequestTooLargeError
    if not inflater.eof:
        raise errors.UnsupportedEncodingError
    return inflated


_EITHER_FORMAT = 32  # zlib's manual, inflateInit2: of gzip and zlib, the one that the data begin with
_MAX_BODY = 10 * 1024 * 1024
"""Bytes of a request (AWS, "API Gateway quotas": Payload size)."""


def _without_body(answer: dict[str, Any]) -> dict[str, Any]:
    """Return ``answer`` without its content: on a connection that is kept, it would be read as the next response."""
    if answer["statusCode"] not in _EMPTY:
        answer["headers"]["Content-Length"] = str(len((answer["body"] or "").encode()))
    return answer | {"body": None}


def _meaning(refused: local.LocalGatewayException) -> errors.ApiError:
    if refused.headers.get("x-amzn-ErrorType") == "AccessDeniedException" or refused.CODE == 401:
        return errors.UnauthorizedError()
    return errors.NotFoundError() if refused.CODE == 403 else errors.InternalError()


def _answer(error: errors.ApiError, sent: dict[str, Any]) -> dict[str, Any]:
    origin = next((value for name, value in sent.items() if name.lower() == "origin"), None)
    request_id = str(uuid.uuid4())
    answer = responses.refusal(error, request_id)
    responses.mark(answer, origin, request_id)
    return answer.to_dict()
