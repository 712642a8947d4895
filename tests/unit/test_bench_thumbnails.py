"""The evaluation of `make bench-images`, and its photographs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import photographs, thumbnails
from bench.photographs import photograph
from bench.thumbnails import BOTH, COVER, DECODE, SHARP, Method, Turns
from tests.builders import saved

JPEG, *_, PNG, WEBP, AVIF = photographs.PICTURES


class Steady:
    """A fake worker that records the tasks and takes longer each time."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked
        self._times: Iterator[float] = iter(range(1, 100))

    def run(self, task: str, path: Path) -> float:
        self._asked.append(task)
        return next(self._times)


def turns(*times: tuple[float, float]) -> Turns:
    return [{COVER: ours, SHARP: sharp} for ours, sharp in times]


def test_slow_turn_does_not_change_the_ratio() -> None:
    assert thumbnails.ratio(turns((1, 2), (10, 20), (50, 100)), COVER, SHARP) == 0.5


def test_one_disturbed_measurement_does_not_change_the_ratio() -> None:
    assert thumbnails.ratio(turns((1, 2), (1, 2), (90, 2)), COVER, SHARP) == 0.5


def test_without_sharp_there_is_no_ratio() -> None:
    alone: Turns = [{COVER: 3.0, BOTH: 5.0}, {COVER: 4.0, BOTH: 6.0}, {COVER: 9.0, BOTH: 7.0}]

    said = thumbnails.figures(alone, {COVER: 25.4, BOTH: None})

    assert said["cover_ms"] == 4.0
    assert said["cover_mb"] == 25
    assert [said[name] for name in ("sharp_ms", "of_sharp", "sharp_mb", "both_mb")] == [None] * 4


def test_row_is_aligned_with_dashes_for_missing_figures() -> None:
    said = thumbnails.figures(turns((9.54, 10.0)), {COVER: 25.4})

    row = thumbnails.row("2 MP JPEG", said)

    assert len(row) == len(thumbnails.heading())
    assert row.split() == ["2", "MP", "JPEG", "9.5", "10.0", "0.95", "–", "–", "–", "25", "–", "–"]


def test_first_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MIN_SECONDS", 0)
    asked: list[str] = []
    methods = [Method("vitrine", "a"), Method("sharp", "b")]

    measured = thumbnails.take_turns({"vitrine": Steady(asked), "sharp": Steady(asked)}, JPEG, methods, runs=2)  # type: ignore[dict-item]

    assert asked == ["a", "b", "a", "b", "a", "b"]
    assert measured == [{methods[0]: 2, methods[1]: 2}, {methods[0]: 3, methods[1]: 3}]


@pytest.mark.parametrize(
    ("picture", "sharp", "expected"),
    [
        (JPEG, True, [COVER, SHARP, BOTH]),
        (JPEG, False, [COVER, BOTH]),
        (PNG, True, [COVER, SHARP, BOTH, DECODE]),
        (WEBP, False, [COVER, BOTH, DECODE]),
    ],
)
def test_formats_without_scaled_decoding_are_compared_with_decoding(
    picture: photographs.Picture, sharp: bool, expected: list[Method]
) -> None:
    assert thumbnails.methods_for(picture, sharp) == expected


@pytest.mark.parametrize(
    ("only", "names", "consumer"),
    [
        ("", [one.name for one in photographs.PICTURES], True),
        ("png, WebP", [PNG.name, WEBP.name], False),
        ("consumer", [], True),
        ("avif,consumer", [AVIF.name], True),
        ("bmp", [], False),
    ],
)
def test_words_select_pictures(only: str, names: list[str], consumer: bool) -> None:
    pictures, with_consumer = thumbnails.selected(only)

    assert [one.name for one in pictures] == names
    assert with_consumer is consumer


def test_missing_node_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert thumbnails.install_sharp() == "node is not installed"


def test_sharp_is_pinned_without_registry_host() -> None:
    wanted = json.loads((thumbnails.FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((thumbnails.FOLDER / "package-lock.json").read_text())["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package and "resolved" not in package for path, package in locked.items() if path)


def test_photograph_depends_on_the_seed_only() -> None:
    assert photograph(90, 60).tobytes() == photograph(90, 60).tobytes()
    assert photograph(90, 60).tobytes() != photograph(90, 60, seed=5).tobytes()


def test_photograph_has_the_detail_of_a_telephone() -> None:
    bits = len(saved(photograph(1632, 1224), "JPEG", quality=90)) * 8 / (1632 * 1224)

    assert 2.0 <= bits <= 2.6


def test_pictures_have_different_files() -> None:
    assert len({one.path for one in photographs.PICTURES}) == len(photographs.PICTURES)
