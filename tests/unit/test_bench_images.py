"""What `make bench-images` makes of what it measured, and what it measures with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import images, photographs
from bench.images import BOTH, COVER, DECODE, SHARP, Turns, Way
from bench.photographs import photograph
from tests.builders import saved

JPEG, *_, PNG, WEBP, AVIF = photographs.PICTURES


class Steady:
    """Stands in for a process that measures: tells what it was asked, and takes longer each time."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked
        self._times: Iterator[float] = iter(range(1, 100))

    def do(self, task: str, path: Path) -> float:
        self._asked.append(task)
        return next(self._times)


def turns(*times: tuple[float, float]) -> Turns:
    return [{COVER: ours, SHARP: sharp} for ours, sharp in times]


def test_what_takes_longer_in_a_turn_for_both_sides_does_not_change_the_ratio() -> None:
    assert images.ratio(turns((1, 2), (10, 20), (50, 100)), COVER, SHARP) == 0.5


def test_one_turn_that_was_disturbed_on_one_side_does_not_change_the_ratio() -> None:
    assert images.ratio(turns((1, 2), (1, 2), (90, 2)), COVER, SHARP) == 0.5


def test_without_sharp_there_is_a_time_and_no_ratio() -> None:
    alone: Turns = [{COVER: 3.0, BOTH: 5.0}, {COVER: 4.0, BOTH: 6.0}, {COVER: 9.0, BOTH: 7.0}]

    said = images.figures(alone, {COVER: 25.4, BOTH: None})

    assert said["cover_ms"] == 4.0
    assert said["cover_mb"] == 25
    assert [said[name] for name in ("sharp_ms", "of_sharp", "sharp_mb", "both_mb")] == [None] * 4


def test_a_line_of_the_table_stands_under_its_heading_with_a_dash_for_what_is_missing() -> None:
    said = images.figures(turns((9.54, 10.0)), {COVER: 25.4})

    row = images.row("2 MP JPEG", said)

    assert len(row) == len(images.heading())
    assert row.split() == ["2", "MP", "JPEG", "9.5", "10.0", "0.95", "–", "–", "–", "25", "–", "–"]


def test_the_sides_take_turns_and_the_first_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ENOUGH", 0)
    asked: list[str] = []
    ways = [Way("ours", "a"), Way("sharp", "b")]

    measured = images.take_turns({"ours": Steady(asked), "sharp": Steady(asked)}, JPEG, ways, runs=2)  # type: ignore[dict-item]

    assert asked == ["a", "b", "a", "b", "a", "b"]
    assert measured == [{ways[0]: 2, ways[1]: 2}, {ways[0]: 3, ways[1]: 3}]


@pytest.mark.parametrize(
    ("picture", "sharp", "expected"),
    [
        (JPEG, True, [COVER, SHARP, BOTH]),
        (JPEG, False, [COVER, BOTH]),
        (PNG, True, [COVER, SHARP, BOTH, DECODE]),
        (WEBP, False, [COVER, BOTH, DECODE]),
    ],
)
def test_what_pillow_cannot_decode_at_a_reduced_scale_is_held_against_its_full_decode(
    picture: photographs.Picture, sharp: bool, expected: list[Way]
) -> None:
    assert images.ways(picture, sharp) == expected


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
def test_a_word_picks_what_is_measured(only: str, names: list[str], consumer: bool) -> None:
    pictures, with_consumer = images.wanted(only)

    assert [one.name for one in pictures] == names
    assert with_consumer is consumer


def test_without_node_it_says_so_and_measures_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert images.install_sharp() == "node is not installed"


def test_sharp_is_pinned_and_no_package_is_tied_to_a_host() -> None:
    wanted = json.loads((images.FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((images.FOLDER / "package-lock.json").read_text())["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package and "resolved" not in package for path, package in locked.items() if path)


def test_a_photograph_is_the_same_each_time_and_another_from_another_seed() -> None:
    assert photograph(90, 60).tobytes() == photograph(90, 60).tobytes()
    assert photograph(90, 60).tobytes() != photograph(90, 60, seed=5).tobytes()


def test_a_photograph_holds_as_much_as_one_of_a_telephone() -> None:
    bits = len(saved(photograph(1632, 1224), "JPEG", quality=90)) * 8 / (1632 * 1224)

    assert 2.0 <= bits <= 2.6


def test_each_picture_has_a_file_of_its_own() -> None:
    assert len({one.path for one in photographs.PICTURES}) == len(photographs.PICTURES)
