"""Pictures of a batch: transfers run in parallel with decoding, and pixels limit the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.aws import bucket
from chalicelib.catalogue import job_queue_consumer, thumbnail_jobs
from chalicelib.config import MAX_DECODING_BYTES
from chalicelib.pictures.sandbox import Sandbox
from tests.builders import jpeg, png_head
from tests.integration.stage import Stage, batch, run

TOGETHER = 10.0  # seconds that a thread waits for the others before the test fails


def loose(api: Stage, number: int, data: bytes) -> None:
    for index in range(number):
        api.notice(api.put(f"uploads/{index}.jpg", data))


def together(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, parties: int) -> None:
    """Make a function return only when this many threads are in it."""
    barrier, original = threading.Barrier(parties), getattr(module, name)

    def wait(*args: Any, **options: Any) -> Any:
        barrier.wait(TOGETHER)
        return original(*args, **options)

    monkeypatch.setattr(module, name, wait)


@pytest.mark.parametrize(
    ("module", "name"),
    [(bucket, "read"), (Sandbox, "render"), (bucket, "write")],
    ids=["fetched", "decoded", "kept"],
)
def test_pictures_of_a_batch_are_processed_in_parallel(
    api: Stage, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    loose(api, job_queue_consumer.WORKERS, jpeg())
    together(monkeypatch, module, name, job_queue_consumer.WORKERS)

    api.work()

    assert len(api.objects("thumbnails/")) == job_queue_consumer.WORKERS


def test_single_message_is_processed_without_threads(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    loose(api, 1, jpeg())
    seen: list[threading.Thread] = []
    original = thumbnail_jobs.run
    monkeypatch.setattr(
        thumbnail_jobs, "run", lambda *arguments: (seen.append(threading.current_thread()), original(*arguments))
    )

    api.work()

    assert seen == [threading.current_thread()]


def test_pictures_beyond_the_budget_wait(api: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    large = png_head(7_000, 7_000)  # two of them exceed the budget
    loose(api, 4, large)
    inside, most = 0, 0
    lock = threading.Lock()
    original = Sandbox.render

    def counting(*args: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            threading.Event().wait(0.05)
            return original(*args)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(Sandbox, "render", counting)

    run("on_messages", batch(api.receive()))

    assert most == 1


class TestMemoryBudget:
    @pytest.fixture
    def use(self) -> Callable[[int, list[int]], int]:
        """Return a function that reserves memory in parallel, and returns the most that was reserved at once."""

        def measure(size: int, pictures: list[int]) -> int:
            budget, lock = thumbnail_jobs.MemoryBudget(size), threading.Lock()
            reserved, most = 0, 0

            def picture(needed: int) -> None:
                nonlocal reserved, most
                with budget.reserve(needed):
                    with lock:
                        reserved += needed
                        most = max(most, reserved)
                    threading.Event().wait(0.001)
                    with lock:
                        reserved -= needed

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(picture, pictures))
            assert reserved == 0
            return most

        return measure

    @pytest.mark.parametrize("pictures", [[10] * 40, [40, 30, 20, 10] * 10, [1, 49, 50] * 12])
    def test_budget_is_never_exceeded(self, use: Callable[[int, list[int]], int], pictures: list[int]) -> None:
        assert use(50, pictures) <= 50

    def test_picture_larger_than_the_budget_is_decoded_alone(self, use: Callable[[int, list[int]], int]) -> None:
        assert use(50, [60, 10, 60, 10, 60]) == 60

    def test_failed_picture_frees_its_memory(self) -> None:
        budget = thumbnail_jobs.MemoryBudget(50)
        with pytest.raises(ValueError, match="broken"), budget.reserve(50):
            raise ValueError("broken")

        with budget.reserve(50):
            pass

    def test_budget_fits_the_largest_accepted_picture(self) -> None:
        with thumbnail_jobs._BUDGET.reserve(MAX_DECODING_BYTES):
            pass
