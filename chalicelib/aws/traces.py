"""Send a subsegment to AWS X-Ray for each call of the AWS clients, and for each request to another server.

A subsegment says what was called, how long that took and how it ended: names of operations, resources and hosts,
statuses, and codes of errors. Never add keys, parameters, paths, bodies or messages of errors: they contain owners,
secrets, and what callers sent. Nothing is sent unless a daemon receives traces, as in Lambda.

Source: AWS X-Ray Developer Guide, "X-Ray segment documents" and "Sending trace data to X-Ray".
"""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib import telemetry
from chalicelib.aws import failures

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

_HEADER = b'{"format": "json", "version": 1}\n'
_CALL = "vitrine_call"
"""The key of a :class:`_Call` in the context of a call: a dictionary of botocore that exists as long as the call."""

_Send = Callable[[bytes], object]


_Parent = tuple[str, str]
"""The ids of a trace and of a function's segment in it."""


class _Call(msgspec.Struct, frozen=True):
    parent: _Parent
    started: float
    model: OperationModel
    parameters: Mapping[str, Any]


def trace_calls(events: BaseEventHooks, address: str) -> None:
    """Trace the calls of the clients that will be created with ``events``: send them to the daemon at ``address``.

    ``address`` is IP:PORT.

    If the address is not valid, nothing is traced, and a warning is logged. Tracing never makes a call fail.
    """
    send = _sender_to(address)
    if send is None:
        return
    # The first event of a call. Presigning emits it too, but not the other two events.
    events.register("provide-client-params", _begin)
    events.register("after-call", functools.partial(_end, send))
    events.register("after-call-error", functools.partial(_end, send))


@contextmanager
def traced_request(host: str) -> Iterator[TracedRequest]:
    """Trace a request to ``host``, which is made in the block. Tracing never makes it fail."""
    request = TracedRequest()
    send = _sender_to(os.environ.get("AWS_XRAY_DAEMON_ADDRESS", ""))
    parent = _sampled_parent(os.environ.get("_X_AMZN_TRACE_ID", "")) if send else None
    started, failure = time.time(), None
    try:
        yield request
    except Exception as error:
        failure = error
        raise
    finally:
        if send and parent:
            _send_document(send, lambda: _request_subsegment(parent, host, started, request.status, failure), "POST")


def _request_subsegment(
    parent: _Parent, host: str, started: float, status: int | None, failure: Exception | None
) -> dict[str, Any]:
    ended = _exception(failure) if status is None else _status(status)
    return _document(parent, host, "remote", started) | ended


class TracedRequest:
    """The data of a request in a trace, apart from its host and its time."""

    status: int | None = None
    """The status of the response, or None if there was none."""


@functools.cache
def _sender_to(address: str) -> _Send | None:
    """Return a function that sends documents to the daemon at ``address``, or None if there is no daemon."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    try:
        socket.inet_pton(socket.AF_INET, host)
        return _sender(host, _port(port))
    except (OSError, ValueError):
        telemetry.logger.warning("Calls are not traced: AWS_XRAY_DAEMON_ADDRESS must be IP:PORT", address=address)
        return None


def _sender(host: str, port: int) -> _Send:
    # UDP, never waiting: a document that cannot be sent is lost. The socket is not connected, because a connected one
    # raises an error if the port was closed when the previous document arrived.
    daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    daemon.settimeout(0)
    return lambda document: daemon.sendto(document, (host, port))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise ValueError(text)
    return port


def _begin(params: Mapping[str, Any], model: OperationModel, context: dict[str, Any], **_: object) -> None:
    # Lambda sets the variable for each invocation.
    parent = _sampled_parent(os.environ.get("_X_AMZN_TRACE_ID", ""))
    if parent is not None:
        context[_CALL] = _Call(parent, time.time(), model, params)


@functools.lru_cache(maxsize=1)
def _sampled_parent(header: str) -> _Parent | None:
    """Return the ids of the trace and of the function's segment, or None if this invocation is not sampled."""
    fields = dict(field.partition("=")[::2] for field in header.split(";"))
    if fields.get("Sampled") != "1" or not fields.get("Root") or not fields.get("Parent"):
        return None
    return fields["Root"], fields["Parent"]


