"""Estimate the costs on AWS from measurements and AWS's prices (prices.json).

Measured: processor time, memory, calls to AWS and bytes of log of each event. Assumed: the duration of a call to AWS.
A function with less than 1,769 MB has a proportional share of one vCPU, so its processor time is scaled up.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench import cpu_quota, execution_environment, sample_events, text_tables
from bench.consumer_worker import S3_CALL, TABLE_CALL
from bench.cpu_quota import Quota
from bench.function_packages import PROJECT, Variant
from bench.sample_events import Event
from tests.e2e.receiver import Receiver
from tests.fake_aws import FakeAws
from tests.local_certificate import Authority

PRICES: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))

MEMORY = (128, 192, 256, 384, 512, 768, 1024, 1769)
"""The compared memory sizes in MB: from Lambda's minimum to one whole vCPU, the most that one thread can use."""

MEMORY_RESERVE = 1.25
"""The least memory size of a function, as a multiple of its measured peak: Lambda ends a function that exceeds it."""

COLD_LIMIT_MS = 500
"""The longest first answer of a cold function. Small sizes are the cheapest and the slowest."""

CALL_MS = {"dynamodb": TABLE_CALL * 1000, "s3": S3_CALL * 1000, "sqs": 10.0, "events": 10.0, "receiver": 200.0}
"""The assumed duration of a call within a region, and of a request to a receiver of webhooks. It was not measured."""

_WRITES = {"s3 PutObject", "s3 ListObjectsV2"}
"""The calls that S3 charges at the price of a write."""

_MEASURED_FOR = 2.0  # seconds
_AT_LEAST = 5


class Spent(NamedTuple):
    """What one run of a warm function uses."""

    cpu_ms: float
    calls: Mapping[str, float]
    """The number of calls by service and operation, such as ``dynamodb GetItem``."""
    read_units: float
    write_units: float
    log_bytes: float
    peak_mb: float
    init_cpu_ms: float
    """Processor time until the function asks for its first event."""
    first_cpu_ms: float
    """Processor time until the function has answered its first event."""


# ---------------------------------------------------------------------------------------------------------- estimation


def wait_ms(calls: Mapping[str, float]) -> float:
    """Return how long a run waits for its calls to AWS, which it makes one after the other."""
    return sum(number * CALL_MS[call.partition(" ")[0]] for call, number in calls.items())


def duration_ms(cpu_ms: float, waited_ms: float, memory: int) -> float:
    """Return the duration of a run with ``memory`` MB: its waiting, plus its processor time by its share of a core."""
    return waited_ms + cpu_ms / cpu_quota.share(memory)


def lambda_dollars(ms: float, memory: int, architecture: str = "arm64") -> float:
    """Return the price of one run of ``ms`` milliseconds, rounded up to whole milliseconds, including the request."""
    gb_seconds = memory / 1024 * math.ceil(ms) / 1000
    return float(PRICES["lambda"]["request"] + gb_seconds * PRICES["lambda"][f"gb_second_{architecture}"])


def run_dollars(spent: Spent, memory: int, architecture: str = "arm64") -> float:
    """Return Lambda's price of one run with ``memory`` MB."""
    return lambda_dollars(duration_ms(spent.cpu_ms, wait_ms(spent.calls), memory), memory, architecture)


def fits(spent: Sequence[Spent], memory: int) -> bool:
    """Return whether ``memory`` MB are enough for all runs, with a reserve."""
    return max(one.peak_mb for one in spent) * MEMORY_RESERVE <= memory


def cheapest(
    runs: Sequence[Spent],
    largest: Sequence[Spent] = (),
    awaited: Sequence[Spent] = (),
    cold_limit_ms: float = math.inf,
) -> int | None:
    """Return the memory size with the lowest price of all ``runs``; of two with the same price, the larger.

    It must be enough for ``largest`` too, and a cold function must answer each of ``awaited`` within the limit. Return
    None if there is no such size.
    """
    possible = [
        memory
        for memory in MEMORY
        if fits([*runs, *largest], memory) and all(cold_ms(one, memory) <= cold_limit_ms for one in awaited)
    ]
    return min(possible, key=lambda memory: (sum(run_dollars(one, memory) for one in runs), -memory), default=None)


def cold_ms(spent: Spent, memory: int) -> float:
    """Return the time to the first answer of a cold function, if its init phase has the same share of a core."""
    return duration_ms(spent.first_cpu_ms, wait_ms(spent.calls), memory)


