"""Have thumbnails made in separate processes, which a picture may crash, block or try to take over.

This module imports no Pillow and decodes nothing. ``decoder_process.py`` is what the processes run.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from chalicelib import errors, telemetry
from chalicelib.config import MAX_DECODING_BYTES, MAX_IMAGE_BYTES, Size
from chalicelib.pictures import protocol
from chalicelib.pictures.protocol import Answer, Done, Measured, OutOfMemory, Refused, Rendered, Request

MAX_SECONDS = 15.0
"""The time for one picture. It is less than job_queue_consumer.MIN_REMAINING_MS, so that the result can be stored."""

START_SECONDS = 30.0
"""The time for starting a process."""

_MAX_LOGGED_BYTES = 2000

# The beginnings of the variables that the processes get: the folders of Python's libraries, and malloc's settings.
_VARIABLES = ("LD_LIBRARY_PATH", "MALLOC_")

_PROGRAM = "import sys; sys.path[:0] = sys.argv[1:]; from chalicelib.pictures import decoder_process as p; p.serve()"


class SandboxError(Exception):
    """No decoding process can be started. The picture is not the cause: the job can be repeated."""


class Sandbox:
    """Processes that decode pictures. Each decodes one at a time, is kept for the next, and is replaced if it fails.

    Methods can be called from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._living: set[_Child] = set()
        self._idle: list[_Child] = []

    def start(self) -> None:
        """Start the server, without waiting for it. If that fails, the first picture raises SandboxError."""
        with self._lock, contextlib.suppress(OSError):
            self._server = self._server or _Server()

    def stop(self) -> None:
        """End all processes."""
        with self._lock:
            if self._server:
                self._server.stop()
            for child in self._living:
                child.close()
            self._server = None
            self._living.clear()
            self._idle.clear()

    def processes(self) -> list[int]:
        """Return the ids of the living processes, that of the server first."""
        with self._lock:
            return [self._server.id, *(child.id for child in self._living)] if self._server else []

    def memory_needed(self, data: bytes, sizes: Sequence[Size]) -> int:
        """Return the memory in bytes that :meth:`render` needs, according to the header of the picture.

        Raise an ImageError whose reason is in the header, or SandboxError.
        """
        answer = self._ask(data, sizes, 0)
        if not isinstance(answer, Measured):
            raise SandboxError(f"Unexpected answer: {type(answer).__name__}")
        return answer.memory

    def render(self, data: bytes, sizes: Sequence[Size], memory: int) -> Rendered:
        """Return the thumbnails of a picture, made within ``memory`` bytes. Raise an ImageError, or SandboxError."""
        answer = self._ask(data, sizes, memory)
        if not isinstance(answer, Done):
            raise SandboxError(f"Unexpected answer: {type(answer).__name__}")
        if answer.warnings:
            telemetry.add_count("DecoderWarnings", answer.warnings)
        return answer.rendered

    def _ask(self, data: bytes, sizes: Sequence[Size], memory: int) -> Answer:
        """Return the answer of a process. If it fails, ask a new one: an earlier picture may be the cause."""
        failure: Exception = errors.ImageDecoderCrashedError()
        until = time.monotonic() + MAX_SECONDS
        for fresh in (False, True):
            child = self._take(data, memory, fresh)
            kept = False
            try:
                answer = child.ask(data, tuple(sizes), memory, until)
                kept = not isinstance(answer, OutOfMemory)
                if isinstance(answer, Refused):
                    raise errors.image_error(answer.code, answer.message)
                if kept:
                    return answer
                failure = errors.ImageTooComplexError(resource="memory")
            except TimeoutError:
                raise errors.ImageTooComplexError(resource="time") from None
            except (EOFError, OSError, ValueError):
                failure = errors.ImageDecoderCrashedError()
            finally:
                server_lives = self._give_back(child, kept)
            if not server_lives:
                failure = SandboxError("The server of the processes ended.")
        raise failure

    def _take(self, data: bytes, memory: int, fresh: bool) -> _Child:
        """Return an idle process, preferably the one that has ``data``, or a new one.

        If there is not enough memory for ``memory`` more bytes, end other idle processes.
        """
        with self._lock:
            self._idle.sort(key=lambda one: one.data is data)
            child = self._idle.pop() if self._idle and not fresh else None
            held = sum(one.memory for one in self._living) - (child.memory if child else 0)
            while self._idle and held + memory > MAX_DECODING_BYTES:
                held -= self._idle[0].memory
                self._end(self._idle.pop(0))
            if child is None:
                child = self._new_child()
                self._living.add(child)
            child.memory = max(child.memory, memory)
            return child

    def _new_child(self) -> _Child:
        try:
            self._server = self._server or _Server()
            return _Child(self._server)
        except (OSError, EOFError) as error:
            if self._server:
                self._end_server(self._server)
            raise SandboxError(f"No process can be started: {error}") from error

    def _give_back(self, child: _Child, kept: bool) -> bool:
        """Keep a process for the next picture, or end it. Return whether its server lives, as far as is known."""
        with self._lock:
            if not kept:
                return self._end(child)
            self._idle.append(child)
            return True

    def _end(self, child: _Child) -> bool:
        self._living.discard(child)
        try:
            status = child.end()
        except (OSError, EOFError):
            self._end_server(child.server)
            return False
        else:
            if status != signal.SIGKILL:
                telemetry.logger.warning("Decoder crashed", status=status, output=child.output())
            return True
        finally:
            child.close()

    def _end_server(self, server: _Server) -> None:
        """End a server and its children. Threads that use a child get an error; idle children are forgotten."""
        server.stop()
        if self._server is server:
            self._server = None
        for child in [one for one in self._idle if one.server is server]:
            self._idle.remove(child)
            self._living.discard(child)
            child.close()


