"""The server that forks a process for each picture decoder, and those processes.

The consumer starts the server as a new program (``sandbox.py``), so that neither it nor its children have the
consumer's memory, environment or open files. The server imports Pillow once, which its children share. It has a single
thread: a fork of a process with several can copy a lock that is never released.
"""

from __future__ import annotations

from chalicelib import coldstart  # isort: skip - it turns garbage collection off for the imports that follow

import contextlib
import mmap
import os
import signal
import socket
import sys
import warnings

from chalicelib import errors
from chalicelib.config import MAX_IMAGE_BYTES
from chalicelib.pictures import process_limits, protocol, thumbnails
from chalicelib.pictures.protocol import Answer, Done, Measured, OutOfMemory, Refused, Request

MEASURING = 128 * 1024 * 1024
"""Bytes of memory, beyond the process's own, that reading the header of a picture may take."""

_CONNECTION, _NOWHERE, _STDERR, _PICTURE = range(4)  # the files of a child
_FREE = 4


def serve() -> None:
    """Carry out commands on standard input until its end. Then end all children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, meant for the consumer, which ends this process
    process_limits.protect_server()
    coldstart.finish()
    children: set[int] = set()
    with socket.socket(fileno=0) as control:
        while True:
            command, files, _, _ = socket.recv_fds(control, protocol.COMMAND.size, 3)
            if not command:
                break
            (child,) = protocol.COMMAND.unpack(command)
            if child in children:
                children.discard(child)
                answer = _end(child)
            else:
                answer = _fork(files)
                if answer != protocol.FORK_FAILED:  # To kill(2), it would mean all processes.
                    children.add(answer)
            control.sendall(protocol.COMMAND.pack(answer))
    for child in children:
        _end(child)


def _end(child: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _fork(files: list[int]) -> int:
    server = os.getpid()
    try:
        child = os.fork()
    except OSError:
        child = protocol.FORK_FAILED
    if child == 0:
        try:
            process_limits.end_with_parent(server)
            _run_child(*files)
        except BaseException:  # noqa: BLE001 - this is the child: it must not go on as the server
            sys.excepthook(*sys.exc_info())
        os._exit(1)
    for file in files:
        os.close(file)
    return child


def _run_child(connection: int, picture: int, stderr: int) -> None:
    # In this order, because the received files have numbers from 3 on, so one of them may be _FREE until it is copied.
    # Then mmap duplicates its file to _PICTURE, the first free number.
    for source, target in ((connection, _CONNECTION), (stderr, _STDERR), (picture, _FREE)):
        os.dup2(source, target)
    os.closerange(_FREE + 1, 1024)
    os.close(_PICTURE)
    shared = mmap.mmap(_FREE, MAX_IMAGE_BYTES, prot=mmap.PROT_READ)
    os.close(_FREE)
    own = process_limits.address_space()
    process_limits.restrict(open_files=_PICTURE + 1)
    data = b""
    with contextlib.suppress(EOFError), socket.socket(fileno=_CONNECTION) as requests:
        while True:
            request = protocol.receive_request(requests)
            if request.length is not None:
                data = shared[: request.length]
            protocol.send(requests, _answer(request, data, own))
    os._exit(0)


def _answer(request: Request, data: bytes, own: int) -> Answer:
    try:
        if own:
            process_limits.limit_address_space(own + len(data) + (request.memory or MEASURING))
        return _thumbnails(data, request)
    except errors.ImageError as error:
        return Refused(error.code, error.message)
    except MemoryError:
        return OutOfMemory()


def _thumbnails(data: bytes, request: Request) -> Answer:
    if not request.memory:
        return Measured(thumbnails.memory_needed(data, request.sizes))
    with warnings.catch_warnings():
        counted = _Counter()
        warnings.simplefilter("always")
        warnings.showwarning = counted
        return Done(thumbnails.render(data, request.sizes), counted.number)


class _Counter:
    """Counts warnings instead of printing them."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, *_: object, **__: object) -> None:
        self.number += 1