def services_dollars(spent: Spent) -> dict[str, float]:
    """Return the price of the calls and log lines of a run, by service."""
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


class Activity(NamedTuple):
    """An activity that costs money: its runs of functions and its other uses of AWS, for ``of`` units of it."""

    name: str
    events: tuple[Event, ...]
    requests: int = 0
    s3_writes: int = 0
    s3_events: int = 0
    bus_events: int = 0
    """Events that are sent to the bus."""
    messages: int = 0
    """Messages that are received and deleted: two requests to SQS each, in addition to sending."""
    of: int = 1


ACTIVITIES = (
    Activity("reading an item", (sample_events.GET_ITEM,), requests=1),
    Activity("creating an item", (sample_events.CREATE_ITEM,), requests=1),
    Activity(
        "an upload of 12 MP",
        (sample_events.TICKET, sample_events.UPLOADED, sample_events.RENDER),
        requests=1,
        s3_writes=1,
        s3_events=1,
        messages=1,
    ),
    Activity(
        "an imported item",
        (sample_events.START_IMPORT, sample_events.CREATE_CHUNK),
        requests=1,
        messages=1,
        of=sample_events.CHUNK,
    ),
    Activity("a change, as an event on the bus", (sample_events.CHANGED,), bus_events=1),
    Activity(
        "a change in a full batch",
        (sample_events.CHANGED_BATCH,),
        bus_events=sample_events.CHANGES,
        of=sample_events.CHANGES,
    ),
    Activity("a delivery to a webhook", (sample_events.DELIVER,), messages=1),
    Activity("a cleanup with nothing to delete", (sample_events.CLEANUP,)),
)


_PRICES_OF_FRONTS = {"rest": "api_gateway", "http": "api_gateway_http"}

Front = Literal["rest", "http"]
"""The kind of API: a REST API, or an HTTP API (``make package FRONT=http``)."""


def activity_dollars(
    activity: Activity, spent: Mapping[str, Spent], sizes: Mapping[str, int], front: Front = "rest"
) -> dict[str, float]:
    """Return the price of one unit, by service. ``sizes`` are the functions' memory sizes in MB."""
    total: Counter[str] = Counter()
    for event in activity.events:
        total["lambda"] += run_dollars(spent[event.name], sizes[event.function])  # type: ignore[assignment]
        total.update(services_dollars(spent[event.name]))
    total["api_gateway"] += activity.requests * PRICES[_PRICES_OF_FRONTS[front]]["request"]
    total["s3"] += activity.s3_writes * PRICES["s3"]["write"]
    total["eventbridge"] += (activity.s3_events + activity.bus_events) * PRICES["eventbridge"]["event"]
    total["sqs"] += activity.messages * 2 * PRICES["sqs"]["request"]
    return {service: dollars / activity.of for service, dollars in total.items() if dollars}


def free_runs(spent: Spent, memory: int) -> int:
    """Return the number of runs per month in Lambda's free tier."""
    free = PRICES["free_each_month"]
    gb_seconds = memory / 1024 * math.ceil(duration_ms(spent.cpu_ms, wait_ms(spent.calls), memory)) / 1000
    return int(min(free["lambda_requests"], free["lambda_gb_seconds"] / gb_seconds))


def check_popular_claim() -> dict[str, float]:
    """Return the often-copied price of a million runs of 100 ms with 256 MB (x86), and the right one, in dollars."""
    return {"claimed": 2.50, "calculated": round(1e6 * lambda_dollars(100, 256, "x86_64"), 2)}


# -------------------------------------------------------------------------------------------------------- faster starts

MONTH = 30 * 24 * 3600
"""Seconds in a month of 30 days."""


class FastStarts(NamedTuple):
    """What faster starts of a function cost, in dollars, on arm64."""

    snapshot_month: float
    """The snapshot of one version."""
    restore: float
    """A start from it."""
    provisioned_month: float
    """One execution environment that is always started."""
    break_even_restores: float
    """The starts from a snapshot in a month that cost as much as one such environment."""
    break_even_use: float
    """The share of the time for which runs must use the environment so that they cost no more than without it."""


def fast_starts(memory: int) -> FastStarts:
    """Return what faster starts of a function with ``memory`` MB cost."""
    snapshots, provisioned = PRICES["snapstart"], PRICES["provisioned_concurrency"]
    size = memory / 1024
    snapshot_month = size * snapshots["cache_gb_second"] * MONTH
    restore = size * snapshots["restore_gb"]
    provisioned_month = size * provisioned["gb_second"] * MONTH
    saved = PRICES["lambda"]["gb_second_arm64"] - provisioned["run_gb_second"]
    return FastStarts(
        snapshot_month,
        restore,
        provisioned_month,
        (provisioned_month - snapshot_month) / restore,
        provisioned["gb_second"] / saved,
    )


