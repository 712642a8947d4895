"""What runs in the emulator's process, without the emulator."""

from __future__ import annotations

import io
import py_compile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.laptop.emulator_wrapper import ministack_code_check
from tools.laptop.emulator_wrapper.async_invocations import Event, EventQueue
from tools.laptop.emulator_wrapper.package_cache import PackageCache

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:on_upload"


def await_that(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


class Invocations:
    """Stands for Lambda: notes what it is invoked with, and does not return before it may."""

    def __init__(self, *answers: float | None) -> None:
        self.payloads: list[object] = []
        self.failures: list[int] = []
        self.concurrency = 0
        self.most_at_once = 0
        self.may_return = threading.Event()
        self.may_return.set()
        self._answers = list(answers)
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> float | None:
        with self._lock:
            self.payloads.append(event.payload)
            self.failures.append(event.failures)
            self.concurrency += 1
            self.most_at_once = max(self.most_at_once, self.concurrency)
        assert self.may_return.wait(10)
        with self._lock:
            self.concurrency -= 1
            return self._answers.pop(0) if self._answers else None


def events(folder: Path, invoke: Callable[[Event], float | None], concurrency: int = 2) -> EventQueue:
    made = EventQueue(folder / "events", invoke, concurrency)
    made.resume()
    return made


def files(folder: Path) -> list[str]:
    return [path.name for path in (folder / "events").iterdir()]


class TestEventQueue:
    def test_concurrency_of_a_function_is_limited(self, tmp_path: Path) -> None:
        invoke = Invocations()
        invoke.may_return.clear()
        queue = events(tmp_path, invoke, concurrency=3)

        for number in range(20):
            queue.put(FUNCTION, number)
        await_that(lambda: invoke.concurrency == 3)
        invoke.may_return.set()
        await_that(lambda: len(invoke.payloads) == 20 and not invoke.concurrency)

        assert sorted(invoke.payloads) == list(range(20))  # type: ignore[type-var]
        assert invoke.most_at_once == 3

    def test_functions_do_not_wait_for_each_other(self, tmp_path: Path) -> None:
        busy, other = threading.Event(), threading.Event()

        def invoke(event: Event) -> None:
            (other.set if event.function == "other" else lambda: busy.wait(10))()

        queue = events(tmp_path, invoke, concurrency=1)
        for _ in range(3):
            queue.put(FUNCTION, {})
        queue.put("other", {})

        assert other.wait(10)
        busy.set()

    def test_event_is_on_disk_before_put_returns(self, tmp_path: Path) -> None:
        invoke = Invocations()
        invoke.may_return.clear()

        events(tmp_path, invoke).put(FUNCTION, {"key": "uploads/a.jpg"})

        assert len(files(tmp_path)) == 1
        invoke.may_return.set()

    def test_next_process_gets_waiting_events_in_order(self, tmp_path: Path) -> None:
        hanging = Invocations()
        hanging.may_return.clear()
        before = events(tmp_path, hanging, concurrency=1)
        for number in range(12):
            before.put(FUNCTION, number)

        invoke = Invocations()
        events(tmp_path, invoke, concurrency=1)
        await_that(lambda: len(invoke.payloads) == 12)

        assert invoke.payloads == list(range(12))
        hanging.may_return.set()

    def test_event_is_deleted_after_a_later_save(self, tmp_path: Path) -> None:
        invoke = Invocations()
        invoke.may_return.clear()
        queue = events(tmp_path, invoke)
        queue.put(FUNCTION, {})
        began = time.monotonic()
        invoke.may_return.set()
        await_that(lambda: bool(queue._done))

        queue.delete_saved_events(before=began)
        assert len(files(tmp_path)) == 1

        queue.delete_saved_events(before=time.monotonic())
        assert files(tmp_path) == []

    def test_stopped_queue_keeps_its_events(self, tmp_path: Path) -> None:
        hanging = Invocations()
        hanging.may_return.clear()
        before = events(tmp_path, hanging, concurrency=1)
        for number in range(3):
            before.put(FUNCTION, number)
        await_that(lambda: len(hanging.payloads) == 1)

        before.stop()
        hanging.may_return.set()
        await_that(lambda: not before._threads[FUNCTION][0].is_alive())
        before.delete_saved_events(before=time.monotonic())

        assert hanging.payloads == [0]
        assert len(files(tmp_path)) == 3

    def test_failed_event_is_retried_with_its_failures(self, tmp_path: Path) -> None:
        invoke = Invocations(0.001, 0.001)

        events(tmp_path, invoke).put(FUNCTION, {"a": 1})
        await_that(lambda: len(invoke.payloads) == 3)

        assert invoke.payloads == [{"a": 1}] * 3
        assert invoke.failures == [0, 1, 2]

    def test_emulator_error_skips_one_event_only(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        done = threading.Event()

        def invoke(event: Event) -> None:
            if event.payload == "bad":
                raise RuntimeError("no such thing")
            done.set()

        queue = events(tmp_path, invoke, concurrency=1)
        queue.put(FUNCTION, "bad")
        queue.put(FUNCTION, "good")

        assert done.wait(10)
        assert "failed in the emulator; skipped" in caplog.text

    def test_unreadable_event_is_skipped(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "events").mkdir()
        (tmp_path / "events" / "1-000000.json").write_text("{")
        (tmp_path / "events" / "2-000000.json").write_text('{"function": "f", "payload": 7}')
        invoke = Invocations()

        events(tmp_path, invoke)
        await_that(lambda: invoke.payloads == [7])

        assert "Reading an event failed" in caplog.text


def package(**content: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in content.items():
            archive.writestr(f"{name}.py", text)
    return out.getvalue()


def folders(cache: Path) -> list[Path]:
    """Return the folders of the unpacked packages."""
    return sorted(folder for folder in cache.iterdir() if folder.name != "parts")


class TestFunctionPackages:
    def test_same_package_is_unpacked_once(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)

        taken = {packages.take(package(app="a = 1")) for _ in range(3)}

        (folder,) = taken
        assert folders(tmp_path) == [folder]
        assert (folder / "app.py").read_text() == "a = 1"

    def test_changed_package_has_another_folder(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)

        before, after = packages.take(package(app="a = 1")), packages.take(package(app="a = 2"))

        assert (before / "app.py").read_text() == "a = 1"
        assert (after / "app.py").read_text() == "a = 2"

    def test_unused_package_is_deleted_with_the_next_one(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)
        before = packages.take(package(app="a = 1"))
        packages.take(package(app="a = 1"))
        packages.release(before)
        still_used = packages.take(package(app="a = 2"))
        assert before.exists()

        packages.release(before)
        after = packages.take(package(app="a = 3"))

        assert folders(tmp_path) == sorted([still_used, after])
        assert sorted(file.read_text() for file in tmp_path.glob("parts/*/app.py")) == ["a = 2", "a = 3"]

    def test_unused_package_is_used_again(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)
        folder = packages.take(package(app="a = 1"))
        packages.release(folder)
        (folder / "compiled").touch()

        assert (packages.take(package(app="a = 1")) / "compiled").exists()

    def test_dependencies_and_their_bytecode_are_shared(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)
        before = packages.take(package(**{"app": "a = 1", "chalicelib/one": "b = 1", "library/one": "c = 1"}))
        compiled = Path(py_compile.compile(str(before / "library" / "one.py"))).relative_to(before)

        after = packages.take(package(**{"app": "a = 2", "chalicelib/two": "b = 1", "library/one": "c = 1"}))

        assert sorted(part.name for part in after.iterdir()) == ["app.py", "chalicelib", "library"]
        assert (after / "app.py").read_text() == "a = 2"
        assert [file.name for file in (after / "chalicelib").iterdir()] == ["two.py"]
        assert (after / "library" / "one.py").samefile(before / "library" / "one.py")
        assert (after / compiled).exists()

    def test_dependency_finds_its_libraries_beside_its_real_folder(self, tmp_path: Path) -> None:
        folder = PackageCache(tmp_path).take(package(**{"app": "a = 1", "PIL/Image": "b = 1", "pillow.libs/tiff": ""}))

        assert ((folder / "PIL").resolve().parent / "pillow.libs" / "tiff.py").exists()

    def test_shared_dependencies_outlive_the_package_before(self, tmp_path: Path) -> None:
        packages = PackageCache(tmp_path)
        before = packages.take(package(app="a = 1", library="b = 1"))
        packages.release(before)

        after = packages.take(package(app="a = 2", library="b = 1"))

        assert not before.exists()
        assert (after / "library.py").read_text() == "b = 1"

    def test_incomplete_package_is_unpacked_again(self, tmp_path: Path) -> None:
        folder = PackageCache(tmp_path).take(package(app="a = 1"))
        for unfinished in (folder.rename(folder.with_suffix(".part")), *tmp_path.glob("parts/*")):
            (unfinished / "other.py").write_text("")
        (part,) = tmp_path.glob("parts/*")
        part.rename(part.with_suffix(".part"))

        again = PackageCache(tmp_path).take(package(app="a = 1"))

        assert [one.name for one in again.iterdir()] == ["app.py"]
        assert [one.name for one in (again / "app.py").resolve().parent.iterdir()] == ["app.py"]


class TestCodeDigests:
    def test_unchanged_code_passes(self) -> None:
        name = f"{__name__}:package"

        ministack_code_check.check_known_functions({name: str(ministack_code_check._digest(name))})

    @pytest.mark.parametrize("name", [f"{__name__}:package", f"{__name__}:gone", "no.such.module:name"])
    def test_changed_code_is_named(self, name: str) -> None:
        with pytest.raises(ministack_code_check.ChangedCodeError, match=f"changed functions: .*{name}"):
            ministack_code_check.check_known_functions({name: "0123456789abcdef"})
