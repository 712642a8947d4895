"""Run the benchmarks of `make bench` and print tables.

A complete run also writes bench/results.json and draws docs/benchmarks/*.png, which docs/benchmarks.md explains.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import (
    cold_starts,
    cost,
    find_scale,
    function_packages,
    picture_urls,
    request_overhead,
    table_scale,
    text_tables,
    thumbnails,
    tracing_overhead,
    visits,
)
from bench.function_packages import NODE, PROJECT, PYTHON, Packages

RESULTS = Path(__file__).with_name("results.json")
PARTS = ("cold", "ablation", "overhead", "urls", "traces", "scale", "find", "consumer", "cost", "visits")
PACKAGED = {"cold", "ablation", "overhead", "cost", "visits"}
"""The parts that measure function packages."""
IN_DYNALITE = {"scale", "find"}
"""The parts that need npm packages."""
TURNS = 11


def selected(only: str) -> tuple[str, ...]:
    """Return the parts that ``only`` lists, or all of them. Raise ValueError for an unknown part."""
    named = {word.strip() for word in only.split(",") if word.strip()}
    unknown = named - set(PARTS)
    if unknown:
        raise ValueError(f"ONLY must list some of {', '.join(PARTS)}; it contains {', '.join(sorted(unknown))}.")
    return tuple(part for part in PARTS if part in named) if named else PARTS


def report(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def measure(parts: Sequence[str], turns: int) -> dict[str, Any]:
    """Return the results of each part by its name. Parts that need Node are skipped with a message if it is missing."""
    packages = None
    measurements: dict[str, Callable[[], Any]] = {
        "consumer": lambda: thumbnails.measure_consumer(turns),
        "urls": lambda: picture_urls.measure(turns, report),
        "traces": lambda: tracing_overhead.measure(turns, report),
    }
    if PACKAGED & set(parts):
        packages = function_packages.build_packages(report, with_steps="ablation" in parts)
        measurements |= _of_packages(packages, turns)
        if packages.problem:
            report(f"Without the Node function: {packages.problem}.")
    if IN_DYNALITE & set(parts):
        if problem := function_packages.install_npm_packages():
            report(f"Without {' and '.join(sorted(IN_DYNALITE))}: {problem}.")
        else:
            measurements |= {"scale": lambda: table_scale.measure(report), "find": lambda: find_scale.measure(report)}
    found: dict[str, Any] = {"of": versions(packages)} if packages else {}
    for part in parts:
        if part in measurements:
            started = time.monotonic()
            report(f"\n{part}")
            found[part] = measurements[part]()
            report(f"({part}: {time.monotonic() - started:.0f} s)")
    return found


def _of_packages(packages: Packages, turns: int) -> dict[str, Callable[[], Any]]:
    stock, bundle = packages.compared[:2]
    return {
        "cold": lambda: cold_starts.measure(packages.compared, packages.authority, turns, report),
        "ablation": lambda: cold_starts.measure_steps(packages.steps, packages.authority, turns, report),
        "overhead": lambda: request_overhead.measure(stock, turns, report),
        "cost": lambda: cost.measure(bundle, packages.authority, report),
        "visits": lambda: visits.measure(bundle, packages.authority, report),
    }


def versions(packages: Packages) -> dict[str, Any]:
    """Return the versions of the measured software, the machine, and the packages' sizes."""
    has_node = packages.problem is None
    pinned = json.loads((NODE / "package.json").read_text(encoding="utf-8"))
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in ("botocore", "chalice")} | _pinned_for_bench(),
        "node": _node_version() if has_node else None,
        "node_packages": pinned["dependencies"] | pinned["optionalDependencies"] if has_node else None,
        "unpacked_bytes": {variant.name: variant.unpacked_bytes for variant in packages.compared},
    }


def _node_version() -> str:
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _pinned_for_bench() -> dict[str, str]:
    """Return the versions in requirements-bench.txt of the software that Vitrine is compared with."""
    lines = (PROJECT / "requirements-bench.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    return {name: pinned[name] for name in ("awslambdaric", "aws-lambda-powertools", "fastapi", "mangum")}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, metavar="TURNS", help="how often everything is measured")
    parser.add_argument("--only", default="", metavar="ONLY", help=f"some of {','.join(PARTS)}")
    options = parser.parse_args()
    try:
        parts = selected(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.turns < 3:
        parser.error("TURNS must be at least 3.")
    if platform.system() != "Linux":
        parser.error("The benchmarks need Linux, like Lambda: processor time and memory are read from /proc.")
    started = time.monotonic()
    found = measure(parts, options.turns)
    if found.keys() >= set(PARTS):
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        report(f"\nWrote {RESULTS.relative_to(PROJECT)}")
        subprocess.run([PYTHON, "-m", "bench.charts"], cwd=PROJECT, check=True)
    report(f"Took {text_tables.cell((time.monotonic() - started) / 60)} minutes.")


if __name__ == "__main__":
    main()
