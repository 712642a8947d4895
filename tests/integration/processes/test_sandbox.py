"""The processes that decode pictures: what they cannot do, and what happens if one fails."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from chalicelib import errors
from chalicelib.config import Size
from chalicelib.pictures import decoder_process, process_limits, protocol, sandbox
from chalicelib.pictures.sandbox import Sandbox, SandboxError
from tests.builders import jpeg, quarters, saved

PROJECT = Path(__file__).parents[3]
SIZES = (Size(24, "cover"),)
SLOW = saved(Image.effect_noise((4000, 3000), 90).convert("RGB"), "PNG", compress_level=1)
"""A picture that takes about 0.2 s of processor time."""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has these limits.")


@pytest.fixture
def pictures() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.stop()


def render(pictures: Sandbox, data: bytes) -> str:
    """Return the content type, or the code of the error."""
    try:
        return pictures.render(data, SIZES, pictures.memory_needed(data, SIZES)).content_type
    except errors.ImageError as error:
        return error.code


def children(pictures: Sandbox) -> set[int]:
    return set(pictures.processes()[1:])


@contextlib.contextmanager
def killing(pictures: Sandbox, times: int) -> Iterator[None]:
    """Kill the next processes that decode, as often as asked, while they decode."""
    left, ended = times, threading.Event()

    def kill() -> None:
        nonlocal left
        killed: set[int] = set()
        while left and not ended.is_set():
            for child in children(pictures) - killed:
                time.sleep(0.01)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGSEGV)
                killed.add(child)
                left -= 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
def test_every_format_is_decoded(pictures: Sandbox, kind: str) -> None:
    assert render(pictures, saved(quarters(64, 48), kind)) == f"image/{kind.lower()}"


def test_process_is_kept_for_the_next_picture(pictures: Sandbox) -> None:
    render(pictures, jpeg())
    first = children(pictures)

    render(pictures, b"no picture")
    render(pictures, jpeg(32, 24))

    assert children(pictures) == first


def test_empty_file_does_not_get_the_picture_before(pictures: Sandbox) -> None:
    render(pictures, jpeg())
    pictures.memory_needed(jpeg(), SIZES)

    assert render(pictures, b"") == "IMAGE_UNREADABLE"


def test_each_thread_gets_its_own_process(pictures: Sandbox) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: render(pictures, SLOW), range(4))) == ["image/png"] * 4

    assert len(children(pictures)) == 4


def test_picture_whose_process_is_killed_once_is_shown(pictures: Sandbox) -> None:
    pictures.memory_needed(SLOW, SIZES)
    with killing(pictures, 1):
        assert pictures.render(SLOW, SIZES, 10**9).content_type == "image/png"


def test_picture_that_kills_two_processes_fails(pictures: Sandbox) -> None:
    pictures.memory_needed(SLOW, SIZES)
    with killing(pictures, 2), pytest.raises(errors.ImageDecoderCrashedError):
        pictures.render(SLOW, SIZES, 10**9)

    assert render(pictures, jpeg()) == "image/jpeg"


def test_picture_that_takes_too_long_fails(pictures: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pictures.memory_needed(SLOW, SIZES)
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.05)
    before = children(pictures)

    with pytest.raises(errors.ImageTooComplexError, match="more time"):
        pictures.render(SLOW, SIZES, memory)

    assert not before & children(pictures)


@LINUX
def test_picture_that_takes_too_much_memory_fails(pictures: Sandbox) -> None:
    with pytest.raises(errors.ImageTooComplexError, match="more memory"):
        pictures.render(SLOW, SIZES, 1_000_000)

    assert render(pictures, SLOW) == "image/png"


def test_process_that_keeps_memory_is_ended_if_it_is_needed(pictures: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: render(pictures, SLOW), range(2)))
    monkeypatch.setattr(sandbox, "MAX_DECODING_BYTES", pictures.memory_needed(SLOW, SIZES) + 1)

    assert render(pictures, SLOW) == "image/png"

    assert len(children(pictures)) == 1


def test_server_that_ended_is_started_again(pictures: Sandbox) -> None:
    render(pictures, jpeg())
    assert pictures._server
    pictures._server._process.kill()
    pictures._server._process.wait()

    assert render(pictures, jpeg()) == "image/jpeg"


def test_end_of_a_server_does_not_end_the_next_one(pictures: Sandbox) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: render(pictures, SLOW), range(2)))
    assert pictures._server
    pictures._server._process.kill()
    pictures._server._process.wait()
    render(pictures, jpeg())
    second = pictures.processes()[0]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: render(pictures, SLOW), range(2)))

    assert pictures.processes()[0] == second


def test_picture_is_not_to_blame_for_the_end_of_the_server(pictures: Sandbox) -> None:
    memory = pictures.memory_needed(SLOW, SIZES)
    ended = threading.Event()

    def kill() -> None:
        killed: set[int] = set()
        while not ended.is_set():
            # A server is listed when its child exists, so it is killed long before the picture is complete.
            for server in set(pictures.processes()[:1]) - killed:
                os.kill(server, signal.SIGKILL)
                killed.add(server)
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(SandboxError):
            pictures.render(SLOW, SIZES, memory)
    finally:
        ended.set()
        killer.join()


def test_server_kills_nothing_for_a_fork_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    killed: list[int] = []

    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(os, "kill", lambda process, _: killed.append(process))
    monkeypatch.setattr(os, "waitpid", lambda process, _: (process, 0))
    for change in ("protect_server", "restrict"):
        monkeypatch.setattr(process_limits, change, lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(socket, "socket", lambda fileno: theirs)
    ours.sendall(protocol.COMMAND.pack(protocol.FORK))
    ours.shutdown(socket.SHUT_WR)

    decoder_process.serve()

    assert protocol.COMMAND.unpack(ours.recv(8)) == (protocol.FORK_FAILED,)
    assert killed == []
    ours.close()


def test_failed_fork_keeps_the_server(pictures: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    render(pictures, jpeg())
    server = pictures.processes()[0]
    monkeypatch.setattr(sandbox._Server, "command", lambda *_: protocol.FORK_FAILED)
    with pytest.raises(SandboxError, match="fork failed"):
        pictures._take(b"", 0, fresh=True)

    monkeypatch.undo()
    assert (render(pictures, jpeg()), pictures.processes()[0]) == ("image/jpeg", server)


def test_server_that_cannot_start_ahead_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")

    Sandbox().start()


def test_memory_files_are_not_required(pictures: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)

    assert render(pictures, jpeg()) == "image/jpeg"


def test_address_space_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_limits, "Path", lambda path: tmp_path / path[1:])

    assert process_limits.address_space() == 0


@pytest.fixture(scope="module")
def kept() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.stop()


RENDERED: dict[str, Any] = {
    "content_type": "image/png",
    "width": 9,
    "height": 9,
    "thumbnails": [[msgspec.to_builtins(SIZES[0]), 24, 24, b"x"]],
    "placeholder": "",
    "warnings": [],
}


class TestAnswerOfAProcessThatWasTakenOver:
    def answer(self, kept: Sandbox, monkeypatch: pytest.MonkeyPatch, body: bytes) -> str:
        """Return the result of a picture whose processes send ``body``."""

        def receive(connection: socket.socket, until: float) -> protocol.Answer:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                sender = threading.Thread(target=send, args=(theirs,))
                sender.start()
                try:
                    return real(ours, until)
                finally:
                    ours.close()
                    sender.join()

        def send(theirs: socket.socket) -> None:
            with contextlib.suppress(OSError):
                theirs.sendall(body)
                theirs.shutdown(socket.SHUT_WR)

        real = protocol.receive_answer
        monkeypatch.setattr(protocol, "receive_answer", receive)
        try:
            return kept.render(jpeg(), SIZES, 10**8).content_type
        except errors.ImageError as error:
            return error.code

    def framed(self, body: bytes) -> bytes:
        return len(body).to_bytes(4) + body

    def done(self, **changes: Any) -> bytes:
        return self.framed(
            msgspec.msgpack.encode({"type": "Done", "rendered": list((RENDERED | changes).values()), "warnings": 0})
        )

    def test_valid_answer_is_accepted(self, kept: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.answer(kept, monkeypatch, self.done()) == "image/png"

    @pytest.mark.parametrize(
        "changes",
        [
            {"content_type": "text/html"},
            {"width": -1},
            {"height": 2**60},
            {"thumbnails": []},
            {"thumbnails": [[{"pixels": 24, "fit": "cover", "format": "webp"}, 24, 24, b"x"]]},
            {"thumbnails": [[{"pixels": 24, "fit": "cover", "format": "svg"}, 24, 24, b"x"]]},
            {"thumbnails": [[{"pixels": 10**9, "fit": "cover"}, 24, 24, b"x"]]},
            {"thumbnails": [[{"pixels": 24, "fit": "cover", "focus": [0.1, 0.2]}, 24, 24, b"x"]]},
            {"thumbnails": RENDERED["thumbnails"] * 2},
            {"placeholder": "x" * 1_000_000},
            {"warnings": ["<script>"]},
            {"warnings": ["TRUNCATED"] * 1_000_000},
        ],
    )
    def test_false_result_is_refused(
        self, kept: Sandbox, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
    ) -> None:
        assert self.answer(kept, monkeypatch, self.done(**changes)) == "IMAGE_DECODER_CRASHED"

    @pytest.mark.parametrize(
        "message",
        [
            {"type": "Refused", "code": "NOT_FOUND", "message": ""},
            {"type": "Refused", "code": "IMAGE_UNREADABLE", "message": "x" * 1_000_000},
            {"type": "Measured", "memory": -(10**18)},
            {"type": "Measured", "memory": 0},
        ],
    )
    def test_false_message_is_refused(
        self, kept: Sandbox, monkeypatch: pytest.MonkeyPatch, message: dict[str, Any]
    ) -> None:
        body = self.framed(msgspec.msgpack.encode(message))

        assert self.answer(kept, monkeypatch, body) == "IMAGE_DECODER_CRASHED"

    @pytest.mark.parametrize(
        "message",
        [b"", b"\xff\xff\xff\xff", b"\0\0\0\x05\xdd\xff\xff\xff\xff", b"\0\0\0\x09\x81"],
        ids=["nothing", "too long", "huge array", "cut off"],
    )
    def test_garbage_is_refused(self, kept: Sandbox, monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
        assert self.answer(kept, monkeypatch, message) == "IMAGE_DECODER_CRASHED"


@LINUX
def test_files_and_processes_do_not_grow(pictures: Sandbox) -> None:
    render(pictures, jpeg())
    before = len(list(Path("/proc/self/fd").iterdir()))

    for number in range(20):
        render(pictures, jpeg())
        if number % 2:
            os.kill(pictures.processes()[number % 4 // 2], signal.SIGKILL)

    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert len(pictures.processes()) == 2


def test_job_can_be_repeated_if_no_process_starts(pictures: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError):
        pictures.memory_needed(jpeg(), SIZES)

    monkeypatch.undo()
    assert render(pictures, jpeg()) == "image/jpeg"


def test_processes_end_with_the_consumer() -> None:
    program = """
        import os, signal
        from chalicelib.config import Size
        from chalicelib.pictures.sandbox import Sandbox
        from tests.builders import jpeg
        pictures = Sandbox()
        pictures.memory_needed(jpeg(), [Size(24, "cover")])
        print(*pictures.processes(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False
    )

    left = {int(one) for one in done.stdout.split()}
    assert len(left) == 2
    end = time.monotonic() + 10
    while (left := {one for one in left if exists(one)}) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@LINUX
class TestRestrictions:
    @pytest.fixture(autouse=True)
    def secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def test_environment_has_no_credentials(self, pictures: Sandbox) -> None:
        render(pictures, jpeg())

        for process in pictures.processes():
            names = {one.partition(b"=")[0] for one in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")}
            assert {name for name in names if name and not name.startswith((b"MALLOC_", b"LD_LIBRARY_PATH"))} == set()

    def test_process_has_only_its_own_files(self, pictures: Sandbox) -> None:
        render(pictures, jpeg())

        for child in children(pictures):
            assert {file.name for file in Path(f"/proc/{child}/fd").iterdir()} == set("0123")

    @pytest.mark.parametrize(
        "attempt",
        [
            "open('/etc/hostname')",
            "import socket; socket.socket()",
            "os.kill(os.getppid(), 0)",
            "os.fork()",
            "os.execv('/bin/true', ['true'])",
            "os.unlink('/nowhere')",
            "os.ftruncate(2, 0)",
            "os.memfd_create('more')",
            "import threading; threading.Thread(target=print).start()",
            "os.write(2, b'x' * 70_000) < 70_000 or none; os.write(2, b'x')",
        ],
    )
    def test_process_may_not(self, attempt: str) -> None:
        program = f"""
            import os, socket, sys, threading
            from chalicelib.pictures import process_limits
            process_limits.protect_server()
            os.dup2(os.memfd_create("errors"), 2)
            os.closerange(3, 64)
            process_limits.restrict(3)
            try:
                {attempt}
            except (OSError, RuntimeError) as error:
                print("denied")
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], cwd=PROJECT, capture_output=True, text=True, check=False
        )

        assert done.stdout == "denied\n"