def _end(
    send: _Send,
    context: dict[str, Any],
    parsed: Mapping[str, Any] | None = None,
    exception: Exception | None = None,
    **_: object,
) -> None:
    call: _Call | None = context.get(_CALL)
    if call is None:
        return
    _send_document(send, lambda: _subsegment(call, context, parsed, exception), call.model.name)


def _send_document(send: _Send, make: Callable[[], dict[str, Any]], operation: str) -> None:
    try:
        send(_HEADER + msgspec.json.encode(make()))
    except OSError:
        pass  # The document is lost: the daemon does not receive fast enough.
    except Exception:  # noqa: BLE001 - an error of this module must not make the call fail
        telemetry.logger.exception("Tracing a call failed", operation=operation)


def _subsegment(
    call: _Call, context: Mapping[str, Any], parsed: Mapping[str, Any] | None, exception: Exception | None
) -> dict[str, Any]:
    return {
        **_document(call.parent, str(call.model.service_model.service_id), "aws", call.started),
        **(_exception(exception) if parsed is None else _response(parsed)),
        "aws": {
            "operation": call.model.name,
            "region": context["client_region"],
            "retries": context.get("retries", {}).get("attempt", 1) - 1,
            **_request_id(parsed),
            **_resource(call.parameters),
        },
    }


def _document(parent: _Parent, name: str, namespace: str, started: float) -> dict[str, Any]:
    trace_id, parent_id = parent
    return {
        "type": "subsegment",
        "id": _new_id(),
        "trace_id": trace_id,
        "parent_id": parent_id,
        "name": name,
        "namespace": namespace,
        "start_time": started,
        "end_time": time.time(),
    }


def _response(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a call that AWS responded to. Only a status of 400 or more is marked as an error."""
    found = _status(parsed["ResponseMetadata"]["HTTPStatusCode"])
    if not {"error", "fault"} & found.keys():
        return found
    if failures.is_throttled(parsed):
        found["throttle"] = True
    return found | _cause(failures.code(parsed), remote=True)


def _status(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"http": {"response": {"status": status}}}
    if status >= 400:
        found["fault" if status >= 500 else "error"] = True
    if status == 429:
        found["throttle"] = True
    return found


def _exception(exception: Exception | None) -> dict[str, Any]:
    """Return the fields of a call without a response, such as a timeout.

    The exception's text is left out, because it may contain a key.
    """
    return {"fault": True} | _cause(type(exception).__name__, remote=False)


def _cause(kind: str, *, remote: bool) -> dict[str, Any]:
    return {"cause": {"exceptions": [{"id": _new_id(), "type": kind, "remote": remote}]}}


def _request_id(parsed: Mapping[str, Any] | None) -> dict[str, str]:
    request_id = (parsed or {}).get("ResponseMetadata", {}).get("RequestId")
    return {"request_id": request_id} if request_id else {}


def _resource(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the table, bucket or queue of a call. In this app, a batch or transaction uses one table."""
    if "Bucket" in parameters:
        return {"bucket_name": parameters["Bucket"]}
    if "QueueUrl" in parameters:
        return {"queue_url": parameters["QueueUrl"]}
    for table in _tables(parameters):
        return {"table_name": table}
    return {}


def _tables(parameters: Mapping[str, Any]) -> list[str]:
    if "TransactItems" in parameters:
        return [action["TableName"] for item in parameters["TransactItems"] for action in item.values()]
    return [parameters["TableName"]] if "TableName" in parameters else list(parameters.get("RequestItems", ()))


def _new_id() -> str:
    return os.urandom(8).hex()