# --------------------------------------------------------------------------------------- requests without a valid token

TOKENLESS_RUN_MS = 50
"""The duration of a run without a valid token, on average: a search of large public items takes longer, others less."""

TOKENLESS_LOG_BYTES = 1500
"""The bytes that such a run logs, including metrics and Lambda's own lines."""

HEADER_BYTES = 1000
"""The bytes of an answer without its body."""

SAMPLED = 0.05
"""The share of requests that X-Ray traces by default (X-Ray Developer Guide, "Sampling rules")."""

Access = Literal["public", "preflight", "with token"]
"""Who may call a method: everyone, a browser that asks for CORS headers, or callers with a token."""


class Limit(NamedTuple):
    """The requests per second that a method accepts without a token, and the most that one of them sends and reads."""

    access: Access
    rate: float
    body_bytes: int = 0
    read_units: float = 0


def hour_cost_without_token(limits: Sequence[Limit], sizes: Mapping[str, int]) -> dict[str, float]:
    """Return the most that requests without a valid token can cost in an hour, by service.

    API Gateway answers preflight requests itself. It does not charge for requests above the limit or refused by the
    authorizer (API Gateway pricing), but each new invalid token runs the authorizer.
    """
    total: Counter[str] = Counter()
    for limit in limits:
        requests = limit.rate * 3600
        each = _cost_without_token(limit, sizes)
        total.update({service: requests * dollars for service, dollars in each.items()})
    return dict(total)


def _cost_without_token(limit: Limit, sizes: Mapping[str, int]) -> dict[str, float]:
    dollars = {"traffic": (limit.body_bytes + HEADER_BYTES) / 1e9 * PRICES["traffic"]["gb"]}
    dollars["xray"] = SAMPLED * PRICES["xray"]["trace"]
    if limit.access != "with token":
        dollars["api_gateway"] = PRICES["api_gateway"]["request"]
    if limit.read_units:
        dollars["dynamodb"] = limit.read_units * PRICES["dynamodb"]["read_unit"]
    if limit.access != "preflight":
        function = "authorize" if limit.access == "with token" else "api_handler"
        dollars["lambda"] = lambda_dollars(TOKENLESS_RUN_MS, sizes[function])
        dollars["logs"] = TOKENLESS_LOG_BYTES / 1e9 * PRICES["logs"]["gb"]
    return dollars


# -------------------------------------------------------------------------------------------------------------- results


def configured_memory() -> dict[str, int]:
    """Return the functions' memory sizes in MB from .chalice/config.json."""
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    return {name: function["lambda_memory_size"] for name, function in config["lambda_functions"].items()}


def by_size(spent: Mapping[str, Spent]) -> list[dict[str, Any]]:
    """Return the duration and price of each event at each memory size."""
    return [
        {
            "event": event.name,
            "function": event.function,
            "memory": memory,
            "ms": round(duration_ms(spent[event.name].cpu_ms, wait_ms(spent[event.name].calls), memory), 1),
            "cold_ms": round(cold_ms(spent[event.name], memory), 1),
            "dollars": round(1e6 * run_dollars(spent[event.name], memory), 3),
            "fits": fits(_of(event.function, spent, (*sample_events.PAID, *sample_events.LARGEST)), memory),
        }
        for event in (*sample_events.PAID, *sample_events.LARGEST)
        for memory in MEMORY
    ]


def _of(function: str, spent: Mapping[str, Spent], among: Sequence[Event]) -> list[Spent]:
    return [spent[event.name] for event in among if event.function == function]


def sizes_of(function: str, spent: Mapping[str, Spent]) -> dict[str, int | None]:
    """Return the cheapest memory size of a function, without and with the cold-start limit, and the configured one."""
    runs, largest = _of(function, spent, sample_events.PAID), _of(function, spent, sample_events.LARGEST)
    return {
        "cheapest": cheapest(runs, largest),
        "cheapest_within_limit": cheapest(runs, largest, _of(function, spent, sample_events.AWAITED), COLD_LIMIT_MS),
        "configured": configured_memory()[function],
    }


