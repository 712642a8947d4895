"""Draw docs/benchmarks/*.png from bench/results.json: `.venv-bench/bin/python -m bench.charts`."""

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
_FUNCTIONS = {"api_handler": "API", "on_upload": "upload function", "on_messages": "consumer", "clean_up": "cleanup"}


def cold_starts(found: dict[str, Any], figure: Any) -> None:
    """Draw bars of each function's first answer by package. The lines span the middle half of all starts."""
    memories = sorted({one["memory"] for one in found["cold"]}, reverse=True)
    for at, memory in enumerate(memories, 1):
        axes = figure.add_subplot(1, len(memories), at)
        cases = [one for one in found["cold"] if one["memory"] == memory]
        variants = [name for name in _COLOURS if any(one["variant"] == name for one in cases)]
        for place, variant in enumerate(variants):
            bars = [(list(_FUNCTIONS).index(one["function"]), one) for one in cases if one["variant"] == variant]
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


def ablation(found: dict[str, Any], figure: Any) -> None:
    """Draw bars of the processor time to the first answer after each step of the bundle."""
    axes = figure.add_subplot()
    steps = found["ablation"][::-1]
    bars = axes.barh([_step(one["variant"]) for one in steps], [one["cpu_ms"] for one in steps])
    for bar, one in zip(bars, steps, strict=True):
        bar.set_color(_COLOURS.get(one["variant"], _COLOURS["bundle"]))
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_xlabel("ms of processor time from start to first answer, one core")


def _step(variant: str) -> str:
    return variant if variant in (*_COLOURS, "bundle, with garbage collection") else f"+ {variant}"


def overhead(found: dict[str, Any], figure: Any) -> None:
    """Draw bars of the processor time of one request."""
    axes = figure.add_subplot()
    names = list(found["overhead"])[::-1]
    values = [found["overhead"][name]["us"] for name in names]
    colours = [_COLOURS["bundle"] if name.startswith("Vitrine") else _COLOURS["stock"] for name in names]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_xlabel("µs of processor time for a request, without I/O")


def scale(found: dict[str, Any], figure: Any) -> None:
    """Draw capacity and time over the number of items."""
    sizes = [one["items"] for one in found["scale"]]
    shown = {
        "page": "a page of 25",
        "read": "an item",
        "due_10": "cleanup, 10 expired",
        "due_100": "cleanup, 100 expired",
    }
    for at, (what, unit) in enumerate((("units", "capacity units"), ("ms", "ms")), 1):
        axes = figure.add_subplot(1, 2, at)
        for name, label in shown.items():
            axes.plot(sizes, [one[f"{name}_{what}"] for one in found["scale"]], marker="o", label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("items in the table")
        axes.set_ylabel(unit)
    _legend(figure, axes)


def cost(found: dict[str, Any], figure: Any) -> None:
    """Draw stacked bars of the cost of a million of each activity, by service."""
    axes = figure.add_subplot()
    activities = found["cost"]["activities"]
    names = list(activities)[::-1]
    services = list(dict.fromkeys(service for one in activities.values() for service in one if service != "total"))
    left = [0.0] * len(names)
    for service in services:
        widths = [activities[name].get(service, 0) for name in names]
        axes.barh(names, widths, left=left, label=service.replace("_", " "))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_xlabel("$ per million")
    _legend(figure, axes)


def _legend(figure: Any, axes: Any) -> None:
    """Add one legend for all charts of a figure, above them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)


CHARTS: dict[str, tuple[Callable[[dict[str, Any], Any], None], tuple[float, float]]] = {
    "cold-start": (cold_starts, (9, 3.6)),
    "ablation": (ablation, (8, 2.8)),
    "overhead": (overhead, (7, 2.8)),
    "scale": (scale, (9, 3.4)),
    "cost": (cost, (8, 3.2)),
}


def main() -> None:
    """Draw all charts."""
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
