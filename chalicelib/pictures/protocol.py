"""The messages between the consumer and the processes that decode pictures, and the results. Pillow is not imported.

A message is its length in 4 bytes and a MessagePack object. The decoding process is not trusted: the length is limited,
and msgspec accepts only the declared types, lengths and ranges.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from chalicelib.config import ContentType, Size

MAX_MESSAGE_BYTES = 128 * 1024 * 1024

COMMAND = struct.Struct("=q")
"""A command to the server: FORK, or the id of the child to end. Its answer: the id of a child, or its wait status."""

FORK = 0
FORK_FAILED = -1

_Positive = Annotated[int, Meta(ge=1, le=2**53)]


class Thumbnail(NamedTuple):
    """A thumbnail made for ``size`` in its format, with its actual width and height."""

    size: Size
    width: _Positive
    height: _Positive
    data: bytes


class Rendered(NamedTuple):
    """The content type, the upright width and height, the thumbnails and the ThumbHash in base64 of a picture.

    ``warnings`` says what is wrong with it.
    """

    content_type: ContentType
    width: _Positive
    height: _Positive
    thumbnails: Annotated[list[Thumbnail], Meta(max_length=1000)]
    placeholder: Annotated[str, Meta(max_length=100)]
    warnings: Annotated[list[Literal["TRUNCATED"]], Meta(max_length=10)]


class Request(msgspec.Struct, frozen=True):
    """A request to decode a picture within ``memory`` bytes. If that is 0, only measure how much is needed.

    ``length`` is the size of a new picture in the picture file, or None for the same picture as before.
    """

    length: int | None
    sizes: tuple[Size, ...]
    memory: int


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The memory in bytes that decoding a picture needs."""

    memory: _Positive


class Done(msgspec.Struct, frozen=True, tag=True):
    """The thumbnails of a picture, and how many warnings its decoder issued."""

    rendered: Rendered
    warnings: Annotated[int, Meta(ge=0, le=2**53)]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The code and message of the ImageError because of which a picture has no thumbnails."""

    code: str
    message: Annotated[str, Meta(max_length=1000)]


class OutOfMemory(msgspec.Struct, frozen=True, tag=True):
    """The memory that was granted is not enough."""


Answer = Measured | Done | Refused | OutOfMemory
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def send(connection: socket.socket, message: msgspec.Struct) -> None:
    """Send a message."""
    body = msgspec.msgpack.encode(message)
    connection.sendall(len(body).to_bytes(4))
    connection.sendall(body)


def receive_request(connection: socket.socket) -> Request:
    """Wait for a request. Raise EOFError at the end of the connection."""
    return msgspec.msgpack.decode(_receive(connection, None), type=Request)


def receive_answer(connection: socket.socket, until: float) -> Answer:
    """Wait for an answer until a time on the monotonic clock. Raise TimeoutError, EOFError or ValueError."""
    return _ANSWERS.decode(_receive(connection, until))


def _receive(connection: socket.socket, until: float | None) -> bytearray:
    length = int.from_bytes(_exactly(connection, 4, until))
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"A message has {length} bytes.")
    return _exactly(connection, length, until)


def _exactly(connection: socket.socket, length: int, until: float | None) -> bytearray:
    received = bytearray()
    while len(received) < length:
        if until is not None:
            connection.settimeout(max(0.001, until - time.monotonic()))
        part = connection.recv(min(length - len(received), 1 << 20))
        if not part:
            raise EOFError
        received += part
    return received
