"""Measure the processor time and memory of thumbnails, compared with sharp, for `make bench-images`.

Both get the same files in turns, so that other load on the machine affects both. Times are medians, and ratios are the
medians of the ratios within each turn.
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
from bench.worker_process import Worker

PROJECT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results-images.json"
CONSUMER = "consumer"
MIN_SECONDS = 2.0
"""The least time for which a picture is measured: small pictures are measured more often."""

AIMS = "Aims: JPEG takes at most 0.95 × sharp, PNG and WebP at most 1.1 × the decoding alone."


class Method(NamedTuple):
    """A task with a picture, and the worker that performs it: Vitrine's code or sharp."""

    worker: str
    task: str


COVER, BOTH, DECODE = Method("vitrine", "cover"), Method("vitrine", "both"), Method("vitrine", "decode")
SHARP = Method("sharp", "cover")

Turns = list[dict[Method, float]]
"""Milliseconds of each method, turn by turn."""


# ---------------------------------------------------------------------------------------------------------- evaluation


def median(turns: Turns, method: Method) -> float | None:
    """Return the median time of a method, or None if it was not measured."""
    return statistics.median(turn[method] for turn in turns) if method in turns[0] else None


def ratio(turns: Turns, method: Method, other: Method) -> float | None:
    """Return the median ratio of two methods in the same turn, or None if one of them was not measured."""
    if not {method, other} <= turns[0].keys():
        return None
    return statistics.median(turn[method] / turn[other] for turn in turns)


def selected(only: str) -> tuple[list[Picture], bool]:
    """Return the pictures whose names contain one of the words in ``only``, and whether "consumer" is one of them.

    Without words, everything is selected.
    """
    words = {word.strip().lower() for word in only.split(",") if word.strip()}
    if not words:
        return list(photographs.PICTURES), True
    pictures = [one for one in photographs.PICTURES if any(word in one.name.lower() for word in words)]
    return pictures, CONSUMER in words


