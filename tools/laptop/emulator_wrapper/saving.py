"""Saves ministack's state while it runs, where ministack itself saves at its end alone.

A save is written by a child process, which has all memory as it was at one moment (fork(2)), while ministack goes on.
tools/laptop/emulator_state.py says what lies where, and brings everything back to the last save after a crash.
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
from tools.laptop.emulator_wrapper import pinned
from tools.laptop.emulator_wrapper.guard import App, Receive, Scope, Send

_KNOWN = {
    "ministack.app:_build_persistence_save_dict": "9a6393cc953d2f67",
    "ministack.core.persistence:_json_default": "495d9abe01cbca19",
    "ministack.core.persistence:save_state": "58a9551109738f64",
    "ministack.services.lambda_svc:_prune_orphan_code_blobs": "9663ac4e986d1673",
    "ministack.services.s3:_atomic_write": "24958052a85fea7c",
    "ministack.services.s3:_delete_version_file": "18d01db05faf0359",
    "ministack.services.s3:_remove_key_files": "2388915872698644",
}
"""What is replaced here or relied on, with the digest of its source."""

_PATIENCE = 60.0  # seconds for a child process, and for a change of a stack
_READS = re.compile(r"\.(BatchGet|Describe|Filter|Get|List|Query|Scan)\w*$")
"""Of the operations that stand in X-Amz-Target, those that change nothing."""

_logger = logging.getLogger(__name__)

States = Mapping[str, Callable[[], Any]]


class Saver:
    """Saves every few seconds while requests come that may change something, and at the end."""

    def __init__(self, folders: Folders, every: float, on_saved: Callable[[float], None]) -> None:
        pinned.check(_KNOWN)
        self._folders = folders
        self._every = every  # seconds
        self._on_saved = on_saved
        self._number = emulator_state.current(folders)
        self._journal = Journal(folders, self._number)
        self._changed_at = -float("inf")
        self._unsettled_since: float | None = None
        self._child: int | None = None
        self._committing = threading.Lock()
        self._keep_what_changes_in_buckets()
        app.save_all = self._save_at_the_end

    def noticing(self, application: App) -> App:
        """Return the application, and take note of the requests that may change something."""

        async def notice(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await application(scope, receive, send)
            finally:
                if scope["type"] == "http" and _may_change(scope):
                    self._changed_at = time.monotonic()

        return notice

    async def run(self) -> None:
        """Save while something changes, and once more afterwards: functions may still be at work. Never returns."""
        saved_at = began = time.monotonic()
        while True:
            await asyncio.sleep(max(0.1, began + self._every - time.monotonic()))
            began = time.monotonic()
            if self._changed_at > saved_at - self._every and not self._is_unsettled() and await self._save():
                saved_at = began

    async def _save(self) -> bool:
        began = time.monotonic()
        number, self._child = self._start_saving()
        status = await _ended(self._child)
        self._child = None
        if status != 0:
            _logger.error("The state could not be saved (%s): retrying", status)
            return False
        await asyncio.to_thread(self._commit, number, began)
        return True

    def _save_at_the_end(self, _: States) -> None:
        if self._is_unsettled():
            return  # the next start takes back what a stack had half done
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        began = time.monotonic()
        number, child = self._start_saving()
        ended = os.waitpid(child, 0)[1]
        if ended != 0:
            _logger.error("The state could not be saved (%s)", os.waitstatus_to_exitcode(ended))
            return
        self._commit(number, began)
        emulator_state.close(self._folders)

    def _start_saving(self) -> tuple[int, int]:
        """Return the number of a new save, and the process that writes it."""
        self._number += 1
        number = self._number
        changed = self._journal.start(number)
        events = emulator_state.waiting_events(self._folders)
        child = os.fork()
        if child == 0:
            _as_child(lambda: self._write(number, changed, events))
        return number, child

    def _write(self, number: int, changed: set[Path], events: list[str]) -> None:
        folder = emulator_state.begin(self._folders, number)
        lambda_svc._prune_orphan_code_blobs = lambda _: None  # the last save may need them
        for service, state in app._build_persistence_save_dict().items():
            _write_state(folder, service, state)
        emulator_state.note_events(folder, events)
        for path in changed:
            _sync(path)

    def _commit(self, number: int, began: float) -> None:
        with self._committing:
            if number < emulator_state.current(self._folders):  # ministack was stopped meanwhile, and has saved
                return
            emulator_state.commit(self._folders, number)
            self._on_saved(began)
            _remove_unused_code(self._folders.save(number))

    def _is_unsettled(self) -> bool:
        """Return whether a stack is being changed: by threads, which a save would not have."""
        states = [str(stack.get("StackStatus", "")) for stack in _stacks._data.values()]
        if not any(state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS" for state in states):
            self._unsettled_since = None
            return False
        self._unsettled_since = self._unsettled_since or time.monotonic()
        return time.monotonic() - self._unsettled_since < _PATIENCE

    def _keep_what_changes_in_buckets(self) -> None:
        write, remove, remove_version = s3._atomic_write, s3._remove_key_files, s3._delete_version_file
        keep = self._journal.before_change

        def keep_file(path: str) -> None:
            if Path(path).is_file():
                keep(Path(path))

        def atomic_write(path: str, data: Any, **options: Any) -> None:
            keep(Path(path))
            write(path, data, **options)

        def remove_key_files(path: str | None) -> None:
            for one in (path, f"{path}.meta.json") if path else ():
                keep_file(one)
            remove(path)

        def delete_version_file(*args: Any, **options: Any) -> Any:
            if path := s3._version_disk_path(*args, **options):
                keep_file(path)
            return remove_version(*args, **options)

        s3._atomic_write, s3._remove_key_files, s3._delete_version_file = (
            atomic_write,
            remove_key_files,
            delete_version_file,
        )


def _may_change(scope: Scope) -> bool:
    """Return whether a request may change something. Reading a packaged API may: its function logs."""
    if scope["path"].startswith("/_aws/"):
        return True
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    target = next((value for name, value in scope["headers"] if name == b"x-amz-target"), b"")
    return not _READS.search(target.decode("latin-1"))


def _as_child(work: Callable[[], None]) -> None:
    """Do ``work`` in a process that was just forked, and end it: nothing of its parent's is used or cleaned up."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - the server's port and lock are its own
            if descriptor > 2:
                with contextlib.suppress(OSError):  # the one by which they are listed
                    os.close(descriptor)
        gc.disable()
        copy.deepcopy = lambda value, *_: value  # nothing changes what is in this process
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - it ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(status)


async def _ended(child: int) -> int:
    """Return the exit status of a child process, which is killed if it takes too long."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            pid, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
        except ChildProcessError:  # ministack has been stopped, and this save with it
            return -signal.SIGKILL
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        await asyncio.sleep(0.02)


def _write_state(folder: Path, service: str, state: Callable[[], Any]) -> None:
    """Write what ministack's own save_state does; if a service has no state, or fails, what was saved last stays."""
    try:
        payload = state()
        if payload is None:
            return
        version = persistence._state_format_version(service)
        wrapped = {"__ministack_format__": version, "payload": payload}
        content = json.dumps(wrapped, default=persistence._json_default).encode()
    except Exception:
        _logger.exception("The state of %s could not be saved", service)
        return
    file = folder / f"{service}.json"
    if not file.exists() or file.read_bytes() != content:
        emulator_state.write(file, content)


def _remove_unused_code(save: Path) -> None:
    """Remove packages of functions to which the last save does not refer."""
    blobs = list(Path(lambda_svc.CODE_BLOB_DIR).glob("*.zip"))
    if len(blobs) > 1:
        text = (save / "lambda.json").read_text(encoding="utf-8")
        for blob in blobs:
            if blob.stem not in text:
                blob.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have a file on the disk, if it is still there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
