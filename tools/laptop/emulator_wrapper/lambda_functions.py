"""Change how ministack runs Lambda functions, so that a laptop can take a thousand events at once.

ministack 1.5.33 unpacks the package for each worker, and starts a worker for each event while the others are busy. Here
the workers share one unpacked package, and events wait in a queue, as in Lambda (AWS, "Invoking a Lambda function
asynchronously"). The reasons are in docs/decisions/0031.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from ministack import app
from ministack.core import lambda_runtime
from ministack.core.arn import parse_arn
from ministack.services import eventbridge, lambda_svc, sqs

from tools.laptop.emulator_wrapper import ministack_code_check
from tools.laptop.emulator_wrapper.async_invocations import Event, EventQueue
from tools.laptop.emulator_wrapper.package_cache import PackageCache

_KNOWN = {
    "ministack.app:_handle_lifespan": "0daf4cf135cf3cb4",
    "ministack.core.lambda_runtime:Worker.__init__": "9f537cd431cf448b",
    "ministack.core.lambda_runtime:Worker._discard_tmpdir": "33f19717d0f35f72",
    "ministack.core.lambda_runtime:Worker._spawn": "c55febf956565c5e",
    "ministack.core.lambda_runtime:_worker_class_for": "b5a23849280af819",
    "ministack.core.lambda_runtime:acquire_worker": "5017d144adb5b983",
    "ministack.core.lambda_runtime:kill_workers": "56a6df63f9bd4859",
    "ministack.core.lambda_runtime:reset": "03a9add47fe32316",
    "ministack.services.eventbridge:_dispatch_to_lambda": "1f95adbaed3a966a",
    "ministack.services.lambda_svc:_execute_function": "3ceb16d6480a2161",
    "ministack.services.lambda_svc:_execute_function_warm": "62b9218bef5b948a",
    "ministack.services.lambda_svc:_poll_dynamodb_streams": "2b2460e933a9f3c3",
    "ministack.services.lambda_svc:_poll_loop": "6a443090919adccf",
    "ministack.services.lambda_svc:_route_async_failure": "c023331e333f796d",
    "ministack.services.lambda_svc:invoke_async_with_retry": "289fe4d3cbd4089b",
    "ministack.services.sqs:_collect_msgs": "308a6eb1b3d4c8ad",
    "ministack.services.sqs:_queue_url_for_account": "84f56260ad93d787",
    "ministack.services.sqs:_rebuild_queue_name_index": "a73806a0000f2e19",
    "ministack.services.sqs:_restore_state": "6ad905ae1eeaa916",
}
"""The digests of the functions that are replaced or used here."""

_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
_THROTTLE_DELAY = 0.5  # seconds; a throttled attempt does not count (AWS, "Understanding Lambda function scaling")
_DEFAULT_RETRIES = 2  # AWS, "Configuring error handling settings for Lambda asynchronous invocations"


class Functions(NamedTuple):
    """Controls all functions, after ``install``."""

    events: EventQueue

    def delete_saved_events(self, before: float) -> None:
        """Delete the events that were processed before a save began at ``before`` (``time.monotonic()``)."""
        self.events.delete_saved_events(before)

    def stop(self) -> None:
        """Stop all functions, and start no more."""
        self.events.stop()
        lambda_svc._poll_sqs = lambda: False
        lambda_svc._poll_dynamodb_streams = lambda: False
        lambda_runtime.reset()


def install(tmp: Path, state: Path) -> Functions:
    """Change ministack in this process. Raise ChangedCodeError if its code is not the known one."""
    ministack_code_check.check_known_functions(_KNOWN)
    events = EventQueue(state / "events", _invoke, concurrency=max(2, os.cpu_count() or 0))
    _share_packages(PackageCache(tmp / "packages"))
    _queue_events(events)
    _change_polls_of_streams()
    return Functions(events)


def _share_packages(packages: PackageCache) -> None:
    class Worker(lambda_runtime.Worker):  # type: ignore[misc]
        """A worker whose package is on its PYTHONPATH; the package that it unpacks itself is empty."""

        config: dict[str, Any]

        def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
            super().__init__(func_name, config, _EMPTY_ZIP)
            self._archive = code_zip
            self._package: Path | None = None

        def _spawn(self) -> None:
            if self._package is None:
                self._package = packages.take(self._archive)
                self.config = _with_path(self.config, self._package)
            super()._spawn()

        def _discard_tmpdir(self) -> None:
            super()._discard_tmpdir()
            if self._package is not None:
                packages.release(self._package)
                self._package = None

    original = lambda_runtime._worker_class_for

    def worker_class_for(config: dict[str, Any]) -> type:
        return Worker if str(config.get("Runtime")).startswith("python") else original(config)

    lambda_runtime._worker_class_for = worker_class_for


def _with_path(config: dict[str, Any], package: Path) -> dict[str, Any]:
    variables = dict((config.get("Environment") or {}).get("Variables") or {})
    variables["PYTHONPATH"] = os.pathsep.join([str(package), *filter(None, [variables.get("PYTHONPATH")])])
    return config | {"Environment": {"Variables": variables}}


def _queue_events(events: EventQueue) -> None:
    load = app._load_persisted_state

    def load_persisted_state() -> None:
        load()
        _update_queue_urls()
        _make_messages_visible()
        events.resume()

    def invoke_async_with_retry(function: dict[str, Any], payload: Any) -> None:
        events.put((function.get("config") or function)["FunctionArn"], payload)

    app._load_persisted_state = load_persisted_state
    eventbridge._dispatch_to_lambda = lambda arn, payload: events.put(arn, _decoded(payload))
    lambda_svc.invoke_async_with_retry = invoke_async_with_retry


def _change_polls_of_streams() -> None:
    """Read DynamoDB streams in a thread, and let a batch fail if the function reports failures in it.

    ministack reads streams and queues in one thread, in which it waits for the functions of streams. So a slow one held
    up all queues. It reads reports of failures for queues only. The whole batch is sent again, while Lambda sends the
    rest of it.
    """
    execute, poll = lambda_svc._execute_function, lambda_svc._poll_dynamodb_streams
    this_thread, polling = threading.local(), threading.Lock()

    def execute_function(function: dict[str, Any], event: Any) -> dict[str, Any]:
        result: dict[str, Any] = execute(function, event)
        if getattr(this_thread, "polls", False) and _reports_failures(result.get("body")):
            return result | {"error": True}
        return result

    def poll_and_wake() -> None:
        this_thread.polls = True
        try:
            processed = poll()
        finally:
            polling.release()
        if processed:
            lambda_svc._esm_wake.set()  # There may be more records.

    def poll_dynamodb_streams() -> bool:
        if polling.acquire(blocking=False):
            threading.Thread(target=poll_and_wake, daemon=True).start()  # Any other thread would delay the stop.
        return False

    lambda_svc._execute_function = execute_function
    lambda_svc._poll_dynamodb_streams = poll_dynamodb_streams


def _reports_failures(body: Any) -> bool:
    response = json.loads(body) if isinstance(body, bytes | str) and body else body
    return isinstance(response, dict) and bool(response.get("batchItemFailures"))


def _update_queue_urls() -> None:
    """Replace the port in the queues' URLs, by which ministack finds them, by this emulator's port."""
    for (account, region, url), queue in list(sqs._queues._data.items()):
        address = sqs._queue_url_for_account(account, queue["name"])
        if url != address:
            del sqs._queues._data[account, region, url]
            sqs._queues._data[account, region, address] = queue | {"url": address}
    sqs._rebuild_queue_name_index()


def _make_messages_visible() -> None:
    """Make the messages in flight visible: the functions that had received them ended with the emulator."""
    now = time.time()
    for queue in sqs._queues._data.values():
        for message in queue["messages"]:
            if message.get("receive_count") and message.get("visible_at", 0) > now:
                message["visible_at"] = now


def _decoded(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return {"body": payload}  # the same as in ministack


def _invoke(event: Event) -> float | None:
    """Invoke the function with ``event``. Return the seconds until the retry, or None for no retry."""
    spec = parse_arn(event.function)
    function, config, name = lambda_svc._get_func_record_for_ref_in_scope(
        event.function, account_id=spec.account_id, region=spec.region
    )
    if not function or not config:
        lambda_svc.logger.warning("An event was skipped: the function %s does not exist", name)
        return None
    record = lambda_svc._execution_record_for_config(function, config)
    while (result := lambda_svc._execute_function_with_config_scope(record, event.payload)).get("throttle"):
        time.sleep(_THROTTLE_DELAY)
    if not result.get("error"):
        return None
    return _retry_or_give_up(event, record, name, result)


def _retry_or_give_up(event: Event, function: dict[str, Any], name: str, result: dict[str, Any]) -> float | None:
    """Return the seconds until the retry. After the last one, send the event to the function's failure destination."""
    settings = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
    retries = settings.get("MaximumRetryAttempts")
    if event.failures < (_DEFAULT_RETRIES if retries is None else int(retries)):
        return float(lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS * 2**event.failures)
    destination = (settings.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
    if destination:
        lambda_svc._run_with_function_config_scope(
            function, lambda_svc._route_async_failure, destination, name, event.payload, result
        )
    return None
