"""What a request costs beyond what it does: processor time of GET /hello, beside other ways to write it.

No I/O, so that nothing but the frameworks is left. Vitrine logs and counts each request, which costs as much
again. So it is measured with and without that, and FastAPI too.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import events, tables
from bench.packages import BUILD, PROJECT, PYTHON, Variant
from bench.warm_worker import REQUESTS
from bench.worker import Worker

BARE, OURS, FASTAPI = "no framework", "Vitrine", "FastAPI + Mangum"
OBSERVED = ", observed"
"""With a log line and metrics of each request."""
AIM = "Aim: Vitrine at or under 0.5 × FastAPI + Mangum, both as they are or both observed."

_SILENT = {"LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}


class Contender(NamedTuple):
    """Whose handler, and where it is: in an environment of its own, or among what is packaged."""

    handler: str
    packaged: bool
    variables: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


CONTENDERS = {
    BARE: Contender("bench.contenders.bare:handler", packaged=False),
    "Powertools' resolver": Contender("bench.contenders.powertools_resolver:handler", packaged=False),
    "Chalice alone": Contender("bench.contenders.chalice_plain:handler", packaged=True),
    OURS: Contender("app:app", packaged=True, variables=_SILENT),
    FASTAPI: Contender("bench.contenders.fastapi_mangum:handler", packaged=False),
    OURS + OBSERVED: Contender("app:app", packaged=True),
    FASTAPI + OBSERVED: Contender("bench.contenders.fastapi_mangum_observed:handler", packaged=False),
}

COLUMNS = {"us": "µs", "from_us": "from", "to_us": "to", "of_bare": "of bare", "of_fastapi": "of FastAPI"}


# -------------------------------------------------------------------------------------------------- what is worked out


def results(turns: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """By contender: microseconds a request (median, quartiles), and ratios within the turns (medians)."""
    found = {}
    for name in turns[0]:
        times = [turn[name] for turn in turns]
        low, middle, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
        found[name] = {
            "us": round(middle, 1),
            "from_us": round(low, 1),
            "to_us": round(high, 1),
            "of_bare": round(statistics.median(turn[name] / turn[BARE] for turn in turns), 2),
            "of_fastapi": round(statistics.median(turn[name] / turn[beside(name)] for turn in turns), 2),
        }
    return found


def beside(name: str) -> str:
    """What a contender is compared with: FastAPI, observed where it is."""
    return FASTAPI + OBSERVED if name.endswith(OBSERVED) else FASTAPI


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    return tables.table("processor time of a request", COLUMNS, list(found.items()))


# -------------------------------------------------------------------------------------------------------- the measuring


def measure(stock: Variant, turns: int, report: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Runs each contender ``turns`` times in turn. ``stock`` is the package that Vitrine and Chalice are run from."""
    event = BUILD / "hello.json"
    event.write_text(json.dumps(events.request("GET", "/hello", query={"name": "Vase"})), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(one, stock)) for name, one in CONTENDERS.items()}
        for worker in workers.values():
            worker.do("requests", event)
        taken = [
            {name: worker.do("requests", event) * 1000 / REQUESTS for name, worker in workers.items()}
            for _ in range(turns)
        ]
    found = results(taken)
    report(table(found))
    report(AIM)
    return found


def _worker(contender: Contender, stock: Variant) -> Worker:
    folders = [str(stock.folder)] if contender.packaged else []
    environment: dict[str, Any] = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "AWS_REGION": "us-east-1"}
    environment |= stock.variables["api_handler"] | contender.variables
    return Worker(
        [str(PYTHON), "-B", str(Path(__file__).with_name("warm_worker.py")), contender.handler, *folders],
        stock.folder if contender.packaged else PROJECT,
        environment,
    )
