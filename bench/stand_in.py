"""DynamoDB, S3 and SQS on loopback, as far as the measured events call them: fixed answers, at once.

An emulator would answer all of it, at its own pace: what is measured would be the emulator. Here, what is read is
always the same, what is written is counted and forgotten.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import ssl
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from boto3.dynamodb.types import TypeDeserializer

from chalicelib.values import dynamodb_limits

Record = dict[str, Any]
"""An item as DynamoDB's protocol writes it."""

_NO_OBJECTS = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


class Services:
    """The three of them, holding ``records`` and ``objects`` (by their key in the bucket). Use it with ``with``.

    They speak TLS with ``tls``, and plain HTTP without.

    ``calls`` counts what is asked, by service and operation; ``read_units`` and ``write_units`` are DynamoDB's.
    """

    def __init__(self, records: list[Record], objects: Mapping[str, bytes], tls: ssl.SSLContext | None = None) -> None:
        self.records = {(record["pk"]["S"], record["sk"]["S"]): record for record in records}
        self.objects = objects
        self._counting = threading.Lock()
        self.forget()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.services = self
        self._server.tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Counts from nothing again."""
        self.calls: Counter[str] = Counter()
        self.read_units = self.write_units = 0.0

    def count(self, call: str, read_units: float = 0, write_units: float = 0) -> None:
        with self._counting:
            self.calls[call] += 1
            self.read_units += read_units
            self.write_units += write_units

    def dynamodb(self, operation: str, asked: Record) -> Record:
        """The answer to a call, counted with what it costs (AWS, "DynamoDB read and write operations")."""
        answer: Record = {}
        read = written = 0.0
        if operation == "GetItem":
            record = self.records.get((asked["Key"]["pk"]["S"], asked["Key"]["sk"]["S"]))
            answer = {"Item": record} if record else {}
            read = read_units([record] if record else [], consistent=asked.get("ConsistentRead", False))
        elif operation == "Query":
            answer = {"Items": [], "Count": 0, "ScannedCount": 0}
            read = read_units([], consistent=asked.get("ConsistentRead", False))
        elif operation == "PutItem":
            written = write_units(asked["Item"])
        elif operation == "TransactWriteItems":
            # DynamoDB prepares and commits each write of a transaction (AWS, "Capacity management for transactions").
            written = sum(2 * write_units(write["Put"]["Item"]) for write in asked["TransactItems"])
        else:
            raise NotImplementedError(operation)
        self.count(f"dynamodb {operation}", read, written)
        return answer

    def sqs(self, operation: str, asked: Record) -> Record:
        self.count(f"sqs {operation}")
        if operation == "GetQueueUrl":
            return {"QueueUrl": f"{self.url}/queue"}
        if operation == "SendMessageBatch":
            sent = [
                {"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": _md5(entry["MessageBody"])}
                for entry in asked["Entries"]
            ]
            return {"Successful": sent, "Failed": []}
        raise NotImplementedError(operation)


def read_units(records: list[Record], *, consistent: bool) -> float:
    """What DynamoDB takes for reading ``records`` in one call: a unit for each 4 KB, half of it unless consistent."""
    size = sum(dynamodb_limits.stored_size(_plain(record)) for record in records)
    return max(1, math.ceil(size / 4096)) * (1 if consistent else 0.5)


def write_units(record: Record) -> float:
    """What DynamoDB takes for writing ``record``: a unit for each KB, and as much again where the index has it."""
    units = max(1, math.ceil(dynamodb_limits.stored_size(_plain(record)) / 1024))
    return units * (2 if "dueShard" in record else 1)


def _plain(record: Record) -> Any:
    return TypeDeserializer().deserialize({"M": record})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    services: Services
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[Any, Any]:
        """A new connection. Its handshake is left to the thread that serves it."""
        connection, address = super().get_request()
        if self.tls is None:
            return connection, address
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self._body()
        service, _, operation = self.headers["X-Amz-Target"].partition(".")
        asked = json.loads(body)
        ours = self.server.services
        answer = ours.sqs(operation, asked) if service == "AmazonSQS" else ours.dynamodb(operation, asked)
        self._answer(json.dumps(answer).encode(), "application/x-amz-json-1.0")

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        ours = self.server.services
        if "list-type=2" in query:
            ours.count("s3 ListObjectsV2")
            self._answer(_NO_OBJECTS.encode(), "application/xml")
            return
        ours.count("s3 GetObject")
        self._answer(ours.objects[_key(path)], "application/octet-stream")

    def do_PUT(self) -> None:
        self._body()
        self.server.services.count("s3 PutObject")
        self._answer(b"", "application/xml")

    def handle_expect_100(self) -> bool:
        """Says at once that the body may come: the SDK waits a second for that, and sends it anyway."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


def _key(path: str) -> str:
    """The object's key in a path-style address: what follows the bucket's name."""
    return re.sub(r"^/[^/]+/", "", path)
