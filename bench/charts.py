"""Draws docs/benchmarks/*.png of bench/results.json: `.venv-bench/bin/python -m bench.charts`, as `make bench` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "docs" / "benchmarks"

_COLOURS = {"stock": "#9aa5b1", "bundle": "#1f77b4", "sdk": "#9ecae9", "node": "#e08e0b"}
_WIDTH = 0.21
_FUNCTIONS = {"api_handler": "API", "on_upload": "listener", "on_messages": "consumer", "clean_up": "cleanup"}


def cold_starts(found: dict[str, Any], figure: Any) -> None:
    """Bars of each function's first answer, by package; the lines span half of all starts."""
    memories = sorted({one["memory"] for one in found["cold"]}, reverse=True)
    for at, memory in enumerate(memories, 1):
        axes = figure.add_subplot(1, len(memories), at)
        ours = [one for one in found["cold"] if one["memory"] == memory]
        variants = [name for name in _COLOURS if any(one["variant"] == name for one in ours)]
        for place, variant in enumerate(variants):
            bars = [(list(_FUNCTIONS).index(one["function"]), one) for one in ours if one["variant"] == variant]
            x = [number + _WIDTH * place for number, _ in bars]
            y = [one["answered_ms"] for _, one in bars]
            around = [
                [one["answered_ms"] - one["from_ms"] for _, one in bars],
                [one["to_ms"] - one["answered_ms"] for _, one in bars],
            ]
            axes.bar(x, y, _WIDTH - 0.02, yerr=around, color=_COLOURS[variant], label=variant, ecolor="#444", capsize=2)
        axes.set_xticks([number + _WIDTH for number in range(len(_FUNCTIONS))], list(_FUNCTIONS.values()))
        axes.set_title("1 core" if memory == memories[0] else f"the share of {memory} MB")
        axes.set_ylabel("ms from start to first answer")
    _legend(figure, axes)


def overhead(found: dict[str, Any], figure: Any) -> None:
    """Bars of the processor time of one request."""
    axes = figure.add_subplot()
    names = list(found["warm"])[::-1]
    values = [found["warm"][name]["us"] for name in names]
    colours = [_COLOURS["bundle"] if name.startswith("Vitrine") else _COLOURS["stock"] for name in names]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_xlabel("µs of processor time for a request, without I/O")


def scale(found: dict[str, Any], figure: Any) -> None:
    """Lines over the number of items: capacity, and time."""
    sizes = [one["items"] for one in found["scale"]]
    shown = {"page": "a page of 25", "read": "an item", "due_10": "a sweep, 10 due", "due_100": "a sweep, 100 due"}
    for at, (what, label) in enumerate((("units", "capacity units"), ("ms", "ms")), 1):
        axes = figure.add_subplot(1, 2, at)
        for name, told in shown.items():
            axes.plot(sizes, [one[f"{name}_{what}"] for one in found["scale"]], marker="o", label=told)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("items in the table")
        axes.set_ylabel(label)
    _legend(figure, axes)


def cost(found: dict[str, Any], figure: Any) -> None:
    """Stacked bars of what a million of each thing costs, by service."""
    axes = figure.add_subplot()
    things = found["cost"]["things"]
    names = list(things)[::-1]
    services = list(dict.fromkeys(service for one in things.values() for service in one if service != "in all"))
    left = [0.0] * len(names)
    for service in services:
        widths = [things[name].get(service, 0) for name in names]
        axes.barh(names, widths, left=left, label=service.replace("_", " "))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_xlabel("$ for a million")
    _legend(figure, axes)


def _legend(figure: Any, axes: Any) -> None:
    """One for all charts of a figure, above them, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)


CHARTS: dict[str, tuple[Callable[[dict[str, Any], Any], None], tuple[float, float]]] = {
    "cold-start": (cold_starts, (9, 3.6)),
    "overhead": (overhead, (7, 2.8)),
    "scale": (scale, (9, 3.4)),
    "cost": (cost, (8, 3.2)),
}


def main() -> None:
    found = json.loads((PROJECT / "bench" / "results.json").read_text(encoding="utf-8"))
    FOLDER.mkdir(exist_ok=True)
    for name, (draw, size) in CHARTS.items():
        figure = plt.figure(figsize=size, layout="constrained")
        draw(found, figure)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        path = FOLDER / f"{name}.png"
        figure.savefig(path, dpi=80)
        plt.close(figure)
        print(f"Drew {path.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