def results(spent: Mapping[str, Spent], variant: str) -> dict[str, Any]:
    """Return all figures for bench/results.json."""
    functions = list(dict.fromkeys(event.function for event in sample_events.PAID))
    sizes = configured_memory()
    return {
        "of": variant,
        "runs": {name: {**one._asdict(), "calls": dict(one.calls)} for name, one in spent.items()},
        "by_size": by_size(spent),
        "functions": {name: sizes_of(name, spent) for name in functions},
        "activities": {activity.name: per_million(activity_dollars(activity, spent, sizes)) for activity in ACTIVITIES},
        "activities_http": {
            activity.name: per_million(activity_dollars(activity, spent, sizes, "http")) for activity in ACTIVITIES
        },
        "free_runs": {event.name: free_runs(spent[event.name], sizes[event.function]) for event in sample_events.PAID},
        "claim": check_popular_claim(),
    }


def per_million(dollars: Mapping[str, float]) -> dict[str, float]:
    """Return the dollars per million units, with their sum."""
    per_million = {service: round(one * 1e6, 3) for service, one in dollars.items()}
    return {**per_million, "total": round(sum(dollars.values()) * 1e6, 3)}


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
    """Print the results as tables."""
    runs = [(name, {**run, "wait_ms": wait_ms(run["calls"])}) for name, run in found["runs"].items()]
    report(text_tables.table(f"one warm run ({found['of']})", RUN_COLUMNS, runs))
    for what, title in (("ms", "milliseconds"), ("dollars", "$ per million runs, Lambda only")):
        columns = {str(memory): f"{memory} MB" for memory in MEMORY}
        rows = [
            (name, {str(one["memory"]): one[what] for one in found["by_size"] if one["event"] == name})
            for name in found["runs"]
        ]
        report(text_tables.table(title, columns, rows))
    headings = {"cheapest": "cheapest", "cheapest_within_limit": "cold in 0.5 s", "configured": "configured"}
    report(text_tables.table("MB of", headings, list(found["functions"].items())))
    services = ("lambda", "api_gateway", "dynamodb", "s3", "sqs", "eventbridge", "logs", "total")
    columns = {one: one for one in services}
    report(text_tables.table("$ per million of", columns, list(found["activities"].items())))
    report(text_tables.table("$ per million with an HTTP API", columns, list(found["activities_http"].items())))
    free = {name: {"runs": number} for name, number in found["free_runs"].items()}
    report(text_tables.table("free runs per month", {"runs": "runs"}, list(free.items())))
    claim = found["claim"]
    report(f"\n256 MB × 100 ms × 1 million, x86: ${claim['calculated']:.2f}, not ${claim['claimed']:.2f}.")


# --------------------------------------------------------------------------------------------------------- measurement


def measure(bundle: Variant, authority: Authority, report: Callable[[str], None]) -> dict[str, Any]:
    """Run every paid event in a warm function of the bundle."""
    spent = measured(bundle, authority, (*sample_events.PAID, *sample_events.LARGEST), report)
    found = results(spent, bundle.name)
    report_on(found, report)
    return found


def measured(
    bundle: Variant, authority: Authority, events: Sequence[Event], report: Callable[[str], None]
) -> dict[str, Spent]:
    """Return what a warm run of each event uses, by the event's name."""
    spent = {}
    with (
        contextlib.closing(Receiver()) as receiver,
        FakeAws(sample_events.records(receiver.url), sample_events.objects(), authority.context()) as aws,
    ):
        for event in events:
            report(f"  {event.name}")
            spent[event.name] = _spent(bundle, event, aws)
    return spent


def _requests_of(event: Event) -> dict[str, float]:
    """Return the requests of an event to other servers than AWS."""
    return {"receiver POST": 1.0} if event is sample_events.DELIVER else {}


def _spent(variant: Variant, event: Event, aws: FakeAws) -> Spent:
    with execution_environment.running(variant, event.function, aws, Quota(cpu_quota.FULL)) as running:
        init_cpu_ms = running.cpu_ms()
        running.run(event)
        first_cpu_ms = running.cpu_ms()
        aws.reset_counts()
        before, logged, until, runs = first_cpu_ms, running.log_bytes(), time.monotonic() + _MEASURED_FOR, 0
        while runs < _AT_LEAST or time.monotonic() < until:
            running.run(event)
            runs += 1
        return Spent(
            round((running.cpu_ms() - before) / runs, 2),
            {call: number / runs for call, number in aws.calls.items()} | _requests_of(event),
            aws.read_units / runs,
            aws.write_units / runs,
            round((running.log_bytes() - logged) / runs),
            round(running.peak_mb()),
            init_cpu_ms,
            first_cpu_ms,
        )
