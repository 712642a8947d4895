"""Save ministack's state while it runs; ministack itself saves only when it stops.

A forked child process writes the save, because it has a copy of all memory at one moment (fork(2)), while ministack
continues. ``tools/laptop/emulator_state.py`` defines the files, and restores the last save after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import json
import logging
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence
from ministack.services import lambda_svc, s3
from ministack.services.cloudformation import _stacks

from tools.laptop import emulator_state
from tools.laptop.emulator_state import Folders, Journal
from tools.laptop.emulator_wrapper import ministack_code_check
from tools.laptop.emulator_wrapper.request_guard import App, Receive, Scope, Send

_KNOWN = {
    "ministack.app:_build_persistence_save_dict": "9a6393cc953d2f67",
    "ministack.core.persistence:_json_default": "495d9abe01cbca19",
    "ministack.core.persistence:save_state": "58a9551109738f64",
    "ministack.services.lambda_svc:_prune_orphan_code_blobs": "9663ac4e986d1673",
    "ministack.services.s3:_atomic_write": "24958052a85fea7c",
    "ministack.services.s3:_delete_version_file": "18d01db05faf0359",
    "ministack.services.s3:_remove_key_files": "2388915872698644",
}
"""The digests of the functions that are replaced or used here."""

_TIMEOUT = 60.0  # seconds for a child process, and for a change of a stack
_READ_OPERATION = re.compile(r"\.(BatchGet|Describe|Filter|Get|List|Query|Scan)\w*$")
"""Matches an X-Amz-Target header whose operation changes nothing."""

_logger = logging.getLogger(__name__)

States = Mapping[str, Callable[[], Any]]


class StateSaver:
    """Saves every few seconds while requests change the state, and when ministack stops."""

    def __init__(self, folders: Folders, interval: float, on_saved: Callable[[float], None]) -> None:
        ministack_code_check.check_known_functions(_KNOWN)
        self._folders = folders
        self._interval = interval  # seconds
        self._on_saved = on_saved
        self._number = emulator_state.current(folders)
        self._journal = Journal(folders, self._number)
        self._changed_at = -float("inf")
        self._stack_changing_since: float | None = None
        self._child: int | None = None
        self._commit_lock = threading.Lock()
        self._record_object_changes()
        app.save_all = self._save_on_stop

    def watch(self, application: App) -> App:
        """Return the application, wrapped to notice requests that may change the state."""

        async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await application(scope, receive, send)
            finally:
                if scope["type"] == "http" and _may_change(scope):
                    self._changed_at = time.monotonic()

        return wrapper

    async def run(self) -> None:
        """Save while the state changes, and once more afterwards, because functions may still run. Never return."""
        saved_at = began = time.monotonic()
        while True:
            await asyncio.sleep(max(0.1, began + self._interval - time.monotonic()))
            began = time.monotonic()
            if self._changed_at > saved_at - self._interval and not self._is_stack_changing() and await self._save():
                saved_at = began

    async def _save(self) -> bool:
        began = time.monotonic()
        number, self._child = self._start_saving()
        status = await _wait_for_child(self._child)
        self._child = None
        if status != 0:
            _logger.error("Saving the state failed (%s): retrying", status)
            return False
        await asyncio.to_thread(self._commit, number, began)
        return True

    def _save_on_stop(self, _: States) -> None:
        if self._is_stack_changing():
            return  # the next start restores the save before the stack changed
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        began = time.monotonic()
        number, child = self._start_saving()
        ended = os.waitpid(child, 0)[1]
        if ended != 0:
            _logger.error("Saving the state failed (%s)", os.waitstatus_to_exitcode(ended))
            return
        self._commit(number, began)
        emulator_state.mark_clean_stop(self._folders)

    def _start_saving(self) -> tuple[int, int]:
        """Return the number of a new save, and the id of the process that writes it."""
        self._number += 1
        number = self._number
        changed = self._journal.start(number)
        events = emulator_state.unsaved_events(self._folders)
        child = os.fork()
        if child == 0:
            _run_in_child(lambda: self._write(number, changed, events))
        return number, child

    def _write(self, number: int, changed: set[Path], events: list[str]) -> None:
        folder = emulator_state.begin(self._folders, number)
        lambda_svc._prune_orphan_code_blobs = lambda _: None  # the last save may need them
        for service, state in app._build_persistence_save_dict().items():
            _write_state(folder, service, state)
        emulator_state.write_event_names(folder, events)
        for path in changed:
            _sync(path)

    def _commit(self, number: int, began: float) -> None:
        with self._commit_lock:
            if number < emulator_state.current(self._folders):  # ministack was stopped in the meantime, and has saved
                return
            emulator_state.commit(self._folders, number)
            self._on_saved(began)
            _remove_unused_code(self._folders.save_folder(number))

    def _is_stack_changing(self) -> bool:
        """Return whether CloudFormation is changing a stack: its threads would be missing in a save."""
        states = [str(stack.get("StackStatus", "")) for stack in _stacks._data.values()]
        if not any(state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS" for state in states):
            self._stack_changing_since = None
            return False
        self._stack_changing_since = self._stack_changing_since or time.monotonic()
        return time.monotonic() - self._stack_changing_since < _TIMEOUT

    def _record_object_changes(self) -> None:
        write, remove, remove_version = s3._atomic_write, s3._remove_key_files, s3._delete_version_file
        record = self._journal.before_change

        def record_file(path: str) -> None:
            if Path(path).is_file():
                record(Path(path))

        def atomic_write(path: str, data: Any, **options: Any) -> None:
            record(Path(path))
            write(path, data, **options)

        def remove_key_files(path: str | None) -> None:
            for one in (path, f"{path}.meta.json") if path else ():
                record_file(one)
            remove(path)

        def delete_version_file(*args: Any, **options: Any) -> Any:
            if path := s3._version_disk_path(*args, **options):
                record_file(path)
            return remove_version(*args, **options)

        s3._atomic_write, s3._remove_key_files, s3._delete_version_file = (
            atomic_write,
            remove_key_files,
            delete_version_file,
        )


def _may_change(scope: Scope) -> bool:
    """Return whether a request may change the state. A GET of a packaged API may, because its function logs."""
    if scope["path"].startswith("/_aws/"):
        return True
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    target = next((value for name, value in scope["headers"] if name == b"x-amz-target"), b"")
    return not _READ_OPERATION.search(target.decode("latin-1"))


def _run_in_child(work: Callable[[], None]) -> None:
    """Run ``work`` in the forked child process and exit, without the parent's sockets, handlers and cleanup."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - closes the server's socket and lock
            if descriptor > 2:
                with contextlib.suppress(OSError):  # the descriptor of the listing itself
                    os.close(descriptor)
        gc.disable()
        copy.deepcopy = lambda value, *_: value  # nothing else changes this process's memory
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        os._exit(status)


