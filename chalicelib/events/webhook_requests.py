"""Send a request to a webhook. Its owner chooses the URL, so the request must reach only what is public.

The host is resolved once, and every address that it has must be public. The connection is to one of these addresses, so
a later answer of the name server changes nothing. Certificates are checked against the host's name.
Redirects are not followed. Proxies and passwords from the environment are not used, because http.client has neither.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import time
from collections.abc import Mapping

import msgspec

from chalicelib import config, errors
from chalicelib.aws import traces
from chalicelib.catalogue import webhook_urls
from chalicelib.catalogue.webhook_urls import Endpoint
from chalicelib.values import time_limit

MAX_SECONDS = 10
"""The time limit of a whole request: to resolve the host, to connect, and to read the response."""

MAX_RESPONSE_BYTES = 4096
"""The most bytes of the response's body that are read. Then the connection is closed."""

_CONNECT_SECONDS = 4
"""The seconds after which the host's next address is tried."""

_FIXED_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"{config.APP}/{config.VERSION}",
    "Connection": "close",
}


class Response(msgspec.Struct, frozen=True):
    """What a receiver responded, without interpreting it."""

    status: int
    retry_after: str | None
    """The header Retry-After."""
    body: bytes
    """The beginning of the body, up to MAX_RESPONSE_BYTES."""


class RequestFailedError(Exception):
    """There is no response. The text says why, for the webhook's owner. It contains no part of the URL's path."""


def post(url: str, headers: Mapping[str, str], body: bytes, max_seconds: float = MAX_SECONDS) -> Response:
    """Send ``body`` to a webhook's URL, and return the response, whatever its status. Raise RequestFailedError."""
    try:
        endpoint = webhook_urls.check_url(url)
        request = _Request(endpoint, time.monotonic() + max_seconds)
        with traces.traced_request(endpoint.host) as traced:
            response = time_limit.run_within(max_seconds, lambda: request.send(headers, body), request.abort)
            traced.status = response.status
            return response
    except errors.InvalidRequestError as error:  # The rules have changed since the URL was set.
        raise RequestFailedError(error.message) from error
    except (OSError, http.client.HTTPException) as error:
        raise RequestFailedError(_describe(error, max_seconds)) from error


class _Request:
    """One request. It runs in a thread that is abandoned at the deadline (monotonic seconds)."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._socket: socket.socket | None = None

    def send(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Send ``body`` and read the response. Raise OSError, HTTPException or RequestFailedError."""
        connection = self._connection()
        try:
            connection.sock = self._connected_socket()
            connection.sock.settimeout(self._seconds_left())
            connection.request("POST", self._endpoint.target, body, {**_FIXED_HEADERS, **headers})
            with connection.getresponse() as response:
                return Response(response.status, response.headers.get("Retry-After"), _beginning(response))
        finally:
            if self._socket:
                self._socket.close()

    def abort(self) -> None:
        """Abort the current transfer."""
        if self._socket:
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket: it turns encryption off first, while the other thread may be sending.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        if self._endpoint.is_loopback:
            return http.client.HTTPConnection(self._endpoint.host, self._endpoint.port)
        return http.client.HTTPSConnection(self._endpoint.host, self._endpoint.port, context=_tls_context())

    def _connected_socket(self) -> socket.socket:
        self._socket = plain = self._connect()
        if self._endpoint.is_loopback:
            return plain
        plain.settimeout(self._seconds_left())
        # The handshake follows the assignment, so that it can be aborted.
        self._socket = tls = _tls_context().wrap_socket(
            plain, server_hostname=self._endpoint.host, do_handshake_on_connect=False
        )
        tls.do_handshake()
        return tls

    def _connect(self) -> socket.socket:
        failure = OSError("The host has no address")
        for address in self._resolve():
            try:
                wait = min(_CONNECT_SECONDS, self._seconds_left())
                return socket.create_connection((address, self._endpoint.port), wait)
            except OSError as error:
                failure = error
        raise failure

    def _resolve(self) -> list[str]:
        """Return the host's addresses. Raise RequestFailedError if a request may not be sent to one of them."""
        # Python would convert a name that is not a bytes object to IDNA, and raise a UnicodeError for some names.
        host, port = self._endpoint.host.encode(), self._endpoint.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        if not all(self._endpoint.accepts(address) for address in addresses):
            raise RequestFailedError("The host has an address that is not public.")
        return addresses

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _beginning(response: http.client.HTTPResponse) -> bytes:
    """Return up to MAX_RESPONSE_BYTES of the body, which is all of it unless it is longer."""
    body = b""
    # Python's read() reads all that is sent if a chunk has the size -1, and raises a ValueError if it has another
    # negative one. read1() reads what a buffer holds.
    while len(body) < MAX_RESPONSE_BYTES and (part := response.read1(MAX_RESPONSE_BYTES - len(body))):
        body += part
    return body[:MAX_RESPONSE_BYTES]


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return a context with the authorities of the operating system, as for the issuer's keys."""
    return ssl.create_default_context()


def _describe(error: OSError | http.client.HTTPException, max_seconds: float) -> str:
    if isinstance(error, http.client.HTTPException):
        return "The response is not valid HTTP."
    if isinstance(error, TimeoutError):
        return f"There was no complete response within {max_seconds:g} seconds."
    if isinstance(error, socket.gaierror):
        return "The host's name could not be resolved."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "The TLS connection failed."
    return f"The connection failed: {error.strerror or type(error).__name__}."
