"""What it costs on AWS, reckoned from what was measured here and AWS's prices (prices.json).

Measured: processor time, memory, calls to AWS and bytes of log of each event. Assumed: how long AWS takes for a call.
Reckoned: a function of less than 1,769 MB has that share of one vCPU, so its processor time takes that much longer.
"""

from __future__ import annotations

import json
import math
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench import environment, events, tables
from bench.consumer import S3_CALL, TABLE_CALL
from bench.environment import Quota
from bench.events import Event
from bench.packages import PROJECT, Variant
from bench.stand_in import Services

PRICES: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))

MEMORY = (128, 192, 256, 384, 512, 768, 1024, 1769)
"""MB that are looked at: from the least that Lambda gives to one whole vCPU, more of which helps no single thread."""

SPARE = 1.25
"""Times the memory that was measured which a function has to have: Lambda ends one that needs more than it has."""

AWAKE_WITHIN_MS = 500
"""How long the first answer of a cold function may take: small sizes cost least and wake slowest."""

CALL_MS = {"dynamodb": TABLE_CALL * 1000, "s3": S3_CALL * 1000, "sqs": 10.0}
"""What a call takes within a region, by rule of thumb: no AWS was asked."""

_WRITES = {"s3 PutObject", "s3 ListObjectsV2"}
"""What S3 charges as it does writing."""

_MEASURED_FOR = 2.0  # seconds
_AT_LEAST = 5


class Spent(NamedTuple):
    """What one run of a function takes, once it is warm."""

    cpu_ms: float
    calls: Mapping[str, float]
    """By service and operation: ``dynamodb GetItem``."""
    read_units: float
    write_units: float
    log_bytes: float
    peak_mb: float
    init_cpu_ms: float
    """Processor time until it asked for its first event."""
    first_cpu_ms: float
    """And until it had answered that."""


# -------------------------------------------------------------------------------------------------------- what it costs


def wait_ms(calls: Mapping[str, float]) -> float:
    """How long a run waits for AWS, one call after the other."""
    return sum(number * CALL_MS[call.partition(" ")[0]] for call, number in calls.items())


def duration_ms(cpu_ms: float, waited_ms: float, memory: int) -> float:
    """How long a run takes with so many MB: its waiting, and its work, the longer the smaller its share of a core."""
    return waited_ms + cpu_ms / environment.share(memory)


def lambda_dollars(ms: float, memory: int, architecture: str = "arm64") -> float:
    """What one run of so many milliseconds costs, each millisecond that began counting whole."""
    gb_seconds = memory / 1024 * math.ceil(ms) / 1000
    return float(PRICES["lambda"]["request"] + gb_seconds * PRICES["lambda"][f"gb_second_{architecture}"])


def run_dollars(spent: Spent, memory: int, architecture: str = "arm64") -> float:
    return lambda_dollars(duration_ms(spent.cpu_ms, wait_ms(spent.calls), memory), memory, architecture)


def fits(spent: Sequence[Spent], memory: int) -> bool:
    return max(one.peak_mb for one in spent) * SPARE <= memory


def cheapest(
    runs: Sequence[Spent],
    largest: Sequence[Spent] = (),
    awaited: Sequence[Spent] = (),
    awake_within_ms: float = math.inf,
) -> int | None:
    """The size that costs least for each of ``runs`` once; the larger if two cost the same.

    Only sizes count into which ``largest`` fits too, and in which a cold function answers each of ``awaited`` in time.
    None if there is no such size.
    """
    possible = [
        memory
        for memory in MEMORY
        if fits([*runs, *largest], memory) and all(cold_ms(one, memory) <= awake_within_ms for one in awaited)
    ]
    return min(possible, key=lambda memory: (sum(run_dollars(one, memory) for one in runs), -memory), default=None)


def cold_ms(spent: Spent, memory: int) -> float:
    """How long a cold function takes to its first answer, its init held to its share of a core as all else."""
    return duration_ms(spent.first_cpu_ms, wait_ms(spent.calls), memory)


def services_dollars(spent: Spent) -> dict[str, float]:
    """What the services that a run calls cost, by service."""
    writes = sum(number for call, number in spent.calls.items() if call in _WRITES)
    reads = spent.calls.get("s3 GetObject", 0)
    sqs = sum(number for call, number in spent.calls.items() if call.startswith("sqs"))
    return {
        "dynamodb": spent.read_units * PRICES["dynamodb"]["read_unit"]
        + spent.write_units * PRICES["dynamodb"]["write_unit"],
        "s3": writes * PRICES["s3"]["write"] + reads * PRICES["s3"]["read"],
        "sqs": sqs * PRICES["sqs"]["request"],
        "logs": spent.log_bytes / 1e9 * PRICES["logs"]["gb"],
    }


class Thing(NamedTuple):
    """What somebody pays for: the runs that it takes, and what else it takes of AWS, over so many of it."""

    name: str
    events: tuple[Event, ...]
    requests: int = 0
    s3_writes: int = 0
    s3_events: int = 0
    messages: int = 0
    """Each is received and deleted: two requests to SQS beside the one that sent it."""
    of: int = 1


