"""The evaluation of `make bench-images`, and its photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench import photographs, thumbnails
from bench.photographs import photograph
from bench.thumbnails import BOTH, COVER, SHARP, Method, Turns
from tests.builders import saved

if TYPE_CHECKING:
    import pytest

JPEG = photographs.PICTURES[0]


class Steady:
    """A fake worker that records the tasks and takes longer each time."""

    def __init__(self, tasks: list[str]) -> None:
        self._tasks = tasks
        self._times: Iterator[float] = iter(range(1, 100))

    def run(self, task: str, path: Path) -> float:
        self._tasks.append(task)
        return next(self._times)


def turns(*times: tuple[float, float]) -> Turns:
    return [{COVER: ours, SHARP: sharp} for ours, sharp in times]


def test_one_disturbed_measurement_does_not_change_the_ratio() -> None:
    assert thumbnails.ratio(turns((1, 2), (1, 2), (90, 2)), COVER, SHARP) == 0.5


def test_without_sharp_there_is_no_ratio() -> None:
    alone: Turns = [{COVER: 3.0, BOTH: 5.0}, {COVER: 4.0, BOTH: 6.0}, {COVER: 9.0, BOTH: 7.0}]

    figures = thumbnails.figures(alone, {COVER: 25.4, BOTH: None})

    assert figures["cover_ms"] == 4.0
    assert figures["cover_mb"] == 25
    assert [figures[name] for name in ("sharp_ms", "of_sharp", "sharp_mb", "both_mb")] == [None] * 4


def test_first_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MIN_SECONDS", 0)
    tasks: list[str] = []
    methods = [Method("vitrine", "a"), Method("sharp", "b")]

    measured = thumbnails.take_turns({"vitrine": Steady(tasks), "sharp": Steady(tasks)}, JPEG, methods, runs=2)  # type: ignore[dict-item]

    assert tasks == ["a", "b", "a", "b", "a", "b"]
    assert measured == [{methods[0]: 2, methods[1]: 2}, {methods[0]: 3, methods[1]: 3}]


def test_photograph_has_the_detail_of_a_telephone() -> None:
    bits = len(saved(photograph(1632, 1224), "JPEG", quality=90)) * 8 / (1632 * 1224)

    assert 2.0 <= bits <= 2.6