def figures(turns: Turns, peaks: Mapping[Method, float | None]) -> dict[str, float | None]:
    """Return the figures of a picture, rounded, or None if not measured."""
    values = {
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
    return {name: None if value is None else round(value, digits) for name, (value, digits) in values.items()}


# -------------------------------------------------------------------------------------------------------------- tables

_COLUMNS = {
    "cover_ms": "Vitrine",
    "sharp_ms": "sharp",
    "of_sharp": "of sharp",
    "decode_ms": "decode",
    "of_decode": "of decode",
    "both_ms": "both sizes",
    "cover_mb": "Vitrine MB",
    "both_mb": "both MB",
    "sharp_mb": "sharp MB",
}


def line(name: str, cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"{name:<30}" + "".join(f"{cell:>12}" for cell in cells)


def heading() -> str:
    """Return the heading of the table of pictures."""
    return line("processor ms, peak MB", list(_COLUMNS.values()))


def row(name: str, values: Mapping[str, float | None]) -> str:
    """Return a picture's line of the table, with dashes for missing figures."""
    return line(name, [_cell(column, values[column]) for column in _COLUMNS])


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if column.endswith("_mb") else f"{value:.2f}" if "of_" in column else f"{value:.1f}"


# --------------------------------------------------------------------------------------------------------- measurement


def python_worker(module: str) -> Worker:
    """Return a new worker process of a Python module, with the memory allocator's settings of the packaged consumer."""
    merged = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8"))["Resources"]["OnMessages"]
    variables = merged["Properties"]["Environment"]["Variables"]
    env = {"STAGE": "local", "AUTH_MODE": "local", "LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
    env |= {"BUCKET_NAME": "none", "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"]}
    env |= {name: value for name, value in variables.items() if name.startswith("MALLOC_")}
    return Worker([sys.executable, "-B", "-m", module], PROJECT, env)


def sharp_worker() -> Worker:
    """Return a new worker process of sharp."""
    return Worker(["node", "sharp.mjs"], FOLDER, {"PATH": os.environ["PATH"]})


WORKERS = {"vitrine": lambda: python_worker("bench.thumbnails_worker"), "sharp": sharp_worker}


def methods_for(picture: Picture, sharp: bool) -> list[Method]:
    """Return the methods that are measured with a picture, in the order of a turn."""
    found = [COVER, SHARP, BOTH] if sharp else [COVER, BOTH]
    return found if picture.kind == "JPEG" else [*found, DECODE]


def take_turns(workers: Mapping[str, Worker], picture: Picture, methods: Sequence[Method], runs: int) -> Turns:
    """Measure the methods in turns, at least ``runs`` times and for MIN_SECONDS, after one turn that is not counted."""

    def turn() -> dict[Method, float]:
        return {method: workers[method.worker].run(method.task, picture.path) for method in methods}

    turn()
    turns: Turns = []
    until = time.monotonic() + MIN_SECONDS
    while len(turns) < runs or time.monotonic() < until:
        turns.append(turn())
    return turns


def peak(method: Method, picture: Picture) -> float | None:
    """Return the peak memory in MiB of a new process that runs a method once."""
    with WORKERS[method.worker]() as worker:
        worker.run(method.task, picture.path)
        return worker.peak_mb()


def measure_pictures(pictures: Sequence[Picture], runs: int, sharp: bool) -> dict[str, Any]:
    """Measure and print the figures of each picture."""
    print(heading())
    measured = {}
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(start()) for name, start in WORKERS.items() if sharp or name != "sharp"}
        for picture in pictures:
            methods = methods_for(picture, sharp)
            turns = take_turns(workers, picture, methods, runs)
            peaks = {method: peak(method, picture) for method in methods if method != DECODE}
            values = figures(turns, peaks)
            print(row(picture.name, values), flush=True)
            measured[picture.name] = {"bytes": picture.path.stat().st_size, "turns": len(turns), **values}
    print(AIMS)
    return measured


def measure_consumer(runs: int) -> dict[str, Any]:
    """Measure the consumer's pictures per second and peak memory, one message at a time and in a batch of ten."""
    picture = next(one for one in photographs.PICTURES if one.name == "12 MP JPEG")
    photographs.create([picture])
    took: dict[str, list[float]] = {"one at a time": [], "at once": []}
    peaks: dict[str, float | None] = {}
    for task in took:
        with python_worker("bench.consumer_worker") as worker:
            worker.run(task, picture.path)
            peaks[task] = worker.peak_mb()
    with python_worker("bench.consumer_worker") as worker:
        for _ in range(max(3, runs // 3)):
            for task, times in took.items():
                times.append(worker.run(task, picture.path))
    rates = {task: round(10_000 / statistics.median(times), 1) for task, times in took.items()}
    print("\nConsumer: ten 12 MP JPEGs, both sizes, on one core; 20 ms per call to S3, 5 ms per call to DynamoDB")
    for task, per_second in rates.items():
        memory = peaks[task]
        print(line(task, [f"{per_second:.1f} per second", f"{memory:.0f} MB" if memory else "–"]))
    return {task: {"per_second": rates[task], "mb": memory and round(memory)} for task, memory in peaks.items()}


# -------------------------------------------------------------------------------------------------------------- sharp


def install_sharp() -> str | None:
    """Install sharp from package-lock.json, unless it is installed. Return the problem, or None."""
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
    """Return the versions of the measured software, and the machine."""
    dependencies = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return {
        "python": platform.python_version(),
        "pillow": features.version("pil"),
        "libjpeg_turbo": features.version_feature("libjpeg_turbo"),
        "sharp": dependencies["sharp"] if sharp else None,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make bench-images", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, metavar="RUNS", help="least number of turns per picture")
    parser.add_argument(
        "--only", default="", metavar="ONLY", help="words in the names of pictures, or consumer, such as png,webp"
    )
    options = parser.parse_args()
    pictures, consumer = selected(options.only)
    if options.runs < 1 or not (pictures or consumer):
        names = ", ".join(picture.name for picture in photographs.PICTURES)
        parser.error(f"RUNS must be at least 1, and ONLY must list words of these: {names}, {CONSUMER}.")
    problem = install_sharp()
    if problem:
        print(f"Measuring without sharp: {problem}.")
    photographs.create(pictures)
    measured: dict[str, Any] = {"of": versions(not problem)}
    if pictures:
        measured["pictures"] = measure_pictures(pictures, options.runs, not problem)
    if consumer:
        measured["consumer"] = measure_consumer(options.runs)
    if not (options.only or problem):
        RESULTS.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        print(f"\nWrote {RESULTS.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