async def _wait_for_child(child: int) -> int:
    """Return the exit status of a child process, which is killed after the timeout."""
    end = time.monotonic() + _TIMEOUT
    while True:
        try:
            pid, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it does not block
        except ChildProcessError:  # ministack was stopped, and killed this save
            return -signal.SIGKILL
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        await asyncio.sleep(0.02)


def _write_state(folder: Path, service: str, state: Callable[[], Any]) -> None:
    """Write the same as ministack's ``save_state``. If a service has no state, or fails, its last save is kept."""
    try:
        payload = state()
        if payload is None:
            return
        version = persistence._state_format_version(service)
        wrapped = {"__ministack_format__": version, "payload": payload}
        content = json.dumps(wrapped, default=persistence._json_default).encode()
    except Exception:
        _logger.exception("Saving the state of %s failed", service)
        return
    file = folder / f"{service}.json"
    if not file.exists() or file.read_bytes() != content:
        emulator_state.write(file, content)


def _remove_unused_code(save: Path) -> None:
    """Delete function packages that the last save does not refer to."""
    blobs = list(Path(lambda_svc.CODE_BLOB_DIR).glob("*.zip"))
    if len(blobs) > 1:
        text = (save / "lambda.json").read_text(encoding="utf-8")
        for blob in blobs:
            if blob.stem not in text:
                blob.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush a file to the disk, if it still exists."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