THINGS = (
    Thing("reading an item", (events.GET_ITEM,), requests=1),
    Thing("creating an item", (events.CREATE_ITEM,), requests=1),
    Thing(
        "an upload of 12 MP",
        (events.TICKET, events.UPLOADED, events.RENDER),
        requests=1,
        s3_writes=1,
        s3_events=1,
        messages=1,
    ),
    Thing("an imported item", (events.START_IMPORT, events.CREATE_CHUNK), requests=1, messages=1, of=events.CHUNK),
    Thing("a sweep with nothing due", (events.SWEEP,)),
)


def thing_dollars(thing: Thing, spent: Mapping[str, Spent], sizes: Mapping[str, int]) -> dict[str, float]:
    """What one of it costs, by service; ``sizes`` has the functions' MB."""
    total: Counter[str] = Counter()
    for event in thing.events:
        total["lambda"] += run_dollars(spent[event.name], sizes[event.function])  # type: ignore[assignment]
        total.update(services_dollars(spent[event.name]))
    total["api_gateway"] += thing.requests * PRICES["api_gateway"]["request"]
    total["s3"] += thing.s3_writes * PRICES["s3"]["write"]
    total["eventbridge"] += thing.s3_events * PRICES["eventbridge"]["event"]
    total["sqs"] += thing.messages * 2 * PRICES["sqs"]["request"]
    return {service: dollars / thing.of for service, dollars in total.items() if dollars}


def free_runs(spent: Spent, memory: int) -> int:
    """How many runs a month Lambda gives for nothing."""
    free = PRICES["free_each_month"]
    gb_seconds = memory / 1024 * math.ceil(duration_ms(spent.cpu_ms, wait_ms(spent.calls), memory)) / 1000
    return int(min(free["lambda_requests"], free["lambda_gb_seconds"] / gb_seconds))


def claim() -> dict[str, float]:
    """A claim that is often copied: a million runs of 100 ms with 256 MB cost $2.50 (x86, requests included)."""
    return {"said": 2.50, "reckoned": round(1e6 * lambda_dollars(100, 256, "x86_64"), 2)}


# ------------------------------------------------------------------------------ what a stranger can make the owner pay

STRANGERS_RUN_MS = 50
"""How long a run takes that anybody can cause: longer than any of the public routes and the check of a token."""

STRANGERS_LOG_BYTES = 1500
"""What such a run logs, Lambda's own lines and the metrics among it."""

HEADER_BYTES = 1000
"""What an answer has besides its body."""

SAMPLED = 0.05
"""The share of requests that X-Ray traces unless told otherwise (X-Ray Developer Guide, "Sampling rules")."""

Reach = Literal["public", "preflight", "guarded"]


class Limit(NamedTuple):
    """What a method of the API lets through without a token: so many requests a second, with the longest answer."""

    reach: Reach
    rate: float
    body_bytes: int = 0


def strangers_hour(limits: Sequence[Limit], sizes: Mapping[str, int]) -> dict[str, float]:
    """What somebody without a token can make the owner pay in an hour, by service: all methods at their limits.

    API Gateway answers preflights itself. It charges nothing for requests above the limit, nor for those that the
    authorizer refuses (API Gateway pricing), but each made-up token runs the authorizer.
    """
    total: Counter[str] = Counter()
    for limit in limits:
        requests = limit.rate * 3600
        each = _stranger(limit, sizes)
        total.update({service: requests * dollars for service, dollars in each.items()})
    return dict(total)


def _stranger(limit: Limit, sizes: Mapping[str, int]) -> dict[str, float]:
    dollars = {"traffic": (limit.body_bytes + HEADER_BYTES) / 1e9 * PRICES["traffic"]["gb"]}
    dollars["xray"] = SAMPLED * PRICES["xray"]["trace"]
    if limit.reach != "guarded":
        dollars["api_gateway"] = PRICES["api_gateway"]["request"]
    if limit.reach != "preflight":
        function = "authorize" if limit.reach == "guarded" else "api_handler"
        dollars["lambda"] = lambda_dollars(STRANGERS_RUN_MS, sizes[function])
        dollars["logs"] = STRANGERS_LOG_BYTES / 1e9 * PRICES["logs"]["gb"]
    return dollars


# ------------------------------------------------------------------------------------------------------ what is printed


def configured() -> dict[str, int]:
    """The functions' MB, by name."""
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    return {name: function["lambda_memory_size"] for name, function in config["lambda_functions"].items()}


def by_size(spent: Mapping[str, Spent]) -> list[dict[str, Any]]:
    """What each event takes and costs at each size."""
    return [
        {
            "event": event.name,
            "function": event.function,
            "memory": memory,
            "ms": round(duration_ms(spent[event.name].cpu_ms, wait_ms(spent[event.name].calls), memory), 1),
            "cold_ms": round(cold_ms(spent[event.name], memory), 1),
            "dollars": round(1e6 * run_dollars(spent[event.name], memory), 3),
            "fits": fits(_of(event.function, spent, (*events.PAID, *events.LARGEST)), memory),
        }
        for event in (*events.PAID, *events.LARGEST)
        for memory in MEMORY
    ]


