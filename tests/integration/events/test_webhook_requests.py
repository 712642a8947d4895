"""Requests to webhooks: what they send, what they refuse to connect to, and how long and how much they read."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chalicelib.events import webhook_requests
from chalicelib.events.webhook_requests import RequestFailedError, Response
from tests import local_certificate
from tests.local_certificate import Authority

PUBLIC, OTHER_PUBLIC, PUBLIC_V6 = "93.184.215.14", "151.101.1.69", "2606:4700::6810:84e5"
URL = "https://hooks.example/path?key=1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

Respond = Callable[[socket.socket], None]


class Internet:
    """A resolver and a receiver at every public address. ``connected`` are the addresses that were connected to."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.answers = [[PUBLIC]]
        """What the resolver answers, one list of addresses after the other. The last one is repeated."""
        self.seconds_to_resolve = 0.0
        self.unreachable: set[str] = set()
        self.resolved: list[str] = []
        self.connected: list[str] = []
        self.requests: list[bytes] = []
        self.respond: Respond = lambda connection: connection.sendall(OK)
        self.tls: ssl.SSLContext | None = tls
        self.closed = threading.Event()
        """Set when a connection has ended."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._resolve = socket.getaddrinfo
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def getaddrinfo(self, host: bytes, port: int, **options: int) -> list[tuple[object, ...]]:
        self.resolved.append(host.decode())
        time.sleep(self.seconds_to_resolve)
        if host[:1].isdigit() or b":" in host:
            return self._resolve(host, port, **options)  # type: ignore[return-value]
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    def create_connection(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.connected.append(address[0])
        if address[0] in self.unreachable:
            raise OSError(101, "Network is unreachable")
        connection = socket.socket()
        connection.settimeout(timeout)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(plain,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        try:
            with plain, self.tls.wrap_socket(plain, server_side=True) if self.tls else plain as connection:
                self.requests.append(_read_request(connection))
                self.respond(connection)
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            self.closed.set()


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"{}"):
        part = connection.recv(65536)
        if not part:
            break
        received += part
    return received


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return local_certificate.create(tmp_path_factory.mktemp("authority"), "hooks.example")


@pytest.fixture
def internet(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    internet = Internet(authority.context())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    webhook_requests._tls_context.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", internet.getaddrinfo)
        patch.setattr(socket, "create_connection", internet.create_connection)
        yield internet
    internet.close()
    webhook_requests._tls_context.cache_clear()


def post(url: str = URL, seconds: float = 5) -> Response:
    return webhook_requests.post(url, {"webhook-id": "event-1"}, b"{}", seconds)


def test_request_is_as_expected(internet: Internet) -> None:
    assert post() == Response(200, None, b"done")

    [request] = internet.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /path?key=1 HTTP/1.1\r\nHost: hooks.example\r\n")
    assert b"\r\nwebhook-id: event-1" in head
    assert b"\r\nContent-Type: application/json" in head
    assert b"\r\nContent-Length: 2" in head
    assert body == b"{}"


def test_response_is_returned_whatever_its_status(internet: Internet) -> None:
    internet.respond = lambda connection: connection.sendall(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    )

    assert post() == Response(503, "120", b"")


NAMES = {
    "loopback": ["127.0.0.1"],
    "another loopback address": ["127.8.8.8"],
    "this network": ["0.0.0.0"],
    "private, class A": ["10.1.2.3"],
    "private, class B": ["172.31.255.254"],
    "private, class C": ["192.168.0.1"],
    "shared by a provider": ["100.64.0.1"],
    "metadata of EC2": ["169.254.169.254"],
    "credentials of a container": ["169.254.170.2"],
    "API of a Lambda runtime": ["169.254.100.1"],
    "broadcast": ["255.255.255.255"],
    "multicast": ["224.0.0.1"],
    "benchmarks": ["198.18.0.1"],
    "documentation": ["192.0.2.1"],
    "reserved": ["240.0.0.1"],
    "loopback v6": ["::1"],
    "unspecified v6": ["::"],
    "link-local v6": ["fe80::1"],
    "link-local v6 with a zone": ["fe80::1%eth0"],
    "unique local v6": ["fc00::1"],
    "metadata of EC2 v6": ["fd00:ec2::254"],
    "multicast v6": ["ff02::1"],
    "mapped loopback": ["::ffff:127.0.0.1"],
    "mapped metadata": ["::ffff:a9fe:a9fe"],
    "compatible loopback": ["::127.0.0.1"],
    "NAT64 of loopback": ["64:ff9b::7f00:1"],
    "NAT64 of metadata": ["64:ff9b::a9fe:a9fe"],
    "local NAT64": ["64:ff9b:1::a00:1"],
    "6to4 of a private network": ["2002:a00:1::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "public, then private": [PUBLIC, "10.0.0.1"],
    "private, then public": ["10.0.0.1", PUBLIC],
    "public v4, loopback v6": [PUBLIC, "::1"],
}
URLS = [
    "http://hooks.example/",
    "http://127.0.0.1.hooks.example/",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "gopher://hooks.example/_POST",
    "https://user:password@hooks.example/",
    "https://hooks.example#@127.0.0.1/",
    "https://hooks.example\\@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0xa9.254.0251.254/",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fe80::1%25eth0]/",
    "https://localhost/",
    "https://api.localhost/",
    "https://metadata/",
    "https://hooks.example./",
    "https://127。0。0。1/",
    "https://hooks.example:0/",
    "https://hooks.example:65536/",
    "https://hooks.example:22:443/",
    "https://hooks.example/\r\nX-Injected: 1",
    "https://hooks.example/ HTTP/1.1\nX-Injected: 1",
    "https://hooks.example\r\nX-Injected: 1/",
    "https://hooks.example/\x00",
    f"https://hooks.example/{'x' * 2048}",
]


@pytest.mark.parametrize(
    ("url", "addresses"),
    [*((url, [PUBLIC]) for url in URLS), *((URL, addresses) for addresses in NAMES.values())],
    ids=[*map(repr, URLS), *NAMES],
)
def test_nothing_is_sent(internet: Internet, url: str, addresses: list[str]) -> None:
    internet.answers = [addresses]

    with pytest.raises(RequestFailedError):
        post(url)

    assert internet.connected == []


def test_http_reaches_loopback_only_in_stage_local(internet: Internet, configured: Callable[..., None]) -> None:
    internet.tls = None
    url = f"http://127.0.0.1:{internet.port}/"

    assert post(url).status == 200
    configured(STAGE="dev", AUTH_MODE="none")
    with pytest.raises(RequestFailedError, match="https"):
        post(url)
    assert internet.connected == ["127.0.0.1"]


def test_http_to_a_name_of_another_machine_is_refused(internet: Internet) -> None:
    internet.answers = [["10.0.0.1"]]

    with pytest.raises(RequestFailedError, match="not public"):
        post("http://localhost/")

    assert internet.connected == []


def test_host_is_resolved_once(internet: Internet) -> None:
    internet.answers = [[PUBLIC], ["127.0.0.1"]]

    assert post().status == 200
    assert (internet.resolved, internet.connected) == (["hooks.example"], [PUBLIC])


def test_next_address_is_tried(internet: Internet) -> None:
    internet.answers, internet.unreachable = [[PUBLIC_V6, PUBLIC, OTHER_PUBLIC]], {PUBLIC_V6}

    assert post().status == 200
    assert internet.connected == [PUBLIC_V6, PUBLIC]


@pytest.mark.parametrize("location", ["https://169.254.169.254/", "http://127.0.0.1/", "https://hooks.example/other"])
def test_redirect_is_not_followed(internet: Internet, location: str) -> None:
    head = f"HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    internet.respond = lambda connection: connection.sendall(head.encode())

    assert post().status == 307
    assert internet.connected == [PUBLIC]


def test_environment_is_ignored(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine hooks.example login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert post().status == 200
    assert b"Authorization" not in internet.requests[0]


def _repeat(start: bytes, part: bytes, pause: float = 0) -> Respond:
    def respond(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return respond


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "nothing": lambda connection: connection.recv(1),
    "status": _repeat(b"HTTP/1.1 ", b"2", 0.01),
    "headers": _repeat(HEAD + b"X-Slow: ", b"x", 0.01),
    "body": _repeat(HEAD + b"Content-Length: 4000\r\n\r\n", b"x", 0.01),
    "chunks": _repeat(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.01),
    "chunk extension": _repeat(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x", 0.01),
    "provisional responses": _repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_slow_response_is_a_timeout(internet: Internet, drip: str) -> None:
    internet.respond = DRIPS[drip]

    with pytest.raises(RequestFailedError, match=r"no complete response within 0\.3 seconds"):
        post(seconds=0.3)

    assert internet.closed.wait(5)


def test_slow_resolver_is_a_timeout(internet: Internet) -> None:
    internet.seconds_to_resolve = 0.5

    with pytest.raises(RequestFailedError, match="no complete response"):
        post(seconds=0.1)


def test_slow_handshake_is_a_timeout(internet: Internet) -> None:
    internet.tls = None

    with pytest.raises(RequestFailedError, match="no complete response"):
        post(seconds=0.3)
    assert internet.closed.wait(5)


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"Content-Length: 1000000000000\r\n\r\n",
        HEAD + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    ],
    ids=["announced", "unannounced", "chunk of a negative size"],
)
def test_huge_response_is_not_read(internet: Internet, start: bytes) -> None:
    internet.respond = _repeat(start, b"x" * 65536)

    assert post().body == b"x" * webhook_requests.MAX_RESPONSE_BYTES
    assert internet.closed.wait(5)


def test_compressed_response_is_not_expanded(internet: Internet) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    internet.respond = lambda connection: connection.sendall(head + bomb)

    assert post().body == bomb


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        HEAD + b"X-Long: " + b"x" * 70_000,
        HEAD + b"X-Many: 1\r\n" * 101 + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx",
    ],
    ids=["none", "SSH", "long header", "many headers", "invalid chunk", "chunk of a negative size"],
)
def test_invalid_response_fails(internet: Internet, response: bytes) -> None:
    internet.respond = lambda connection: connection.sendall(response)

    with pytest.raises(RequestFailedError, match="not valid HTTP"):
        post()


def test_certificate_must_fit_the_name(internet: Internet) -> None:
    with pytest.raises(RequestFailedError, match="certificate is not valid: Hostname mismatch"):
        post("https://other.example/")

    assert internet.requests == []


def test_certificate_must_be_of_a_known_authority(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(local_certificate.create(tmp_path).certificate))

    with pytest.raises(RequestFailedError, match="certificate is not valid"):
        post()

    assert internet.requests == []


def test_failed_tls_handshake_is_the_reason(internet: Internet) -> None:
    internet.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # It has no certificate.

    with pytest.raises(RequestFailedError) as failed:
        post()

    assert str(failed.value) == "The TLS connection failed."


def test_reason_contains_no_part_of_the_path(internet: Internet) -> None:
    internet.unreachable = {PUBLIC}

    with pytest.raises(RequestFailedError) as failed:
        post("https://hooks.example/secret-token")

    assert str(failed.value) == "The connection failed: Network is unreachable."
