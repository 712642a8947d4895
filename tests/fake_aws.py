"""Serve fixed answers of AWS on loopback, as far as the tested and measured events call its services.

An emulator would add its own processing time to what is measured. Here, reads always return the same and writes are
counted and discarded.
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
"""An item with DynamoDB's typed attributes."""

ETAG = "d41d8cd98f00b204e9800998ecf8427e"
"""The entity tag of all objects."""

_NO_OBJECTS = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


class FakeAws:
    """A server of the table's ``records`` and of the bucket's ``objects`` (by key), a context manager.

    ``calls`` counts the calls by service and operation, ``read_units`` and ``write_units`` the consumed capacity.
    """

    def __init__(self, records: list[Record], objects: Mapping[str, bytes], tls: ssl.SSLContext) -> None:
        self.records = {(record["pk"]["S"], record["sk"]["S"]): record for record in records}
        self.objects = objects
        self._counting = threading.Lock()
        self.reset_counts()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.aws = self
        self._server.tls = tls
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset_counts(self) -> None:
        """Set all counts to zero."""
        self.calls: Counter[str] = Counter()
        self.read_units = self.write_units = 0.0

    def count(self, call: str, read_units: float = 0, write_units: float = 0) -> None:
        """Count one call and the capacity that it consumes."""
        with self._counting:
            self.calls[call] += 1
            self.read_units += read_units
            self.write_units += write_units

    def dynamodb(self, operation: str, request: Record) -> Record:
        """Return the answer to a call and count its capacity units (AWS, "DynamoDB read and write operations")."""
        answer: Record = {}
        read = written = 0.0
        if operation == "GetItem":
            record = self.records.get((request["Key"]["pk"]["S"], request["Key"]["sk"]["S"]))
            answer = {"Item": record} if record else {}
            read = read_units([record] if record else [], consistent=request.get("ConsistentRead", False))
        elif operation == "Query":
            found = self._between(request)
            answer = {"Items": found, "Count": len(found), "ScannedCount": len(found)}
            read = read_units(found, consistent=request.get("ConsistentRead", False))
        elif operation == "UpdateItem":
            written = write_units(request["Key"], self._stored(request["Key"]))
        elif operation == "PutItem":
            written = write_units(request["Item"], self._stored(request["Item"]))
        elif operation == "TransactWriteItems":
            # Each action of a transaction is prepared and committed (AWS, "Capacity management for transactions").
            written = sum(2 * self._action_units(one) for [one] in map(dict.values, request["TransactItems"]))
        else:
            raise NotImplementedError(operation)
        self.count(f"dynamodb {operation}", read, written)
        return answer

    def _action_units(self, action: Record) -> float:
        """Return the capacity units of one action of a transaction, by the record that it writes, deletes or checks."""
        stored = self._stored(action.get("Item") or action["Key"])
        if "Item" in action:
            return write_units(action["Item"], stored)
        return write_units(stored or action["Key"], stored)

    def _between(self, request: Record) -> list[Record]:
        """Return the records of a query that names the lowest and highest key; none for any other query."""
        values = request["ExpressionAttributeValues"]
        if ":low" not in values:
            return []
        owner, low, high = (values[name]["S"] for name in (":owner", ":low", ":high"))
        keys = sorted(
            (key for key in self.records if key[0] == owner and low <= key[1] <= high),
            reverse=not request.get("ScanIndexForward", True),
        )
        return [self.records[key] for key in keys[: request.get("Limit")]]

    def _stored(self, key: Record) -> Record | None:
        return self.records.get((key["pk"]["S"], key["sk"]["S"]))

    def events(self, operation: str, request: Record) -> Record:
        """Return the answer to a call of EventBridge and count it."""
        self.count(f"events {operation}")
        if operation == "PutEvents":
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}
        raise NotImplementedError(operation)

    def sqs(self, operation: str, request: Record) -> Record:
        """Return the answer to a call and count it."""
        self.count(f"sqs {operation}")
        if operation == "GetQueueUrl":
            return {"QueueUrl": f"{self.url}/queue"}
        if operation == "SendMessageBatch":
            sent = [
                {"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": _md5(entry["MessageBody"])}
                for entry in request["Entries"]
            ]
            return {"Successful": sent, "Failed": []}
        raise NotImplementedError(operation)

    def ssm(self, operation: str, request: Record) -> Record:
        """Return the key of the webhooks' secrets, and count the call."""
        self.count(f"ssm {operation}")
        return {"Parameter": {"Name": request["Name"], "Value": "AAAA"}}


def read_units(records: list[Record], *, consistent: bool) -> float:
    """Return the capacity units of reading ``records`` in one call: one per 4 KB, half of that if not consistent."""
    size = sum(dynamodb_limits.stored_size(_plain(record)) for record in records)
    return max(1, math.ceil(size / 4096)) * (1 if consistent else 0.5)


def write_units(record: Record, stored: Record | None = None) -> float:
    """Return the capacity units of writing ``record`` over ``stored``: one per KB, and those of the index ``due``.

    The index has the keys alone. An entry that is written or deleted is one unit, one that changes is two, and one that
    stays is none (AWS, "Using Global Secondary Indexes in DynamoDB", "Write capacity units").
    """
    entries = [{one[name]["S"] for name in ("dueShard", "dueAt") if name in one} for one in (record, stored or {})]
    changed = sum(map(bool, entries)) if entries[0] != entries[1] else 0
    return max(1, math.ceil(dynamodb_limits.stored_size(_plain(record)) / 1024)) + changed


def _plain(record: Record) -> Any:
    return TypeDeserializer().deserialize({"M": record})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    aws: FakeAws
    tls: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. The thread that serves it performs the handshake."""
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self._body()
        service, _, operation = self.headers["X-Amz-Target"].partition(".")
        request = json.loads(body)
        aws = self.server.aws
        services = {"AmazonSQS": aws.sqs, "AmazonSSM": aws.ssm, "AWSEvents": aws.events}
        answer = services.get(service, aws.dynamodb)(operation, request)
        self._answer(json.dumps(answer).encode(), "application/x-amz-json-1.0")

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        aws = self.server.aws
        if "list-type=2" in query:
            aws.count("s3 ListObjectsV2")
            self._answer(_NO_OBJECTS.encode(), "application/xml")
            return
        aws.count("s3 GetObject")
        self._answer(aws.objects[_key(path)], "application/octet-stream")

    def do_PUT(self) -> None:
        self._body()
        self.server.aws.count("s3 PutObject")
        self._answer(b"", "application/xml")

    def handle_expect_100(self) -> bool:
        """Answer 100 Continue at once: the SDK waits for it for up to a second."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

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
        self.send_header("ETag", f'"{ETAG}"')
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


def _key(path: str) -> str:
    """Return the object's key from the path of a path-style address."""
    return re.sub(r"^/[^/]+/", "", path)
