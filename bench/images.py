"""`make bench-images`: what thumbnails cost, ours beside sharp's, in processor time and memory.

Both sides get the same files and take turns, so that whatever else the machine does meets both. What is said of time is
the median; of ours against sharp's, the median of the turns' ratios. Nothing of it is asserted anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import features

from bench import photographs
from bench.photographs import Picture
from bench.worker import Worker

PROJECT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results-images.json"
CONSUMER = "consumer"
ENOUGH = 2.0
"""Seconds that a picture is measured for at least: what is quick is noisy, and is measured more often."""

AIMS = "Aims: JPEG at or under 0.95 × sharp, PNG and WebP within 1.1 × of the bare decode."


class Way(NamedTuple):
    """A way to do something with a picture, and whose."""

    side: str
    task: str


COVER, BOTH, DECODE, SHARP = Way("ours", "cover"), Way("ours", "both"), Way("ours", "decode"), Way("sharp", "cover")

Turns = list[dict[Way, float]]
"""What each way took, one turn after the other."""


# -------------------------------------------------------------------------------------------------- what is worked out


def median(turns: Turns, way: Way) -> float | None:
    """What a way takes, or None where it was not taken."""
    return statistics.median(turn[way] for turn in turns) if way in turns[0] else None


def ratio(turns: Turns, way: Way, other: Way) -> float | None:
    """How many times as much one way takes as another in the same turn, or None where one of them was not taken."""
    if not {way, other} <= turns[0].keys():
        return None
    return statistics.median(turn[way] / turn[other] for turn in turns)


def wanted(only: str) -> tuple[list[Picture], bool]:
    """The pictures in whose names one of the words stands that ``only`` lists, and whether "consumer" is one of them.

    All of it where ``only`` lists none.
    """
    words = {word.strip().lower() for word in only.split(",") if word.strip()}
    if not words:
        return list(photographs.PICTURES), True
    pictures = [one for one in photographs.PICTURES if any(word in one.name.lower() for word in words)]
    return pictures, CONSUMER in words


def figures(turns: Turns, peaks: Mapping[Way, float | None]) -> dict[str, float | None]:
    """What is said of a picture: rounded, and None where it was not measured."""
    said = {
        "cover_ms": (median(turns, COVER), 1),
        "sharp_ms": (median(turns, SHARP), 1),
        "of_sharp": (ratio(turns, COVER, SHARP), 2),
        "decode_ms": (median(turns, DECODE), 1),
        "of_decode": (ratio(turns, COVER, DECODE), 2),
        "both_ms": (median(turns, BOTH), 1),
        "cover_mb": (peaks.get(COVER), 0),
        "both_mb": (peaks.get(BOTH), 0),
        "sharp_mb": (peaks.get(SHARP), 0),
    }
    return {name: None if value is None else round(value, digits) for name, (value, digits) in said.items()}


# ----------------------------------------------------------------------------------------------------- what is printed

_COLUMNS = {
    "cover_ms": "ours",
    "sharp_ms": "sharp",
    "of_sharp": "ours/sharp",
    "decode_ms": "decode",
    "of_decode": "ours/decode",
    "both_ms": "both sizes",
    "cover_mb": "ours MB",
    "both_mb": "both MB",
    "sharp_mb": "sharp MB",
}


def line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<30}" + "".join(f"{cell:>12}" for cell in cells)


def heading() -> str:
    return line("processor ms, peak MB", list(_COLUMNS.values()))


def row(name: str, said: Mapping[str, float | None]) -> str:
    """One picture's line of the table; a dash stands for what was not measured."""
    return line(name, [_cell(column, said[column]) for column in _COLUMNS])


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if column.endswith("_mb") else f"{value:.2f}" if "of_" in column else f"{value:.1f}"


# -------------------------------------------------------------------------------------------------------- the measuring


def python(module: str) -> Worker:
    """A process of ours, in the environment of the packaged consumer, which says nothing of anybody's account."""
    merged = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8"))["Resources"]["OnMessages"]
    variables = merged["Properties"]["Environment"]["Variables"]
    told = {"STAGE": "local", "AUTH_MODE": "local", "LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
    told |= {"BUCKET_NAME": "none", "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"]}
    told |= {name: value for name, value in variables.items() if name.startswith("MALLOC_")}
    return Worker([sys.executable, "-B", "-m", module], PROJECT, told)


def node() -> Worker:
    return Worker(["node", "sharp.mjs"], FOLDER, {"PATH": os.environ["PATH"]})


SIDES = {"ours": lambda: python("bench.ours"), "sharp": node}


