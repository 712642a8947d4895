"""Estimate what visits of a public catalogue cost on AWS, with and without a CloudFront distribution.

A visit is the first page of a catalogue: its HTML, the files of the page and the thumbnails of its items. A first visit
loads all of it. A later one, on another day, loads what the browser has not kept: the page and, without CloudFront, the
thumbnails, because presigned URLs change.

Measured: the runs of the API function, and the bytes of the page and its files. Assumed: the bytes of a thumbnail, and
the share of requests that CloudFront answers from its caches.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bench import cost, execution_environment, sample_events, text_tables
from bench.cost import HEADER_BYTES, PRICES, Spent
from bench.cpu_quota import FULL, Quota
from bench.function_packages import Variant
from bench.sample_events import VISIT, VISITOR_FILE, Event
from chalicelib.http import static_files, visitor_pages
from tests.fake_aws import FakeAws
from tests.local_certificate import Authority

THUMBNAIL_BYTES = 10_000
"""The assumed size of a thumbnail of 200 × 200 pixels."""

HIT_RATIOS = (0.5, 0.9, 0.99)
"""The shares of requests that CloudFront answers from its caches."""


class Part(NamedTuple):
    """Responses of one kind that a visit loads: of the API if they have an event, else of the bucket."""

    number: int
    bytes: float
    """The size of each response, with its headers."""
    event: Event | None = None


def first_visit(page_bytes: int) -> tuple[Part, ...]:
    """Return what a browser loads that has kept nothing of the page. The compressed HTML has ``page_bytes``."""
    files = [len(gzip.compress(static_files.file_text(name).encode())) for name in static_files.VISITOR_FILES]
    return (
        Part(1, page_bytes + HEADER_BYTES, VISIT),
        Part(len(files), sum(files) / len(files) + HEADER_BYTES, VISITOR_FILE),
        Part(visitor_pages.MAX_CARDS, THUMBNAIL_BYTES + HEADER_BYTES),
    )


def later_visit(page_bytes: int, *, cloudfront: bool) -> tuple[Part, ...]:
    """Return what a browser loads on another day. It has kept the files and, if their URLs stay, the thumbnails."""
    page, _, thumbnails = first_visit(page_bytes)
    return (page,) if cloudfront else (page, thumbnails)


def dollars(
    parts: Sequence[Part], spent: Mapping[str, Spent], memory: int, hit_ratio: float | None = None
) -> dict[str, float]:
    """Return the price of a visit by service. Without a ``hit_ratio``, there is no distribution.

    ``memory`` is that of the API function in MB.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for service, price in _answer(part.event, spent, memory).items():
            total[service] += part.number * (1 - (hit_ratio or 0)) * price
        gigabytes = part.number * part.bytes / 1e9
        if hit_ratio is None:
            total["traffic"] += gigabytes * PRICES["traffic"]["gb"]
        else:
            prices = PRICES["cloudfront"]
            total["cloudfront"] += part.number * prices["request"] + gigabytes * prices["gb"]
    return {service: one for service, one in total.items() if one}


def _answer(event: Event | None, spent: Mapping[str, Spent], memory: int) -> dict[str, float]:
    """Return the price of an answer of the API or, without an event, of the bucket, without its traffic."""
    if event is None:
        return {"s3": PRICES["s3"]["read"]}
    run = spent[event.name]
    own = {"api_gateway": PRICES["api_gateway"]["request"], "lambda": cost.run_dollars(run, memory)}
    return own | cost.services_dollars(run)


def measure(bundle: Variant, authority: Authority, report: Callable[[str], None]) -> dict[str, Any]:
    """Run the page and one of its files in a warm function of the bundle."""
    spent = cost.measured(bundle, authority, (VISIT, VISITOR_FILE), report)
    found = results(spent, cost.configured_memory()[VISIT.function], _page_bytes(bundle, authority))
    report_on(found, report)
    return found


def _page_bytes(bundle: Variant, authority: Authority) -> int:
    """Return the size of the page as API Gateway compresses it."""
    with (
        FakeAws(sample_events.records(), {}, authority.context()) as aws,
        execution_environment.running(bundle, VISIT.function, aws, Quota(FULL)) as running,
    ):
        return len(gzip.compress(running.answer(VISIT)["body"].encode()))


def results(spent: Mapping[str, Spent], memory: int, page_bytes: int) -> dict[str, Any]:
    """Return the bytes of the page, and the dollars of a million visits of each kind."""
    first, later = first_visit(page_bytes), later_visit(page_bytes, cloudfront=False)
    visits = {"first, without CloudFront": dollars(first, spent, memory)}
    visits |= {f"first, {ratio:.0%} from caches": dollars(first, spent, memory, ratio) for ratio in HIT_RATIOS}
    visits |= {"later, without CloudFront": dollars(later, spent, memory)}
    later = later_visit(page_bytes, cloudfront=True)
    visits |= {f"later, {ratio:.0%} from caches": dollars(later, spent, memory, ratio) for ratio in HIT_RATIOS}
    return {
        "runs": {name: {**one._asdict(), "calls": dict(one.calls)} for name, one in spent.items()},
        "page_bytes": page_bytes,
        "first_visit_bytes": round(sum(part.number * part.bytes for part in first)),
        "dollars": {name: cost.per_million(one) for name, one in visits.items()},
    }


def report_on(found: Mapping[str, Any], report: Callable[[str], None]) -> None:
    """Print the results as tables."""
    runs = [(name, {**run, "wait_ms": cost.wait_ms(run["calls"])}) for name, run in found["runs"].items()]
    report(text_tables.table("one warm run", cost.RUN_COLUMNS, runs))
    services = ("api_gateway", "lambda", "dynamodb", "s3", "logs", "traffic", "cloudfront", "total")
    columns = {one: one for one in services}
    report(text_tables.table("$ per million visits", columns, list(found["dollars"].items())))
    report(f"The page has {found['page_bytes']} bytes, a first visit {found['first_visit_bytes']}.")