def _of(function: str, spent: Mapping[str, Spent], among: Sequence[Event]) -> list[Spent]:
    return [spent[event.name] for event in among if event.function == function]


def sizes_of(function: str, spent: Mapping[str, Spent]) -> dict[str, int | None]:
    """The cheapest MB of a function, without and with a limit to its cold start, and what it is configured with."""
    runs, largest = _of(function, spent, events.PAID), _of(function, spent, events.LARGEST)
    return {
        "cheapest": cheapest(runs, largest),
        "awake_in_time": cheapest(runs, largest, _of(function, spent, events.AWAITED), AWAKE_WITHIN_MS),
        "configured": configured()[function],
    }


def results(spent: Mapping[str, Spent], variant: str) -> dict[str, Any]:
    functions = list(dict.fromkeys(event.function for event in events.PAID))
    sizes = configured()
    return {
        "of": variant,
        "runs": {name: {**one._asdict(), "calls": dict(one.calls)} for name, one in spent.items()},
        "by_size": by_size(spent),
        "functions": {name: sizes_of(name, spent) for name in functions},
        "things": {thing.name: _rounded(thing_dollars(thing, spent, sizes)) for thing in THINGS},
        "free_runs": {event.name: free_runs(spent[event.name], sizes[event.function]) for event in events.PAID},
        "claim": claim(),
    }


def _rounded(dollars: Mapping[str, float]) -> dict[str, float]:
    """Dollars for a million."""
    per_million = {service: round(one * 1e6, 3) for service, one in dollars.items()}
    return {**per_million, "in all": round(sum(dollars.values()) * 1e6, 3)}


RUN_COLUMNS = {
    "cpu_ms": "cpu ms",
    "wait_ms": "wait ms",
    "read_units": "read units",
    "write_units": "write units",
    "log_bytes": "log bytes",
    "peak_mb": "peak MB",
    "first_cpu_ms": "cold cpu ms",
}


def report_on(found: Mapping[str, Any], report: Callable[[str], None]) -> None:
    runs = [(name, {**run, "wait_ms": wait_ms(run["calls"])}) for name, run in found["runs"].items()]
    report(tables.table(f"one warm run ({found['of']})", RUN_COLUMNS, runs))
    for what, title in (("ms", "milliseconds"), ("dollars", "$ per million runs, Lambda alone")):
        columns = {str(memory): f"{memory} MB" for memory in MEMORY}
        rows = [
            (name, {str(one["memory"]): one[what] for one in found["by_size"] if one["event"] == name})
            for name in found["runs"]
        ]
        report(tables.table(title, columns, rows))
    headings = {"cheapest": "cheapest", "awake_in_time": "awake in 0.5 s", "configured": "configured"}
    report(tables.table("MB of", headings, list(found["functions"].items())))
    services = ("lambda", "api_gateway", "dynamodb", "s3", "sqs", "eventbridge", "logs", "in all")
    report(tables.table("$ per million of", {one: one for one in services}, list(found["things"].items())))
    free = {name: {"runs": runs} for name, runs in found["free_runs"].items()}
    report(tables.table("free with Lambda, each month", {"runs": "runs"}, list(free.items())))
    told = found["claim"]
    report(f"\n256 MB × 100 ms × 1 million, x86: ${told['reckoned']:.2f}, not ${told['said']:.2f}.")


# -------------------------------------------------------------------------------------------------------- the measuring


def measure(variants: Sequence[Variant], tls: ssl.SSLContext | None, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs every event that is paid for, warm, in the package that would be deployed, with services behind ``tls``."""
    by_name = {variant.name: variant for variant in variants}
    variant = by_name.get("bundle", by_name["stock"])
    spent = {}
    with Services(events.records(), events.objects(), tls) as services:
        for event in (*events.PAID, *events.LARGEST):
            report(f"  {event.name}")
            spent[event.name] = _spent(variant, event, services)
    found = results(spent, variant.name)
    report_on(found, report)
    return found


def _spent(variant: Variant, event: Event, services: Services) -> Spent:
    with environment.running(variant, event.function, services, Quota(environment.FULL)) as running:
        init_cpu_ms = running.cpu_ms()
        running.run(event)
        first_cpu_ms = running.cpu_ms()
        services.forget()
        before, written, until, runs = first_cpu_ms, running.written(), time.monotonic() + _MEASURED_FOR, 0
        while runs < _AT_LEAST or time.monotonic() < until:
            running.run(event)
            runs += 1
        return Spent(
            round((running.cpu_ms() - before) / runs, 2),
            {call: number / runs for call, number in services.calls.items()},
            services.read_units / runs,
            services.write_units / runs,
            round((running.written() - written) / runs),
            round(running.peak_mb()),
            init_cpu_ms,
            first_cpu_ms,
        )
