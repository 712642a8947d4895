"""Measure the processor time of GET /hello, compared with the same route in other frameworks.

The route performs no I/O, so that only the frameworks are measured. Vitrine logs and counts each request, which takes
almost as long as the rest: both Vitrine and FastAPI are measured with and without logs and metrics.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import sample_events, text_tables
from bench.function_packages import BUILD, PROJECT, PYTHON, Variant
from bench.request_overhead_worker import REQUESTS
from bench.worker_process import Worker

BARE, THIS_APP, FASTAPI = "no framework", "Vitrine", "FastAPI + Mangum"
WITH_LOGS = ", with logs and metrics"
"""The suffix of the handlers that write a log line and metrics for each request."""
AIM = "Aim: Vitrine takes at most 0.5 × FastAPI + Mangum, both with logs and metrics or both without."

_SILENT = {"LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}


class Handler(NamedTuple):
    """A handler, and whether it runs with the packaged dependencies or with those of .venv-bench."""

    path: str
    """Its module and name, such as ``app:app``."""
    packaged: bool
    variables: dict[str, str] = {}  # noqa: RUF012 - never changed


HANDLERS = {
    BARE: Handler("bench.handlers.bare:handler", packaged=False),
    "Powertools' resolver": Handler("bench.handlers.powertools_resolver:handler", packaged=False),
    "Chalice alone": Handler("bench.handlers.chalice_plain:handler", packaged=True),
    THIS_APP: Handler("app:app", packaged=True, variables=_SILENT),
    FASTAPI: Handler("bench.handlers.fastapi_mangum:handler", packaged=False),
    THIS_APP + WITH_LOGS: Handler("app:app", packaged=True),
    FASTAPI + WITH_LOGS: Handler("bench.handlers.fastapi_mangum_with_logs:handler", packaged=False),
}

COLUMNS = {"us": "µs", "from_us": "from", "to_us": "to", "of_bare": "of bare", "of_fastapi": "of FastAPI"}


# ---------------------------------------------------------------------------------------------------------- evaluation


def results(turns: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return for each handler the microseconds per request (median, quartiles) and the median ratios within turns."""
    found = {}
    for name in turns[0]:
        times = [turn[name] for turn in turns]
        low, middle, high = text_tables.quartiles(times)
        found[name] = {
            "us": round(middle, 1),
            "from_us": round(low, 1),
            "to_us": round(high, 1),
            "of_bare": round(statistics.median(turn[name] / turn[BARE] for turn in turns), 2),
            "of_fastapi": round(statistics.median(turn[name] / turn[fastapi_for(name)] for turn in turns), 2),
        }
    return found


def fastapi_for(name: str) -> str:
    """Return the FastAPI handler to compare with: the one with logs and metrics if the handler has them."""
    return FASTAPI + WITH_LOGS if name.endswith(WITH_LOGS) else FASTAPI


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the results as a table of text."""
    return text_tables.table("processor time of a request", COLUMNS, list(found.items()))


# --------------------------------------------------------------------------------------------------------- measurement


def measure(stock: Variant, turns: int, report: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Measure each handler in ``turns`` turns. Vitrine and Chalice run from the package ``stock``."""
    event = BUILD / "hello.json"
    event.write_text(json.dumps(sample_events.request("GET", "/hello", query={"name": "Vase"})), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(one, stock)) for name, one in HANDLERS.items()}
        for worker in workers.values():
            worker.run("requests", event)
        taken = [
            {name: worker.run("requests", event) * 1000 / REQUESTS for name, worker in workers.items()}
            for _ in range(turns)
        ]
    found = results(taken)
    report(table(found))
    report(AIM)
    return found


def _worker(handler: Handler, stock: Variant) -> Worker:
    folders = [str(stock.folder)] if handler.packaged else []
    environment: dict[str, Any] = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "AWS_REGION": "us-east-1"}
    environment |= stock.variables["api_handler"] | handler.variables
    return Worker(
        [str(PYTHON), "-B", str(Path(__file__).with_name("request_overhead_worker.py")), handler.path, *folders],
        stock.folder if handler.packaged else PROJECT,
        environment,
    )
