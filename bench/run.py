"""`make bench`: cold starts, overhead, scale, the consumer's throughput, and what it all costs.

Prints tables. A whole run also writes bench/results.json and draws docs/benchmarks/*.png; docs/benchmarks.md says what
they show. Nothing of it is asserted anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import cold, cost, images, packages, scale, tables, warm
from bench.packages import NODE, PROJECT, PYTHON, Variant

RESULTS = Path(__file__).with_name("results.json")
PARTS = ("cold", "warm", "scale", "consumer", "cost")
TURNS = 11


def wanted(only: str) -> tuple[str, ...]:
    """The parts that ``only`` lists, or all of them. Raises ValueError for what is none."""
    asked = {word.strip() for word in only.split(",") if word.strip()}
    if asked - set(PARTS):
        raise ValueError(f"ONLY lists some of {', '.join(PARTS)}; there is no {', '.join(sorted(asked - set(PARTS)))}.")
    return tuple(part for part in PARTS if part in asked) if asked else PARTS


def say(text: str) -> None:
    print(text, flush=True)


def measure(parts: tuple[str, ...], turns: int, *, plain: bool = False) -> dict[str, Any]:
    """What each part found, by its name; without the parts that cannot be measured here, which is said.

    ``plain``: the services stood in for speak no TLS, as an emulator's do and those of AWS do not.
    """
    built = packages.built(say)
    variants, tls = built.variants, None if plain else built.authority.context()
    for sentence in built.missing:
        say(sentence)
    ways: dict[str, Callable[[], Any]] = {
        "cold": lambda: cold.measure(variants, tls, turns, say),
        "warm": lambda: warm.measure(variants[0], turns, say),
        "scale": lambda: scale.measure(say),
        "consumer": lambda: images.measure_consumer(turns),
        "cost": lambda: cost.measure(variants, tls, say),
    }
    if not built.node:
        del ways["scale"]
    found: dict[str, Any] = {"of": measured_on(variants)}
    for part in parts:
        if part in ways:
            started = time.monotonic()
            say(f"\n{part}")
            found[part] = ways[part]()
            say(f"({part}: {time.monotonic() - started:.0f} s)")
    return found


def measured_on(variants: list[Variant]) -> dict[str, Any]:
    """What was measured, and on what."""
    node = {variant.name: variant for variant in variants}.get("node")
    asked = json.loads((NODE / "package.json").read_text(encoding="utf-8"))
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in ("botocore", "chalice")} | _in_bench(),
        "node": node
        and subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "node_client": node and packages.client_of(node),
        "node_packages": node and asked["dependencies"] | asked["optionalDependencies"],
        "unpacked_bytes": {variant.name: variant.bytes for variant in variants},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _in_bench() -> dict[str, str]:
    """The versions of what is measured beside ours, as requirements-bench.txt pins them."""
    lines = (PROJECT / "requirements-bench.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    return {name: pinned[name] for name in ("awslambdaric", "aws-lambda-powertools", "fastapi", "mangum")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, metavar="TURNS", help="times that everything is measured")
    parser.add_argument("--only", default="", metavar="ONLY", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--plain", action="store_true", help="no TLS to the services; writes nothing")
    asked = parser.parse_args()
    try:
        parts = wanted(asked.only)
    except ValueError as error:
        parser.error(str(error))
    if asked.turns < 3:
        parser.error("TURNS is at least 3.")
    if platform.system() != "Linux":
        parser.error("It takes Linux, as Lambda does: processor time and memory are read from /proc.")
    started = time.monotonic()
    found = measure(parts, asked.turns, plain=asked.plain)
    if set(PARTS) <= found.keys() and not asked.plain:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        say(f"\nWrote {RESULTS.relative_to(PROJECT)}")
        subprocess.run([PYTHON, "-m", "bench.charts"], cwd=PROJECT, check=True)
    say(f"Took {tables.cell((time.monotonic() - started) / 60)} minutes.")


if __name__ == "__main__":
    main()