def ways(picture: Picture, sharp: bool) -> list[Way]:
    """What is measured with a picture, in the order of a turn."""
    found = [COVER, SHARP, BOTH] if sharp else [COVER, BOTH]
    return found if picture.kind == "JPEG" else [*found, DECODE]


def take_turns(workers: Mapping[str, Worker], picture: Picture, taken: Sequence[Way], runs: int) -> Turns:
    """Takes each way once, unmeasured, and then in turns: ``runs`` at least, and for as long as is enough."""

    def turn() -> dict[Way, float]:
        return {way: workers[way.side].do(way.task, picture.path) for way in taken}

    turn()
    turns: Turns = []
    until = time.monotonic() + ENOUGH
    while len(turns) < runs or time.monotonic() < until:
        turns.append(turn())
    return turns


def peak(way: Way, picture: Picture) -> float | None:
    """The most memory, in MiB, of a fresh process that takes that way once."""
    with SIDES[way.side]() as worker:
        worker.do(way.task, picture.path)
        return worker.peak()


def measure_pictures(pictures: Sequence[Picture], runs: int, sharp: bool) -> dict[str, Any]:
    print(heading())
    measured = {}
    with contextlib.ExitStack() as stack:
        workers = {side: stack.enter_context(start()) for side, start in SIDES.items() if sharp or side == "ours"}
        for picture in pictures:
            taken = ways(picture, sharp)
            turns = take_turns(workers, picture, taken, runs)
            peaks = {way: peak(way, picture) for way in taken if way != DECODE}
            said = figures(turns, peaks)
            print(row(picture.name, said), flush=True)
            measured[picture.name] = {"bytes": picture.path.stat().st_size, "turns": len(turns), **said}
    print(AIMS)
    return measured


def measure_consumer(runs: int) -> dict[str, Any]:
    """Pictures a second of the consumer, and its peak of memory, one message at a time and with a batch of ten."""
    picture = next(one for one in photographs.PICTURES if one.name == "12 MP JPEG")
    photographs.make([picture])
    took: dict[str, list[float]] = {"one at a time": [], "at once": []}
    peaks: dict[str, float | None] = {}
    for task in took:
        with python("bench.consumer") as worker:
            worker.do(task, picture.path)
            peaks[task] = worker.peak()
    with python("bench.consumer") as worker:
        for _ in range(max(3, runs // 3)):
            for task, times in took.items():
                times.append(worker.do(task, picture.path))
    said = {task: round(10_000 / statistics.median(times), 1) for task, times in took.items()}
    print("\nThe consumer: ten 12 MP JPEGs, both sizes, on one core; 20 ms for a call to S3, 5 ms for one to DynamoDB")
    for task, per_second in said.items():
        memory = peaks[task]
        print(line(task, [f"{per_second:.1f} a second", f"{memory:.0f} MB" if memory else "–"]))
    return {task: {"per_second": said[task], "mb": memory and round(memory)} for task, memory in peaks.items()}


# -------------------------------------------------------------------------------------------------------------- sharp


def install_sharp() -> str | None:
    """Installs sharp as package-lock.json has it, where that was not done yet; gives what is in the way, or None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (FOLDER / "package-lock.json").stat().st_mtime:
        return None
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"npm ci failed ({done.stderr.strip().splitlines()[-1]})"


def versions(sharp: bool) -> dict[str, Any]:
    """What was measured, and on what."""
    dependencies = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return {
        "python": platform.python_version(),
        "pillow": features.version("pil"),
        "libjpeg_turbo": features.version_feature("libjpeg_turbo"),
        "sharp": dependencies["sharp"] if sharp else None,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-images", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, metavar="RUNS", help="turns per picture, at least")
    parser.add_argument(
        "--only", default="", metavar="ONLY", help="words in the names of pictures, or consumer: png,webp"
    )
    asked = parser.parse_args()
    pictures, consumer = wanted(asked.only)
    if asked.runs < 1 or not (pictures or consumer):
        names = ", ".join(picture.name for picture in photographs.PICTURES)
        parser.error(f"RUNS is at least 1, and ONLY lists words of these: {names}, {CONSUMER}.")
    problem = install_sharp()
    if problem:
        print(f"Measuring ours alone: {problem}.")
    photographs.make(pictures)
    measured: dict[str, Any] = {"of": versions(not problem)}
    if pictures:
        measured["pictures"] = measure_pictures(pictures, asked.runs, not problem)
    if consumer:
        measured["consumer"] = measure_consumer(asked.runs)
    if not (asked.only or problem):
        RESULTS.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        print(f"\nWrote {RESULTS.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