class _Server:
    """The process that forks the others."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        with theirs:
            # -I and -S: no code and no folders from the environment, the current folder or the user's own packages.
            self._process = subprocess.Popen(  # noqa: S603 - with fixed arguments, without a shell
                [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, *_folders()],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                start_new_session=True,
            )

    def command(self, child: int, files: Sequence[int] = ()) -> int:
        """Send a command and return the answer. Raise OSError or EOFError if the process has ended."""
        socket.send_fds(self._control, [protocol.COMMAND.pack(child)], files)
        answer = self._control.recv(protocol.COMMAND.size)
        if not answer:
            raise EOFError("the server ended")
        return int(protocol.COMMAND.unpack(answer)[0])

    @property
    def id(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


class _Child:
    """A process that decodes pictures, one at a time.

    ``data`` is the picture that it has measured last, until that is decoded. ``memory`` is the most it was granted.
    """

    def __init__(self, server: _Server) -> None:
        self.memory = 0
        self.data: bytes | None = None
        self.server = server
        self._connection, theirs = socket.socketpair()
        self._picture, self._stderr = _anonymous_file(), _anonymous_file()
        os.ftruncate(self._picture.fileno(), MAX_IMAGE_BYTES)
        self._shared = mmap.mmap(self._picture.fileno(), MAX_IMAGE_BYTES)
        fcntl.fcntl(self._stderr, fcntl.F_SETFL, os.O_APPEND)
        with theirs:
            self.id = server.command(protocol.FORK, [theirs.fileno(), self._picture.fileno(), self._stderr.fileno()])
        if self.id == protocol.FORK_FAILED:
            raise SandboxError("No process can be started: fork failed")

    def ask(self, data: bytes, sizes: tuple[Size, ...], memory: int, until: float) -> Answer:
        """Return the answer to a request about ``data``, which arrives before ``until`` on the monotonic clock.

        Raise TimeoutError, EOFError, OSError or ValueError.
        """
        os.ftruncate(self._stderr.fileno(), 0)
        length = None
        if self.data is not data:
            length = len(data)
            self._shared[:length] = data
        self._connection.settimeout(MAX_SECONDS)
        protocol.send(self._connection, Request(length, sizes, memory))
        answer = protocol.receive_answer(self._connection, until)
        if isinstance(answer, Done) and [one.size for one in answer.rendered.thumbnails] != list(sizes):
            raise ValueError("The thumbnails have other sizes than those requested.")
        self.data = None if memory else data
        return answer

    def end(self) -> int:
        """Kill the process, and return its wait status: SIGKILL, unless it ended before."""
        return self.server.command(self.id)

    def output(self) -> str:
        """Return the beginning of what the process wrote to its standard error about the last picture."""
        return os.pread(self._stderr.fileno(), _MAX_LOGGED_BYTES, 0).decode(errors="replace")

    def close(self) -> None:
        self._connection.close()
        self._shared.close()
        self._picture.close()
        self._stderr.close()


def _folders() -> list[str]:
    """Return the folders from which the processes import packages."""
    found = (importlib.util.find_spec(name) for name in ("chalicelib", "PIL", "msgspec"))
    return list(dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in found if spec and spec.origin))


def _anonymous_file() -> IO[bytes]:
    """Return a file without a name, in memory if the system has and allows such files."""
    with contextlib.suppress(AttributeError, OSError):
        return os.fdopen(os.memfd_create("picture"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
